"""Follow-ups of a loaded message: items of other kinds, and the message itself later."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.config.jobs import KindName
from etl.sandbox.server import RunningSandbox
from tests.job import Job

MEDIA = ["https://files.example/late.jpg"]
WAITS = "SELECT extract(epoch FROM scheduled_at - now()) FROM etl.message_queue WHERE kind = :kind"


@pytest.fixture
def call(job: Job, sandbox: RunningSandbox) -> str:
    """A call that was recorded."""
    return next(each for each in job.ids if sandbox.dataset.recording(each, 0))


@pytest.fixture
def thread(job: Job, sandbox: RunningSandbox) -> str:
    """A message that is a thread of emails."""
    data = sandbox.dataset
    return next(each for each in job.ids if "email" in data.messages[each].get("meta", {}))


def upstream(sandbox: RunningSandbox, message_id: str) -> dict[str, Any]:
    return sandbox.dataset.messages[message_id]


def find(job: Job, sandbox: RunningSandbox, **fields: Any) -> str:
    """A message with these fields."""
    return next(each for each in job.ids if fields.items() <= upstream(sandbox, each).items())


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def emails_of(sandbox: RunningSandbox, thread: str) -> list[str]:
    meta: dict[str, Any] = upstream(sandbox, thread)["meta"]
    return list(meta["email"]["messageIds"])


def wait_of(job: Job, kind: KindName) -> float:
    return float(job.value(WAITS, kind=kind))


def look_again(job: Job, *kinds: KindName) -> None:
    job.make_due()
    job.load(*kinds)


WAITS_A_DAY = "scheduled_at) VALUES ('user', :id, 'elsewhere', now() + interval '1 day')"
IS_DEAD = "attempt, cause, detail) VALUES ('user', :id, 'elsewhere', 1, 'x', 'x')"


@pytest.mark.parametrize(
    "elsewhere",
    [
        f"message_queue (kind, message_id, location_id, {WAITS_A_DAY}",
        f"dead_letters (kind, message_id, location_id, {IS_DEAD}",
    ],
)
def test_a_user_whom_another_locations_token_may_not_read_is_fetched_with_this_ones(
    job: Job, sandbox: RunningSandbox, elsewhere: str
) -> None:
    message_id = next(each for each in job.ids if upstream(sandbox, each).get("userId"))
    user_id = upstream(sandbox, message_id)["userId"]
    job.execute(f"INSERT INTO etl.{elsewhere}", id=user_id)
    job.enqueue(message_id)
    job.load("message", "user")
    assert job.rows("SELECT location_id, user_id FROM highlevel.users") == [(job.location_id, user_id)]


def test_a_call_queues_its_recording_and_its_transcript_for_later(job: Job, call: str) -> None:
    job.enqueue(call)
    job.load("message", taken=("recording", "transcription"))
    assert job.queued() == [("recording", call), ("transcription", call)]
    assert [100 < wait_of(job, "recording") <= 120, 580 < wait_of(job, "transcription") <= 600] == [True, True]


def test_kinds_that_no_job_takes_are_not_queued(job: Job) -> None:
    job.enqueue(*job.ids)
    job.load("message", taken=("recording",))
    assert {kind for kind, _ in job.queued()} == {"recording"}


def test_what_a_call_asked_for_is_loaded_and_not_asked_for_again(job: Job, call: str) -> None:
    job.enqueue(call)
    job.load("message", taken=("recording",))
    look_again(job, "recording")
    job.enqueue(call)
    job.load("message", taken=("recording",))
    assert (job.value("SELECT count(*) FROM highlevel.recordings WHERE leg = 0"), job.queued()) == (1, [])


def test_messages_queue_those_they_name_once(job: Job, sandbox: RunningSandbox) -> None:
    messages = [upstream(sandbox, each) for each in job.ids]
    job.enqueue(*job.ids)
    job.load("message", taken=("contact", "user", "location"))
    contacts = {("contact", each["contactId"]) for each in messages}
    users = {("user", each["userId"]) for each in messages if "userId" in each}
    assert job.queued() == sorted({*contacts, *users, ("location", job.location_id)})


def test_follow_ups_stand_behind_what_was_asked_for(job: Job, call: str) -> None:
    job.enqueue(call)
    job.load("message", taken=("recording",))
    assert job.value("SELECT priority FROM etl.message_queue") < 0


def test_a_thread_queues_its_emails(job: Job, sandbox: RunningSandbox, thread: str) -> None:
    job.enqueue(thread)
    job.load("message", taken=("email",))
    assert job.queued() == sorted(("email", each) for each in emails_of(sandbox, thread))


def test_a_thread_that_grew_queues_only_its_new_email(job: Job, sandbox: RunningSandbox, thread: str) -> None:
    job.enqueue(thread)
    job.load("message", "email")
    sandbox.change(thread, meta={"email": {"messageIds": [*emails_of(sandbox, thread), "newEmail000000000000"]}})
    job.enqueue(thread)
    job.load("message", taken=("email",))
    assert job.queued() == [("email", "newEmail000000000000")]


def test_the_emails_of_a_thread_know_their_message_and_their_place(
    job: Job, sandbox: RunningSandbox, thread: str
) -> None:
    job.enqueue(thread)
    job.load("message", "email")
    rows = job.rows("SELECT email_id, message_id, position FROM highlevel.emails ORDER BY position")
    assert rows == [(each, thread, place) for place, each in enumerate(emails_of(sandbox, thread))]


def test_media_that_came_late_are_loaded_at_a_later_look(job: Job, sandbox: RunningSandbox) -> None:
    message_id = find(job, sandbox, messageType="TYPE_WHATSAPP")
    sandbox.change(message_id, attachments=None, body="", dateAdded=ago(60), dateUpdated=ago(60), status="read")
    job.enqueue(message_id)
    job.load("message")
    assert (job.queued(), 0 < wait_of(job, "message") <= 60) == ([("message", message_id)], True)
    sandbox.change(message_id, attachments=MEDIA)
    look_again(job, "message")
    assert job.rows("SELECT url FROM highlevel.attachments") == [(MEDIA[0],)]
    assert job.queued() == []


def only_listed(job: Job, sandbox: RunningSandbox) -> str:
    """A message more than an hour old whose media only the conversation's list has."""
    message_id = find(job, sandbox, messageType="TYPE_WHATSAPP")
    sandbox.change(message_id, dateAdded=ago(4000), dateUpdated=ago(4000), status="read", attachments=None, body="")
    alone = sandbox.get(message_id).json()
    sandbox.change(message_id, attachments=MEDIA)
    sandbox.faults(ids={message_id: {"kind": "answer", "payload": alone}})
    job.enqueue(message_id)
    job.load("message", taken=("conversation",))
    return message_id


