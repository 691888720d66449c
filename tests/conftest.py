"""What the tests share: a real Postgres, a clean database for each test, and a sandbox that answers like HighLevel."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from etl import schema
from etl.database import open_engine
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from tests.command import Command
from tests.job import Job
from tests.servers import OwnServer, fresh_database, shared_server


@pytest.fixture(scope="session")
def server_url() -> Iterator[URL]:
    """A superuser's URL on the server that all tests share."""
    with shared_server() as url:
        yield url


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
