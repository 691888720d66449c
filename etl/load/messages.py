"""Loads message records: the one place that writes ``highlevel.messages``, ``attachments`` and ``meta``.

Nothing here commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, case, func, select, update

from etl.database import among
from etl.load.upsert import Columns, Key, replace, upsert
from etl.models import Attachment, Message, Meta
from etl.transform.message import Record
from etl.transform.rows import MessageRow


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading some records did."""

    written: int
    """Records of which some row was inserted, changed or deleted."""
    unchanged: int


def load(connection: Connection, records: Sequence[Record]) -> Loaded:
    """Write the records' rows.

    A record older than the row it would replace changes nothing: by ``date_updated`` where both have one, else by when
    they were fetched. Attachments and meta that the newest payload no longer has are deleted.
    """
    now = _now(connection)
    rows = [record.message for record in records]
    written = upsert(connection, Message, rows, now=now, is_older=_is_older)
    stale = _stale(connection, [row for row in rows if _key(row) not in written])
    fresh = [record for record in records if _key(record.message) not in stale]
    parents = {_key(record.message) for record in fresh}
    attachments = [row for record in fresh for row in record.attachments]
    metas = [record.meta for record in fresh if record.meta is not None]
    written |= replace(connection, Attachment, parents, attachments, now=now)
    written |= replace(connection, Meta, parents, metas, now=now)
    return Loaded(len(written), len(records) - len(written))


def _is_older(new: Columns, old: Columns) -> ColumnElement[bool]:
    """By the API's own clock where both sides have it; else by ours, which is Postgres's on every machine."""
    return case(
        (old["date_updated"] != new["date_updated"], new["date_updated"] < old["date_updated"]),
        else_=new["fetched_at"] < old["fetched_at"],
    )


def _stale(connection: Connection, rows: Sequence[MessageRow]) -> set[Key]:
    """The keys of the rows that are older than what the table has: the same rule, for rows that were not written."""
    if not rows:
        return set()
    new = {_key(row): row for row in rows}
    query = select(Message.location_id, Message.message_id, Message.date_updated, Message.fetched_at)
    stale = set()
    for old in connection.execute(
        query.where(
            among(Message.location_id, {row["location_id"] for row in rows}),
            among(Message.message_id, [row["message_id"] for row in rows]),
        )
    ):
        row = new.get((old.location_id, old.message_id))
        if row is None:
            continue
        if None not in (old.date_updated, row["date_updated"]) and old.date_updated != row["date_updated"]:
            is_older = row["date_updated"] < old.date_updated
        else:
            is_older = row["fetched_at"] < old.fetched_at
        if is_older:
            stale.add((old.location_id, old.message_id))
    return stale


def mark_deleted(connection: Connection, message_id: str, *, location_id: str) -> bool:
    """Note that a message is gone upstream; its rows stay. False when the table has none.

    With an empty ``location_id`` the message is looked for at every location, which is slower.
    """
    known = select(Message.location_id).where(Message.message_id == message_id)
    if location_id:
        known = known.where(Message.location_id == location_id)
    places = list(connection.execute(known).scalars())
    now = _now(connection)
    for place in places:
        connection.execute(
            update(Message)
            .where(Message.location_id == place, Message.message_id == message_id, Message.deleted_at.is_(None))
            .values(deleted_at=now, updated_at=now)
        )
    return bool(places)


def _now(connection: Connection) -> datetime:
    now: datetime = connection.execute(select(func.now())).scalar_one()
    return now


def _key(row: MessageRow) -> Key:
    return row["location_id"], row["message_id"]
