from typing import Any

import pytest
from structlog.testing import capture_logs

from etl.config.jobs import KindName
from etl.sandbox.server import RunningSandbox
from tests.job import Job

NO_SCOPE = {"kind": "401", "text": "The token is not authorized for this scope."}
# With a time zone, a day is not always as long: Citus sends the nodes nothing that depends on the session's.
AGED = "UPDATE highlevel.contacts SET checked_at = timezone('UTC', timezone('UTC', checked_at) - interval '25 hours')"


@pytest.fixture
def contact(job: Job, sandbox: RunningSandbox) -> str:
    """A contact who has a few messages."""
    return contacts_of(job, sandbox)[0]


def contacts_of(job: Job, sandbox: RunningSandbox) -> list[str]:
    found: dict[str, int] = {}
    for message_id in job.ids:
        contact = sandbox.dataset.messages[message_id]["contactId"]
        found[contact] = found.get(contact, 0) + 1
    return [contact for contact, messages in found.items() if 2 <= messages <= 6]


def messages_of(job: Job, sandbox: RunningSandbox, contact: str) -> list[str]:
    return sorted(each for each in job.ids if sandbox.dataset.messages[each]["contactId"] == contact)


def asked(sandbox: RunningSandbox, known_id: str) -> int:
    return int(sandbox.stats()["ids"].get(known_id, 0))


def load(job: Job, kind: KindName, *ids: str) -> Any:
    job.enqueue(*ids, kind=kind)
    return job.run(kind=kind)


def die_out(job: Job, kind: KindName) -> None:
    """Ask again and again, until what the API does not know is settled."""
    for _ in range(4):
        job.run(kind=kind, taken=frozenset(("message", kind)))
        job.execute("UPDATE etl.message_queue SET scheduled_at = now() WHERE kind = :kind", kind=kind)


def test_a_contact_has_a_name_and_what_no_column_holds(job: Job, sandbox: RunningSandbox, contact: str) -> None:
    upstream = sandbox.dataset.things[contact].payload["contact"]
    load(job, "contact", contact)
    rows = job.rows("SELECT name, email, phone, tags, source, time_zone, extra FROM highlevel.contacts")
    ((name, email, phone, tags, source, time_zone, extra),) = rows
    assert name == f"{upstream['firstName']} {upstream['lastName']}"
    assert (email, phone, source, time_zone) == tuple(upstream[key] for key in ("email", "phone", "source", "timezone"))
    assert ((tags or []), extra["customFields"]) == (upstream["tags"], upstream["customFields"])


def test_a_user_has_a_name_and_a_role(job: Job, sandbox: RunningSandbox) -> None:
    (user,) = sandbox.dataset.ids_of("user", job.location_id)
    upstream = sandbox.dataset.things[user].payload
    load(job, "user", user)
    assert job.rows("SELECT location_id, user_id, name, role FROM highlevel.users") == [
        (job.location_id, user, upstream["name"], upstream["roles"]["role"])
    ]


def test_a_location_has_a_name_and_a_time_zone(job: Job, sandbox: RunningSandbox) -> None:
    upstream = sandbox.dataset.things[job.location_id].payload["location"]
    load(job, "location", job.location_id)
    assert job.rows("SELECT location_id, name, time_zone FROM highlevel.locations") == [
        (job.location_id, upstream["name"], upstream["timezone"])
    ]


def test_what_a_contact_holds_beside_the_columns_is_no_drift(job: Job, contact: str) -> None:
    assert not load(job, "contact", contact).counts.drift


@pytest.mark.parametrize("kind", ["contact", "location", "user"])
def test_without_its_scope_a_kind_waits_a_day_and_messages_go_on(
    job: Job, sandbox: RunningSandbox, contact: str, kind: KindName
) -> None:
    ids = {"contact": contact, "location": job.location_id, "user": sandbox.dataset.ids_of("user", job.location_id)[0]}
    sandbox.faults(ids={ids[kind]: NO_SCOPE})
    with capture_logs() as logs:
        assert load(job, kind, ids[kind]).counts.snoozed == 1
    ((cause, attempt, wait),) = job.rows(
        "SELECT cause, attempt, extract(epoch FROM scheduled_at - now()) FROM etl.message_queue"
    )
    assert (cause, attempt, round(float(wait) / 3600)) == ("not_authorized", 0, 24)
    failures = [(line["kind"], line["cause"]) for line in logs if line["event"] == "items_failed"]
    assert failures == [(kind, "not_authorized")]
    job.enqueue(job.ids[0])
    assert job.run().counts.loaded == 1
    assert job.value("SELECT count(*) FROM etl.locations WHERE paused_at IS NOT NULL") == 0


