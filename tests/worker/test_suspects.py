"""Items that may be what kills their workers: each is alone in hand, in a whole process."""

from contextlib import ExitStack
from threading import Thread

import pytest
from sqlalchemy import Engine

from etl.app.composition import open_loops
from etl.config.jobs import Job as JobEntry
from etl.sandbox.server import RunningSandbox
from etl.worker.loop import Loop
from etl.worker.run import RunLimits, RunSpec
from tests.job import Job
from tests.waiting import await_

HOLD_ONCE = {"kind": "hold", "times": 1}
SUSPECT = "UPDATE etl.message_queue SET lapses = 2 WHERE message_id = :id"


@pytest.fixture
def witnessed(job: Job) -> Job:
    """The job, and a trigger that writes down what was in hand after each claim."""
    job.execute("CREATE TABLE etl.seen (suspects int, others int)")
    job.execute(
        "CREATE FUNCTION etl.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO etl.seen "
        "SELECT count(*) FILTER (WHERE lapses >= 2), count(*) FILTER (WHERE lapses < 2) "
        "FROM etl.message_queue WHERE lease_id IS NOT NULL; RETURN NULL; END $$"
    )
    job.execute("CREATE TRIGGER see AFTER UPDATE ON etl.message_queue FOR EACH STATEMENT EXECUTE FUNCTION etl.see()")
    return job


def test_a_suspect_is_claimed_alone(witnessed: Job, sandbox: RunningSandbox) -> None:
    # Longer than the loop waits until it looks whether it should claim more.
    sandbox.faults(latency=0.2)
    witnessed.enqueue(*witnessed.ids[:60])
    witnessed.execute("UPDATE etl.message_queue SET lapses = 2 WHERE message_id = ANY(:ids)", ids=witnessed.ids[20:25])
    witnessed.run()
    assert witnessed.rows("SELECT DISTINCT suspects, others FROM etl.seen WHERE suspects > 0") == [(1, 0)]
    assert witnessed.value("SELECT max(others) > 1 FROM etl.seen") is True
    assert witnessed.value("SELECT count(*) FROM highlevel.messages") == 60


def test_a_busy_worker_empties_its_hands_for_a_suspect(job: Job, sandbox: RunningSandbox) -> None:
    first, suspect = job.ids[0], job.ids[-1]
    job.enqueue(first)
    job.run()  # from its first answer on, a location is granted many requests at once
    sandbox.faults(ids={first: HOLD_ONCE, suspect: HOLD_ONCE})
    job.enqueue(*job.ids)
    job.execute("UPDATE etl.message_queue SET priority = 1 WHERE message_id = :id", id=first)
    with ExitStack() as stack:
        start(job.loop(concurrency=1), stack)
        sandbox.wait_for(held=1)
        job.execute("UPDATE etl.message_queue SET lapses = 2, priority = 1 WHERE message_id = :id", id=suspect)
        sandbox.release()
        sandbox.wait_for(held=1)
        waiting = len(job.queued())
        sandbox.release()
    assert waiting > 1
    assert job.value("SELECT count(*) FROM highlevel.messages") == len(job.ids)


def test_one_process_claims_one_suspect_of_any_kind(engine: Engine, job: Job, sandbox: RunningSandbox) -> None:
    contacts = sandbox.dataset.ids_of("contact", job.location_id)[:2]
    suspects = job.ids[0], contacts[0]
    sandbox.faults(ids=dict.fromkeys(suspects, HOLD_ONCE))
    job.enqueue(*job.ids[:2])
    job.enqueue(*contacts, kind="contact")
    for id_ in suspects:
        job.execute(SUSPECT, id=id_)
    entries = [JobEntry(name=f"{kind}s", kind=kind, concurrency=4, batch_size=20) for kind in ("message", "contact")]
    specs = [RunSpec(each, RunLimits(max_seconds=100.0)) for each in entries]
    with ExitStack() as stack:
        for loop in stack.enter_context(open_loops(job.settings(), engine, specs)):
            start(loop, stack)
        sandbox.wait_for(held=1)
        kind = job.value("SELECT kind FROM etl.message_queue WHERE lapses = 2 AND lease_id > 0")
        (other,) = {"message", "contact"} - {kind}
        # The other run has skipped its suspect.
        await_(lambda: len(job.queued(other)) == 1)
        assert sandbox.stats()["held"] == 1
        sandbox.release()
        sandbox.wait_for(held=1)
        sandbox.release()
    assert job.queued() == []
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0


def start(loop: Loop, stack: ExitStack) -> None:
    """Run it until the block ends, and wait for it there."""
    thread = Thread(target=loop.run)
    thread.start()
    stack.callback(thread.join)
