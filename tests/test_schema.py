from functools import partial
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, text

from etl.database import schema
from etl.database.connections import open_engine, require_utf8
from etl.database.urls import shown
from etl.errors import ConfigurationError
from etl.ids import is_fetchable
from etl.models import KINDS, Base
from etl.transform.catalogue import MESSAGE_TYPES, TYPE_OF_CODE
from tests.command import Command


@pytest.fixture
def empty(empty_database_url: str) -> Engine:
    return open_engine(empty_database_url)


def test_models_equal_migrations(engine: Engine) -> None:
    with engine.connect() as connection:
        assert schema.differences(connection) == []


def test_a_difference_is_found(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("ALTER TABLE highlevel.messages ALTER COLUMN body SET NOT NULL"))
        assert len(schema.differences(connection)) == 1


def test_head_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(Path(__file__).parent.parent / "migrations"))
    assert scripts.get_current_head() == schema.HEAD


def test_migrations_go_up_down_and_up(empty: Engine) -> None:
    with empty.connect() as connection:
        schema.upgrade(connection)
        schema.downgrade(connection, "base")
        left = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN "
                "('etl', 'highlevel')) AND relname NOT LIKE 'alembic_version%'"
            )
        ).all()
        connection.rollback()
        schema.upgrade(connection)
        assert (list(left), schema.differences(connection)) == ([], [])
    empty.dispose()


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=str)
def test_every_table_and_column_explains_itself(engine: Engine, table: object) -> None:
    with engine.connect() as connection:
        silent = connection.execute(
            text(
                "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum >= 0 "
                "AND NOT attisdropped AND col_description(attrelid, attnum) IS NULL "
                "UNION ALL SELECT 'the table' WHERE obj_description(CAST(:table AS regclass), 'pg_class') IS NULL"
            ),
            {"table": str(table)},
        ).all()
    assert list(silent) == []


def test_every_function_and_sequence_explains_itself(engine: Engine) -> None:
    with engine.connect() as connection:
        silent = connection.execute(
            text(
                "SELECT proname FROM pg_proc WHERE pronamespace = 'etl'::regnamespace "
                "AND obj_description(oid, 'pg_proc') IS NULL"
            )
        ).all()
    assert list(silent) == []


def test_the_reference_table_knows_every_message_type(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT message_type, type_code FROM highlevel.message_types")).all()
    assert {name for name, _ in rows} == MESSAGE_TYPES
    assert {code: name for name, code in rows if code is not None} == TYPE_OF_CODE


@pytest.mark.parametrize(
    "value", ["MSG1", "a.b_c~d:e@f=g+h-i", "..", ".", "", " ", "a b", "é", "a\n", "x" * 128, "x" * 129]
)
def test_the_database_and_the_command_line_accept_the_same_ids(engine: Engine, value: str) -> None:
    with engine.connect() as connection:
        accepted = connection.execute(
            text(
                "SELECT NOT EXISTS (SELECT FROM pg_constraint WHERE conname LIKE '%message_id_is_valid%' AND NOT "
                "(:value ~ substring(pg_get_constraintdef(oid) FROM '''([^'']+)''') AND :value !~ '^[.]+$'))"
            ),
            {"value": value},
        ).scalar_one()
    assert accepted == is_fetchable(value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_of_each_kind_can_be_queued(engine: Engine, kind: str) -> None:
    with engine.begin() as connection:
        assert connection.execute(text("SELECT etl.enqueue('X1', 'LOC1', :kind)"), {"kind": kind}).scalar_one() is True


def test_an_older_version_keeps_the_items_and_an_upgrade_keeps_them(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT etl.enqueue('X1', 'LOC2')"))
    for move in (partial(schema.downgrade, target="0012"), schema.upgrade):
        with engine.connect() as connection:
            move(connection)
        with engine.begin() as connection:
            items = connection.execute(text("SELECT message_id, location_id FROM etl.message_queue")).all()
            assert [tuple(item) for item in items] == [("X1", "LOC2")]
            assert connection.execute(text("SELECT etl.enqueue('X1', 'LOC2')")).scalar_one() is False


def refusal(engine: Engine) -> str:
    with engine.connect() as connection, pytest.raises(ConfigurationError) as caught:
        schema.require_head(connection)
    engine.dispose()
    return str(caught.value)


def test_a_database_without_tables_says_what_to_run(empty: Engine) -> None:
    assert refusal(empty) == f"The database {shown(empty.url)} has no tables yet. Run: etl db upgrade"


def test_a_database_of_an_older_version_says_what_to_run(engine: Engine) -> None:
    with engine.connect() as connection:
        schema.downgrade(connection, "-1")
    assert "Run: etl db upgrade" in refusal(engine)


def test_a_database_of_a_newer_version_says_so(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE etl.alembic_version SET version_num = '9999'"))
    assert "Upgrade highlevel-etl" in refusal(engine)


def test_upgrading_a_database_of_a_newer_version_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE etl.alembic_version SET version_num = '9999'"))
    with engine.connect() as connection, pytest.raises(ConfigurationError, match="Upgrade highlevel-etl"):
        schema.upgrade(connection)


def test_a_database_that_is_not_utf8_is_refused(server_url: URL) -> None:
    from tests.servers import fresh_database  # noqa: PLC0415

    options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    with fresh_database(server_url, options=options) as url:
        engine = open_engine(url.render_as_string(hide_password=False))
        with engine.connect() as connection, pytest.raises(ConfigurationError, match="must be UTF8"):
            require_utf8(connection)
        engine.dispose()


def test_views_of_others_that_stand_in_the_way_of_an_upgrade_are_named(etl: Command, engine: Engine) -> None:
    with engine.begin() as connection:
        definition = connection.execute(text("SELECT pg_get_viewdef('highlevel.calls'::regclass)")).scalar_one()
        longer = definition.replace("t.transcript", "t.transcript, 1 AS of_a_newer_version", 1)
        connection.exec_driver_sql(f"CREATE OR REPLACE VIEW highlevel.calls AS {longer}")
        connection.execute(text("CREATE VIEW public.mine AS SELECT message_id FROM highlevel.calls"))
    done = etl("db", "upgrade")
    assert (2, True, False) == (done.returncode, "view public.mine depends" in done.stderr, "Traceback" in done.stderr)
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW public.mine"))
    assert (etl("db", "upgrade").returncode, etl("db", "check").returncode) == (0, 0)