def test_a_scope_that_was_granted_meanwhile_is_used_the_next_day(
    job: Job, sandbox: RunningSandbox, contact: str
) -> None:
    sandbox.faults(ids={contact: NO_SCOPE})
    load(job, "contact", contact)
    sandbox.faults()
    job.make_due()
    assert job.run(kind="contact").counts.loaded == 1


def test_a_contact_deleted_upstream_is_marked_and_its_messages_are_looked_at_again(
    job: Job, sandbox: RunningSandbox, contact: str
) -> None:
    messages = messages_of(job, sandbox, contact)
    job.enqueue(*messages)
    job.load("message", "contact")
    sandbox.delete(contact)
    job.enqueue(contact, kind="contact")
    die_out(job, "contact")
    assert job.value("SELECT deleted_at IS NOT NULL FROM highlevel.contacts WHERE contact_id = :id", id=contact)
    assert job.queued("message") == [("message", each) for each in messages]
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0


def test_a_deleted_contact_and_its_messages_do_not_queue_each_other_for_ever(
    job: Job, sandbox: RunningSandbox, contact: str
) -> None:
    sandbox.delete(contact)  # before it was ever fetched
    job.enqueue(*messages_of(job, sandbox, contact))
    for _ in range(3):
        job.load("message", taken=("contact",))
        die_out(job, "contact")
    assert job.queued("message", "contact") == []
    assert asked(sandbox, contact) == 4
    assert job.rows(
        "SELECT name, deleted_at IS NOT NULL FROM highlevel.contacts WHERE contact_id = :id", id=contact
    ) == [(None, True)]


def test_a_contact_that_was_known_and_is_gone_is_not_asked_for_again_within_a_day(
    job: Job, sandbox: RunningSandbox, contact: str
) -> None:
    job.enqueue(*messages_of(job, sandbox, contact))
    job.load("message", "contact")
    sandbox.delete(contact)
    job.execute(AGED)
    for _ in range(2):
        job.enqueue(*messages_of(job, sandbox, contact))
        job.load("message", taken=("contact",))
        die_out(job, "contact")
    assert asked(sandbox, contact) == 1 + 4


def test_the_messages_of_a_contact_that_stays_gone_are_looked_at_again_only_once(
    job: Job, sandbox: RunningSandbox, contact: str
) -> None:
    sandbox.delete(contact)
    for _ in range(2):
        job.enqueue(messages_of(job, sandbox, contact)[0])
        job.load("message", taken=("contact",))
        die_out(job, "contact")
        job.load("message")
        job.execute(AGED)
    job.enqueue(contact, kind="contact")
    die_out(job, "contact")
    assert (job.queued(), asked(sandbox, contact)) == ([], 12)


def test_a_contact_that_comes_back_is_no_longer_deleted(job: Job, sandbox: RunningSandbox, contact: str) -> None:
    sandbox.faults(ids={contact: {"kind": "missing", "times": 4}})
    job.enqueue(contact, kind="contact")
    die_out(job, "contact")
    load(job, "contact", contact)
    assert job.rows("SELECT name IS NOT NULL, deleted_at FROM highlevel.contacts") == [(True, None)]


def test_a_name_is_fetched_once_however_many_messages_name_it(job: Job, sandbox: RunningSandbox, contact: str) -> None:
    job.enqueue(*messages_of(job, sandbox, contact))
    job.load("message", "contact")
    assert asked(sandbox, contact) == 1


def test_a_name_is_not_fetched_again_within_a_day(job: Job, sandbox: RunningSandbox, contact: str) -> None:
    for _ in range(2):
        job.enqueue(*messages_of(job, sandbox, contact))
        job.load("message", "contact")
        job.execute(AGED.replace("25", "23"))
    assert asked(sandbox, contact) == 1


def test_a_name_older_than_a_day_is_fetched_again(job: Job, sandbox: RunningSandbox, contact: str) -> None:
    job.enqueue(*messages_of(job, sandbox, contact))
    job.load("message", "contact")
    sandbox.change(contact, firstName="Zelda")
    job.execute(AGED)
    job.enqueue(*messages_of(job, sandbox, contact))
    job.load("message", "contact")
    assert (asked(sandbox, contact), job.value("SELECT first_name FROM highlevel.contacts")) == (2, "Zelda")


def test_a_name_that_is_refreshed_without_a_change_is_as_young_as_its_refresh(
    job: Job, sandbox: RunningSandbox, contact: str
) -> None:
    load(job, "contact", contact)
    job.execute(AGED)
    load(job, "contact", contact)
    job.enqueue(*messages_of(job, sandbox, contact))
    job.load("message", "contact")
    assert asked(sandbox, contact) == 2
