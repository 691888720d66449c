"""Things of an erased contact are recognized by their ids, even in answers that do not name the contact."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from etl.app.composition import message_erasure_of
from etl.database import schema
from etl.kinds import Options, Origin, emails, messages, transcriptions
from etl.load import loader, suppression
from etl.load.suppression import Received
from etl.models import Recording
from etl.models.record import Record
from etl.privacy.contact_erasure import ContactErasure
from etl.receive import events, webhook
from etl.state import suppression_list
from tests.command import Command
from tests.job import Job
from tests.login_role import login_role
from tests.privacy.filling import FILLED, PLACE, fill, rows

NOW = datetime.now(UTC)


def message(id_: str, *, is_partial: bool, location_id: str = PLACE, **fields: Any) -> list[Record]:
    payload = {"id": id_, "locationId": location_id, "messageType": "TYPE_SMS", "body": "hi"} | fields
    return messages.transform(payload, Origin(id_, location_id, NOW), options=Options(), is_partial=is_partial)


def email(id_: str, **fields: Any) -> list[Record]:
    payload = {"id": id_, "locationId": PLACE, "body": "hi"} | fields
    return emails.transform(payload, Origin(id_, PLACE, NOW), options=Options())


def load(engine: Engine, records: list[Record]) -> None:
    with engine.begin() as connection:
        loader.load(connection, records)


@pytest.fixture
def without_zoe(job: Job, engine: Engine) -> Engine:
    """A warehouse from which ZOE was erased; BOB is there."""
    fill(job, "ZOE")
    fill(job, "BOB")
    ContactErasure(message_erasure_of(engine, ()), "ZOE").run(PLACE)
    return engine


TOLD = {
    "a row of a list": message("ZOE-call", is_partial=True),
    "a row of an export that names the conversation": message(
        "ZOE-new", is_partial=True, conversationId="ZOE-conversation"
    ),
    "an answer without its contact": message("ZOE-thread", is_partial=False, messageType="TYPE_EMAIL"),
    "an answer that names somebody else now": message("ZOE-call", is_partial=False, contactId="BOB"),
    "an email": email("ZOE-email"),
    "an email of a thread": email("NEW-email", threadId="ZOE-thread"),
    "a transcript": transcriptions.transform([{"transcript": "hi"}], Origin("ZOE-call", PLACE, NOW)),
    "a recording": [
        Record(Recording, {"location_id": PLACE, "message_id": "ZOE-call", "leg": 0, "fetched_at": NOW}),
    ],
}


@pytest.mark.parametrize("what", TOLD)
def test_what_was_erased_stays_erased(without_zoe: Engine, job: Job, what: str) -> None:
    load(without_zoe, TOLD[what])
    assert rows(job) == FILLED


def test_webhooks_about_what_was_erased_are_not_kept(without_zoe: Engine) -> None:
    posted = [
        {"type": "InboundMessage", "locationId": PLACE, "messageId": "ZOE-call"},
        {"type": "InboundMessage", "messageId": "ZOE-call"},
        {"type": "InboundMessage", "locationId": PLACE, "messageType": "Email", "emailMessageId": "ZOE-email"},
        {"type": "InboundMessage", "locationId": PLACE, "messageId": "NEW", "conversationId": "ZOE-conversation"},
        {"type": "ConversationUnreadUpdate", "locationId": PLACE, "id": "ZOE-conversation"},
        {"type": "InboundMessage", "locationId": "LOC2", "messageId": "ZOE-call"},
        {"type": "InboundMessage", "locationId": PLACE, "contactId": "BOB", "conversationId": "ZOE-conversation"},
    ]
    with without_zoe.begin() as connection:
        outcomes = events.store(connection, [webhook.parse(json.dumps(each).encode()) for each in posted])
    assert outcomes == ["forgotten"] * 5 + ["queued", "no_id"]


@pytest.mark.parametrize(
    "records",
    [
        message("BOB-new", is_partial=True, contactId="BOB", conversationId="ZOE-conversation"),
        message("ZOE-call", is_partial=True, location_id="LOC2"),
        message("NEW", is_partial=True),
    ],
)
def test_what_belongs_to_others_is_loaded(without_zoe: Engine, job: Job, records: list[Record]) -> None:
    load(without_zoe, records)
    assert rows(job) == FILLED | {"messages": 3}


@pytest.mark.usefixtures("without_zoe")
def test_only_hashes_are_kept(job: Job) -> None:
    kept = job.rows("SELECT digest, location_id, contact_digest FROM etl.erased")
    ids = ("ZOE-call", "ZOE-thread", "ZOE-email", "ZOE-conversation", "ZOE-dead")
    contact = hashlib.sha256(b"ZOE").digest()
    assert set(kept) == {(hashlib.sha256(id_.encode()).digest(), PLACE, contact) for id_ in ids}


def test_who_was_erased_by_mistake_can_be_loaded_again(without_zoe: Engine, job: Job) -> None:
    job.execute("DELETE FROM etl.forgotten WHERE contact_id = 'ZOE'")
    job.execute("DELETE FROM etl.erased WHERE contact_digest = sha256('ZOE')")
    load(without_zoe, message("ZOE-call", is_partial=False, contactId="ZOE"))
    assert rows(job)["messages"] == 3


def test_what_was_announced_and_never_loaded_is_erased_too(job: Job, engine: Engine) -> None:
    job.execute(
        "INSERT INTO etl.webhook_events (webhook_id, type, location_id, message_id, conversation_id, outcome, body) "
        "VALUES ('1', 'InboundMessage', 'LOC1', 'M1', 'C1', 'queued', '{\"contactId\":\"ZOE\"}')"
    )
    job.enqueue("M1", "M2", location_id=PLACE)
    forgetting = ContactErasure(message_erasure_of(engine, ()), "ZOE")
    (found,) = forgetting.find().values()
    assert found == forgetting.run(PLACE) == {"message_queue": 1, "webhook_events": 1}
    assert job.queued() == [("message", "M2")]
    load(engine, message("M1", is_partial=False) + message("M3", is_partial=True, conversationId="C1"))
    assert rows(job)["messages"] == 0


def test_an_erased_message_that_is_queued_by_hand_leaves_nothing(job: Job, etl: Command) -> None:
    known, unknown = job.ids[0], "unknown-id"
    job.execute(
        "INSERT INTO etl.erased (digest, location_id, contact_digest) "
        "SELECT sha256(convert_to(id, 'UTF8')), :place, '' FROM unnest(CAST(:ids AS text[])) AS given (id)",
        place=job.location_id,
        ids=[known, unknown],
    )
    (etl.directory / "jobs.yaml").write_text("jobs:\n  messages:\n    max_attempts: 1\n")
    job.enqueue(known, unknown, "other-id")
    assert etl("run").returncode == 1
    assert job.rows("SELECT message_id FROM etl.dead_letters") == [("other-id",)]
    assert (job.queued(), rows(job)["messages"]) == ([], 0)


def test_a_letter_whose_words_are_of_an_erased_contact_is_not_kept(job: Job, engine: Engine) -> None:
    job.execute("INSERT INTO etl.forgotten (location_id, contact_id) VALUES ('LOC1', 'ZOE')")
    job.execute("INSERT INTO etl.erased (digest, location_id, contact_digest) VALUES (sha256('C1'), 'LOC1', '')")
    told = [
        Received("LOC1", "M1", b'{"message": {"contactId" : "ZOE", "body": "hi"}}'),
        Received("", "M2", b'{"contactId":"ZOE"}'),
        Received("LOC1", "M3", b'{"conversationId":"C1"}'),
        Received("LOC2", "M4", b'{"contactId":"ZOE"}'),
        Received("LOC1", "M5", b'{"contactId":"BOB","conversationId":"C1"}'),
        Received("LOC1", "M6", b"\xff not JSON"),
    ]
    with engine.connect() as connection:
        assert suppression.suppressed(connection, told) == told[:3]
        assert suppression.suppressed(connection, []) == []


def test_a_dump_of_the_database_holds_nobody_up(job: Job, engine: Engine) -> None:
    fill(job, "ZOE")
    with engine.begin() as dump:
        # The lock that pg_dump holds on every table until it ends.
        dump.execute(text("LOCK TABLE etl.forgotten, etl.erased, etl.pruned IN ACCESS SHARE MODE"))
        erased = ContactErasure(message_erasure_of(engine, ()), "ZOE").run(PLACE)
    assert erased["messages"] == 2


@pytest.mark.parametrize("rights", ["SELECT", "SELECT, INSERT, UPDATE"])
def test_a_role_that_was_made_before_may_look_after_an_upgrade(engine: Engine, rights: str) -> None:
    def grant(connection: Any, name: str) -> bool:
        connection.execute(text(f"CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA etl TO {name}"))
        connection.execute(text(f"GRANT {rights} ON etl.forgotten TO {name}; GRANT SELECT ON etl.pruned TO {name}"))
        return True

    with engine.connect() as connection:
        schema.downgrade(connection, "0011")
    with login_role(engine, grant) as (name, _):
        with engine.connect() as connection:
            schema.upgrade(connection)
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL ROLE {name}"))
            assert suppression_list.suppression(connection, ["M1"]).keys == frozenset()
            may = connection.execute(
                text("SELECT has_table_privilege(CURRENT_USER, 'etl.erased', 'INSERT, UPDATE')")
            ).scalar_one()
        assert may is False
