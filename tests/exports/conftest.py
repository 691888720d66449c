"""A sandbox whose exports have many pages, and the parts that walk them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import AnyHttpUrl, SecretStr
from sqlalchemy import Engine

from etl import kinds
from etl.app.composition import open_exports
from etl.config.settings import Settings
from etl.database.retrying_transaction import RetryingTransaction
from etl.exports.loading import Loading
from etl.exports.pages import Exports, Manner
from etl.kinds import Options
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from tests.command import Command, Process
from tests.job import Job
from tests.waiting import await_

MESSAGES = 2000


def kill_after(requests: int, process: Process, sandbox: RunningSandbox) -> None:
    """Kill a command when the sandbox has seen so many requests more, unless it has ended by itself before."""
    wanted = sandbox.stats()["requests"] + requests
    await_(lambda: process.poll() is not None or sandbox.stats()["requests"] >= wanted)
    process.kill()


both_cursors = pytest.mark.parametrize("large", ["place", "key"], indirect=True)
"""Nobody has told how HighLevel's cursors are read: what walks must be right under both readings."""


@pytest.fixture(scope="session")
def _large_sandboxes() -> Iterator[dict[str, RunningSandbox]]:
    with (
        RunningSandbox(SandboxConfig(locations=1, messages=MESSAGES)) as places,
        RunningSandbox(SandboxConfig(locations=1, messages=MESSAGES, cursors="key")) as keys,
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


class Opener:
    """Makes the export endpoint of a sandbox's first location, and what loads its pages."""

    def __init__(self, engine: Engine, sandbox: RunningSandbox) -> None:
        self.location_id = sandbox.location_ids[0]
        self.transact = RetryingTransaction(engine, patience=10.0, stopping=lambda: False)
        self.loading = Loading(self.transact, Options(), kinds.tables(["message"]))
        self._engine = engine
        self._settings = Settings(
            highlevel_base_url=AnyHttpUrl(sandbox.url),
            highlevel_token=SecretStr(sandbox.token(self.location_id)),
            highlevel_location_id=self.location_id,
        )

    def __call__(self, manner: Manner | None = None) -> Exports:
        """The endpoint, asked in this manner."""
        # Whoever holds it may go on using it: closing its connections only empties their pool.
        with open_exports(self._settings, self._engine, manner or Manner(), self.transact) as exports:
            return exports


@pytest.fixture
def opener(engine: Engine, large: RunningSandbox) -> Opener:
    """The export endpoint of the large sandbox."""
    return Opener(engine, large)
