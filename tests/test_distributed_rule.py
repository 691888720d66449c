"""Statements that the rule for distributed tables refuses; a fixture in conftest checks every statement of the code."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Engine, TextClause, text
from sqlalchemy.exc import DBAPIError

from etl.database import views
from etl.report import figures
from tests import servers
from tests.distributed_rule import Functions, violations

STATEMENTS = (Path(__file__).parent / "distributed_rule.sql").read_text(encoding="utf-8")
EACH = re.findall(r"^-- (.+?)( \[taken\])?\n((?:(?!--).+\n)+)", STATEMENTS, re.MULTILINE)
VIEWS = Path(__file__).parent.parent / "migrations" / "views"


@pytest.fixture
def functions(engine: Engine) -> Functions:
    with engine.connect() as connection:
        return Functions.of(connection)


@pytest.mark.parametrize(("said", "statement"), [(said, statement) for said, _, statement in EACH])
def test_a_statement_that_breaks_the_rule_is_found(functions: Functions, said: str, statement: str) -> None:
    assert violations(statement, functions) == (() if said == "good" else (said,))


USERS = """[{"location_id": "1", "user_id": "1", "created_at": "2026-01-01Z", "updated_at": "2026-01-01Z"}]"""


def value(before: str) -> object:
    """Something that fits where a parameter is, by what is before it."""
    if before.endswith("ANY("):
        return ["1", "2", "3"]
    return USERS if "jsonb_populate_recordset" in before else "2026-01-01Z" if before.endswith("ed_at = ") else "1"


@pytest.mark.skipif(not servers.CITUS, reason="TEST_CITUS_URL names no Citus, and what it refuses is asked")
@pytest.mark.parametrize(("said", "is_taken", "statement"), EACH)
def test_citus_refuses_what_breaks_the_rule_and_no_more(
    engine: Engine, said: str, is_taken: str, statement: str
) -> None:
    parameters = tuple(value(before) for before in re.split(r"\$\d", statement)[:-1])
    sqlstate = None
    with engine.connect() as connection:
        try:
            connection.exec_driver_sql(re.sub(r"\$\d", "%s", statement), parameters)
        except DBAPIError as error:
            sqlstate = getattr(error.orig, "sqlstate", None)
    # A node that complains of the row has taken the statement.
    assert sqlstate in (None, NOT_NULL, *REFUSALS)
    assert (sqlstate in REFUSALS) is (said != "good" and not is_taken)


NOT_NULL = "23502"
REFUSALS = (
    "0A000",  # not supported
    "22004",  # no value for the column by which the table is distributed
    "42P18",  # a parameter was not sent on
    "XX000",  # a join that needs rows of other nodes
)


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
