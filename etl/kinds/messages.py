"""Kind ``message``: one message of a conversation, its files, its meta, and what else has to be fetched for it. Pure.

The documented and the real shape differ, so each value is read from every place where it was seen.

Shapes: HighLevel docs, "Get message by message id", and
https://github.com/GoHighLevel/highlevel-api-docs/issues/54
https://github.com/GoHighLevel/highlevel-api-docs/issues/212
https://github.com/GoHighLevel/highlevel-api-docs/issues/214
https://github.com/GoHighLevel/highlevel-api-docs/issues/258
"""

from collections.abc import Mapping, Sequence
from typing import Any

from etl.api.client import Answer, Call, segment
from etl.ids import is_fetchable
from etl.kinds.follow_ups import follow_ups, media_may_be_late
from etl.kinds.kind import Options, Origin
from etl.models import Attachment, Email, Message, Meta
from etl.models.record import Record, Row
from etl.transform.attachments import attachment_rows
from etl.transform.catalogue import (
    CALL_STATUSES,
    DIRECTIONS,
    MESSAGE_TYPES,
    SHORT_NAMES,
    SOURCES,
    STATUSES,
    TYPE_OF_CODE,
)
from etl.transform.reading import Reader
from etl.transform.values import id_of, object_if_any, object_of, seconds_of, storable, text_of

EMAILS = frozenset(("TYPE_EMAIL", "TYPE_CAMPAIGN_EMAIL", "TYPE_CUSTOM_EMAIL", "TYPE_CUSTOM_PROVIDER_EMAIL"))


def extract(call: Call, message_id: str, _location_id: str = "") -> Answer:
    """GET /conversations/messages/{id}.

    Documented flat, answered as ``{"message": {…}, "traceId": …}``:
    https://github.com/GoHighLevel/highlevel-api-docs/issues/258
    """
    answer = call.get(f"/conversations/messages/{segment(message_id)}")
    return answer.unwrapped("message").about(message_id)


def transform(
    payload: Mapping[str, Any], origin: Origin, *, options: Options, is_partial: bool = False, is_exported: bool = False
) -> list[Record]:
    """Normalize a message.

    Args:
        payload: The message object as parsed from JSON, out of its envelope.
        origin: The context of the request.
        options: When to fetch it again.
        is_partial: True for a row of a list or an export, which may lack fields; its text of an email is not reliable.
        is_exported: True for a row of an export, which may be the first sign of an old message.

    Raises:
        TransformError: it has no id, or a date that cannot be read; no other exception, whatever the JSON.
    """
    reader = Reader(payload)
    key = {
        "location_id": id_of("locationId", reader.take("locationId") or origin.location_id),
        "message_id": id_of("id", reader.take("id")),
    }
    row = _row(reader, key, origin)
    if is_partial and row["message_type"] in EMAILS:
        row["body"] = None
    attachments = attachment_rows(reader, key)
    meta = reader.read("meta", object_if_any)
    email_ids = _email_ids(meta)
    children: dict[type, list[Row]] = {Attachment: attachments, Meta: _meta(reader, key, meta)}
    row["extra"] = reader.extra()
    if is_partial:
        children = {table: rows for table, rows in children.items() if rows}
    elif media_may_be_late(row, attachments):
        # Keep media that only the conversation's list had:
        # https://github.com/GoHighLevel/highlevel-api-docs/issues/212
        del children[Attachment]
    emails = [
        {"location_id": key["location_id"], "email_id": id_, "message_id": key["message_id"], "position": position}
        for position, id_ in enumerate(email_ids)
    ]
    following = follow_ups(
        row, children, email_ids, origin.fetched_at, options, is_partial=is_partial, is_exported=is_exported
    )
    return [
        Record(
            Message,
            row,
            children,
            named={Email: emails} if emails else {},
            follow_ups=tuple(following),
            drift=reader.drift(),
            is_partial=is_partial,
        )
    ]


def _row(reader: Reader, key: Row, origin: Origin) -> Row:
    message_type, type_code = _type(reader)
    return {
        **key,
        "conversation_id": reader.text("conversationId"),
        "contact_id": reader.text("contactId"),
        "message_type": message_type,
        "type_code": type_code,
        "direction": reader.word("direction", DIRECTIONS),
        "status": reader.word("status", STATUSES),
        "source": reader.word("source", SOURCES),
        "content_type": reader.text("contentType"),
        "body": reader.text("body"),
        "subject": reader.text("subject"),
        "sender": reader.text("from"),
        "recipient": reader.text("to"),
        "error": reader.text("error"),
        "user_id": reader.text("userId"),
        "conversation_provider_id": reader.text("conversationProviderId"),
        "chat_widget_id": reader.text("chatWidgetId"),
        "alt_id": reader.text("altId"),
        "reply_to_message_id": reader.text("replyToMessageId"),
        "mentions": reader.texts("mentions"),
        "date_added": reader.date_added(),
        "date_updated": reader.date("dateUpdated"),
        "fetched_at": origin.fetched_at,
    }


