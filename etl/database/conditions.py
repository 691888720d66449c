"""Parts of statements that SQLAlchemy has no short form for; pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, Select, any_, cast, func, select, tuple_

from etl.models import Base


def columns_of(model: type[Base], row: type[Any]) -> list[Column[Any]]:
    """Return a table's columns that a dataclass has fields for, in their order."""
    return [getattr(model, each.name) for each in fields(row) if hasattr(model, each.name)]


def counts_by(column: Column[Any]) -> Select[Any, int]:
    """Select how many rows have each value of a column, the most frequent first."""
    count = func.count()
    return select(column, count).group_by(column).order_by(count.desc(), column)


def count_of(model: type[Base], conditions: Iterable[ColumnElement[bool]]) -> Select[int]:
    """Select how many rows of a table there are."""
    return select(func.count()).select_from(model).where(*conditions)


def equals(given: Mapping[Column[Any], str | Collection[str] | None]) -> list[ColumnElement[bool]]:
    """Return the conditions that columns have these values, or one of some; None is any value."""
    return [
        column == value if isinstance(value, str) else in_array(column, value)
        for column, value in given.items()
        if value is not None
    ]


def older_than(column: Column[Any], days: float | None) -> list[ColumnElement[bool]]:
    """Return the condition that a time is so long ago; None is any time."""
    return [] if days is None else [column < func.now() - timedelta(days=days)]


def in_array(column: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Return the condition that a column is one of many values, sent as one array."""
    return column == any_(cast(list(values), ARRAY(column.type)))


def in_rows(columns: Sequence[Column[Any]], rows: Iterable[Sequence[Any]]) -> ColumnElement[bool]:
    """Return the condition that columns equal one of many rows of values; at least one."""
    values = zip(*rows, strict=True)
    arrays = [cast(list(each), ARRAY(column.type)) for column, each in zip(columns, values, strict=True)]
    return tuple_(*columns).in_(select(*map(func.unnest, arrays)))


def contains(column: Column[Any], id_: str) -> ColumnElement[bool]:
    """Return the condition that a column of JSON bytes contains an id as a whole string."""
    # The function itself: POSITION(… IN …) is syntax of its own.
    place: ColumnElement[int] = func.pg_catalog.position(column, f'"{id_}"'.encode())
    return place > 0
