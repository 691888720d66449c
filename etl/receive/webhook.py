"""What HighLevel posts, read and judged: performs no I/O and reads no clock."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qsl

from etl.ids import is_fetchable
from etl.receive.signature import WebhookRefusedError
from etl.transform.values import date_of

Outcome = Literal["queued", "no_id", "bad_id", "ignored", "install", "uninstall"]
"""What becomes of an event: its ids are queued; it is a message without any id; its id cannot be asked for; it is of no
interest; a location is added, or the app is uninstalled there."""

WORKFLOW = "workflow"
"""The type under which posts of the workflow action are kept."""

MESSAGE_EVENTS = ("InboundMessage", "OutboundMessage")
UNREAD_EVENTS = ("ConversationUnreadUpdate", "ConversationUnreadWebhook")
"""Something happened in a conversation; ``id`` is the conversation's (HighLevel docs, webhook events)."""
CONTACT_DELETED = "ContactDelete"
"""``id`` is the contact's (HighLevel docs, webhook events)."""
NOTHING = ("", "null", "undefined")
"""Texts that HighLevel and its users write in place of a missing id."""
MAX_FIELDS = 1000
"""Fields of a form."""
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
# Not what we name events ourselves.
_WEBHOOK_ID = re.compile(r"(?!sha256:|workflow:)[!-~]{1,128}\Z")
NO_APP = "?"
"""An appId that is no text: no app's."""


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """One event. No repr: it holds customers' words."""

    webhook_id: str
    """Unique to the event and the same in each redelivery; derived from the body when HighLevel sent none."""
    type: str
    """HighLevel's name of the event; empty when it has none that looks like a name."""
    outcome: Outcome
    body: bytes
    location_id: str = ""
    company_id: str = ""
    app_id: str | None = None
    """None: it names none."""
    is_surely_ours: bool = True
    """Whether it is certainly meant for us. If not, :mod:`etl.receive.events` ignores those of unknown locations."""
    conversation_id: str | None = None
    message_id: str | None = None
    email_id: str | None = None
    contact_id: str | None = None
    sent_at: datetime | None = None
    dated_at: datetime | None = None
    """When the message was created."""
    items: tuple[tuple[str, str], ...] = ()
    """Kinds and ids to fetch."""


def digest_of(body: bytes) -> bytes:
    """Return the digest of a body."""
    return hashlib.sha256(body).digest()


def name_of(body: bytes) -> str:
    """Return the id of an event that has none of its own. A retry repeats the body byte for byte.

    https://github.com/GoHighLevel/highlevel-api-docs/issues/224
    """
    return f"sha256:{digest_of(body).hex()}"


def parse(body: bytes) -> Event:
    """Read a verified event.

    Raises:
        WebhookRefusedError: it is not a JSON object.
    """
    payload = _object(body)
    fields = _wrapped(payload) | payload
    message_id, email_id, named = _named(fields)
    is_of_conversation = fields.get("type") in UNREAD_EVENTS
    conversation_id = _id(fields.get("conversationId")) or (_id(fields.get("id")) if is_of_conversation else None)
    webhook_id = fields.get("webhookId")
    return Event(
        webhook_id=webhook_id if isinstance(webhook_id, str) and _WEBHOOK_ID.match(webhook_id) else name_of(body),
        type=_word(fields.get("type")),
        outcome=_outcome(fields.get("type"), found=bool(message_id or email_id), named=named),
        body=body,
        location_id=_id(fields.get("locationId")) or "",
        company_id=_id(fields.get("companyId")) or "",
        app_id=_app_id(fields.get("appId")),
        conversation_id=conversation_id,
        message_id=message_id,
        email_id=email_id,
        contact_id=_contact(fields),
        sent_at=_moment(fields.get("timestamp")),
        dated_at=_moment(fields.get("dateAdded")),
        items=tuple(_items(fields, message_id, email_id, conversation_id)),
    )


