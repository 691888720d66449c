"""Writes rows into any table of ``highlevel``, through its model; nothing here commits.

Unchanged rows are not written. Every statement names ``location_id``, and the time is handed in as a value: so it runs
on a warehouse that is distributed by location, too.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, not_, null, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

from etl.database import among
from etl.models import Base

Key = tuple[str, str]
"""(location_id, and the id of what the rows are about)"""

Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
"""A row's columns by name."""

WRITTEN_BY_LOADER = ("created_at", "updated_at", "deleted_at")
"""Columns that no payload fills."""


def content_of(model: type[Base]) -> list[str]:
    """The columns of a table that a payload fills, its keys among them."""
    return [column.name for column in model.__table__.columns if column.name not in WRITTEN_BY_LOADER]


def upsert(
    connection: Connection,
    model: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    is_older: Callable[[Columns, Columns], ColumnElement[bool]] | None = None,
) -> set[Key]:
    """Insert rows, or change those that differ; returns the keys of what was written.

    Rows are written in order of their keys, so that two loaders can wait for each other but not deadlock.

    Args:
        connection: The caller's transaction.
        model: The table.
        rows: One mapping a row, all with the columns of :func:`content_of`.
        now: Goes to ``created_at`` and ``updated_at``, where the table has them.
        is_older: From the new and the old row's columns: whether the old one stays.
    """
    if not rows:
        return set()
    table = model.__table__
    keys = [column.name for column in table.primary_key]
    content = [name for name in content_of(model) if name not in keys]
    times = {name: now for name in ("created_at", "updated_at") if name in table.columns}
    statement = insert(model)
    new, old = statement.excluded, table.columns
    # A fetch time alone is no reason to write.
    differs = [old[name].is_distinct_from(new[name]) for name in content if name != "fetched_at"]
    changes: dict[str, Any] = {name: new[name] for name in content}
    if "updated_at" in times:
        changes["updated_at"] = new["updated_at"]
    if "deleted_at" in table.columns:
        changes["deleted_at"] = null()
        differs.append(old["deleted_at"].is_not(None))
    condition = or_(*differs) if is_older is None else and_(or_(*differs), not_(is_older(new, old)))
    statement = statement.on_conflict_do_update(index_elements=keys, set_=changes, where=condition)
    ordered = sorted(({**row, **times} for row in rows), key=lambda row: [row[name] for name in keys])
    written = connection.execute(statement.returning(old[keys[0]], old[keys[1]]), ordered)
    return {(location_id, id_) for location_id, id_ in written}


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
    of_parents = [among(column, {parent[place] for parent in parents}) for place, column in enumerate(keys[:2])]
    there = {tuple(row) for row in connection.execute(select(*keys).where(*of_parents)) if (row[0], row[1]) in parents}
    lost = sorted(there - {tuple(row[column.name] for column in keys) for row in rows})
    if lost:
        connection.execute(delete(model).where(tuple_(*keys).in_(lost)))
    return changed | {(key[0], key[1]) for key in lost}
