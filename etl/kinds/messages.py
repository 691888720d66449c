"""Kind ``message``: one message of a conversation, its files, its meta, and what else has to be fetched for it. Pure.

The documented and the real shape differ, so each value is read at every place where it has been seen.

Shapes: HighLevel docs, "Get message by message id"; GoHighLevel/highlevel-api-docs issues 54, 212, 214, 258.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from etl.api.client import Answer, Call, segment
from etl.ids import is_fetchable
from etl.kinds.kind import DAY, Kind, Options, Origin
from etl.models import Attachment, Email, Message, Meta
from etl.models.record import FollowUp, Record, Row
from etl.transform.attachments import attachment_rows
from etl.transform.catalogue import (
    CALL_STATUSES,
    DIRECTIONS,
    FINAL_STATUSES,
    MESSAGE_TYPES,
    SHORT_NAMES,
    SOURCES,
    STATUSES,
    TYPE_OF_CODE,
)
from etl.transform.reading import Reader
from etl.transform.values import id_of, object_of, seconds_of, storable, text_of

CALLS = frozenset(("TYPE_CALL", "TYPE_CAMPAIGN_CALL", "TYPE_CAMPAIGN_MANUAL_CALL", "TYPE_CUSTOM_CALL", "TYPE_IVR_CALL"))
EMAILS = frozenset(("TYPE_EMAIL", "TYPE_CAMPAIGN_EMAIL", "TYPE_CUSTOM_EMAIL", "TYPE_CUSTOM_PROVIDER_EMAIL"))
LATE_MEDIA = frozenset(
    ("TYPE_WHATSAPP", "TYPE_FACEBOOK", "TYPE_INSTAGRAM", "TYPE_LIVE_CHAT", "TYPE_SMS", "TYPE_RCS", "TYPE_TIKTOK")
)
"""Channels with media. WhatsApp's were seen to come seconds after the message, or only in the conversation's list (docs
issues 212, 299)."""
ANSWERED = frozenset(("completed", "answered", "voicemail", "connected"))
"""Statuses of calls that may have audio."""

RECORDING_DELAY = 120.0
TRANSCRIPTION_DELAY = 600.0
"""Seconds after which they are first asked for; HighLevel does not say when they are ready."""


def kind(options: Options) -> Kind:
    """The kind, as jobs.yaml wants it."""
    return Kind("message", Message, extract, partial(transform, options=options))


def extract(call: Call, message_id: str, _location_id: str = "") -> Answer:
    """GET /conversations/messages/{id}.

    Documented flat, answered as ``{"message": {…}, "traceId": …}``: docs issue 258.

    Raises:
        ItemError: a subclass that says what to do.
    """
    answer = call.get(f"/conversations/messages/{segment(message_id)}")
    return answer.unwrapped("message").about(message_id)


def transform(
    payload: Mapping[str, Any], origin: Origin, *, options: Options, is_whole: bool = True, is_exported: bool = False
) -> list[Record]:
    """Normalize a message.

    Args:
        payload: The message object as parsed from JSON, out of its envelope.
        origin: Where it came from.
        options: When it is looked at again.
        is_whole: False for a row of a list or an export, which may lack fields; its text of an email is not reliable.
        is_exported: True for a row of an export, which may be the first that tells of an old message.

    Raises:
        TransformError: it has no id, or a date that cannot be read; no other exception, whatever the JSON.
    """
    key = {
        "location_id": id_of("locationId", payload.get("locationId") or origin.location_id),
        "message_id": id_of("id", payload.get("id")),
    }
    reader = Reader(payload)
    reader.take("id"), reader.take("locationId")
    row = _row(reader, key, origin)
    if not is_whole and row["message_type"] in EMAILS:
        row["body"] = None
    children: dict[type, list[Row]] = {Attachment: attachment_rows(reader, key), Meta: []}
    email_ids = _meta(reader, key, children[Meta])
    row["extra"] = reader.extra()
    if not is_whole:
        children = {table: rows for table, rows in children.items() if rows}
    elif media_may_be_late(row, children[Attachment]):
        # Media that only the conversation's list had (docs issue 212) stay.
        del children[Attachment]
    emails = [
        {"location_id": key["location_id"], "email_id": id_, "message_id": key["message_id"], "position": position}
        for position, id_ in enumerate(email_ids)
    ]
    asked = _follow_ups(
        row, children, email_ids, origin.fetched_at, options, is_whole=is_whole, is_exported=is_exported
    )
    return [
        Record(
            Message,
            row,
            children=children,
            named={Email: emails} if emails else {},
            follow_ups=tuple(asked),
            drift=reader.drift(),
            is_whole=is_whole,
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
    """The type, always in the ``TYPE_`` form, and its number.

    The docs' own example says ``SMS``, real answers ``TYPE_SMS`` (docs issue 212). The name decides, because several
    public maps of the numbers are wrong. The number's place was seen to hold the name, too.
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
    known = _type_of_name(name, code)
    if known not in MESSAGE_TYPES:
        reader.report(f"messageType:{known}")
    return known, code


def _type_of_name(name: str, code: int | None) -> str:
    if name.upper().startswith("TYPE_"):
        return name.upper()
    short = "".join(character for character in name if character.isalnum()).upper()
    if short == "CUSTOM":
        return TYPE_OF_CODE.get(code or 0, "TYPE_CUSTOM_SMS")
    return SHORT_NAMES.get(short, "TYPE_" + "_".join(name.upper().split()))


