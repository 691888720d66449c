"""The commands work through PgBouncer in transaction mode, where each transaction may have another session."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from etl.sandbox.keys import SandboxKeys
from etl.sandbox.send import Traffic, send
from etl.sandbox.server import RunningSandbox
from tests.command import Command
from tests.job import Job
from tests.pooler import pooled
from tests.waiting import await_

LISTENING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"


@pytest.fixture
def pooler(database_url: str, tmp_path: Path) -> Iterator[str]:
    with pooled(database_url, tmp_path) as url:
        yield url


@contextmanager
def following(etl: Command, told: list[str], **environment: str) -> Iterator[None]:
    """A run with --follow, stopped at the end; its output is added to ``told``."""
    with etl.start("run", "--follow", **environment) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            told += process.communicate(timeout=60)


def messages(job: Job) -> int:
    return int(job.value("SELECT count(*) FROM highlevel.messages"))


def test_what_a_receiver_stores_two_runs_load_and_nothing_is_lost(
    etl: Command, job: Job, pooler: str, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    keys = SandboxKeys.load_or_create(tmp_path / "keys", rsa_bits=2048)
    # Many transactions, so that each run meets sessions that the other one used.
    (etl.directory / "jobs.yaml").write_text("jobs:\n  messages:\n    batch_size: 3\n")
    # A line for each webhook would fill the pipe that nobody reads.
    chosen = {"LOG_LEVEL": "error", "WEBHOOK_LOCATIONS": job.location_id, **keys.environment()}
    with etl.start("serve", "--port", "0", DATABASE_URL=pooler, **chosen) as receiver:
        url = re.search(r"http://\S+", receiver.printed.readline())
        assert url is not None
        target = f"{url.group()}/webhooks/highlevel"
        report = send(target, dataset=sandbox.dataset, keys=keys, traffic=Traffic(count=300, duplicates=0.1))
        receiver.send_signal(signal.SIGTERM)
    queued = job.value("SELECT count(*) FROM etl.message_queue WHERE kind = 'message'")
    runs = [etl.start("run", DATABASE_URL=pooler) for _ in range(2)]
    ended = [(run.communicate(timeout=90)[1], run.returncode) for run in runs]
    assert (report.unacknowledged, [code for _, code in ended]) == (set(), [0, 0]), ended
    assert messages(job) == queued > 0


def test_a_follower_looks_by_itself_and_says_so_once(etl: Command, job: Job, pooler: str) -> None:
    told: list[str] = []
    with following(etl, told, DATABASE_URL=pooler):
        job.enqueue(job.ids[0])
        await_(lambda: messages(job) == 1)
        job.enqueue(job.ids[1])
        await_(lambda: messages(job) == 2)
        assert job.value(LISTENING) == 0
    assert "".join(told).count("not_woken_behind_a_pooler") == 1


def test_a_follower_is_woken_past_the_pooler(etl: Command, job: Job, pooler: str, database_url: str) -> None:
    told: list[str] = []
    with following(etl, told, DATABASE_URL=pooler, DATABASE_DIRECT_URL=database_url):
        await_(lambda: job.value(LISTENING) == 1)
        job.enqueue(*job.ids[:3])
        await_(lambda: messages(job) == 3)
    assert "not_woken" not in "".join(told)


def test_migrations_go_past_the_pooler(etl: Command, empty_database_url: str, tmp_path: Path) -> None:
    with pooled(empty_database_url, tmp_path) as pooler:
        refused = etl("db", "upgrade", DATABASE_URL=pooler)
        done = etl("db", "upgrade", DATABASE_URL=pooler, DATABASE_DIRECT_URL=empty_database_url)
    assert (2, True) == (refused.returncode, "Set DATABASE_DIRECT_URL" in refused.stderr), refused.stderr
    assert (0, "upgraded from empty") == (done.returncode, done.stdout[:19]), done.stderr


def test_the_error_of_a_pooler_that_refuses_our_options_says_how_to_accept_them(
    etl: Command, database_url: str, tmp_path: Path
) -> None:
    with pooled(database_url, tmp_path, more="") as pooler:
        done = etl("run", DATABASE_URL=pooler)
    assert (2, True) == (done.returncode, "ignore_startup_parameters = options" in done.stderr), done.stderr
