"""Which records must not be written: what they tell was erased for good. Only reads, once for many records."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from etl.models import Message
from etl.models.record import Record, Row
from etl.state import forgotten
from etl.state.forgotten import Barred

THREADS = "EMAIL"
"""Part of the types of messages that are threads: they are as old as their first email, but live on."""
OWN = ("message_id", "email_id")
NAMES = (*OWN, "contact_id", "conversation_id")
"""Columns whose ids tell whose a row is."""


def without(connection: Connection, records: Sequence[Record]) -> tuple[Sequence[Record], datetime]:
    """The records but for those of forgotten contacts, and of messages that are older than what is kept; and the time.

    The time is Postgres's, the same throughout a transaction.
    """
    barred = _barred(connection, [record.row for record in records])
    if barred.keys or barred.before is not None:
        records = [record for record in records if not (_is_of(record.row, barred) or _is_too_old(record, barred))]
    return records, barred.now


def messages_without(connection: Connection, rows: Mapping[str, Row]) -> tuple[dict[str, Row], datetime]:
    """The same for rows of an export, by the message's id."""
    barred = _barred(connection, rows.values())
    kept = {id_: row for id_, row in rows.items() if not (_is_of(row, barred) or _is_before(row, barred))}
    return kept, barred.now


@dataclass(frozen=True, slots=True, repr=False)
class Told:
    """Something that is told of a thing. No repr: it holds customers' words."""

    location_id: str
    """Where it belongs; empty: not known."""
    id: str
    received: bytes = b""
    """JSON, which may name its contact and its conversation."""

    def named(self, field: bytes) -> str | None:
        """The first id that it has under this name."""
        found = re.search(rb'"%s"\s*:\s*"([^"\\]{1,128})"' % field, self.received)
        return found[1].decode(errors="replace") if found else None


def among(connection: Connection, told: Iterable[Told]) -> list[Told]:
    """Those that were erased for good."""
    names = {each: (each.named(b"contactId"), each.named(b"conversationId")) for each in told}
    ids = {id_ for each, own in names.items() for id_ in (each.id, *own) if id_}
    keys = forgotten.among(connection, ids) if ids else set()
    return [
        each
        for each, (contact, conversation) in names.items()
        if forgotten.tell_of(keys, each.location_id, contact_id=contact, conversation_id=conversation, ids=[each.id])
    ]


def _barred(connection: Connection, rows: Iterable[Row]) -> Barred:
    return forgotten.barred(connection, {id_ for row in rows for name in NAMES if (id_ := row.get(name))})


def _is_of(row: Row, barred: Barred) -> bool:
    own = [row.get(name) for name in OWN]
    named = {name: row.get(name) for name in ("contact_id", "conversation_id")}
    return forgotten.tell_of(barred.keys, row["location_id"], ids=own, **named)


def _is_too_old(record: Record, barred: Barred) -> bool:
    # Somebody asked for this very thread: it may have a new email.
    lives_on = record.is_whole and THREADS in (record.row.get("message_type") or "")
    return record.table is Message and not lives_on and _is_before(record.row, barred)


def _is_before(row: Row, barred: Barred) -> bool:
    added = row["date_added"]
    return barred.before is not None and added is not None and added < barred.before
