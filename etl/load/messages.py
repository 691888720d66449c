"""Upserts message records: unchanged rows are not written, and an older payload never overwrites a newer one.

Nothing here commits. The one place that writes ``highlevel.messages``, ``attachments`` and ``meta``.

Rows travel as one JSON document a table, which Postgres unfolds into the table's own row type: one statement a batch,
half the processor time of a statement a row.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TextClause, text

from etl.models import Attachment, Base, Message, Meta
from etl.transform.message import Record

Key = tuple[str, str]
"""(location_id, message_id)"""

WRITTEN_BY_POSTGRES = ("created_at", "updated_at", "deleted_at")

# By the API's own clock where both sides have it; else by ours, which is Postgres's on every machine.
OLDER = """
    CASE WHEN old.date_updated <> {new}.date_updated THEN {new}.date_updated < old.date_updated
         ELSE {new}.fetched_at < old.fetched_at END"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading some records did."""

    written: int
    """Records of which some row was inserted, changed or deleted."""
    unchanged: int


def upsert(connection: Connection, records: Sequence[Record]) -> Loaded:
    """Write the records' rows.

    A record older than the row it would replace changes nothing: by ``date_updated`` where both have one, else by when
    they were fetched. Attachments and meta that the newest payload no longer has are deleted. Rows are written in
    order of key, so that two loaders can wait for each other but not deadlock.
    """
    ordered = sorted(records, key=_key)
    inserted, changed = _upsert_messages(connection, ordered)
    known = [record for record in ordered if _key(record) not in inserted]
    untouched = [record.message for record in known if _key(record) not in changed]
    stale = _keys(connection, STALE, untouched)
    fresh = [record for record in ordered if _key(record) not in stale]
    changed |= _keys(connection, UPSERT_ATTACHMENTS, [row for record in fresh for row in record.attachments])
    changed |= _keys(connection, UPSERT_META, [record.meta for record in fresh if record.meta is not None])
    # What was inserted just now has no rows that it could have lost.
    changed |= _keys(connection, DELETE_LOST, [_kept(record) for record in known if _key(record) not in stale])
    written = len(inserted | changed)
    return Loaded(written, len(records) - written)


def _upsert_messages(connection: Connection, records: Sequence[Record]) -> tuple[set[Key], set[Key]]:
    """The keys that were inserted, and those of rows that changed."""
    inserted: set[Key] = set()
    changed: set[Key] = set()
    if records:
        rows = connection.execute(UPSERT_MESSAGES, _document([record.message for record in records])).all()
        for location_id, message_id, is_new in rows:
            (inserted if is_new else changed).add((location_id, message_id))
    return inserted, changed


def _kept(record: Record) -> dict[str, Any]:
    """What a message still has beside its own row."""
    location_id, message_id = _key(record)
    return {
        "location_id": location_id,
        "message_id": message_id,
        "attachments": len(record.attachments),
        "meta": record.meta is not None,
    }


MARK_DELETED = text("""
    WITH known AS (
        SELECT location_id, message_id, deleted_at FROM highlevel.messages
        WHERE message_id = :message_id AND location_id = CASE WHEN :location_id = '' THEN location_id
                                                              ELSE :location_id END
        FOR UPDATE
    ), marked AS (
        UPDATE highlevel.messages AS m SET deleted_at = now(), updated_at = now()
        FROM known WHERE m.location_id = known.location_id AND m.message_id = known.message_id
          AND known.deleted_at IS NULL
    )
    SELECT count(*) FROM known
""")


def mark_deleted(connection: Connection, message_id: str, *, location_id: str) -> bool:
    """Note that a message is gone upstream; its rows stay. False when the table has none.

    With an empty ``location_id`` the message is looked for at every location, which is slower.
    """
    known: int = connection.execute(MARK_DELETED, {"message_id": message_id, "location_id": location_id}).scalar_one()
    return known > 0


def _upsert(model: type[Base], *, unless: str = "false", set_also: str = "", or_if: str = "false") -> TextClause:
    table = model.__table__
    keys = [column.name for column in table.primary_key]
    columns = [column.name for column in table.columns if column.name not in WRITTEN_BY_POSTGRES]
    content = [name for name in columns if name not in keys]
    # A fetch time alone is no reason to write.
    compared = [name for name in content if name != "fetched_at"]
    return text(f"""
        INSERT INTO {table} AS old ({", ".join(columns)})
        SELECT {", ".join(columns)} FROM jsonb_populate_recordset(NULL::{table}, CAST(:rows AS jsonb))
        ON CONFLICT ({", ".join(keys)}) DO UPDATE
        SET {", ".join(f"{name} = excluded.{name}" for name in content)}{set_also}
        WHERE (({", ".join(f"old.{name}" for name in compared)})
               IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in compared)}) OR {or_if})
          AND NOT ({unless})
        RETURNING location_id, message_id, xmax = 0 AS inserted
    """)  # noqa: S608 - names of our own tables and columns


UPSERT_MESSAGES = _upsert(
    Message,
    unless=OLDER.format(new="excluded"),
    set_also=", deleted_at = NULL, updated_at = now()",
    or_if="old.deleted_at IS NOT NULL",
)
UPSERT_ATTACHMENTS = _upsert(Attachment)
UPSERT_META = _upsert(Meta)

STALE = text(f"""
    SELECT old.location_id, old.message_id FROM highlevel.messages AS old
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb))
         AS new (location_id text, message_id text, date_updated timestamptz, fetched_at timestamptz)
    USING (location_id, message_id)
    WHERE {OLDER.format(new="new")}
""")  # noqa: S608 - no value is put into the text

DELETE_LOST = text("""
    WITH kept AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS kept (location_id text, message_id text, attachments int, meta bool)
    ), attachments AS (
        DELETE FROM highlevel.attachments AS old USING kept
        WHERE old.location_id = kept.location_id AND old.message_id = kept.message_id
          AND old.position >= kept.attachments
        RETURNING old.location_id, old.message_id
    ), meta AS (
        DELETE FROM highlevel.meta AS old USING kept
        WHERE old.location_id = kept.location_id AND old.message_id = kept.message_id AND NOT kept.meta
        RETURNING old.location_id, old.message_id
    )
    SELECT location_id, message_id FROM attachments UNION SELECT location_id, message_id FROM meta
""")


def _keys(connection: Connection, statement: TextClause, rows: Sequence[dict[str, Any]]) -> set[Key]:
    """Run a statement over rows, if there are any, and return the keys it names."""
    if not rows:
        return set()
    return {(row[0], row[1]) for row in connection.execute(statement, _document(rows)).all()}


def _document(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {"rows": json.dumps(rows, default=datetime.isoformat, ensure_ascii=False)}


def _key(record: Record) -> Key:
    return record.message["location_id"], record.message["message_id"]