def test_media_that_never_come_alone_are_looked_for_in_the_conversation(job: Job, sandbox: RunningSandbox) -> None:
    message_id = only_listed(job, sandbox)
    assert job.queued() == [("conversation", upstream(sandbox, message_id)["conversationId"])]
    job.load("conversation", taken=("message",))
    assert job.rows("SELECT message_id, url FROM highlevel.attachments WHERE message_id = :id", id=message_id) == [
        (message_id, MEDIA[0])
    ]


def test_media_found_in_the_conversation_outlive_the_next_look_at_the_message(
    job: Job, sandbox: RunningSandbox
) -> None:
    message_id = only_listed(job, sandbox)
    job.load("conversation", taken=("message",))
    job.enqueue(message_id)
    job.load("message")
    assert job.rows("SELECT url FROM highlevel.attachments WHERE message_id = :id", id=message_id) == [(MEDIA[0],)]


def sent(job: Job, sandbox: RunningSandbox, seconds: float) -> str:
    """A message sent so long ago, whose status is not final."""
    message_id = find(job, sandbox, messageType="TYPE_SMS", direction="outbound")
    sandbox.change(message_id, dateAdded=ago(seconds), dateUpdated=ago(seconds), status="sent", body="Hi")
    job.enqueue(message_id)
    job.load("message")
    return message_id


@pytest.mark.parametrize(("age", "look"), [(60, 3600), (4000, 86_400), (90_000, 604_800)])
def test_a_status_that_is_not_final_is_looked_at_again(
    job: Job, sandbox: RunningSandbox, age: float, look: float
) -> None:
    message_id = sent(job, sandbox, age)
    assert job.queued() == [("message", message_id)]
    assert look - age - 100 < wait_of(job, "message") <= look - age


def test_a_status_that_stays_open_for_a_week_is_left_alone(job: Job, sandbox: RunningSandbox) -> None:
    sent(job, sandbox, 700_000)
    assert job.queued() == []


def test_each_change_of_a_status_is_kept(job: Job, sandbox: RunningSandbox) -> None:
    message_id = sent(job, sandbox, 600)
    for status in ("delivered", "read"):
        sandbox.change(message_id, status=status, dateUpdated=ago(0))
        job.enqueue(message_id)
        look_again(job, "message")
    rows = job.rows("SELECT message_id, previous_status, status FROM highlevel.status_changes ORDER BY seen_at")
    assert rows == [(message_id, "sent", "delivered"), (message_id, "delivered", "read")]
    assert (job.value("SELECT status FROM highlevel.messages"), job.queued()) == ("read", [])


def test_the_same_status_again_is_no_change(job: Job, sandbox: RunningSandbox) -> None:
    sent(job, sandbox, 600)
    look_again(job, "message")
    assert job.value("SELECT count(*) FROM highlevel.status_changes") == 0