def _type(reader: Reader) -> tuple[str | None, int | None]:
    """Return the type, always in the ``TYPE_`` form, and its number.

    The docs' own example says ``SMS``, real answers ``TYPE_SMS``. The name decides, because several public maps of
    the numbers are wrong. The number's place was seen to hold the name, too.
    https://github.com/GoHighLevel/highlevel-api-docs/issues/212
    """
    given = reader.text("messageType")
    raw = reader.take("type")
    code = raw if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 2**31 else None
    if isinstance(raw, str) and raw.strip().isdecimal() and len(raw) < 9:
        code = int(raw)
    elif raw is not None and code is None:
        reader.keep("type", raw)
        given = given or text_of(raw)[0]
    name = (given or "").strip()
    if not name:
        if code is not None and code not in TYPE_OF_CODE:
            reader.report(f"type:{code}")
        return TYPE_OF_CODE.get(code) if code is not None else None, code
    message_type = _type_of_name(name, code)
    if message_type not in MESSAGE_TYPES:
        reader.report(f"messageType:{message_type}")
    return message_type, code


def _type_of_name(name: str, code: int | None) -> str:
    if name.upper().startswith("TYPE_"):
        return name.upper()
    short = "".join(character for character in name if character.isalnum()).upper()
    if short == "CUSTOM":
        return TYPE_OF_CODE.get(code or 0, "TYPE_CUSTOM_SMS")
    return SHORT_NAMES.get(short, "TYPE_" + "_".join(name.upper().split()))


def _meta(reader: Reader, key: Row, given: Mapping[str, Any]) -> list[Row]:
    """Return the row of meta; none if it is empty.

    It has the length and outcome of a call, from every place where they were seen, and the rest unchanged. Documented
    as ``meta.callDuration``, real as ``meta.call.duration``; events have them at the top.
    https://github.com/GoHighLevel/highlevel-api-docs/issues/110
    https://github.com/GoHighLevel/highlevel-api-docs/issues/214
    https://github.com/GoHighLevel/highlevel-api-docs/issues/258
    """
    extra, call = dict(given), dict(object_of(given.get("call")))
    if isinstance(given.get("call"), dict):
        del extra["call"]
    top = {name: reader.take(name) for name in ("callDuration", "callStatus")}
    duration = _first(call, "duration", (extra, top), "callDuration")
    status = _first(call, "status", (extra, top), "callStatus")
    extra |= {"call": call} if call else {}
    extra |= {name: value for name, value in top.items() if value is not None}
    seconds, is_number = seconds_of(duration)
    outcome, is_text = text_of(status)
    if not is_number:
        extra["callDuration"] = duration
        reader.report("kind:callDuration")
    if not is_text:
        extra["callStatus"] = status
        reader.report("kind:callStatus")
    if outcome is not None and outcome not in CALL_STATUSES:
        reader.report(f"callStatus:{outcome}")
    if seconds is None and outcome is None and not extra:
        return []
    return [{**key, "call_duration": seconds, "call_status": outcome, "extra": storable(extra) or None}]


def _first(call: Row, name: str, others: Sequence[Row], documented: str) -> Any:
    """Take a value from the call, else from another place; leave one that contradicts it."""
    value = call.pop(name) if call.get(name) is not None else None
    for each in others:
        other = each.get(documented)
        if value is None:
            value = each.pop(documented, None)
        elif other is not None and str(other) == str(value):
            del each[documented]
    return value


def _email_ids(meta: Mapping[str, Any]) -> list[str]:
    """Return the ids of a thread's emails: documented as ``meta.email.email.messageIds``, real one level less.

    Sources: as of :func:`_meta`.
    """
    email = object_of(meta.get("email"))
    ids = email.get("messageIds") or object_of(email.get("email")).get("messageIds")
    ids = ids if isinstance(ids, list) else ()
    return list(dict.fromkeys(each for each in ids if isinstance(each, str) and is_fetchable(each)))
