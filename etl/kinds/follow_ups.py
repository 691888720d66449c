"""Decides what to fetch after a message: its emails, names and audio, and itself again. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from etl.kinds.kind import DAY, Options
from etl.models import Attachment, Meta
from etl.models.record import FollowUp, Row
from etl.transform.catalogue import FINAL_STATUSES

CALLS = frozenset(("TYPE_CALL", "TYPE_CAMPAIGN_CALL", "TYPE_CAMPAIGN_MANUAL_CALL", "TYPE_CUSTOM_CALL", "TYPE_IVR_CALL"))
LATE_MEDIA = frozenset(
    ("TYPE_WHATSAPP", "TYPE_FACEBOOK", "TYPE_INSTAGRAM", "TYPE_LIVE_CHAT", "TYPE_SMS", "TYPE_RCS", "TYPE_TIKTOK")
)
"""Channels with media. WhatsApp's were seen to come seconds after the message, or only in the conversation's list (docs
issues 212, 299)."""
ANSWERED = frozenset(("completed", "answered", "voicemail", "connected"))
"""Statuses of calls that may have audio."""

RECORDING_DELAY = 120.0
TRANSCRIPTION_DELAY = 600.0
"""Seconds until the first request for them; HighLevel does not say when they are ready."""


def follow_ups(
    row: Row,
    children: Mapping[type, Sequence[Row]],
    email_ids: Sequence[str],
    now: datetime,
    options: Options,
    *,
    is_partial: bool,
    is_exported: bool,
) -> Iterator[FollowUp]:
    """Yield what to fetch next for a message and the rows below it; ``email_ids`` are the emails it names."""
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
    conversation_id, date_added = row["conversation_id"], row["date_added"]
    looks = [next_look(options.status_checks, date_added, now)] if status_may_change(row) else []
    if media_may_be_late(row, children.get(Attachment, ())):
        looks.append(next_look(options.media_checks, date_added, now))
        is_fresh = age_of(date_added, now) < DAY
        # An old text without files is usual; an old message without either lacks something.
        is_searched = (is_fresh and not is_partial) or (is_exported and (is_fresh or not row["body"]))
        if looks[-1] is None and is_searched and conversation_id:
            yield FollowUp("conversation", conversation_id, location_id, force=True)
    delay = min((look for look in looks if look is not None), default=None)
    if delay is not None:
        yield FollowUp("message", message_id, location_id, delay, force=True, conversation_id=conversation_id)


def may_have_audio(row: Row, metas: Sequence[Row]) -> bool:
    """Return whether a call may have a recording, by its length and status."""
    if row["message_type"] not in CALLS and row["message_type"] != "TYPE_VOICEMAIL":
        return False
    statuses = {row["status"], *(meta["call_status"] for meta in metas)}
    lasted = all(meta["call_duration"] != 0 for meta in metas)
    return lasted and not statuses.isdisjoint(ANSWERED)


def status_may_change(row: Row) -> bool:
    """Return whether an outbound message's status may still change; HighLevel announces no changes."""
    return row["direction"] == "outbound" and row["status"] is not None and row["status"] not in FINAL_STATUSES


def media_may_be_late(row: Row, attachments: Sequence[Row]) -> bool:
    """Return whether files may still come. Texts without files are usual, but WhatsApp may add some later."""
    if attachments or row["message_type"] not in LATE_MEDIA:
        return False
    return not row["body"] or row["message_type"] == "TYPE_WHATSAPP"


def next_look(schedule: Sequence[float], date_added: datetime | None, now: datetime) -> float | None:
    """Return the seconds until the next time of a schedule that counts from a thing's creation.

    None after the last one, and for a thing dated ahead by more than the whole schedule.
    """
    age = age_of(date_added, now)
    if age < -max(schedule, default=0.0):
        return None
    return next((at - age for at in sorted(schedule) if at > age), None)


def age_of(date_added: datetime | None, now: datetime) -> float:
    """Return the seconds since a thing was created; negative if it is dated ahead."""
    return (now - date_added).total_seconds() if date_added is not None else float("inf")
