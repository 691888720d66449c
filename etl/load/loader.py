"""Loads records of every kind into the tables of ``highlevel``. Nothing here commits.

A record that is older than the stored row changes nothing. Children that the newest answer no longer has are deleted.
If the content is equal, only ``checked_at`` is written, and nothing for a list or an export. Records on the suppression
list are dropped.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, case, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_into

from etl.database.conditions import in_array
from etl.database.connections import moment_of
from etl.load import suppression
from etl.load.suppression import Received
from etl.load.upsert import Key, insert, key_names, newer_there, replace, upsert
from etl.load.versions import Columns, Versions
from etl.models import Base, Contact, Email, EmailStatusChange, Message, StatusChange
from etl.models.record import FollowUp, Record, Row
from etl.state import mart_changes
from etl.state.mart_changes import Change

COUNTED: frozenset[type[Base]] = frozenset((Message, Email))
"""Tables from which the marts are counted."""
STATUS_CHANGES: Mapping[type[Base], type[Base]] = {Message: StatusChange, Email: EmailStatusChange}
COUNTED_BY = ("message_id", "conversation_id", "date_added")
"""Their columns that say which turns, conversations and days a row belongs to; of an email the first is its thread."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of loading records."""

    written: frozenset[tuple[type[Base], Key]]
    """The tables and keys of records that had a row inserted, changed or deleted."""
    follow_ups: tuple[FollowUp, ...] = ()
    """The follow-ups of the records that were not stale."""
    stale: frozenset[tuple[type[Base], Key]] = frozenset()
    """The tables and keys of stale records: older than their rows."""

    def has_stale(self, records: Iterable[Record]) -> bool:
        """Return whether one of these records was older than its row."""
        return any((record.table, _key(record)) in self.stale for record in records)

    def has_written(self, records: Iterable[Record]) -> bool:
        """Return whether one of these records changed a row."""
        return any((record.table, _key(record)) in self.written for record in records)


def load(connection: Connection, records: Sequence[Record]) -> Loaded:
    """Write the records' rows, without those on the suppression list."""
    records, now = suppression.drop_records(connection, records)
    written: set[tuple[type[Base], Key]] = set()
    older: set[tuple[type[Base], Key]] = set()
    follow_ups: list[FollowUp] = []
    counted: list[Change] = []
    ordered = sorted(records, key=lambda record: (record.table.__tablename__, not record.is_partial))
    for (table, _), group in groupby(ordered, key=lambda record: (record.table, record.is_partial)):
        by_key = _newest(group, Versions.at(now))
        changed, stale = _load(connection, by_key, counted, now=now)
        written |= {(table, key) for key in changed}
        older |= {(table, key) for key in stale}
        follow_ups += [each for key, record in by_key.items() if key not in stale for each in record.follow_ups]
    mart_changes.note(connection, counted)
    return Loaded(frozenset(written), tuple(dict.fromkeys(follow_ups)), frozenset(older))


def _newest(records: Iterable[Record], versions: Versions) -> dict[Key, Record]:
    """Return one record a row: pages may hold a message twice, and one statement writes a row only once."""
    by_key: dict[Key, list[Record]] = {}
    for record in records:
        by_key.setdefault(_key(record), []).append(record)
    return {key: same[0] if len(same) == 1 else versions.newest(same) for key, same in by_key.items()}


def _load(
    connection: Connection, records: Mapping[Key, Record], counted: list[Change], *, now: datetime
) -> tuple[set[Key], set[Key]]:
    """Write records of one table, and add to ``counted``; return the keys that changed a row, and the stale ones."""
    first = next(iter(records.values()))
    table, is_partial = first.table, first.is_partial
    write = partial(upsert, connection, table, now=now, is_partial=is_partial)
    new = insert(connection, table, [record.row for record in records.values()], now=now)
    known = {key: record.row for key, record in records.items() if key not in new}
    before = _before(connection, table, known.values()) if table in COUNTED and known else {}
    updated, there = write(list(known.values()))
    if table in STATUS_CHANGES:
        _note_status_changes(connection, table, {key: known[key] for key in updated}, before)
    stale = known.keys() - there
    if is_partial:
        stale = newer_there(connection, table, [known[key] for key in stale], now=now, is_partial=is_partial)
    fresh = {key: record for key, record in records.items() if key not in stale}
    changed = _replace_children(connection, fresh, now=now, new=new)
    # A stale answer must not bring the old children back.
    write([fresh[key].row for key in changed - updated - new], is_changed=True)
    touched = changed | updated | new
    if table in COUNTED:
        counted += [_change(records[key].row) for key in touched]
        left = (before[key] for key in touched if key in before and _moved(before[key], records[key].row))
        counted += [change for row in left for change in _left(row)]
    for other in {other: None for record in fresh.values() for other in record.named}:
        names = key_names(other)
        rows = [row for record in fresh.values() for row in record.named.get(other, ())]
        of_other = {tuple(row[name] for name in names): row for row in rows}
        new = insert(connection, other, list(of_other.values()), now=now)
        known = {key: row for key, row in of_other.items() if key not in new}
        before = _before(connection, other, known.values()) if other in COUNTED and known else {}
        # One that was not there has no content yet, so it counts nowhere.
        moved, _ = upsert(connection, other, list(known.values()), now=now)
        counted += [change for key in moved & before.keys() for change in (_change(known[key]), *_left(before[key]))]
    return touched, stale


def _change(row: Mapping[str, Any]) -> Change:
    """Name a row's message, which is looked up later: notes of many messages are one row."""
    return Change(row["location_id"], row["message_id"]) if row["message_id"] else _left(row)[0]


