import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from etl.database import schema, views

DIRECTORY = Path("migrations/views")


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def test_each_file_is_a_view() -> None:
    assert sorted(f"{name}.sql" for name in views.NAMES) == sorted(path.name for path in DIRECTORY.iterdir())


def test_each_view_is_what_its_file_says(connection: Connection) -> None:
    assert views.differences(connection) == []


def test_exactly_one_migration_creates_the_views() -> None:
    calls = [path.name for path in Path("migrations/versions").glob("*.py") if "views.create(" in path.read_text()]
    assert len(calls) == 1


@pytest.mark.parametrize("name", views.NAMES)
def test_each_view_and_column_explains_itself(connection: Connection, name: str) -> None:
    silent = connection.execute(
        text(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:view) AND attnum > 0 "
            "AND coalesce(col_description(attrelid, attnum), '') = '' "
            "UNION ALL SELECT 'the view' WHERE coalesce(obj_description(to_regclass(:view), 'pg_class'), '') = ''"
        ),
        {"view": f"highlevel.{name}"},
    ).all()
    assert list(silent) == []


def test_a_missing_view_is_noticed(connection: Connection) -> None:
    connection.execute(text("DROP VIEW highlevel.calls"))
    assert schema.differences(connection) == ["view highlevel.calls is missing in the database"]


def test_a_view_that_somebody_changed_is_noticed(connection: Connection) -> None:
    definition = connection.execute(text("SELECT pg_get_viewdef('highlevel.calls'::regclass)")).scalar_one()
    changed = definition.replace("'Call'", "'call'")
    statement = f"CREATE OR REPLACE VIEW highlevel.calls AS {changed}"
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    assert schema.differences(connection) == ["view highlevel.calls differs"]


def test_a_comment_that_somebody_changed_is_noticed(connection: Connection) -> None:
    connection.execute(text("COMMENT ON COLUMN highlevel.calls.status IS 'hm'"))
    assert schema.differences(connection) == ["view highlevel.calls differs"]


def test_creating_them_again_changes_nothing(connection: Connection) -> None:
    views.create(connection)
    assert views.differences(connection) == []


def test_a_view_that_reads_what_another_lacks_differs(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = shutil.copytree(DIRECTORY, tmp_path / "views") / "calls.sql"
    calls.write_text(
        calls.read_text(encoding="utf-8").replace("f.sent_by", "f.not_there AS sent_by", 1), encoding="utf-8"
    )
    monkeypatch.setattr(views, "scripts", lambda: tmp_path)
    assert views.differences(connection) == ["view highlevel.calls differs"]
    assert connection.execute(text("SELECT count(*) FROM highlevel.calls")).scalar_one() == 0


def test_on_a_server_that_takes_no_writes_only_missing_views_are_reported(connection: Connection) -> None:
    connection.execute(text("DROP VIEW highlevel.calls"))
    connection.execute(text("SET TRANSACTION READ ONLY"))
    assert views.differences(connection) == ["view highlevel.calls is missing in the database"]