def parse_workflow(body: bytes, *, webhook_id: str) -> Event:
    """Read a post of the workflow action: whatever JSON or form its author composed.

    ``message_id`` is at the top, or in ``customData``, where the standard action puts what its author adds.

    Raises:
        WebhookRefusedError: it is neither a JSON object nor a form, or names no message that could be fetched.
    """
    payload = _object(body) if body.lstrip()[:1] in (b"{", b"[") else _form(body)
    objects = [payload, *(each for each in (payload.get("customData"),) if isinstance(each, dict))]
    given = _first(objects, "message_id", "messageId")
    if given is None:
        raise WebhookRefusedError(400, "no_message_id")
    message_id = _id(given)
    if message_id is None:
        raise WebhookRefusedError(400, "bad_message_id")
    location = payload.get("location")
    location_id = _first(objects, "location_id", "locationId") or (
        location.get("id") if isinstance(location, dict) else None
    )
    return Event(
        webhook_id,
        WORKFLOW,
        "queued",
        body,
        location_id=_id(location_id) or "",
        message_id=message_id,
        contact_id=_id(_first(objects, "contact_id", "contactId")),
        items=(("message", message_id),),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookRefusedError(400, "not_json") from error
    if not isinstance(payload, dict):
        raise WebhookRefusedError(400, "not_an_object")
    return payload


def _wrapped(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event in ``data``, itself or as JSON: the guide's sample code reads it there; none was seen so."""
    data = payload.get("data")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            return {}
    return data if isinstance(data, dict) else {}


def _form(body: bytes) -> dict[str, Any]:
    """Return the fields of a form; of one written ``customData[message_id]`` only the inner name counts."""
    try:
        fields = parse_qsl(body.strip().decode(), max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise WebhookRefusedError(400, "not_json") from error
    if not fields:
        raise WebhookRefusedError(400, "not_json")
    return {name.rpartition("[")[2].rstrip("]"): value for name, value in fields}


def _named(fields: Mapping[str, Any]) -> tuple[str | None, str | None, bool]:
    """Return the message and the email that an event names, and whether it names any.

    Email events carry no messageId: threadId is the message, emailMessageId the email. A provider's email has messageId
    and emailMessageId.
    https://github.com/GoHighLevel/highlevel-api-docs/issues/255
    """
    email = _given(fields.get("emailMessageId"))
    thread = _given(fields.get("threadId")) if email or fields.get("messageType") == "Email" else None
    message = thread or _given(fields.get("messageId"))
    return _id(message), _id(email), bool(message or email)


def _contact(fields: Mapping[str, Any]) -> str | None:
    """Return the contact that an event is about; ``id`` is the contact's in events of contacts themselves."""
    event_type = fields.get("type")
    own = fields.get("id") if isinstance(event_type, str) and event_type.startswith("Contact") else None
    return _id(fields.get("contactId")) or _id(own)


def _items(
    fields: Mapping[str, Any], message_id: str | None, email_id: str | None, conversation_id: str | None
) -> Iterator[tuple[str, str]]:
    """Yield the items of an event.

    An id becomes only one item: HighLevel's examples repeat an email's id as that of its thread. A message without an
    id queues its conversation, for the newest messages.
    """
    event_type = fields.get("type")
    own_id = _id(fields.get("id"))
    if message_id is not None and message_id != email_id:
        yield "message", message_id
    if email_id is not None:
        yield "email", email_id
    if message_id is None and email_id is None:
        if event_type in (*MESSAGE_EVENTS, *UNREAD_EVENTS) and conversation_id is not None:
            yield "conversation", conversation_id
        if event_type == CONTACT_DELETED and own_id is not None:
            yield "contact", own_id


def _outcome(event_type: object, *, found: bool, named: bool) -> Outcome:
    if event_type == "INSTALL":
        return "install"
    if event_type == "UNINSTALL":
        return "uninstall"
    if found:
        return "queued"
    if named:
        return "bad_id"
    return "no_id" if event_type in MESSAGE_EVENTS else "ignored"


def _first(objects: Sequence[Mapping[str, Any]], *names: str) -> object:
    return next((given for each in objects for name in names if (given := _given(each.get(name)))), None)


def _given(value: object) -> object:
    """Return a value without the blanks around it; None for no value: a merge field without one is "null"."""
    text = value.strip() if isinstance(value, str) else value
    return None if isinstance(text, str) and text.lower() in NOTHING else text


def _id(value: object) -> str | None:
    given = _given(value)
    return given if isinstance(given, str) and is_fetchable(given) else None


def _word(value: object) -> str:
    return value if isinstance(value, str) and _WORD.match(value) else ""


def _app_id(value: object) -> str | None:
    given = _given(value)
    return given if given is None or isinstance(given, str) else NO_APP


def _moment(value: object) -> datetime | None:
    try:
        return date_of(value)
    except ValueError:
        return None
