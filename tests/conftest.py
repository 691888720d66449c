"""What the tests share: a real Postgres, a clean database for each test, and a sandbox that answers like HighLevel.

The server is ``TEST_DATABASE_URL`` if set (its role must be allowed to create databases), else a ``postgres``
container if a Docker engine answers, else the embedded one.
"""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text

from etl import embedded, message_queue, schema
from etl.database import open_engine
from etl.extract.client import Client
from etl.extract.tokens import StaticToken
from etl.pipeline import DatabaseClock, Pipeline
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from etl.worker.claims import Claims
from etl.worker.loop import Loop, Plan, Report
from etl.worker.settlement import Settlement

# Tests lose nothing when the machine stops, and a database is made for each of them.
FAST = ("fsync", "full_page_writes", "synchronous_commit")


@pytest.fixture(scope="session")
def server_url() -> Iterator[URL]:
    """A superuser's URL on the server that all tests share."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
    elif _docker_answers():
        with _container() as url:
            yield url
    else:
        with _embedded() as url:
            yield url


@contextmanager
def _embedded() -> Iterator[URL]:
    with tempfile.TemporaryDirectory(prefix="etl-test-") as directory:
        data = Path(directory) / "postgres"
        url = make_url(embedded.start(data)).set(drivername="postgresql+psycopg")
        try:
            with _administrator(url) as connection:
                for setting in FAST:
                    connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
                connection.execute(text("SELECT pg_reload_conf()"))
            yield url
        finally:
            embedded.stop(data)


@contextmanager
def _container() -> Iterator[URL]:
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - only with an engine

    command = "postgres " + " ".join(f"-c {setting}=off" for setting in FAST)
    image = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:17")
    with PostgresContainer(image, driver="psycopg").with_command(command) as container:
        yield make_url(container.get_connection_url())


def _docker_answers() -> bool:
    sockets = (Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock")
    # Asking for an engine that is not there leaves docker's own socket open, which fails whichever test runs then.
    if "DOCKER_HOST" not in os.environ and not any(socket.exists() for socket in sockets):
        return False
    import docker  # noqa: PLC0415 - slow to import
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()


@contextmanager
def _administrator(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def fresh_database(server: URL, *, template: str = "template0", options: str = "") -> Iterator[URL]:
    """A database of its own, dropped at the end even if somebody is still connected."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with _administrator(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} {options}"))
        try:
            yield server.set(database=name)
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def template(server_url: URL) -> Iterator[str]:
    """Name of a migrated, empty database to copy."""
    with fresh_database(server_url, options="ENCODING 'UTF8'") as url:
        engine = open_engine(url.render_as_string(hide_password=False))
        with engine.connect() as connection:
            schema.upgrade(connection)
        engine.dispose()
        assert url.database is not None
        yield url.database


@pytest.fixture
def database_url(server_url: URL, template: str) -> Iterator[str]:
    """URL of a migrated, empty database."""
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


class OwnServer:
    """A Postgres that a test may stop and start; its URL stays the same."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.url = embedded.start(data)

    def start(self) -> None:
        embedded.start(self._data)

    def stop(self) -> None:
        embedded.stop(self._data)


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    """A migrated Postgres of the test's own."""
    with tempfile.TemporaryDirectory(prefix="etl-test-") as directory:
        server = OwnServer(Path(directory) / "postgres")
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


class Job:
    """Runs the job in this process, as ``etl run`` would, against one location of a sandbox."""

    def __init__(self, engine: Engine, sandbox: RunningSandbox) -> None:
        self._engine = engine
        self._sandbox = sandbox
        self.location_id = sandbox.location_ids[0]
        self.ids = list(sandbox.dataset.ids(self.location_id))

    def enqueue(self, *message_ids: str, location_id: str = "") -> None:
        """Queue messages."""
        with self._engine.begin() as connection:
            message_queue.enqueue(connection, message_ids, kind="message", location_id=location_id)

    def loop(
        self,
        *,
        token: str | None = None,
        concurrency: int = 8,
        batch_size: int = 20,
        max_attempts: int = 8,
        follow: bool = False,
        limit: int | None = None,
        max_seconds: float | None = 30.0,
    ) -> Loop:
        """A run that has not started."""
        static = StaticToken(token or self._sandbox.token(self.location_id), self.location_id)
        clock = DatabaseClock()
        client = Client(base_url=self._sandbox.url, api_version="2021-07-28", pool_size=concurrency, user_agent="tests")
        return Loop(
            engine=self._engine,
            claims=Claims(kind="message", tokens=static),
            process=Pipeline(client=client, token_of=static.token_of, clock=clock).process,
            settlement=Settlement(max_attempts=max_attempts, fingerprint=static.fingerprint),
            clock=clock,
            plan=Plan("messages", concurrency, batch_size, follow=follow, limit=limit, max_seconds=max_seconds),
        )

    def run(self, **plan: Any) -> Report:
        """One whole run."""
        return self.loop(**plan).run()

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The result of a query."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), parameters)]

    def value(self, query: str, **parameters: Any) -> Any:
        """The one value of a query."""
        ((value,),) = self.rows(query, **parameters)
        return value

    def execute(self, statement: str, **parameters: Any) -> None:
        """Change something, as an operator with psql would."""
        with self._engine.begin() as connection:
            connection.execute(text(statement), parameters)


@pytest.fixture
def job(engine: Engine, sandbox: RunningSandbox) -> Job:
    """The job, an empty warehouse and a sandbox without limits."""
    sandbox.limits(limit=None, daily=None)
    return Job(engine, sandbox)


@pytest.fixture
def etl(database_url: str, sandbox: RunningSandbox, tmp_path: Path) -> "Command":
    """The command line, as a real process, set up for the sandbox's first location."""
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


class Command:
    """Starts ``etl`` in a directory of its own with an environment of its own."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start it and return at once."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return subprocess.Popen(
            [sys.executable, "-m", "etl", *arguments],
            cwd=self.directory,
            env=inherited | self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, *arguments: str, stdin: str | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to the end."""
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(stdin, timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)
