"""Writes rows into any table of ``highlevel`` through its model. Nothing here commits.

If a row has no change, only its ``checked_at`` is written. Every statement names ``location_id`` and takes the time as
a value, so it also runs on Citus, distributed by location. Statements are built once an hour for each set of columns.

Why: docs/decisions, "Rows travel as one JSON document a table, through the models".
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import lru_cache
from operator import methodcaller
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    TableValuedAlias,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB, Insert
from sqlalchemy.dialects.postgresql import insert as insert_into

from etl.database.conditions import in_array
from etl.load.versions import Columns, Versions
from etl.models import Base

Key = tuple[str, ...]
"""(location_id, id of the thing); of a location itself only its id"""
LOST_AT_ONCE = 1000
"""Rows that one statement deletes: each column of a key is a parameter, and Postgres takes at most 65,535."""
Rows = Sequence[Mapping[str, Any]]
"""One mapping a row, all with the same columns; the other columns stay as they are."""


@lru_cache
def key_names(model: type[Base]) -> tuple[str, ...]:
    """Return the columns that identify the thing a row is about: the first two of the key."""
    return tuple(column.name for column in model.__table__.primary_key)[:2]


def insert(connection: Connection, model: type[Base], rows: Rows, *, now: datetime) -> set[Key]:
    """Insert the rows that are new and leave the others alone; return the keys of the new ones.

    Raises:
        ValueError: a row has a column that the table has not, or other columns than the first row.
    """
    if not rows:
        return set()
    statement = _insert(model, _names(model, rows))
    return _written(connection, statement, _document(model, rows, now))


def upsert(
    connection: Connection,
    model: type[Base],
    rows: Rows,
    *,
    now: datetime,
    is_partial: bool = False,
    is_changed: bool = False,
) -> tuple[set[Key], set[Key]]:
    """Insert rows, or update those that are there; return the keys of the rows that changed, and of all written ones.

    Rows are written in order of their keys, so that two loaders can wait for each other but not deadlock. Those that
    have a fetch time and are older than the stored row are not written. Nor are those without a change that have no
    fetch time or are partial.

    Args:
        connection: The caller's transaction.
        model: The table, which has a :class:`~etl.models.base.WritePolicy`.
        rows: The rows.
        now: Goes to ``created_at`` and ``updated_at``, where the table has them.
        is_partial: Whether the rows may lack fields that the API has: a null then overwrites no value.
        is_changed: Whether the rows changed whatever is in them: what belongs to them did.

    Raises:
        ValueError: a row has a column that the table has not, or other columns than the first row.
    """
    if not rows:
        return set(), set()
    statement = _upsert(model, _names(model, rows), Versions.at(now), is_partial, is_changed)
    written = connection.execute(statement, {"rows": _document(model, rows, now)}).all()
    if "fetched_at" not in rows[0]:
        return (keys := {tuple(key) for key in written}), keys
    return {tuple(key) for *key, at in written if at == now}, {tuple(key) for *key, _ in written}


def newer_there(connection: Connection, model: type[Base], rows: Rows, *, now: datetime, is_partial: bool) -> set[Key]:
    """Return the keys of the rows that are older than the stored ones, by the rule of :func:`upsert`."""
    if not rows:
        return set()
    statement = _newer_there(model, tuple(rows[0]), Versions.at(now), is_partial)
    return _written(connection, statement, _json(rows))


def replace(
    connection: Connection,
    model: type[Base],
    parents: AbstractSet[Key],
    rows: Rows,
    *,
    now: datetime,
    new: AbstractSet[Key] = frozenset(),
) -> set[Key]:
    """Replace all rows of these parents with ``rows``; return the keys of the parents whose rows changed.

    The first two columns of the table's key are the parent's. ``new`` parents have no rows yet.
    """
    changed, _ = upsert(connection, model, rows, now=now)
    existing = parents - new
    if not existing:
        return changed
    keys = list(model.__table__.primary_key)
    of_parents = [in_array(key, {parent[index] for parent in existing}) for index, key in enumerate(keys[:2])]
    there = {tuple(row) for row in connection.execute(select(*keys).where(*of_parents)) if (row[0], row[1]) in existing}
    lost = sorted(there - {tuple(row[key.name] for key in keys) for row in rows})
    for start in range(0, len(lost), LOST_AT_ONCE):
        connection.execute(delete(model).where(tuple_(*keys).in_(lost[start : start + LOST_AT_ONCE])))
    return changed | {(key[0], key[1]) for key in lost}


def _written(connection: Connection, statement: Executable, document: str) -> set[Key]:
    return {tuple(row) for row in connection.execute(statement, {"rows": document}).all()}


def _names(model: type[Base], rows: Rows) -> tuple[str, ...]:
    """Return the columns that the rows have."""
    names = rows[0].keys()
    unknown = names - model.__table__.columns.keys()
    if unknown or any(row.keys() != names for row in rows):
        raise ValueError(f"rows of {model.__tablename__} have unknown or unequal columns: {sorted(unknown)}")
    return tuple(names)


def _times(model: type[Base]) -> list[str]:
    return [name for name in ("created_at", "updated_at") if name in model.__table__.columns]


def _document(model: type[Base], rows: Rows, now: datetime) -> str:
    """Return the rows as one JSON document: a quarter of the cost of a parameter for each value."""
    times = dict.fromkeys(_times(model), now.isoformat())
    return _json([{**row, **times} for row in rows])


def _json(rows: Rows) -> str:
    return json.dumps(rows, default=methodcaller("isoformat"), ensure_ascii=False)


def _unfolded(model: type[Base], names: Sequence[str]) -> TableValuedAlias:
    """Return the rows of the parameter ``rows``, by the table's own types."""
    table = model.__table__
    row_type: ColumnElement[Any] = literal_column(f"NULL::{table}")
    unfold = func.jsonb_populate_recordset(row_type, cast(bindparam("rows", type_=Text), JSONB))
    return unfold.table_valued(*(column(name, table.columns[name].type) for name in names)).alias("given")


