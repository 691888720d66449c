"""A message payload becomes rows; pure, and the only place that knows the API's camelCase names.

The documented and the real shape differ, so each value is read at every place where it has been seen. What no column
holds goes to ``extra`` under the API's own name. Unknown values are kept and counted as drift. A known field with a
value of an impossible kind is a :class:`~etl.errors.TransformError` that names it.

Shapes: HighLevel docs, "Get message by message id"; GoHighLevel/highlevel-api-docs issues 54, 212, 214, 258.
"""

import mimetypes
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, cast
from urllib.parse import unquote, urlsplit

from etl.errors import TransformError
from etl.transform.catalogue import DIRECTIONS, MESSAGE_TYPES, SHORT_NAMES, SOURCES, STATUSES, TYPE_OF_CODE
from etl.transform.rows import AttachmentRow, MessageRow, MetaRow
from etl.transform.values import date_or_none, fetchable_id, integer_or_none, storable, text_or_none


class Key(TypedDict):
    """What all rows of a message begin with."""

    location_id: str
    message_id: str


TEXT_FIELDS = {
    "conversationId": "conversation_id",
    "contactId": "contact_id",
    "direction": "direction",
    "status": "status",
    "source": "source",
    "contentType": "content_type",
    "body": "body",
    "from": "sender",
    "to": "recipient",
    "error": "error",
    "userId": "user_id",
    "conversationProviderId": "conversation_provider_id",
    "chatWidgetId": "chat_widget_id",
    "altId": "alt_id",
}
DATE_FIELDS = {"dateAdded": "date_added", "dateUpdated": "date_updated"}
KNOWN_FIELDS = frozenset((*TEXT_FIELDS, *DATE_FIELDS, "id", "locationId", "type", "messageType", "attachments", "meta"))
ENVELOPE_FIELDS = frozenset(("traceId",))
"""Of the answer rather than of the message, and new in every answer; beside the fields when the answer is flat."""

BUILT_IN_TYPES = mimetypes.MimeTypes()
"""Python's own table, without the machine's mime.types: the same file has the same type on every machine."""
for _ending, _type in {
    ".amr": "audio/amr",
    ".heic": "image/heic",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".webp": "image/webp",
}.items():
    BUILT_IN_TYPES.add_type(_type, _ending)

KNOWN_VALUES = {"direction": DIRECTIONS, "status": STATUSES, "source": SOURCES}


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """One payload normalized: the rows it becomes, as columns by name. No repr: it holds customers' words."""

    message: MessageRow
    attachments: list[AttachmentRow]
    meta: MetaRow | None
    drift: tuple[str, ...]
    """What this version does not know, e.g. ``field:foo`` or ``status:teleported``."""


def to_record(payload: Mapping[str, Any], *, location_id: str, fetched_at: datetime) -> Record:
    """Normalize a message payload.

    Args:
        payload: The message object as parsed from JSON, out of its envelope.
        location_id: Where it belongs when it does not say so itself.
        fetched_at: When the answer came.

    Raises:
        TransformError: a known field holds what cannot be understood; no other exception, whatever the JSON.
    """
    drift: list[str] = []
    key = Key(
        location_id=fetchable_id("locationId", payload.get("locationId") or location_id),
        message_id=fetchable_id("id", payload.get("id")),
    )
    type_code = integer_or_none("type", payload.get("type"))
    message: dict[str, Any] = {
        **key,
        "message_type": _message_type(payload.get("messageType"), type_code, drift.append),
        "type_code": type_code,
    }
    for name, column in TEXT_FIELDS.items():
        message[column] = text_or_none(name, payload.get(name))
    for name, column in DATE_FIELDS.items():
        message[column] = date_or_none(name, payload.get(name))
    drift.extend(_unknown_values(message))
    extra = {name: payload[name] for name in payload.keys() - KNOWN_FIELDS - ENVELOPE_FIELDS}
    drift.extend(f"field:{name}" for name in extra)

    attachments, more = _attachments(payload.get("attachments"), key)
    if more:
        extra["attachments"] = more
        drift.append("field:attachments[]")
    message["extra"] = storable(extra) or None
    message["fetched_at"] = fetched_at
    return Record(
        cast("MessageRow", message), attachments, _meta(payload.get("meta"), key), tuple(_named(each) for each in drift)
    )


