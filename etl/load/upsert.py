"""Writes rows into any table of ``highlevel``, through its model; nothing here commits.

Unchanged rows are not written. Every statement names ``location_id``, and the time is handed in as a value: so it runs
on a warehouse that is distributed by location, too.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    TableValuedAlias,
    Text,
    and_,
    bindparam,
    cast,
    column,
    delete,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

from etl.database import among
from etl.models import Base

Key = tuple[str, ...]
"""(location_id, and the id of what the rows are about); of a location itself only its id"""

Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
"""A row's columns by name."""


def key_names(model: type[Base]) -> list[str]:
    """The columns of a table that say what its rows are about: the first two of its key."""
    return [column.name for column in model.__table__.primary_key][:2]


def upsert(
    connection: Connection,
    model: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    is_older: Callable[[Columns, Columns], ColumnElement[bool]] | None = None,
    is_whole: bool = True,
    kept: Collection[str] = (),
    is_refreshed: bool = False,
) -> set[Key]:
    """Insert rows, or change those that differ; returns the keys of what was written.

    Rows are written in order of their keys, so that two loaders can wait for each other but not deadlock.

    Args:
        connection: The caller's transaction.
        model: The table.
        rows: One mapping a row, all with the same columns; the others stay as they are.
        now: Goes to ``created_at`` and ``updated_at``, where the table has them.
        is_older: From the new and the old row's columns: whether the old one stays.
        is_whole: Whether a null overwrites a value.
        kept: Columns in which a value that is there stays.
        is_refreshed: Whether a fetch time alone is a reason to write.

    Raises:
        ValueError: a row has a column that the table has not, or other columns than the first row.
    """
    if not rows:
        return set()
    table = model.__table__
    keys = [column.name for column in table.primary_key]
    content = [name for name in rows[0] if name not in keys]
    _check(model, rows)
    times = {name: now for name in ("created_at", "updated_at") if name in table.columns}
    filled = [*keys, *content, *times]
    source = _unfolded(model, filled)
    statement = insert(model).from_select(filled, select(*source.c).order_by(*(source.c[name] for name in keys)))
    new, old = statement.excluded, table.columns
    changes: dict[str, Any] = {name: new[name] for name in content}
    if not is_whole:
        changes = {name: func.coalesce(new[name], old[name]) for name in content}
    changes |= {name: func.coalesce(old[name], new[name]) for name in kept}
    compared = [name for name in content if name != "fetched_at" or is_refreshed]
    differs = [old[name].is_distinct_from(changes[name]) for name in compared]
    if "fetched_at" in content:
        differs.append(old["fetched_at"].is_(None))
        if "deleted_at" in table.columns:
            changes["deleted_at"] = null()
            differs.append(old["deleted_at"].is_not(None))
    if "updated_at" in times:
        changes["updated_at"] = new["updated_at"]
    condition = or_(*differs) if is_older is None else and_(or_(*differs), not_(is_older(new, old)))
    statement = statement.on_conflict_do_update(index_elements=keys, set_=changes, where=condition)
    document = _document([{**row, **times} for row in rows])
    written = connection.execute(statement.returning(*(old[name] for name in key_names(model))), {"rows": document})
    return {tuple(row) for row in written}


def newer_there(
    connection: Connection,
    model: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    is_older: Callable[[Columns, Columns], ColumnElement[bool]],
) -> set[Key]:
    """The keys of those of the rows that are older than what the table has, by the rule of :func:`upsert`."""
    if not rows:
        return set()
    old, keys = model.__table__.columns, key_names(model)
    source = _unfolded(model, list(rows[0]))
    query = select(*(old[name] for name in keys)).where(
        *(old[name] == source.c[name] for name in keys), is_older(source.c, old)
    )
    return {tuple(row) for row in connection.execute(query, {"rows": _document(rows)})}


def _document(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=datetime.isoformat, ensure_ascii=False)


def _check(model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    names = rows[0].keys()
    unknown = names - model.__table__.columns.keys()
    if unknown or any(row.keys() != names for row in rows):
        raise ValueError(f"rows of {model.__tablename__} have unknown or unequal columns: {sorted(unknown)}")


def _unfolded(model: type[Base], names: Sequence[str]) -> TableValuedAlias:
    """The rows of the parameter ``rows``, one JSON document, by the table's own types.

    A document is a quarter of the cost of a parameter for each value.
    """
    table = model.__table__
    row_type: ColumnElement[Any] = literal_column(f"NULL::{table}")
    unfold = func.jsonb_populate_recordset(row_type, cast(bindparam("rows", type_=Text), JSONB))
    return unfold.table_valued(*(column(name, table.columns[name].type) for name in names)).alias("given")


def replace(
    connection: Connection,
    model: type[Base],
    parents: AbstractSet[Key],
    rows: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
) -> set[Key]:
    """Make ``rows`` all that a table has of these parents; returns the keys of the parents for which that was a change.

    The first two columns of the table's key are the parent's.
    """
    if not parents:
        return set()
    changed = upsert(connection, model, rows, now=now)
    keys = list(model.__table__.primary_key)
    of_parents = [among(key, {parent[place] for parent in parents}) for place, key in enumerate(keys[:2])]
    there = {tuple(row) for row in connection.execute(select(*keys).where(*of_parents)) if (row[0], row[1]) in parents}
    lost = sorted(there - {tuple(row[key.name] for key in keys) for row in rows})
    if lost:
        connection.execute(delete(model).where(tuple_(*keys).in_(lost)))
    return changed | {(key[0], key[1]) for key in lost}
