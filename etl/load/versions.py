"""Decides which of two answers about a thing is newer: by the API's clock where both have it, else by ours. Pure.

A ``date_updated`` in the future, or from before HighLevel existed, is ignored: otherwise one wrong date would keep
every later answer out.

Weakness: where the API stops sending a thing's date, and answers are loaded in another order than they were fetched
in, one without a date may be lost to one fetched a little earlier. A list with equal content is not written, so it
does not move the time by which later answers are compared.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, case, false, func, literal_column, or_
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

from etl.models.record import Record, Row

Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
"""A row's columns by name."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""A time before HighLevel existed."""
MARGIN = timedelta(days=1)
"""How far the API's clock may be ahead of Postgres's, rounded up to a full hour."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Compares rows; equal within an hour, so that statements are built and cached once an hour."""

    latest: datetime
    """The latest plausible date."""

    @classmethod
    def at(cls, now: datetime) -> "Versions":
        """Return the comparison for a time of Postgres's clock."""
        return cls((now + MARGIN).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))

    def dated(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a column's date if plausible, else null."""
        # Constants, because Citus passes no parameters on to its nodes.
        return case((column.between(_constant(EARLIEST), _constant(self.latest)), column))

    def newest_date(self, new: ColumnElement[Any], old: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the new date of a row; an answer without a date keeps the stored one."""
        return func.coalesce(self.dated(new), self.dated(old), new, old)

    def is_older(self, new: Columns, old: Columns, *, is_partial: bool) -> ColumnElement[bool]:
        """Return whether the stored row is newer, so that it stays.

        A list or an export may lag behind, so it never restores a thing that the API reported as deleted.
        """
        known_since: ColumnElement[Any] = func.coalesce(old["checked_at"], old["fetched_at"])
        if "deleted_at" in old:
            # An answer that it is gone says nothing of its content.
            known_since = case((old["deleted_at"].is_(None), known_since), else_=old["fetched_at"])
        fetched_earlier = func.coalesce(new["fetched_at"] < known_since, false())
        older: ColumnElement[bool] = fetched_earlier
        if "date_updated" in new:
            given, there = self.dated(new["date_updated"]), self.dated(old["date_updated"])
            older = case((given != there, given < there), else_=fetched_earlier)
        return or_(old["deleted_at"].is_not(None), older) if is_partial else older

    def newest(self, records: list[Record]) -> Record:
        """Return the newest of some records of one thing; of equal ones the last."""
        return reduce(lambda one, other: one if self.is_older_row(other.row, one.row) else other, records)

    def is_older_row(self, new: Row, old: Row) -> bool:
        """Return whether a row is older than another one received with it."""
        given, there = (self.believed(row.get("date_updated")) for row in (new, old))
        if given is not None and there is not None and given != there:
            return given < there
        # In one list, a row with a date wins.
        return bool((new["fetched_at"], given is not None) < (old["fetched_at"], there is not None))

    def believed(self, value: datetime | None) -> datetime | None:
        """Return a date if plausible, else None."""
        return value if value is not None and EARLIEST <= value <= self.latest else None


def _constant(at: datetime) -> ColumnElement[Any]:
    return literal_column(f"'{at.isoformat()}'::timestamptz")
