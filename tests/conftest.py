"""Shared by all tests: a real Postgres, a clean database for each test, and a sandbox that answers like HighLevel."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, Engine, event

from etl.database import distribution, schema
from etl.database.connections import open_engine
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from tests import servers
from tests.command import Command
from tests.distributed_rule import Functions, violations
from tests.job import Job
from tests.servers import OwnServer, fresh_database, shared_server
from tests.tcp import Server, heard


@pytest.fixture(autouse=True)
def broken_rules() -> Iterator[list[str]]:
    """Statements of the code that break the rule for distributed tables. There are none: the one that does fails.

    Weakness: statements of other processes are not seen.
    """
    broken: list[str] = []

    def check(connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        if "highlevel." in statement and sender().startswith("etl."):
            wrong = violations(statement, functions_of(connection))
            if wrong:
                broken.append(f"{'; '.join(wrong)}: {statement}")
                raise AssertionError(broken[-1])

    event.listen(Engine, "before_cursor_execute", check)
    yield broken
    event.remove(Engine, "before_cursor_execute", check)
    # A thread of the code may have kept the error to itself.
    assert broken == []


def sender() -> str:
    """The module that asked SQLAlchemy to send a statement."""
    frame = sys._getframe(2)  # noqa: SLF001 - the only way to know, and stable since Python 2
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("sqlalchemy."):
        frame = frame.f_back
    return str(frame.f_globals["__name__"])


KNOWN: list[Functions] = []


def functions_of(connection: Connection) -> Functions:
    """The functions of Postgres, asked once."""
    if not KNOWN:
        KNOWN.append(Functions.of(connection))
    return KNOWN[0]


@pytest.fixture(scope="session")
def server_url() -> Iterator[URL]:
    """A superuser's URL on the server that all tests share."""
    with shared_server() as url:
        yield url


@pytest.fixture(scope="session")
def template(server_url: URL) -> Iterator[str]:
    """Name of a migrated, empty database to copy; on Citus a distributed one."""
    with fresh_database(server_url, options="ENCODING 'UTF8'") as url:
        if servers.CITUS:
            servers.make_cluster(url)
        engine = open_engine(url.render_as_string(hide_password=False))
        with engine.connect() as connection:
            schema.upgrade(connection)
            if servers.CITUS:
                spread(connection)
        engine.dispose()
        assert url.database is not None
        servers.close(server_url, url.database)
        yield url.database


def spread(connection: Connection) -> None:
    """Distribute a migrated database of Citus."""
    for step in distribution.plan(distribution.read(connection)):
        distribution.apply(connection, step)


@pytest.fixture
def database_url(server_url: URL, template: str) -> Iterator[str]:
    """URL of a migrated, empty database; on Citus a distributed one."""
    with fresh_database(server_url, template=template) as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a migrated, empty database."""
    engine = open_engine(database_url, pool_size=20)
    yield engine
    engine.dispose()


@pytest.fixture
def empty_database_url(server_url: URL) -> Iterator[str]:
    """URL of a database that was never migrated."""
    with fresh_database(server_url, options="ENCODING 'UTF8'") as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory in which an embedded Postgres may be made."""
    with servers.scratch() as directory:
        yield directory


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    """A migrated Postgres of the test's own."""
    with servers.scratch() as directory:
        server = OwnServer(directory / "postgres")
        engine = open_engine(server.url)
        try:
            with engine.connect() as connection:
                schema.upgrade(connection)
            yield server
        finally:
            engine.dispose()
            server.stop()


@pytest.fixture(scope="session")
def _shared_sandbox() -> Iterator[RunningSandbox]:
    with RunningSandbox(SandboxConfig(locations=3, messages=1000)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_shared_sandbox: RunningSandbox) -> RunningSandbox:
    """A sandbox of three locations and 1,000 messages, without faults or limits from an earlier test."""
    _shared_sandbox.reset()
    return _shared_sandbox


@pytest.fixture
def dripping() -> Iterator[Server]:
    """A server whose every answer comes byte by byte and never ends."""
    server = Server()

    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not server.ended.wait(0.05):
            connection.sendall(b" ")

    server.serve = serve
    yield server
    server.close()


@pytest.fixture
def job(engine: Engine, sandbox: RunningSandbox) -> Iterator[Job]:
    """The job, an empty warehouse and a sandbox without limits."""
    sandbox.limits(limit=None, daily=None)
    job = Job(engine, sandbox)
    yield job
    job.close()


@pytest.fixture
def etl(database_url: str, sandbox: RunningSandbox, tmp_path: Path) -> Command:
    """The command line as a real process, for the sandbox's first location, with the job of messages only."""
    (tmp_path / "jobs.yaml").write_text("jobs:\n  messages:\n")
    location_id = sandbox.location_ids[0]
    return Command(
        tmp_path,
        {
            "DATABASE_URL": database_url,
            "HIGHLEVEL_BASE_URL": sandbox.url,
            "HIGHLEVEL_TOKEN": sandbox.token(location_id),
            "HIGHLEVEL_LOCATION_ID": location_id,
        },
    )


@pytest.fixture(scope="session")
def _large_sandboxes() -> Iterator[dict[str, RunningSandbox]]:
    with (
        RunningSandbox(SandboxConfig(locations=1, messages=2000)) as places,
        RunningSandbox(SandboxConfig(locations=1, messages=2000, cursors="key")) as keys,
    ):
        yield {"place": places, "key": keys}


@pytest.fixture
def large(_large_sandboxes: dict[str, RunningSandbox], request: pytest.FixtureRequest) -> RunningSandbox:
    """A sandbox of one location and many messages, without limits."""
    sandbox = _large_sandboxes[getattr(request, "param", "place")]
    sandbox.reset()
    sandbox.limits(limit=None, daily=None)
    return sandbox


@pytest.fixture
def large_job(engine: Engine, large: RunningSandbox) -> Iterator[Job]:
    """The job against that."""
    job = Job(engine, large)
    yield job
    job.close()


@pytest.fixture
def large_etl(database_url: str, large: RunningSandbox, tmp_path: Path) -> Command:
    """The command line for that, with the job of messages only."""
    (tmp_path / "jobs.yaml").write_text("jobs:\n  messages:\n")
    (location_id,) = large.location_ids
    return Command(
        tmp_path,
        {
            "DATABASE_URL": database_url,
            "HIGHLEVEL_BASE_URL": large.url,
            "HIGHLEVEL_TOKEN": large.token(location_id),
            "HIGHLEVEL_LOCATION_ID": location_id,
        },
    )
