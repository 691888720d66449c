"""Drops records whose content was erased for good. Only reads, once for many records."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from etl.models import Message
from etl.models.record import Record, Row
from etl.state import suppression_list
from etl.state.suppression_list import Named, Suppression

THREADS = "EMAIL"
"""Part of the names of message types that are threads: these are as old as their first email, but live on."""
NAMES = ("message_id", "email_id", "contact_id", "conversation_id")
"""Columns whose ids show to which contact a row belongs."""


def drop_records(connection: Connection, records: Sequence[Record]) -> tuple[Sequence[Record], datetime]:
    """Drop records of erased contacts, and of messages older than the retention; return the others, and the time.

    The time is Postgres's, constant within a transaction.
    """
    suppression = _suppression(connection, [record.row for record in records])
    if suppression.keys or suppression.before is not None:
        records = [
            record for record in records if not (_is_of(record.row, suppression) or _is_too_old(record, suppression))
        ]
    return records, suppression.now


def drop_rows(connection: Connection, rows: Mapping[str, Row]) -> tuple[dict[str, Row], datetime]:
    """Drop rows of an export likewise, by the message's id; return the others, and the time."""
    suppression = _suppression(connection, rows.values())
    kept = {id_: row for id_, row in rows.items() if not (_is_of(row, suppression) or _is_before(row, suppression))}
    return kept, suppression.now


@dataclass(frozen=True, slots=True, repr=False)
class Received:
    """A payload received about a thing. No repr: it holds customers' words."""

    location_id: str
    """Its location; empty: not known."""
    id: str
    received: bytes = b""
    """JSON, which may name its contact and its conversation."""

    def named(self, field: bytes) -> str | None:
        """Return the first id under this name."""
        found = re.search(rb'"%s"\s*:\s*"([^"\\]{1,128})"' % field, self.received)
        return found[1].decode(errors="replace") if found else None


def suppressed(connection: Connection, received: Iterable[Received]) -> list[Received]:
    """Return those that were erased for good."""
    things = {
        each: Named(each.location_id, each.named(b"contactId"), each.named(b"conversationId"), (each.id,))
        for each in received
    }
    return suppression_list.suppressed(connection, things)


def _suppression(connection: Connection, rows: Iterable[Row]) -> Suppression:
    return suppression_list.suppression(connection, {id_ for row in rows for name in NAMES if (id_ := row.get(name))})


def _is_of(row: Row, suppression: Suppression) -> bool:
    ids = row.get("message_id"), row.get("email_id")
    named = Named(row["location_id"], row.get("contact_id"), row.get("conversation_id"), ids)
    return named.is_among(suppression.keys)


def _is_too_old(record: Record, suppression: Suppression) -> bool:
    # This very thread was requested: it may have a new email.
    lives_on = not record.is_partial and THREADS in (record.row.get("message_type") or "")
    return record.table is Message and not lives_on and _is_before(record.row, suppression)


def _is_before(row: Row, suppression: Suppression) -> bool:
    added = row["date_added"]
    return suppression.before is not None and added is not None and added < suppression.before
