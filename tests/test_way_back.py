"""Going back to an older version's tables, and coming back from a backup."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, text

from etl.database import embedded, schema, views
from etl.database.connections import open_engine
from etl.errors import ConfigurationError
from tests import servers
from tests.command import Command
from tests.job import Job
from tests.privacy.filling import fill
from tests.servers import fresh_database

SINCE_RELEASES = "0019"


@pytest.fixture
def filled(job: Job, engine: Engine) -> Engine:
    """A warehouse with something in every table that holds words."""
    fill(job, "C1")
    return engine


def missing_views(engine: Engine) -> list[str]:
    query = text(
        "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass('highlevel.' || name) IS NULL"
    )
    with engine.connect() as connection:
        return list(connection.execute(query, {"names": list(views.NAMES)}).scalars())


def test_the_command_goes_back_a_revision_keeps_other_views_and_comes_forth(etl: Command, filled: Engine) -> None:
    went = etl("db", "downgrade", "0024")
    assert (went.returncode, went.stdout) == (0, f"went back from {schema.HEAD} to 0024\n")
    # Some of them only newer versions have.
    assert "gone until an etl db upgrade makes those that its version has: conversations, daily_" in went.stderr
    # They read tables that came with 0025.
    assert missing_views(filled) == ["conversations", "daily_messages", "daily_users", "response_times", "delivery"]
    assert etl("db", "upgrade").returncode == 0
    # The restored tables are on the coordinator alone.
    assert not servers.CITUS or etl("db", "distribute").returncode == 0
    assert etl("db", "check").returncode == 0


def test_views_that_older_tables_cannot_carry_are_reported(filled: Engine) -> None:
    with filled.connect() as connection:
        told = schema.downgrade(connection, "0016")
    assert told == missing_views(filled)
    assert "messages_flat" in told


def test_an_upgrade_makes_views_that_are_missing_or_of_another_version(filled: Engine) -> None:
    with filled.begin() as connection:
        connection.execute(text("DROP VIEW highlevel.delivery"))
        connection.execute(text("DROP VIEW highlevel.calls"))
        connection.execute(
            text("CREATE VIEW highlevel.calls AS SELECT location_id, 1 AS of_a_newer FROM highlevel.meta")
        )
    with filled.connect() as connection:
        schema.upgrade(connection)
        assert schema.differences(connection) == []


@pytest.mark.parametrize(
    ("target", "held"),
    [("0011", "etl.erased"), ("0007", "etl.erased, etl.forgotten, etl.pruned"), ("0004", "highlevel.emails")],
)
def test_what_would_lose_words_is_refused_and_changes_nothing(filled: Engine, target: str, held: str) -> None:
    with filled.begin() as connection:
        connection.execute(text("INSERT INTO etl.erased VALUES ('\\x00', 'LOC1', '\\x01')"))
        connection.execute(text("INSERT INTO etl.forgotten VALUES ('C2', 'LOC1')"))
        connection.execute(text("INSERT INTO etl.pruned VALUES ('messages', now())"))
    with filled.connect() as connection:
        with pytest.raises(ConfigurationError, match=f"would lose what is in .*{held}"):
            schema.downgrade(connection, target)
        connection.rollback()
        assert schema.differences(connection) == []


def test_a_column_that_holds_something_is_named(filled: Engine) -> None:
    with filled.begin() as connection:
        connection.execute(text("DELETE FROM highlevel.emails; DELETE FROM highlevel.email_attachments"))
        connection.execute(text("UPDATE highlevel.messages SET subject = 'Hello'"))
    with filled.connect() as connection, pytest.raises(ConfigurationError, match=r"highlevel\.messages\.subject"):
        schema.downgrade(connection, "0004")


def test_one_id_at_several_locations_is_not_made_one(filled: Engine) -> None:
    with filled.begin() as connection:
        connection.execute(text("SELECT etl.enqueue('X1', place) FROM unnest('{LOC1, LOC2}'::text[]) AS place"))
    with filled.connect() as connection, pytest.raises(ConfigurationError, match="would lose items"):
        schema.downgrade(connection, "0012")


def test_a_revision_that_is_not_there_is_an_error(etl: Command) -> None:
    went = etl("db", "downgrade", "nonesuch")
    assert (went.returncode, "cannot go back to 'nonesuch'" in went.stderr) == (2, True)


@pytest.fixture
def restored(server_url: URL, filled: Engine) -> Iterator[Engine]:
    """The same from a dump of the two schemas."""
    psql = embedded.psql()
    dump = psql and shutil.which("pg_dump", path=str(psql.parent))
    if psql is None or dump is None:
        pytest.skip("no pg_dump")
    source = filled.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with fresh_database(server_url, options="ENCODING 'UTF8'") as url:
        target = url.set(drivername="postgresql").render_as_string(hide_password=False)
        arguments = ["--no-owner", "--no-privileges", "-n", "etl", "-n", "highlevel", source]
        dumped = subprocess.run([dump, *arguments], check=True, capture_output=True, text=True).stdout
        # The server may be older than pg_dump.
        statements = dumped.replace("SET transaction_timeout = 0;", "")
        subprocess.run([psql, "-qX", "-v", "ON_ERROR_STOP=1", target], input=statements, check=True, text=True)
        engine = open_engine(url.render_as_string(hide_password=False))
        if servers.CITUS:
            with engine.connect() as connection:
                schema.renew_views(connection)
        yield engine
        engine.dispose()


def test_a_restored_warehouse_is_whole_and_gives_no_false_alarm(restored: Engine, filled: Engine) -> None:
    query = text("SELECT location_id, message_id, email_id, contact_name FROM highlevel.messages_flat ORDER BY 1, 2, 3")
    with restored.connect() as copy, filled.connect() as original:
        assert schema.differences(copy) == []
        assert copy.execute(query).all() == original.execute(query).all() != []


def test_every_migration_since_the_releases_says_which_receivers_run_beside_it() -> None:
    scripts = list(ScriptDirectory(str(views.scripts())).walk_revisions())
    revisions = {each.revision for each in scripts}
    silent = [
        each.revision
        for each in scripts
        if each.revision >= SINCE_RELEASES and getattr(each.module, "RECEIVERS_SINCE", None) not in revisions
    ]
    assert silent == []


BACKFILLS = """
    INSERT INTO etl.backfills (location_id, since, until, reached, messages, missing, started_at, seen_at, finished_at)
    VALUES
        ('DONE', '2026-01-01Z', '2026-02-01Z', '2026-02-01Z', 7, 1, '2026-03-01Z', '2026-03-01Z', '2026-03-01Z'),
        ('HALF', '2026-01-01Z', '2026-02-01Z', '2026-01-10Z', 3, 0, '2026-03-01Z', '2026-03-01Z', NULL),
        ('FRESH', '2026-01-01Z', '2026-02-01Z', '2026-01-01Z', 0, 0, '2026-03-01Z', '2026-03-01Z', NULL)
