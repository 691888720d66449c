"""The base of every measurement: one scratch Postgres for all contenders, and a sandbox in its own process."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine, text

from bench import process
from bench.contenders.assignment import Assignment
from etl.database import embedded, schema
from etl.database.connections import open_engine
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import SandboxProcess
from etl.state import message_queue
from etl.tokens.connecting import keep_private
from etl.tokens.vault import Vault, new_key

ROOT = Path(__file__).parent.parent
API_VERSION = "2021-07-28"
OURS = ("HIGHLEVEL_", "ETL_", "DATABASE_URL", "LOG_", "DLT_", "PG", "PYTHON")
"""Variables of whoever runs the benchmark that must not reach what is measured: without compiled modules, for example,
a start takes three times as long, which no user of an installed package sees."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A migrated Postgres and a directory, both gone afterwards."""

    directory: Path
    database_url: str
    engine: Engine

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of a process that is measured."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        own = {"DATABASE_URL": self.database_url, "ETL_HOME": str(self.directory), "PYTHONPATH": str(ROOT)}
        return inherited | own | {"LOG_LEVEL": "warning"} | variables

    def run_messages(
        self, *options: str, job: Mapping[str, object], **variables: str
    ) -> tuple[dict[str, Any], process.Finished]:
        """Let ``etl run`` load messages to the end, with such keys of the job; return its summary, and what it took."""
        jobs = self.directory / "jobs.yaml"
        jobs.write_text(json.dumps({"jobs": {"messages": job}}))
        command = [sys.executable, "-m", "etl", "run", "messages", "--json", *options]
        finished = process.run(command, self.environment(ETL_JOBS=str(jobs), **variables), self.directory)
        return json.loads(finished.output.splitlines()[-1]), finished

    def clear(self, *, locations: bool = False) -> None:
        """Empty every table a contender may have written, and begin anew with the write-ahead log.

        With ``locations`` also forget them and their limits, which another sandbox may have told of the same names.
        """
        with self.engine.begin() as connection:
            tables = list(connection.execute(WRITTEN).scalars())
            tables += ["etl.locations", "etl.rate_limits"] if locations else []
            connection.execute(text(f"TRUNCATE {', '.join(tables)}"))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CHECKPOINT"))

    def count(self, table: str) -> int:
        """Rows of a table."""
        with self.engine.connect() as connection:
            found: int = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - our own
        return found

    @contextmanager
    def counted_statements(self) -> Iterator[Callable[[], int]]:
        """Count the statements sent to Postgres in the block, except those that begin and end transactions."""
        log = self.directory / "postgres" / "log"
        before = log.stat().st_size
        self._configure("SET log_statement = 'all'")

        def count() -> int:
            lines = log.read_bytes()[before:].decode(errors="replace").splitlines()
            return sum(bool(SENT.search(line)) for line in lines)

        try:
            yield count
        finally:
            self._configure("RESET log_statement")

    def _configure(self, change: str) -> None:
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"ALTER SYSTEM {change}")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        time.sleep(0.5)  # until all have read it


SENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (?!BEGIN|COMMIT|ROLLBACK|ALTER SYSTEM|SELECT pg_reload_conf)")

# The limits stay: a location without known limits is served carefully at first, which is not measured here.
WRITTEN = text("""
    SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname = 'highlevel' AND tablename NOT IN ('message_types', 'time_zones', 'settings')
       OR schemaname = 'etl' AND tablename IN ('message_queue', 'dead_letters', 'runs', 'rate_usage', 'webhook_events')
       OR schemaname = 'plain' OR schemaname LIKE 'by\\_dlt%' AND tablename NOT LIKE '\\_dlt\\_%'
""")


@contextmanager
def stage() -> Iterator[Stage]:
    """Yield a scratch Postgres at head; stopped and removed at the end."""
    with TemporaryDirectory(prefix="etl-bench-") as name:
        # Where we are root, Postgres is not.
        Path(name).chmod(0o700 if os.geteuid() else 0o711)
        directory = Path(name)
        with _at_head(directory / "postgres") as (url, engine):
            yield Stage(directory, url, engine)


@contextmanager
def warehouse(on: Stage, name: str, settings: Mapping[str, str]) -> Iterator[Engine]:
    """Yield a Postgres of a measurement's own at head, with such settings; stopped at the end."""
    data = on.directory / name
    engine = open_engine(embedded.start(data))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting, value in settings.items():
            connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = '{value}'")
    engine.dispose()
    embedded.stop(data)
    with _at_head(data) as (_, engine):
        yield engine


@contextmanager
def _at_head(data: Path) -> Iterator[tuple[str, Engine]]:
    url = embedded.start(data)
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            schema.upgrade(connection)
        yield url, engine
    finally:
        engine.dispose()
        embedded.stop(data)


@contextmanager
def unlimited_sandbox(messages: int, *, latency: float = 0.0) -> Iterator[SandboxProcess]:
    """One location without a rate limit; ``latency`` in seconds."""
    config = SandboxConfig(locations=1, messages=messages, limit=None, daily=None, faults={"latency": latency})
    with SandboxProcess(config) as sandbox:
        yield sandbox


@contextmanager
def connected_sandbox(on: Stage, config: SandboxConfig) -> Iterator[tuple[SandboxProcess, dict[str, str]]]:
    """Yield a sandbox all of whose locations are connected, and the variables of a run that asks it."""
    on.clear(locations=True)
    key = new_key()
    with SandboxProcess(config) as sandbox:
        for location_id in sandbox.location_ids:
            keep_private(on.engine, Vault((key,)), location_id, sandbox.token(location_id))
        yield sandbox, {"ETL_SECRET_KEY": key, "HIGHLEVEL_BASE_URL": sandbox.url}
    on.clear(locations=True)


def account(sandbox: SandboxProcess) -> dict[str, str]:
    """Return the variables of the sandbox's first location."""
    name = sandbox.location_ids[0]
    token = sandbox.token(name)
    return {"HIGHLEVEL_BASE_URL": sandbox.url, "HIGHLEVEL_TOKEN": token, "HIGHLEVEL_LOCATION_ID": name}


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender's round."""

    seconds: float
    """Of the work itself, as the contender says."""
    process: process.Finished


def run_job(on: Stage, sandbox: SandboxProcess, *, ids: list[str], concurrency: int) -> Measured:
    """Queue the ids and let ``etl run`` load them.

    Raises:
        RuntimeError: not every message was loaded.
    """
    with on.engine.begin() as connection:
        message_queue.enqueue(connection, ids, kind="message")
    report, finished = on.run_messages(job={"concurrency": concurrency}, **account(sandbox))
    if (report["loaded"], report["outcome"]) != (len(ids), "drained"):
        raise RuntimeError(f"the job did not load everything: {report}")
    return Measured(report["seconds"], finished)


def run_contender(on: Stage, sandbox: SandboxProcess, name: str, *, ids: list[str], concurrency: int) -> Measured:
    """Run a module of :mod:`bench.contenders`."""
    assignment = Assignment(
        base_url=sandbox.url,
        api_version=API_VERSION,
        token=sandbox.token(sandbox.location_ids[0]),
        database_url=on.database_url,
        concurrency=concurrency,
        directory=str(on.directory / name),
        ids=ids,
    )
    command = [sys.executable, "-m", f"bench.contenders.{name}"]
    finished = process.run(command, on.environment(), on.directory, stdin=assignment.to_json())
    return Measured(json.loads(finished.output.splitlines()[-1])["seconds"], finished)
