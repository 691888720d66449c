"""Which records must not be written: what they tell was erased for good. Only reads, once for many records."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from etl import forgotten
from etl.forgotten import Barred
from etl.models import Message
from etl.transform.record import Record, Row

THREADS = "EMAIL"
"""Part of the types of messages that are threads: they are as old as their first email, but live on."""
OWN = ("contact_id", "message_id", "email_id")
"""Columns whose id alone tells that a row is of an erased contact."""
CONTACTS, CONVERSATIONS = (
    re.compile(rb'"%s"\s*:\s*"([^"\\]{1,128})"' % name) for name in (b"contactId", b"conversationId")
)


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

    @property
    def names(self) -> set[str]:
        """The ids that tell whose it is: of a conversation only where no contact is named, as for rows."""
        named = CONTACTS.findall(self.received) or CONVERSATIONS.findall(self.received)
        return {self.id, *(each.decode(errors="replace") for each in named)}


def among(connection: Connection, told: Iterable[Told]) -> list[Told]:
    """Those that were erased for good."""
    names = {each: each.names for each in told}
    keys = forgotten.among(connection, set().union(*names.values())) if names else set()
    return [each for each, own in names.items() if any(id_ in own and each.location_id in ("", at) for at, id_ in keys)]


def _barred(connection: Connection, rows: Iterable[Row]) -> Barred:
    names = (*OWN, "conversation_id")
    return forgotten.barred(connection, {id_ for row in rows for name in names if (id_ := row.get(name))})


def _is_of(row: Row, barred: Barred) -> bool:
    names = OWN if row.get("contact_id") else (*OWN, "conversation_id")
    return any((row["location_id"], row.get(name)) in barred.keys for name in names)


def _is_too_old(record: Record, barred: Barred) -> bool:
    # Somebody asked for this very thread: it may have a new email.
    lives_on = record.is_whole and THREADS in (record.row.get("message_type") or "")
    return record.table is Message and not lives_on and _is_before(record.row, barred)


def _is_before(row: Row, barred: Barred) -> bool:
    added = row["date_added"]
    return barred.before is not None and added is not None and added < barred.before
