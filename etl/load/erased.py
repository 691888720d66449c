"""Which records must not be written: what they tell was erased for good. Only reads.

Weakness: a transcript or a recording names no contact, so one that is asked for by hand is written, as is an email that
comes without its contact.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from etl import forgotten, pruned
from etl.models import Message
from etl.transform.record import Record

THREADS = "EMAIL"
"""Part of the types of messages that are threads: they are as old as their first email, but live on."""


def without(connection: Connection, records: Sequence[Record]) -> Sequence[Record]:
    """The records but for those of forgotten contacts, and of messages that are older than what is kept."""
    contacts = {record.row["contact_id"] for record in records if record.row.get("contact_id")}
    gone = forgotten.among(connection, contacts) if contacts else set()
    has_messages = any(record.table is Message for record in records)
    floor = pruned.floor(connection) if has_messages else None
    if not gone and floor is None:
        return records
    return [record for record in records if not (_is_forgotten(record, gone) or _is_too_old(record, floor))]


def _is_forgotten(record: Record, gone: set[tuple[str, str]]) -> bool:
    return (record.row["location_id"], record.row.get("contact_id")) in gone


def _is_too_old(record: Record, floor: datetime | None) -> bool:
    if floor is None or record.table is not Message:
        return False
    added = record.row["date_added"]
    # Somebody asked for this very thread: it may have a new email.
    lives_on = record.is_whole and THREADS in (record.row["message_type"] or "")
    return added is not None and added < floor and not lives_on