"""


def test_what_backfills_have_loaded_and_left_is_kept_as_windows(engine: Engine) -> None:
    with engine.connect() as connection:
        schema.downgrade(connection, "0025")
        connection.execute(text(BACKFILLS))
        connection.commit()
        schema.upgrade(connection)
        query = (
            "SELECT location_id, window_id, messages, missing, finished_at IS NOT NULL FROM etl.windows ORDER BY 1, 2"
        )
        found = [tuple(row) for row in connection.execute(text(query))]
        start, tenth, end = 1767225600000, 1768003200000, 1769904000000
        assert found == [
            ("DONE", f"history:{start}:{end}", 7, 1, True),
            ("FRESH", f"history:{start}:{end}", 0, 0, False),
            ("HALF", f"history:{start}:{tenth}", 3, 0, True),
            ("HALF", f"history:{tenth}:{end}", 0, 0, False),
        ]
        queued = connection.execute(text("SELECT location_id, kind FROM etl.message_queue ORDER BY 1")).all()
        assert [tuple(row) for row in queued] == [("FRESH", "window"), ("HALF", "window")]
        connection.commit()
        schema.downgrade(connection, "0025")
        query = "SELECT location_id, reached = until, messages, finished_at IS NOT NULL FROM etl.backfills ORDER BY 1"
        back = [tuple(row) for row in connection.execute(text(query))]
        assert back == [("DONE", True, 7, True), ("FRESH", False, 0, False), ("HALF", False, 3, False)]
        connection.commit()
        schema.upgrade(connection)
