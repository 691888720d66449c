"""Real processes, killed for real."""

import random
import signal

import pytest
from sqlalchemy import Engine, text

from etl.database.connections import open_engine
from etl.sandbox.server import RunningSandbox
from tests.command import Command
from tests.job import Job
from tests.servers import OwnServer
from tests.waiting import await_, releasing

KILLS = 6


def value(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def lapse_leases(job: Job) -> None:
    """Let the time of a lease pass at once."""
    job.execute("UPDATE etl.message_queue SET leased_until = now() WHERE lease_id IS NOT NULL")
    job.execute("UPDATE etl.rate_usage SET expires_at = now()")


def test_a_worker_killed_again_and_again_loses_nothing_and_loads_nothing_twice(
    job: Job, etl: Command, sandbox: RunningSandbox
) -> None:
    draw = random.Random(7)
    job.enqueue(*job.ids)
    seen = 0
    for _ in range(KILLS):
        with etl.start("run") as process:
            seen = sandbox.stats()["requests"] + draw.randrange(1, len(job.ids) // KILLS)
            sandbox.wait_for(requests=seen)
            process.kill()
            process.communicate()
        lapse_leases(job)
    while job.value("SELECT count(*) FROM etl.message_queue"):
        etl("run")
        lapse_leases(job)
    loaded = job.rows("SELECT message_id FROM highlevel.messages ORDER BY message_id")
    assert loaded == [(message_id,) for message_id in sorted(job.ids)]
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0
    assert job.value("SELECT sum(loaded) FROM etl.runs WHERE job <> 'marts'") == len(job.ids)
    assert sandbox.stats()["max_concurrent_same_id"] == 1


KILL_AT = """
import json, os, signal

decode = json.JSONDecoder.decode

def decode_or_die(decoder, text, *more):
    if "kills its worker" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(decoder, text, *more)

json.JSONDecoder.decode = decode_or_die
"""
"""Code that Python runs at its start: a process that reads such an answer dies, as if the kernel took its memory."""


def test_an_item_that_kills_its_workers_becomes_a_dead_letter_and_its_neighbours_are_loaded(
    job: Job, etl: Command, sandbox: RunningSandbox
) -> None:
    (etl.directory / "sitecustomize.py").write_text(KILL_AT)
    ids = job.ids[:30]
    sandbox.change(ids[15], body="kills its worker")
    job.enqueue(*ids)
    ends: list[int] = []
    while not ends or ends[-1] == -signal.SIGKILL:
        with etl.start("run", PYTHONPATH=str(etl.directory)) as process:
            out, _ = process.communicate(timeout=90)
        ends.append(process.returncode)
        lapse_leases(job)
    assert (ends, "1 dead" in out) == ([-signal.SIGKILL] * 5 + [1], True)
    assert job.rows("SELECT message_id, cause, attempt FROM etl.dead_letters") == [(ids[15], "worker_lost", 3)]
    loaded = job.rows("SELECT message_id FROM highlevel.messages ORDER BY message_id")
    assert loaded == [(message_id,) for message_id in sorted(ids) if message_id != ids[15]]
    assert job.value("SELECT count(*) FROM etl.message_queue") == 0


def test_the_first_signal_finishes_what_is_under_way_and_gives_the_rest_back(
    job: Job, etl: Command, sandbox: RunningSandbox
) -> None:
    sandbox.faults(shares={"hold": 1.0})
    job.enqueue(*job.ids[:100])
    with etl.start("run") as process:
        sandbox.wait_for(held=8)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "Finishing" in process.stderr.readline()
        with releasing(sandbox):
            out, _ = process.communicate(timeout=90)
    asked = sandbox.stats()["requests"]
    assert process.returncode == 0
    assert "(stopped)" in out
    assert job.value("SELECT count(*) FROM highlevel.messages") == asked
    # It may have asked for everything before it noticed.
    assert job.rows("SELECT count(*), coalesce(max(attempt), 0), count(lease_id) FROM etl.message_queue") == [
        (100 - asked, 0, 0)
    ]


def test_a_follower_outlives_a_restart_of_postgres(
    own_server: OwnServer, etl: Command, sandbox: RunningSandbox
) -> None:
    sandbox.limits(limit=None, daily=None)
    ids = list(sandbox.dataset.ids(sandbox.location_ids[0]))
    engine = open_engine(own_server.url)

    def enqueue(message_id: str) -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT etl.enqueue(:id)"), {"id": message_id})

    def loaded() -> int:
        return value(engine, "SELECT count(*) FROM highlevel.messages")

    with etl.start("run", "--follow", DATABASE_URL=own_server.url) as process:
        enqueue(ids[0])
        await_(lambda: loaded() == 1)
        engine.dispose()
        own_server.stop()
        own_server.start()
        enqueue(ids[1])
        await_(lambda: loaded() == 2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=90)
    engine.dispose()
    assert process.returncode == 0


@pytest.mark.parametrize("options", [(), ("--processes", "2")])
def test_a_signal_ends_a_follower_to_which_postgres_says_nothing_any_more(
    own_server: OwnServer, etl: Command, options: tuple[str, ...]
) -> None:
    engine = open_engine(own_server.url)
    with etl.start("run", "--follow", *options, DATABASE_URL=own_server.url) as process:
        await_(lambda: value(engine, "SELECT count(*) FROM etl.runs") == 2 * (1 + len(options) // 2))
        engine.dispose()
        with own_server.frozen():
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=90)
    assert (process.returncode, "Postgres cannot be reached" in told) == (3, True), told