def _inserting(model: type[Base], names: Sequence[str]) -> Insert:
    keys = [column.name for column in model.__table__.primary_key]
    filled = [*keys, *(name for name in names if name not in keys), *_times(model)]
    source = _unfolded(model, filled)
    given = list(source.c)
    if "fetched_at" in names:
        filled, given = [*filled, "checked_at"], [*given, source.c.fetched_at.label("checked_at")]
    return insert_into(model).from_select(filled, select(*given).order_by(*(source.c[name] for name in keys)))


def _keys_of(model: type[Base]) -> list[ColumnElement[Any]]:
    return [model.__table__.columns[name] for name in key_names(model)]


@lru_cache
def _insert(model: type[Base], names: tuple[str, ...]) -> Executable:
    return _inserting(model, names).on_conflict_do_nothing().returning(*_keys_of(model))


@lru_cache
def _upsert(
    model: type[Base],
    names: tuple[str, ...],
    versions: Versions,
    is_partial: bool,  # noqa: FBT001 - of a cache, which tells calls with names apart by their order
    is_changed: bool,  # noqa: FBT001 - the same
) -> Executable:
    statement, old = _inserting(model, names), model.__table__.columns
    new = statement.excluded
    keys = [column.name for column in model.__table__.primary_key]
    content = [name for name in names if name not in keys]
    changes = _changes(model, content, new, versions, is_partial=is_partial)
    compared = [name for name in changes if name != "fetched_at"]
    condition = true() if is_changed else or_(*(old[name].is_distinct_from(changes[name]) for name in compared))
    shown = _keys_of(model)
    if "updated_at" in old:
        changes["updated_at"] = new["updated_at"]
    if "fetched_at" in content:
        shown.append(old["updated_at"])
        differs = or_(condition, old["fetched_at"].is_(None))
        newer = not_(versions.is_older(new, old, is_partial=is_partial))
        condition = and_(differs, newer) if is_partial else newer
        for name in ("fetched_at", "updated_at"):
            changes[name] = case((differs, new[name]), else_=old[name])
        changes["checked_at"] = case(
            (differs, new["checked_at"]), else_=func.greatest(old["checked_at"], new["checked_at"])
        )
    upserting = statement.on_conflict_do_update(index_elements=keys, set_=changes, where=condition)
    return upserting.returning(*shown)


def _changes(
    model: type[Base], content: Sequence[str], new: Columns, versions: Versions, *, is_partial: bool
) -> dict[str, ColumnElement[Any]]:
    """Return the new values of the columns of a stored row."""
    old = model.__table__.columns
    changes: dict[str, ColumnElement[Any]] = {
        name: func.coalesce(new[name], old[name]) if is_partial else new[name] for name in content
    }
    if "fetched_at" not in content:
        return changes
    changes |= {name: func.coalesce(old[name], new[name]) for name in model.write_policy.preserve}
    if "date_updated" in content:
        changes["date_updated"] = versions.newest_date(new["date_updated"], old["date_updated"])
    if "deleted_at" in old and not is_partial:
        # Only an answer that is newer than the deletion shows that the thing is back.
        gone = func.greatest(old["deleted_at"], old["checked_at"])
        changes["deleted_at"] = case((gone >= new["fetched_at"], old["deleted_at"]))
    return changes


@lru_cache
def _newer_there(
    model: type[Base],
    names: tuple[str, ...],
    versions: Versions,
    is_partial: bool,  # noqa: FBT001 - as above
) -> Executable:
    source, old = _unfolded(model, names), model.__table__.columns
    return select(*_keys_of(model)).where(
        *(old[name] == source.c[name] for name in key_names(model)),
        versions.is_older(source.c, old, is_partial=is_partial),
    )
