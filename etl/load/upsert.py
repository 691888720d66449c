"""Writes rows into any table of ``highlevel``, through its model; nothing here commits.

Unchanged rows are not written. Every statement names ``location_id``, and the time is handed in as a value: so it runs
on a warehouse that is distributed by location, too.
"""

import json
from collections.abc import Collection, Mapping, Sequence
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
    case,
    cast,
    column,
    delete,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from etl.database.conditions import in_array
from etl.load.versions import Columns, Versions
from etl.models import Base

Key = tuple[str, ...]
"""(location_id, and the id of what the rows are about); of a location itself only its id"""


def key_names(model: type[Base]) -> list[str]:
    """The columns of a table that say what its rows are about: the first two of its key."""
    return [column.name for column in model.__table__.primary_key][:2]


def upsert(
    connection: Connection,
    model: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    versions: Versions | None = None,
    is_whole: bool = True,
    kept: Collection[str] = (),
    is_refreshed: bool = False,
) -> dict[Key, bool]:
    """Insert rows, or change those that differ; returns the keys of what was written, and whether each is new.

    Rows are written in order of their keys, so that two loaders can wait for each other but not deadlock.

    Args:
        connection: The caller's transaction.
        model: The table.
        rows: One mapping a row, all with the same columns; the others stay as they are.
        now: Goes to ``created_at`` and ``updated_at``, where the table has them.
        versions: Tells which rows are older than what is there, and change nothing; None: none is.
        is_whole: Whether a null overwrites a value.
        kept: Columns in which a value that is there stays.
        is_refreshed: Whether a fetch time alone is a reason to write.

    Raises:
        ValueError: a row has a column that the table has not, or other columns than the first row.
    """
    if not rows:
        return {}
    table = model.__table__
    keys = [column.name for column in table.primary_key]
    content = [name for name in rows[0] if name not in keys]
    _check(model, rows)
    times = {name: now for name in ("created_at", "updated_at") if name in table.columns}
    filled = [*keys, *content, *times]
    source = _unfolded(model, filled)
    statement = insert(model).from_select(filled, select(*source.c).order_by(*(source.c[name] for name in keys)))
    new, old = statement.excluded, table.columns
    changes = _changes(content, new, old, versions, is_whole=is_whole, kept=kept)
    compared = [name for name in changes if name != "fetched_at" or is_refreshed]
    differs = [old[name].is_distinct_from(changes[name]) for name in compared]
    if "fetched_at" in content:
        differs.append(old["fetched_at"].is_(None))
    if "updated_at" in times:
        changes["updated_at"] = new["updated_at"]
    condition = or_(*differs)
    if versions is not None:
        condition = and_(condition, not_(versions.is_older(new, old, is_whole=is_whole)))
    statement = statement.on_conflict_do_update(index_elements=keys, set_=changes, where=condition)
    # Another transaction would have had to begin within the same microsecond.
    is_new = old["created_at"] == old["updated_at"] if "created_at" in times else false()
    written = connection.execute(
        statement.returning(*(old[name] for name in key_names(model)), is_new.label("is_new")),
        {"rows": _document([{**row, **times} for row in rows])},
    )
    return {tuple(row[:-1]): row.is_new for row in written}


def _changes(
    content: Sequence[str],
    new: Columns,
    old: Columns,
    versions: Versions | None,
    *,
    is_whole: bool,
    kept: Collection[str],
) -> dict[str, ColumnElement[Any]]:
    """What the columns of a row that is there become."""
    changes: dict[str, ColumnElement[Any]] = {
        name: new[name] if is_whole else func.coalesce(new[name], old[name]) for name in content
    }
    changes |= {name: func.coalesce(old[name], new[name]) for name in kept}
    if versions is not None and "date_updated" in content:
        changes["date_updated"] = versions.newest_date(new["date_updated"], old["date_updated"])
    if "fetched_at" in content and "deleted_at" in old and is_whole:
        # Only what was answered after it was said to be gone tells that it is back.
        changes["deleted_at"] = case((old["deleted_at"] >= new["fetched_at"], old["deleted_at"]))
    return changes


def newer_there(
    connection: Connection,
    model: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    versions: Versions,
    is_whole: bool,
) -> set[Key]:
    """The keys of those of the rows that are older than what the table has, by the rule of :func:`upsert`."""
    if not rows:
        return set()
    old, keys = model.__table__.columns, key_names(model)
    source = _unfolded(model, list(rows[0]))
    query = select(*(old[name] for name in keys)).where(
        *(old[name] == source.c[name] for name in keys), versions.is_older(source.c, old, is_whole=is_whole)
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
    new: AbstractSet[Key] = frozenset(),
) -> set[Key]:
    """Make ``rows`` all that a table has of these parents; returns the keys of the parents for which that was a change.

    The first two columns of the table's key are the parent's. Of parents that are ``new`` it has nothing yet.
    """
    changed = set(upsert(connection, model, rows, now=now))
    known = parents - new
    if not known:
        return changed
    keys = list(model.__table__.primary_key)
    of_parents = [in_array(key, {parent[place] for parent in known}) for place, key in enumerate(keys[:2])]
    there = {tuple(row) for row in connection.execute(select(*keys).where(*of_parents)) if (row[0], row[1]) in known}
    lost = sorted(there - {tuple(row[key.name] for key in keys) for row in rows})
    if lost:
        connection.execute(delete(model).where(tuple_(*keys).in_(lost)))
    return changed | {(key[0], key[1]) for key in lost}
