"""The settings of every session, whatever the server, its roles, a pooler or another user set."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import IntegrityError

from etl.cli import serve
from etl.config.settings import Settings
from etl.database import roles, schema
from etl.database.connections import SETTINGS, open_engine
from tests.command import Command
from tests.job import Job
from tests.login_role import login_role
from tests.pooler import pooled

AT_THE_EDGE = """
CREATE TEMPORARY TABLE edge ON COMMIT DROP AS
SELECT n, at FROM (VALUES ('1', timestamptz '0001-01-01 00:00:00Z'), ('2', '9999-12-31 23:59:59Z')) AS given (n, at);
INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail, died_at)
SELECT 'message', n, '', 1, 'not_found', '', at FROM edge;
INSERT INTO etl.locations (location_id, paused_at, pause_cause) SELECT n, at, 'by_hand' FROM edge;
INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
SELECT n, at, '', '', 'ignored', '' FROM edge;
"""
COMMANDS = [("run",), ("status",), ("dead", "list"), ("locations", "list"), ("events", "list"), ("doctor", "--offline")]

PLANTED = """
CREATE SEQUENCE public.executed;
GRANT ALL ON public.executed TO PUBLIC;
CREATE FUNCTION public.pg_notify(text, varchar) RETURNS void LANGUAGE sql AS $$ SELECT nextval('public.executed') $$;
"""
COMPARING = """
CREATE FUNCTION public.compare({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('public.executed');
    RETURN $1::text OPERATOR(pg_catalog.{sign}) $2::text;
END $$;
CREATE OPERATOR public.{sign} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.compare);
"""
TYPES = ("text", "varchar", "name", "oid", "regnamespace")


def name_of(url: str) -> str:
    return str(make_url(url).database)


def ask(engine: Engine, statement: str) -> object:
    with engine.begin() as connection:
        return connection.execute(text(statement)).scalar_one()


def plant(engine: Engine, attacker: str) -> None:
    """Functions that somebody defines in the schema public, so that other people's statements call them."""
    with engine.begin() as connection:
        # Nodes of Citus know the role once it is committed, and let it log in.
        connection.execute(text(f"CREATE ROLE {attacker} LOGIN"))
        connection.execute(text(f"GRANT CREATE, USAGE ON SCHEMA public TO {attacker}"))
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL ROLE {attacker}"))
        connection.exec_driver_sql(PLANTED)
        for left, right in product(TYPES, repeat=2):
            connection.exec_driver_sql(COMPARING.format(left=left, right=right, sign="="))
        connection.exec_driver_sql(COMPARING.format(left="text", right="text", sign="<>").replace("compare", "differ"))


def is_executed(engine: Engine) -> bool:
    """Whether somebody ran what was planted, even if that was rolled back."""
    return bool(ask(engine, "SELECT is_called FROM public.executed"))


@contextmanager
def attacked(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    attacker = f"test_{uuid.uuid4().hex[:12]}"
    try:
        plant(engine, attacker)
        yield engine
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {attacker} CASCADE"))
            connection.execute(text(f"DROP ROLE {attacker}"))
        engine.dispose()


@pytest.fixture
def victim(database_url: str) -> Iterator[Engine]:
    with attacked(database_url) as engine:
        yield engine


def test_what_was_planted_is_executed_by_whoever_looks_in_public(victim: Engine) -> None:
    with victim.begin() as connection:
        connection.execute(text("SET LOCAL search_path = public"))
        connection.execute(text("SELECT 'a'::text = 'a'::varchar"))
    assert is_executed(victim)


def test_no_command_executes_what_somebody_planted_in_public(etl: Command, job: Job, victim: Engine) -> None:
    job.enqueue(*job.ids[:20], "unknown-id")
    commands = [*COMMANDS, ("db", "check"), ("reconcile",), ("db", "upgrade"), ("enqueue", job.ids[30])]
    with login_role(victim, roles.grant_reader) as (name, _):
        commands += [("db", f"grant-{role}", name) for role in ("worker", "receiver", "reader")]
        codes = {command: etl(*command).returncode for command in commands}
    assert ({2, 3} & set(codes.values()), is_executed(victim)) == (set(), False), codes
    assert job.value("SELECT count(*) FROM highlevel.messages") > 10


def test_migrating_executes_nothing_of_it(etl: Command, empty_database_url: str) -> None:
    with attacked(empty_database_url) as engine:
        done = etl("db", "upgrade", DATABASE_URL=empty_database_url)
        assert (done.returncode, is_executed(engine)) == (0, False), done.stderr


def test_through_a_pooler_nothing_of_it_is_executed(
    etl: Command, job: Job, victim: Engine, database_url: str, tmp_path: Path
) -> None:
    job.enqueue(*job.ids[:20])
    with pooled(database_url, tmp_path) as pooler:
        codes = [etl(*command, DATABASE_URL=pooler).returncode for command in COMMANDS]
    assert (codes, is_executed(victim)) == ([0] * len(COMMANDS), False)


def test_who_queues_an_item_by_sql_executes_nothing_of_it_in_our_functions(victim: Engine) -> None:
    with victim.begin() as connection:
        connection.execute(text("SET LOCAL search_path = public, pg_catalog"))
        for _ in range(2):
            connection.execute(text("SELECT etl.enqueue('M1', 'LOC1')"))
        connection.execute(text("INSERT INTO etl.message_queue (message_id) VALUES ('M2')"))
    assert not is_executed(victim)


def test_every_function_of_ours_names_where_it_looks(engine: Engine) -> None:
    looking = """
        SELECT array_agg(proname::text) FROM pg_proc
        WHERE pronamespace IN ('etl'::regnamespace, 'highlevel'::regnamespace)
          AND NOT coalesce(proconfig::text LIKE '%search_path=pg_catalog, pg_temp%', false)
    """
    assert ask(engine, looking) is None


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"])
@pytest.mark.parametrize("way", ["direct", "pooler"])
def test_dates_at_the_edge_are_shown_whatever_the_zone_of_the_server(
    etl: Command, job: Job, zone: str, way: str, database_url: str, tmp_path: Path
) -> None:
    job.execute(f"ALTER DATABASE {name_of(database_url)} SET timezone = '{zone}'")
    job.execute(f"ALTER DATABASE {name_of(database_url)} SET datestyle = 'German'")
    job.execute(AT_THE_EDGE.replace(":", r"\:"))
    with ExitStack() as stack:
        url = database_url if way == "direct" else stack.enter_context(pooled(database_url, tmp_path))
        told = [etl(*command, DATABASE_URL=url) for command in COMMANDS[:-1]]
    assert [done.returncode for done in told] == [0] * len(told), told


@pytest.mark.parametrize("way", ["direct", "pooler"])
def test_a_session_is_set_as_we_say_and_back_afterwards(job: Job, way: str, database_url: str, tmp_path: Path) -> None:
    job.execute(f"ALTER DATABASE {name_of(database_url)} SET timezone = 'Asia/Tokyo'")
    with ExitStack() as stack:
        url = database_url if way == "direct" else stack.enter_context(pooled(database_url, tmp_path))
        engine = open_engine(url)
        stack.callback(engine.dispose)
        shown = {name: str(ask(engine, f"SHOW {name}")).replace(" ", "") for name in SETTINGS}
        driver = engine.raw_connection()
        stack.callback(driver.close)
        cursor = driver.cursor()
        cursor.execute("SHOW timezone")
        left = cursor.fetchone()
    assert shown == SETTINGS | {"DateStyle": "ISO,MDY", "idle_in_transaction_session_timeout": "1min"}
    # Other clients of the pooler get unchanged settings.
    assert left == (("UTC",) if way == "direct" else ("Asia/Tokyo",))


def test_the_environment_of_libpq_does_not_change_that(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTZ", "America/New_York")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=public")
    assert (ask(engine, "SHOW timezone"), ask(engine, "SHOW search_path")) == ("UTC", SETTINGS["search_path"])


def test_the_url_may_set_what_we_do_not(database_url: str) -> None:
    more = "&" if "?" in database_url else "?"
    url = f"{database_url}{more}options=-c%20work_mem%3D7MB%20-c%20timezone%3DCET&tcp_user_timeout=7000"
    other = open_engine(url)
    found = ask(other, "SHOW work_mem"), ask(other, "SHOW timezone"), parameter(other, "tcp_user_timeout")
    other.dispose()
    assert found == ("7MB", "UTC", "7000")


def test_libpq_is_told_to_notice_a_peer_that_vanished(engine: Engine) -> None:
    assert parameter(engine, "tcp_user_timeout") == "30000"


@pytest.mark.parametrize("given", ["", "&tcp_user_timeout=7000"])
def test_the_receiver_notices_sooner_unless_the_url_says_when(database_url: str, given: str) -> None:
    url = database_url + (given if "?" in database_url else given.replace("&", "?"))
    told = serve._database_url(Settings(database_url=SecretStr(url)))  # noqa: SLF001 - what both of its engines get
    assert make_url(told).query["tcp_user_timeout"] == ("7000" if given else "3000")


def parameter(engine: Engine, name: str) -> str | None:
    """The options with which a live connection was opened."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver.info.get_parameters().get(name)


@pytest.mark.parametrize(
    "way",
    [
        "INSERT INTO etl.message_queue (message_id, scheduled_at) VALUES ('M', :when)",
        "SELECT etl.enqueue('M', scheduled_at => :when)",
    ],
)
@pytest.mark.parametrize(
    "when", ["infinity", "-infinity", "0001-01-01", "0001-01-01 BC", "9999-12-31 23:59", "20000-01-01"]
)
def test_no_item_is_queued_for_a_time_that_nobody_can_load(engine: Engine, way: str, when: str) -> None:
    with engine.connect() as connection, pytest.raises(IntegrityError, match="scheduled_at_is_sane"):
        connection.execute(text(way), {"when": when})


def test_an_item_that_was_queued_for_such_a_time_is_kept(engine: Engine) -> None:
    with engine.connect() as connection:
        schema.downgrade(connection, "0009")
        for number, when in enumerate(("20000-01-01", "0001-01-01 BC", "2026-03-01")):
            statement = "INSERT INTO etl.message_queue (message_id, scheduled_at) VALUES (:id, :when)"
            connection.execute(text(statement), {"id": f"M{number}", "when": when})
        connection.commit()
        schema.upgrade(connection)
        kept = connection.execute(text("SELECT scheduled_at FROM etl.message_queue ORDER BY message_id")).scalars()
        assert [when.year for when in kept] == [2999, 1970, 2026]
