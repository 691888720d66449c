"""Real processes, killed for real."""

import random
import signal
import subprocess
import time
from typing import Any

from sqlalchemy import text

from etl.database import open_engine
from etl.sandbox.server import RunningSandbox
from tests.waiting import await_


def lapse_leases(job: Any) -> None:
    """Let the time of a lease pass at once."""
    job.execute("UPDATE etl.message_queue SET leased_until = now() WHERE lease_id IS NOT NULL")
    job.execute("UPDATE etl.rate_usage SET expires_at = now()")


def test_a_worker_killed_again_and_again_loses_nothing_and_loads_nothing_twice(
    job: Any, etl: Any, sandbox: RunningSandbox
) -> None:
    draw = random.Random(7)
    sandbox.faults(latency=0.01)
    job.enqueue(*job.ids)
    kills = 0
    while job.value("SELECT count(*) FROM etl.message_queue"):
        with etl.start("run") as process:
            # Long enough to get beyond the imports, at most; then anywhere.
            try:
                process.wait(timeout=draw.uniform(0.9, 2.0))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            process.communicate()
        lapse_leases(job)
        assert kills < 60
    assert kills > 0
    loaded = job.rows("SELECT message_id FROM highlevel.messages ORDER BY message_id")
    assert loaded == [(message_id,) for message_id in sorted(job.ids)]
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0
    assert job.value("SELECT sum(loaded) FROM etl.runs") == len(job.ids)
    assert sandbox.stats()["max_concurrent_same_id"] == 1


def test_the_first_signal_finishes_what_is_in_hand_and_gives_the_rest_back(
    job: Any, etl: Any, sandbox: RunningSandbox
) -> None:
    sandbox.faults(latency=0.3)
    job.enqueue(*job.ids[:100])
    with etl.start("run") as process:
        await_(lambda: sandbox.stats()["requests"] > 8)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    asked = sandbox.stats()["requests"]
    assert (process.returncode, "(stopped)" in out) == (0, True)
    assert job.value("SELECT count(*) FROM highlevel.messages") == asked
    assert job.rows("SELECT count(*), max(attempt), count(lease_id) FROM etl.message_queue") == [(100 - asked, 0, 0)]


def test_a_follower_outlives_a_restart_of_postgres(own_server: Any, etl: Any, sandbox: RunningSandbox) -> None:
    sandbox.limits(limit=None, daily=None)
    ids = list(sandbox.dataset.ids(sandbox.location_ids[0]))
    engine = open_engine(own_server.url)

    def enqueue(message_id: str) -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT etl.enqueue(:id)"), {"id": message_id})

    def loaded() -> int:
        with engine.connect() as connection:
            count: int = connection.execute(text("SELECT count(*) FROM highlevel.messages")).scalar_one()
            return count

    with etl.start("run", "--follow", DATABASE_URL=own_server.url) as process:
        enqueue(ids[0])
        await_(lambda: loaded() == 1)
        engine.dispose()
        own_server.stop()
        time.sleep(1.0)
        own_server.start()
        enqueue(ids[1])
        await_(lambda: loaded() == 2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    engine.dispose()
    assert process.returncode == 0


def test_a_run_without_follow_gives_up_on_a_postgres_that_stays_away(own_server: Any, etl: Any) -> None:
    own_server.stop()
    done = etl("run", DATABASE_URL=own_server.url)
    assert (done.returncode, "Postgres cannot be reached" in done.stderr) == (3, True)
