"""Kind ``email``: one email of a thread. A message of type email is a whole thread and only names its emails. Pure.

Shapes: HighLevel docs, "Get email by id", and
https://github.com/GoHighLevel/highlevel-api-docs/issues/40
https://github.com/GoHighLevel/highlevel-api-docs/issues/113
https://github.com/GoHighLevel/highlevel-api-docs/issues/255
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from etl.api.client import Answer, Call, segment
from etl.ids import is_fetchable
from etl.kinds.follow_ups import next_look, status_may_change
from etl.kinds.kind import DAY, Options, Origin
from etl.models import Email, EmailAttachment
from etl.models.record import FollowUp, Record, Row
from etl.transform.attachments import attachment_rows
from etl.transform.catalogue import DIRECTIONS, SOURCES, STATUSES
from etl.transform.email_text import addresses, plain_text, sender
from etl.transform.reading import Reader
from etl.transform.values import id_of


def extract(call: Call, email_id: str, _location_id: str = "") -> Answer:
    """GET /conversations/messages/email/{id}.

    Documented flat, answered as ``{"emailMessage": {…}}`` (public codebases). A thread's id is not accepted here.
    """
    answer = call.get(f"/conversations/messages/email/{segment(email_id)}")
    return answer.unwrapped("emailMessage", "email").about(email_id)


def transform(payload: Mapping[str, Any], origin: Origin, *, options: Options) -> list[Record]:
    """Normalize an email.

    Raises:
        TransformError: it has no id, or a date that cannot be read; no other exception, whatever the JSON.
    """
    reader = Reader(payload)
    key = {
        "location_id": id_of("locationId", reader.take("locationId") or origin.location_id),
        "email_id": id_of("id", reader.take("id")),
    }
    row = _row(reader, key, origin)
    files = attachment_rows(reader, key)
    row["extra"] = reader.extra()
    following = tuple(_follow_ups(row, origin.fetched_at, options))
    return [Record(Email, row, {EmailAttachment: files}, follow_ups=following, drift=reader.drift())]


def _row(reader: Reader, key: Row, origin: Origin) -> Row:
    thread = reader.take("threadId")
    # HighLevel's examples repeat the email's own id here, which names no message.
    is_message = isinstance(thread, str) and is_fetchable(thread) and thread != key["email_id"]
    name, address = reader.read("from", sender)
    content_type, body = reader.text("contentType"), reader.text("body")
    to, cc, bcc = ([found for _, found in reader.read(field, addresses)] for field in ("to", "cc", "bcc"))
    return {
        **key,
        "message_id": thread if is_message else None,
        "conversation_id": reader.text("conversationId"),
        "contact_id": reader.text("contactId"),
        "direction": reader.word("direction", DIRECTIONS),
        "status": reader.word("status", STATUSES),
        "source": reader.word("source", SOURCES),
        "provider": reader.text("provider"),
        "subject": reader.text("subject"),
        "content_type": content_type,
        "body": body,
        "body_text": plain_text(body, content_type),
        "sender": address or None,
        "sender_name": name or None,
        "recipients": to or None,
        "cc": cc or None,
        "bcc": bcc or None,
        "reply_to_email_id": reader.text("replyToMessageId"),
        "error": reader.text("error"),
        "conversation_provider_id": reader.text("conversationProviderId"),
        "alt_id": reader.text("altId"),
        "date_added": reader.date_added(),
        "date_updated": reader.date("dateUpdated"),
        "fetched_at": origin.fetched_at,
    }


def _follow_ups(row: Row, now: datetime, options: Options) -> Iterator[FollowUp]:
    location_id = row["location_id"]
    if row["message_id"]:
        yield FollowUp("message", row["message_id"], location_id)
    if row["contact_id"]:
        yield FollowUp("contact", row["contact_id"], location_id, max_age=DAY)
    look = next_look(options.status_checks, row["date_added"], now) if status_may_change(row) else None
    if look is not None:
        yield FollowUp("email", row["email_id"], location_id, delay=look, force=True)
