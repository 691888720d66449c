"""What the rule for distributed tables catches; a fixture in conftest holds every statement of the code to it."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Engine, TextClause, text

from etl.database import views
from etl.report import figures
from tests.distributed_rule import Functions, violations

STATEMENTS = (Path(__file__).parent / "distributed_rule.sql").read_text(encoding="utf-8")
EACH = re.findall(r"^-- (.+)\n((?:(?!--).+\n)+)", STATEMENTS, re.MULTILINE)
VIEWS = Path(__file__).parent.parent / "migrations" / "views"


@pytest.fixture
def functions(engine: Engine) -> Functions:
    with engine.connect() as connection:
        return Functions.of(connection)


@pytest.mark.parametrize(("said", "statement"), EACH)
def test_a_statement_that_breaks_the_rule_is_found(functions: Functions, said: str, statement: str) -> None:
    assert violations(statement, functions) == (() if said == "good" else (said,))


@pytest.mark.parametrize("name", views.NAMES)
def test_every_view_keeps_the_rule(functions: Functions, name: str) -> None:
    assert violations((VIEWS / f"{name}.sql").read_text(encoding="utf-8"), functions) == ()


@pytest.mark.parametrize("name", [name for name, each in vars(figures).items() if isinstance(each, TextClause)])
def test_every_query_of_the_report_keeps_the_rule(engine: Engine, functions: Functions, name: str) -> None:
    query = getattr(figures, name).compile(engine)
    assert violations(str(query), functions) == ()


def test_a_statement_of_the_code_that_breaks_the_rule_fails_the_test_that_sends_it(
    engine: Engine, broken_rules: list[str]
) -> None:
    with engine.connect() as connection, pytest.raises(AssertionError, match="locks rows without a value"):
        runs_as_code("connection.execute(text(statement))", connection=connection, text=text, statement=LOCKING)
    assert broken_rules.pop().startswith("locks rows without a value for location_id")


LOCKING = "SELECT message_id FROM highlevel.messages FOR UPDATE"


def runs_as_code(code: str, **names: object) -> None:
    """Run a line as if it stood in a module of ours."""
    exec(code, {"__name__": "etl.load.made_up", **names})  # noqa: S102 - the line is the test's own
