"""Rows of made-up contacts in every table, as operators find them."""

from pathlib import Path

from tests.job import Job

PLACE = "LOC1"


def fill(job: Job, contact: str, *, age_days: int = 0, audio: Path | None = None) -> None:
    """A contact with a call, an email thread, and all that hangs on them, which are so old; ids begin with its own."""
    values = {
        "place": PLACE,
        "contact": contact,
        "call": f"{contact}-call",
        "thread": f"{contact}-thread",
        "email": f"{contact}-email",
        "conversation": f"{contact}-conversation",
        "url": None if audio is None else f"file://{audio}",
        "age": age_days,
        "body": f'{{"type": "ContactUpdate", "id": "{contact}", "name": "Zoë"}}'.encode(),
    }
    for statement in STATEMENTS.split(";"):
        job.execute(statement, **{name: value for name, value in values.items() if f":{name}" in statement})


STATEMENTS = """
INSERT INTO highlevel.contacts (location_id, contact_id, name, fetched_at) VALUES (:place, :contact, 'Zoë', now());
INSERT INTO highlevel.messages (location_id, message_id, contact_id, conversation_id, message_type, date_added,
                                fetched_at)
VALUES (:place, :call, :contact, :conversation, 'TYPE_CALL', now() - make_interval(days => :age), now());
INSERT INTO highlevel.messages (location_id, message_id, conversation_id, message_type, date_added, fetched_at)
VALUES (:place, :thread, :conversation, 'TYPE_EMAIL', now() - make_interval(days => :age), now());
INSERT INTO highlevel.emails (location_id, email_id, message_id, date_added)
VALUES (:place, :email, :thread, now() - make_interval(days => :age));
INSERT INTO highlevel.email_attachments (location_id, email_id, position, url) VALUES (:place, :email, 0, 'https://x');
INSERT INTO highlevel.attachments (location_id, message_id, position, url) VALUES (:place, :call, 0, 'https://x');
INSERT INTO highlevel.meta (location_id, message_id) VALUES (:place, :call);
INSERT INTO highlevel.status_changes (location_id, message_id, seen_at, status)
VALUES (:place, :call, now() - make_interval(days => :age), 'sent');
INSERT INTO highlevel.email_status_changes (location_id, email_id, seen_at, status)
VALUES (:place, :email, now() - make_interval(days => :age), 'sent');
INSERT INTO highlevel.transcripts (location_id, message_id, transcript, sentences, fetched_at)
VALUES (:place, :call, 'Zoë', '[]', now());
INSERT INTO highlevel.recordings (location_id, message_id, leg, url, fetched_at) VALUES (:place, :call, 0, :url, now());
INSERT INTO etl.message_queue (kind, message_id, location_id)
VALUES ('transcription', :call, :place), ('contact', :contact, :place), ('email', :email, '');
INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail, payload, died_at)
VALUES ('message', :contact || '-dead', :place, 1, 'transform', 'bad', :body, now() - make_interval(days => :age));
INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, message_id, outcome, body)
VALUES (:contact || '-1', now() - make_interval(days => :age), 'InboundMessage', :place, :call, 'queued', '{}'),
       (:contact || '-2', now() - make_interval(days => :age), 'ContactUpdate', '', NULL, 'ignored', :body)
"""

FILLED = {
    "attachments": 1,
    "contacts": 1,
    "dead_letters": 1,
    "email_attachments": 1,
    "email_status_changes": 1,
    "emails": 1,
    "message_queue": 3,
    "messages": 2,
    "meta": 1,
    "recordings": 1,
    "status_changes": 1,
    "transcripts": 1,
    "webhook_events": 2,
}
"""What :func:`fill` writes for a contact, by table."""


def rows(job: Job) -> dict[str, int]:
    """How many rows those tables have."""
    own = ("dead_letters", "message_queue", "webhook_events")
    return {
        name: job.value(f"SELECT count(*) FROM {'etl' if name in own else 'highlevel'}.{name}")  # noqa: S608 - our names
        for name in FILLED
    }
