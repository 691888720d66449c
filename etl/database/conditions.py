"""Conditions of SQL that SQLAlchemy has no short form for; pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, any_, cast, func, select, tuple_


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
