"""One odd answer changes its item, but not other items, their location, or the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest

from etl.api.transport import Bounds
from etl.cli.run import exit_code
from etl.sandbox.server import RunningSandbox
from etl.worker.evidence import ENOUGH
from etl.worker.loop import Loop
from tests.command import Command
from tests.job import Job
from tests.tokens.office import Office
from tests.waiting import await_, releasing

FOREIGN = {"kind": "403", "text": "The token does not have access to this location."}
BAD_ID = {"kind": "400", "text": "messageId must be a valid id"}
GONE = {"kind": "404", "text": "Not Found"}
LETTERS = "SELECT message_id, cause FROM etl.dead_letters"
PAUSED = "SELECT count(*) FROM etl.locations WHERE paused_at IS NOT NULL"
LOADED = "SELECT count(*) FROM highlevel.messages"
DELETED = "SELECT count(*) FROM highlevel.messages WHERE deleted_at IS NOT NULL"


@contextmanager
def following(loop: Loop) -> Iterator[None]:
    thread = Thread(target=loop.run)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join()


@pytest.fixture
def contacts(job: Job, sandbox: RunningSandbox) -> list[str]:
    return list(sandbox.dataset.ids_of("contact", job.location_id))


# A redirect


@pytest.mark.parametrize("place", [0, 15, 29])
def test_one_item_that_is_redirected_is_tried_again_and_ends_no_run(
    job: Job, sandbox: RunningSandbox, place: int
) -> None:
    sandbox.faults(ids={job.ids[place]: "redirect"})
    job.enqueue(*job.ids[:30])
    report = job.run()
    assert (report.outcome, report.counts.loaded, report.counts.retried) == ("drained", 29, 1)
    assert job.rows("SELECT message_id, cause, attempt FROM etl.message_queue") == [(job.ids[place], "redirected", 1)]


def test_one_item_of_another_kind_that_is_redirected_ends_no_follower(
    job: Job, sandbox: RunningSandbox, contacts: list[str]
) -> None:
    sandbox.faults(ids={contacts[0]: "redirect"})
    with following(job.loop(kind="contact", follow=True)):
        job.enqueue(contacts[0], kind="contact")
        await_(lambda: bool(job.value("SELECT count(*) FROM etl.message_queue WHERE cause = 'redirected'")))
        job.enqueue(contacts[1], kind="contact")
        await_(lambda: job.value("SELECT count(*) FROM highlevel.contacts") == 1)
    assert job.value("SELECT attempt FROM etl.message_queue") == 1


def test_a_kind_that_is_redirected_ends_no_follower_of_messages_that_are_answered(
    job: Job, etl: Command, sandbox: RunningSandbox, contacts: list[str]
) -> None:
    (etl.directory / "jobs.yaml").write_text("jobs:\n  messages:\n  contacts:\n    kind: contact\n")
    sandbox.faults(ids=dict.fromkeys(contacts, "redirect"))
    job.enqueue(job.ids[0])
    with etl.start("run", "--follow") as process:
        await_(lambda: job.value(LOADED) == 1)
        job.enqueue(*contacts[: 2 * ENOUGH], kind="contact")
        await_(lambda: sandbox.stats()["statuses"].get("302", 0) >= ENOUGH)
        job.enqueue(job.ids[1])
        await_(lambda: job.value(LOADED) == 2)
        assert process.poll() is None
        process.kill()
        process.communicate()


# A refusal


@pytest.mark.parametrize("place", [0, 30, 59])
def test_one_foreign_id_is_a_dead_letter_and_its_location_is_served(
    job: Job, sandbox: RunningSandbox, place: int
) -> None:
    sandbox.faults(ids={job.ids[place]: FOREIGN})
    job.enqueue(*job.ids[:60])
    report = job.run()
    assert (report.outcome, report.counts.loaded, report.counts.dead) == ("drained", 59, 1)
    assert job.rows(LETTERS + " WHERE payload IS NOT NULL") == [(job.ids[place], "not_authorized")]
    assert job.value(PAUSED) == 0


def test_a_message_of_another_location_is_a_foreign_id(job: Job, sandbox: RunningSandbox) -> None:
    foreign = sandbox.dataset.ids(sandbox.location_ids[1])[0]
    job.enqueue(foreign, *job.ids[:20])
    job.run()
    assert (job.rows(LETTERS), job.value(LOADED)) == ([(foreign, "not_authorized")], 20)


def test_a_follower_serves_on_when_a_foreign_id_comes_alone(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: FOREIGN})
    with following(job.loop(follow=True)):
        job.enqueue(job.ids[1])
        await_(lambda: job.value(LOADED) == 1)
        job.enqueue(job.ids[0])
        await_(lambda: job.rows(LETTERS) == [(job.ids[0], "not_authorized")])
        job.enqueue(job.ids[2])
        await_(lambda: job.value(LOADED) == 2)


def test_a_foreign_id_that_paused_its_location_is_named_and_fails_alone_when_others_are_asked_with_it(
    job: Job, sandbox: RunningSandbox
) -> None:
    sandbox.faults(ids={job.ids[0]: FOREIGN})
    job.enqueue(job.ids[0])
    assert job.run().outcome == "paused"
    assert job.ids[0] in job.value("SELECT pause_detail FROM etl.locations")
    job.enqueue(*job.ids[1:10])
    job.execute("UPDATE etl.locations SET paused_at = NULL")
    assert job.run().counts.loaded == 9
    assert (job.rows(LETTERS), job.value(PAUSED)) == ([(job.ids[0], "not_authorized")], 0)


@pytest.mark.parametrize("place", [0, 30, 59])
def test_one_401_among_good_answers_is_asked_again_and_pauses_nothing(
    job: Job, sandbox: RunningSandbox, place: int
) -> None:
    sandbox.faults(ids={job.ids[place]: {"kind": "401", "text": "Invalid JWT", "times": 1}})
    job.enqueue(*job.ids[:60])
    report = job.run(max_attempts=1)
    assert (report.outcome, report.counts.loaded, job.value(PAUSED)) == ("drained", 60, 0)


def test_an_item_that_is_answered_401_again_and_again_fails_alone(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: {"kind": "401", "text": "Invalid JWT"}})
    job.enqueue(*job.ids[:60])
    job.execute("UPDATE etl.message_queue SET scheduled_at = '2020-01-01' WHERE message_id = :id", id=job.ids[0])
    report = job.run(concurrency=1)
    assert (report.counts.loaded, job.rows(LETTERS), job.value(PAUSED)) == (59, [(job.ids[0], "token_refused")], 0)


def test_a_token_revoked_while_a_follower_uses_it_pauses_its_location_and_buries_nothing(
    job: Job, sandbox: RunningSandbox
) -> None:
    with following(job.loop(follow=True)):
        job.enqueue(*job.ids[:20])
        await_(lambda: job.value(LOADED) == 20)
        sandbox.revoke(location_id=job.location_id)
        job.enqueue(job.ids[20])
        await_(lambda: job.value(PAUSED) == 1)
    assert job.rows("SELECT message_id, attempt FROM etl.message_queue") == [(job.ids[20], 0)]
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0


def test_one_foreign_contact_among_good_ones_is_a_dead_letter(
    job: Job, sandbox: RunningSandbox, contacts: list[str]
) -> None:
    sandbox.faults(ids={contacts[0]: FOREIGN})
    job.enqueue(*contacts[:20], kind="contact")
    report = job.run(kind="contact")
    assert (report.counts.loaded, job.rows(LETTERS)) == (19, [(contacts[0], "not_authorized")])


def test_contacts_without_their_scope_wait_for_a_day(job: Job, sandbox: RunningSandbox, contacts: list[str]) -> None:
    scope = {"kind": "401", "text": "The token is not authorized for this scope."}
    sandbox.faults(ids=dict.fromkeys(contacts, scope))
    job.enqueue(*contacts[:20], kind="contact")
    job.run(kind="contact")
    waiting = "SELECT count(*) FROM etl.message_queue WHERE scheduled_at > now() + interval '23 hours' AND attempt = 0"
    assert (job.value(waiting), job.value(PAUSED)) == (20, 0)


# Bad ids


def test_twenty_bad_ids_are_dead_letters_and_no_outage(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids=dict.fromkeys(job.ids[:20], BAD_ID))
    job.enqueue(*job.ids[:21])
    report = job.run()
    assert (report.outcome, report.counts.loaded, report.counts.dead) == ("drained", 1, 20)
    assert exit_code(report) == 1


def test_a_run_whose_only_item_is_a_bad_id_was_answered_properly(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: BAD_ID})
    job.enqueue(job.ids[0])
    report = job.run()
    assert (report.outcome, exit_code(report)) == ("drained", 1)


def test_messages_that_are_answered_400_are_all_looked_for_in_their_conversations(
    job: Job, sandbox: RunningSandbox
) -> None:
    sandbox.faults(ids=dict.fromkeys(job.ids[:12], BAD_ID))
    for message_id in job.ids[:12]:
        job.execute(
            "INSERT INTO etl.message_queue (message_id, location_id, conversation_id) VALUES (:id, :place, :talk)",
            id=message_id,
            place=job.location_id,
            talk=sandbox.dataset.messages[message_id]["conversationId"],
        )
    job.load("message", "conversation", taken=("email",))
    assert job.value("SELECT count(*) FROM etl.message_queue WHERE cause = 'looked_up'") == 12
    job.make_due()
    job.load("message", "conversation", taken=("email",))
    assert (job.queued("message"), job.value("SELECT count(*) FROM etl.dead_letters")) == ([], 0)


# Nothing is found any more


def run_out_of_delays(job: Job, **choices: Any) -> list[Any]:
    """Runs until an id that stays unknown would be final."""
    reports = []
    for _ in range(5):
        job.make_due()
        reports.append(job.run(**choices))
    return reports


def test_when_nothing_is_found_any_more_nothing_is_deleted_or_buried(job: Job, sandbox: RunningSandbox) -> None:
    job.enqueue(*job.ids[:60])
    job.run()
    sandbox.faults(shares={"404": 1.0})
    job.enqueue(*job.ids[:120])
    last = run_out_of_delays(job)[-1]
    assert (job.value(DELETED), job.value("SELECT count(*) FROM etl.dead_letters")) == (0, 0)
    assert (last.outcome, last.skipped, exit_code(last)) == ("paused", {"nothing_found": {job.location_id}}, 3)
    sandbox.faults()
    job.make_due()
    job.run()
    assert (job.value(LOADED), job.queued()) == (120, [])


def test_an_item_that_waits_because_nothing_is_found_spends_no_more_attempts(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"404": 1.0})
    job.enqueue(*job.ids[:20])
    for _ in range(3):
        run_out_of_delays(job)
    assert job.rows("SELECT DISTINCT cause, attempt FROM etl.message_queue") == [("nothing_found", 3)]


def test_ids_that_are_gone_are_gone_where_others_are_found(job: Job, sandbox: RunningSandbox) -> None:
    job.enqueue(*job.ids[:20])
    job.run()
    for message_id in job.ids[:20]:
        sandbox.delete(message_id)
    job.enqueue(*job.ids[:21])
    for _ in range(5):
        job.make_due()
        job.enqueue(job.ids[21])
        # One claim for all: what is found is in hand when the others are judged.
        job.run(batch_size=30)
    assert (job.value(DELETED), job.queued()) == (20, [])


def test_what_a_look_up_brought_is_there_even_if_nothing_else_is_found(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids=dict.fromkeys(job.ids[:12], GONE))
    for message_id in job.ids[:12]:
        job.execute(
            "INSERT INTO etl.message_queue (message_id, location_id, conversation_id) VALUES (:id, :place, :talk)",
            id=message_id,
            place=job.location_id,
            talk=sandbox.dataset.messages[message_id]["conversationId"],
        )
    for _ in range(5):
        job.make_due()
        job.load("message", "conversation", taken=("email",))
    assert (job.queued("message"), job.value("SELECT count(*) FROM etl.dead_letters")) == ([], 0)


def test_contacts_are_not_gone_because_nothing_is_found(job: Job, sandbox: RunningSandbox, contacts: list[str]) -> None:
    job.enqueue(*contacts[:20], kind="contact")
    job.run(kind="contact")
    sandbox.faults(shares={"404": 1.0})
    job.enqueue(*contacts[:20], kind="contact")
    run_out_of_delays(job, kind="contact")
    assert job.value("SELECT count(*) FROM highlevel.contacts WHERE deleted_at IS NOT NULL") == 0
    assert len(job.queued("contact")) == 20


# An outage of one location


def test_an_outage_of_one_location_leaves_the_others_alone(office: Office) -> None:
    away, healthy = office.first, office.second
    office.connect_private(away)
    office.connect_private(healthy)
    office.enqueue(away, 60)
    office.enqueue(healthy, 30)
    office.sandbox.faults(ids=dict.fromkeys(office.sandbox.dataset.ids(away), "503"))
    report = office.run()
    assert (report.outcome, report.skipped, report.counts.loaded) == ("paused", {"unanswered": {away}}, 30)
    assert exit_code(report) == 0
    assert office.value("SELECT max(attempt) FROM etl.message_queue") == 0


@pytest.mark.parametrize("fault", ["503", "hold"])
def test_a_live_message_does_not_wait_for_another_location_to_come_back(
    office: Office, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.api.client.BOUNDS", Bounds(total_seconds=0.3, max_bytes=1_000_000))
    # Nothing that waits for a probe is answered during this test.
    monkeypatch.setattr("etl.worker.evidence.FIRST_PAUSE", 3600.0)
    away, healthy = office.first, office.second
    office.connect_private(away)
    office.connect_private(healthy)
    office.enqueue(away, 60)
    office.sandbox.faults(ids=dict.fromkeys(office.sandbox.dataset.ids(away), fault))
    with following(office.loop(follow=True)):
        await_(lambda: office.sandbox.stats()["requests"] >= ENOUGH)
        office.enqueue(healthy, 10)
        await_(lambda: office.value(LOADED) == 10)
    office.sandbox.release()
    assert office.value("SELECT max(attempt) FROM etl.message_queue") == 0


def test_a_location_that_hangs_does_not_hold_all_threads(office: Office) -> None:
    hanging, healthy = office.first, office.second
    office.connect_private(hanging)
    office.connect_private(healthy)
    with following(office.loop(follow=True)):
        office.enqueue(hanging, 5)
        office.enqueue(healthy, 5)
        await_(lambda: office.value(LOADED) == 10)
        office.sandbox.faults(ids=dict.fromkeys(office.sandbox.dataset.ids(hanging), "hold"))
        office.enqueue(hanging, 60)
        office.sandbox.wait_for(held=3)
        await_(lambda: office.value("SELECT count(lease_id) FROM etl.message_queue") == 40)
        office.enqueue(healthy, 10)
        await_(lambda: office.value(LOADED) == 15)
        assert office.sandbox.stats()["held"] == 3
        with releasing(office.sandbox):
            await_(lambda: office.value(LOADED) == 70)


def test_a_location_that_comes_back_is_served_to_the_end(office: Office) -> None:
    office.connect_private(office.first)
    office.enqueue(office.first, 40)
    office.sandbox.faults(shares={"503": 1.0})
    with following(office.loop(follow=True)):
        await_(lambda: office.sandbox.stats()["statuses"].get("503", 0) >= ENOUGH)
        office.sandbox.faults()
        await_(lambda: office.value(LOADED) == 40)
    assert office.value("SELECT count(*) FROM etl.message_queue") == 0