def _left(row: Mapping[str, Any]) -> list[Change]:
    """Name the conversation and time by which a row was counted; the changed row no longer shows them."""
    return mart_changes.of_row(row["location_id"], *(row.get(name) for name in COUNTED_BY))


def _moved(before: Row, row: Row) -> bool:
    return any(before[name] != row.get(name) for name in COUNTED_BY)


def _replace_children(
    connection: Connection, records: Mapping[Key, Record], *, now: datetime, new: AbstractSet[Key]
) -> set[Key]:
    """Write the child rows of records; return the keys of the records whose children changed."""
    changed: set[Key] = set()
    for child in {child: None for record in records.values() for child in record.children}:
        having = {key: record.children[child] for key, record in records.items() if child in record.children}
        rows = [row for of_parent in having.values() for row in of_parent]
        changed |= replace(connection, child, having.keys(), rows, now=now, new=new)
    return changed


def _before(connection: Connection, table: type[Base], rows: Collection[Row]) -> dict[Key, Row]:
    """Return what the table has of messages or emails, by their keys: statuses, and what they are counted by."""
    columns, keys = table.__table__.columns, key_names(table)
    query = select(*(columns[name] for name in dict.fromkeys((*keys, "status", "fetched_at", *COUNTED_BY)))).where(
        *(in_array(columns[name], {row[name] for row in rows}) for name in keys)
    )
    there = [dict(row) for row in connection.execute(query).mappings()]
    return {tuple(row[name] for name in keys): row for row in there}


def _note_status_changes(
    connection: Connection, table: type[Base], rows: Mapping[Key, Row], before: Mapping[Key, Row]
) -> None:
    changes = [
        {
            **dict(zip(key_names(table), key, strict=True)),
            "seen_at": row["fetched_at"],
            "previous_status": before[key]["status"],
            "status": row["status"],
            "date_updated": row["date_updated"],
        }
        for key, row in rows.items()
        # An email that only its thread named had no status yet.
        if key in before
        and before[key]["fetched_at"] is not None
        and row["status"] is not None
        and row["status"] != before[key]["status"]
    ]
    if changes:
        connection.execute(insert_into(STATUS_CHANGES[table]).on_conflict_do_nothing(), changes)


def mark_deleted(connection: Connection, table: type[Base], id_: str, *, location_id: str) -> bool:
    """Mark a thing as deleted in HighLevel; its rows stay. Return False when there are none.

    An empty ``location_id`` searches every location, which is slower.
    """
    columns, keys = table.__table__.columns, key_names(table)
    query = select(columns["location_id"]).where(columns[keys[-1]] == id_)
    if location_id:
        query = query.where(columns["location_id"] == location_id)
    location_ids = list(connection.execute(query).scalars())
    now = moment_of(connection)
    for each_id in location_ids:
        is_there = columns["location_id"] == each_id, columns[keys[-1]] == id_
        shown = [columns[name] for name in ("location_id", "updated_at", *(COUNTED_BY if table in COUNTED else ()))]
        statement = update(table).where(*is_there).values(_gone(columns, now)).returning(*shown)
        marked = [dict(row) for row in connection.execute(statement).mappings() if row["updated_at"] == now]
        if table in COUNTED:
            mart_changes.note(connection, map(_change, marked))
    return bool(location_ids)


def mark_absent(connection: Connection, table: type[Base], id_: str, *, location_id: str) -> bool:
    """Note in a refreshed table that the API does not know a thing now; its row stays.

    A thing that was never loaded gets a row, too: otherwise every message that names it would queue it again. A contact
    on the suppression list gets none. Return whether anything changed.
    """
    if table is Contact and suppression.suppressed(connection, [Received(location_id, id_)]):
        return False
    now = moment_of(connection)
    key = dict(zip(key_names(table), (location_id, id_), strict=False))  # the id of a location is its location_id
    statement = insert_into(table).values(**key, deleted_at=now, fetched_at=now, checked_at=now)
    changes = _gone(table.__table__.columns, statement.excluded["checked_at"])
    statement = statement.on_conflict_do_update(index_elements=list(key), set_=changes)
    return bool(connection.execute(statement.returning(table.__table__.columns["deleted_at"] == now)).scalar_one())


def _gone(old: Columns, now: Any) -> dict[str, Any]:
    """Return what changes in the row of a thing that is gone ``now``."""
    is_news = old["deleted_at"].is_(None)
    return {
        "deleted_at": case((is_news, now), else_=old["deleted_at"]),
        "updated_at": case((is_news, now), else_=old["updated_at"]),
        "checked_at": now,
    }


def messages_naming(connection: Connection, column: str, id_: str, *, location_id: str) -> list[str]:
    """Return the messages of a location that name a thing in one of their columns."""
    columns = Message.__table__.columns
    query = select(Message.message_id).where(Message.location_id == location_id, columns[column] == id_)
    return list(connection.execute(query).scalars())


def ages(
    connection: Connection, table: type[Base], keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], timedelta]:
    """Return how long ago the API last answered about the loaded ones of these things, by ``(location_id, id)``."""
    columns, names = table.__table__.columns, key_names(table)
    checked = func.coalesce(columns["checked_at"], columns["fetched_at"])
    query = select(columns["location_id"], columns[names[-1]], func.now() - checked).where(
        in_array(columns["location_id"], {location_id for location_id, _ in keys}),
        in_array(columns[names[-1]], {id_ for _, id_ in keys}),
        columns["fetched_at"].is_not(None),
    )
    return {(location_id, id_): age for location_id, id_, age in connection.execute(query)}


def _key(record: Record) -> Key:
    return tuple(record.row[name] for name in key_names(record.table))