def _meta(reader: Reader, key: Row, rows: list[Row]) -> list[str]:
    """Call length and outcome from all places where they are seen, the rest as it came; the emails that meta names.

    Documented as ``meta.callDuration``, real as ``meta.call.duration`` (docs issues 110, 214, 258); events have them at
    the top. Emails: documented as ``meta.email.email.messageIds``, real one level less.
    """
    given = reader.take("meta")
    if given is not None and not isinstance(given, dict):
        reader.keep("meta", given)
    extra = dict(object_of(given))
    call = extra.get("call")
    places = [dict(call)] if isinstance(call, dict) else []
    if places:
        del extra["call"]
    top = {name: reader.take(name) for name in ("callDuration", "callStatus")}
    duration = _first(("duration", "callDuration"), places, extra, top)
    status = _first(("status", "callStatus"), places, extra, top)
    extra |= {"call": places[0]} if places and places[0] else {}
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
    if seconds is not None or outcome is not None or extra:
        rows.append({**key, "call_duration": seconds, "call_status": outcome, "extra": storable(extra) or None})
    email = object_of(object_of(given).get("email"))
    ids = email.get("messageIds") or object_of(email.get("email")).get("messageIds")
    return list(dict.fromkeys(_ids(ids)))


def _first(names: tuple[str, str], places: Sequence[Row], extra: Row, top: Row) -> Any:
    """The value at the real place, else at a documented one, taken out there; one that contradicts it stays."""
    real, documented = names
    value = next((place.pop(real) for place in places if place.get(real) is not None), None)
    for place in (extra, top):
        other = place.get(documented)
        if value is None:
            value = place.pop(documented, None)
        elif other is not None and str(other) == str(value):
            del place[documented]
    return value


def _ids(value: Any) -> Iterator[str]:
    return (each for each in (value if isinstance(value, list) else ()) if isinstance(each, str) and is_fetchable(each))


def _follow_ups(
    row: Row,
    children: Mapping[type, Sequence[Row]],
    email_ids: Sequence[str],
    now: datetime,
    options: Options,
    *,
    is_whole: bool,
    is_exported: bool,
) -> Iterator[FollowUp]:
    location_id, message_id = row["location_id"], row["message_id"]
    for email_id in email_ids:
        if email_id != message_id:
            yield FollowUp("email", email_id, location_id)
    if row["contact_id"]:
        yield FollowUp("contact", row["contact_id"], location_id, max_age=DAY)
    if row["user_id"]:
        yield FollowUp("user", row["user_id"], location_id, max_age=DAY)
    yield FollowUp("location", location_id, location_id, max_age=DAY)
    if may_have_audio(row, children.get(Meta, ())):
        yield FollowUp("recording", message_id, location_id, delay=RECORDING_DELAY)
        yield FollowUp("transcription", message_id, location_id, delay=TRANSCRIPTION_DELAY)
    delays = [next_look(options.status_checks, row["date_added"], now)] if status_may_change(row) else []
    if media_may_be_late(row, children.get(Attachment, ())):
        look = next_look(options.media_checks, row["date_added"], now)
        is_fresh = _age(row["date_added"], now) < DAY
        # An old text without files is usual; an old message without either lacks something.
        is_searched = (is_fresh and is_whole) or (is_exported and (is_fresh or not row["body"]))
        if look is None and is_searched and row["conversation_id"]:
            yield FollowUp("conversation", row["conversation_id"], location_id, is_repeat=True)
        delays.append(look)
    looks = [delay for delay in delays if delay is not None]
    if looks:
        yield FollowUp(
            "message",
            message_id,
            location_id,
            delay=min(looks),
            is_repeat=True,
            conversation_id=row["conversation_id"],
        )


def may_have_audio(row: Row, metas: Sequence[Row]) -> bool:
    """Whether a call was long enough, and ended so, that there may be a recording."""
    if row["message_type"] not in CALLS and row["message_type"] != "TYPE_VOICEMAIL":
        return False
    statuses = {row["status"], *(meta["call_status"] for meta in metas)}
    lasted = all(meta["call_duration"] != 0 for meta in metas)
    return lasted and not statuses.isdisjoint(ANSWERED)


def status_may_change(row: Row) -> bool:
    """Whether an outbound message's status is on its way to another one; HighLevel announces no changes."""
    return row["direction"] == "outbound" and row["status"] is not None and row["status"] not in FINAL_STATUSES


def media_may_be_late(row: Row, attachments: Sequence[Row]) -> bool:
    """Whether files may still come. A text without files is usual everywhere, but WhatsApp may bring some later."""
    if attachments or row["message_type"] not in LATE_MEDIA:
        return False
    return not row["body"] or row["message_type"] == "TYPE_WHATSAPP"


def next_look(schedule: Sequence[float], date_added: datetime | None, now: datetime) -> float | None:
    """Seconds until the next time of a schedule that counts from when a thing was added.

    None after the last one, and for a thing dated further ahead than the whole schedule is long.
    """
    age = _age(date_added, now)
    if age < -max(schedule, default=0.0):
        return None
    return next((at - age for at in sorted(schedule) if at > age), None)


def _age(date_added: datetime | None, now: datetime) -> float:
    """Seconds since a thing was added; negative if it is dated ahead."""
    return (now - date_added).total_seconds() if date_added is not None else float("inf")