def _message_type(value: Any, code: int | None, report: Callable[[str], None]) -> str | None:
    """Always the ``TYPE_`` form: the docs' own example says ``SMS``, real answers ``TYPE_SMS`` (docs issue 212).

    The name decides, because several public maps of the numbers are wrong.
    """
    name = (text_or_none("messageType", value) or "").strip()
    if not name:
        if code is not None and code not in TYPE_OF_CODE:
            report(f"type:{code}")
        return TYPE_OF_CODE.get(code) if code is not None else None
    if name.upper().startswith("TYPE_"):
        name = name.upper()
    else:
        short = "".join(character for character in name if character.isalnum()).upper()
        if short == "CUSTOM":
            return TYPE_OF_CODE.get(code or 0, "TYPE_CUSTOM_SMS")
        name = SHORT_NAMES.get(short, "TYPE_" + "_".join(name.upper().split()))
    if name not in MESSAGE_TYPES:
        report(f"messageType:{name}")
    return name


def _unknown_values(message: Mapping[str, Any]) -> Iterator[str]:
    for column, known in KNOWN_VALUES.items():
        value = message[column]
        if value is not None and value not in known:
            yield f"{column}:{value}"


def _named(drift: str) -> str:
    """A drift entry fit for a report: short, and without any character that only prose would have."""
    return "".join(character if character.isalnum() or character in ":_.-[]" else "?" for character in drift[:80])


def _attachments(value: Any, key: Key) -> tuple[list[AttachmentRow], dict[str, Any]]:
    """The files, and by position what an entry holds beside them.

    Documented as URL strings; some public code expects objects; the key is missing on calls and WhatsApp (docs issues
    212, 258).
    """
    if value is None:
        return [], {}
    if not isinstance(value, list):
        raise TransformError("attachments", "expected a list")
    rows: list[AttachmentRow] = []
    more: dict[str, Any] = {}
    for position, entry in enumerate(each for each in value if each is not None):
        fields = entry if isinstance(entry, dict) else {"url": entry}
        url = text_or_none(f"attachments[{position}].url", fields.get("url"))
        if url is None:
            raise TransformError(f"attachments[{position}].url", "missing")
        name = text_or_none(f"attachments[{position}].name", fields.get("name")) or _file_name(url)
        media_type = text_or_none(f"attachments[{position}].type", fields.get("type"))
        rows.append(
            AttachmentRow(**key, position=position, url=url, file_name=name, media_type=media_type or _media_type(name))
        )
        if rest := {name: fields[name] for name in fields.keys() - {"url", "name", "type"}}:
            more[str(position)] = rest
    return rows, more


def _file_name(url: str) -> str | None:
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return storable(unquote(path.rsplit("/", 1)[-1])) or None


def _media_type(file_name: str | None) -> str | None:
    return BUILT_IN_TYPES.guess_type(f"/{file_name}")[0] if file_name else None


def _meta(value: Any, key: Key) -> MetaRow | None:
    """Call length and outcome from both places where they are seen; the rest as it came.

    Documented as ``meta.callDuration``, real as ``meta.call.duration``: docs issues 110, 214, 258.
    """
    if value is None or value == {}:
        return None
    if not isinstance(value, dict):
        raise TransformError("meta", "expected an object")
    extra = dict(value)
    call = extra.pop("call", None)
    if call is not None and not isinstance(call, dict):
        raise TransformError("meta.call", "expected an object")
    call = dict(call or {})
    duration = _first(call.pop("duration", None), extra.pop("callDuration", None), extra, "callDuration")
    status = _first(call.pop("status", None), extra.pop("callStatus", None), extra, "callStatus")
    if call:
        extra["call"] = call
    return MetaRow(
        **key,
        call_duration=integer_or_none("meta.call.duration", duration),
        call_status=text_or_none("meta.call.status", status),
        extra=storable(extra) or None,
    )


def _first(real: Any, documented: Any, extra: dict[str, Any], name: str) -> Any:
    """The real place's value, else the documented one's; a contradiction is kept."""
    if real is None:
        return documented
    if documented is not None and str(documented) != str(real):
        extra[name] = documented
    return real
