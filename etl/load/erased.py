"""Which records must not be written: what they tell was erased for good. Only reads.

Weakness: a transcript or a recording names no contact, so one that is asked for by hand is written, as is an email that
comes without its contact.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from etl import forgotten, pruned
from etl.models import Message
from etl.transform.record import Record, Row

THREADS = "EMAIL"
"""Part of the types of messages that are threads: they are as old as their first email, but live on."""


def without(connection: Connection, records: Sequence[Record]) -> Sequence[Record]:
    """The records but for those of forgotten contacts, and of messages that are older than what is kept."""
    rows = [record.row for record in records]
    gone = _forgotten(connection, rows)
    floor = pruned.floor(connection) if any(record.table is Message for record in records) else None
    if not gone and floor is None:
        return records
    return [record for record in records if not (_is_of(record.row, gone) or _is_too_old(record, floor))]


def is_contact(connection: Connection, contact_id: str, *, location_id: str) -> bool:
    """Whether a contact was forgotten at this location."""
    return (location_id, contact_id) in forgotten.among(connection, {contact_id})


def messages_without(connection: Connection, rows: Mapping[str, Row]) -> dict[str, Row]:
    """The same for rows of an export, by the message's id; those that could not be read stay."""
    gone, floor = _forgotten(connection, rows.values()), pruned.floor(connection)
    return {id_: row for id_, row in rows.items() if not (_is_of(row, gone) or _is_before(row, floor))}


def _forgotten(connection: Connection, rows: Iterable[Row]) -> set[tuple[str, str]]:
    contacts = {row["contact_id"] for row in rows if row.get("contact_id")}
    return forgotten.among(connection, contacts) if contacts else set()


def _is_of(row: Row, gone: set[tuple[str, str]]) -> bool:
    return (row.get("location_id"), row.get("contact_id")) in gone


def _is_too_old(record: Record, floor: datetime | None) -> bool:
    # Somebody asked for this very thread: it may have a new email.
    lives_on = record.is_whole and THREADS in (record.row.get("message_type") or "")
    return record.table is Message and not lives_on and _is_before(record.row, floor)


def _is_before(row: Row, floor: datetime | None) -> bool:
    added = row["date_added"]
    return floor is not None and added is not None and added < floor