def queue_under_its_conversation(job: Job, sandbox: RunningSandbox, id_: str, thread: str) -> None:
    """As an event does that names an email as if it were a message."""
    job.execute(
        "INSERT INTO etl.message_queue (message_id, location_id, conversation_id) VALUES (:id, :location_id, :talk)",
        id=id_,
        location_id=job.location_id,
        talk=upstream(sandbox, thread)["conversationId"],
    )


def test_an_id_that_is_an_emails_finds_its_way_through_the_conversation(
    job: Job, sandbox: RunningSandbox, thread: str
) -> None:
    email_id = emails_of(sandbox, thread)[0]
    queue_under_its_conversation(job, sandbox, email_id, thread)
    for _ in range(4):
        look_again(job, "message", "conversation", "email")
    look_again(job, "message", "conversation", "email")
    assert job.queued("message", "email") == []
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0
    assert job.value("SELECT count(fetched_at) FROM highlevel.emails WHERE email_id = :id", id=email_id) == 1


def test_an_id_that_its_conversation_does_not_have_either_is_a_dead_letter(
    job: Job, sandbox: RunningSandbox, thread: str
) -> None:
    queue_under_its_conversation(job, sandbox, "NeverSeen", thread)
    for _ in range(5):
        look_again(job, "message", "conversation", "email")
    assert job.rows("SELECT kind, message_id, cause FROM etl.dead_letters") == [("message", "NeverSeen", "not_found")]


def test_without_a_job_for_conversations_such_an_id_is_a_dead_letter(
    job: Job, sandbox: RunningSandbox, thread: str
) -> None:
    queue_under_its_conversation(job, sandbox, emails_of(sandbox, thread)[0], thread)
    for _ in range(4):
        look_again(job, "message")
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 1


def test_a_dead_follow_up_is_not_queued_again(job: Job, sandbox: RunningSandbox, call: str) -> None:
    contact = upstream(sandbox, call)["contactId"]
    sandbox.faults(ids={contact: "422"})
    job.enqueue(call)
    job.load("message", "contact")
    assert job.rows("SELECT kind, message_id FROM etl.dead_letters") == [("contact", contact)]
    job.enqueue(call)
    job.load("message", taken=("contact",))
    assert job.queued() == []


def test_a_dead_follow_up_comes_back_when_it_is_retried(job: Job, sandbox: RunningSandbox, call: str) -> None:
    contact = upstream(sandbox, call)["contactId"]
    sandbox.faults(ids={contact: {"kind": "422", "times": 1}})
    job.enqueue(call)
    job.load("message", "contact")
    job.enqueue(contact, kind="contact")
    job.load("contact")
    assert job.value("SELECT count(*) FROM highlevel.contacts") == 1
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0


def test_an_odd_id_of_a_contact_keeps_no_message_from_being_loaded(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.change(job.ids[0], contactId="a contact")
    job.enqueue(job.ids[0])
    job.load("message", taken=("contact",))
    assert job.rows("SELECT contact_id FROM highlevel.messages") == [("a contact",)]
    assert job.queued("contact") == []


def listing(job: Job, sandbox: RunningSandbox, *odd: Any) -> str:
    """A conversation whose list has twenty good rows, and odd ones among them; its item is loaded."""
    conversation = upstream(sandbox, job.ids[0])["conversationId"]
    rows = [upstream(sandbox, each) for each in job.ids[:20]]
    payload = {"messages": {"messages": [*rows[:10], *odd, *rows[10:]]}}
    sandbox.faults(ids={conversation: {"kind": "answer", "payload": payload}})
    job.enqueue(conversation, kind="conversation")
    job.load("conversation", taken=("message",))
    return str(conversation)


def test_a_row_of_a_list_that_cannot_be_read_is_fetched_singly_and_the_others_are_loaded(
    job: Job, sandbox: RunningSandbox
) -> None:
    last = job.ids[20]
    listing(job, sandbox, upstream(sandbox, last) | {"dateAdded": "soon"})
    assert job.value("SELECT count(*) FROM highlevel.messages") == 20
    assert [("message", last), job.value("SELECT count(*) FROM etl.dead_letters")] == [*job.queued("message"), 0]
    job.load("message")
    assert job.value("SELECT count(*) FROM highlevel.messages WHERE message_id = :id", id=last) == 1


def test_a_row_of_a_list_that_names_no_message_makes_a_dead_letter_that_holds_it_and_the_others_are_loaded(
    job: Job, sandbox: RunningSandbox
) -> None:
    conversation = listing(job, sandbox, {"body": "words without an id"}, None)
    assert job.value("SELECT count(*) FROM highlevel.messages") == 20
    ((kind, id_, cause, payload),) = job.rows("SELECT kind, message_id, cause, payload FROM etl.dead_letters")
    assert (kind, id_, cause) == ("conversation", conversation, "transform")
    assert b"words without an id" in bytes(payload)
    assert job.queued() == []
