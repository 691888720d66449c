"""Which of two answers about a thing is the newer: by the API's own clock where both tell it, else by ours. Pure.

A ``date_updated`` that cannot be true, because it lies in the future or before HighLevel was, says nothing. Otherwise
one that is wrong once would keep every later answer out.

Weakness: where the API stops telling dates of a thing, and answers are loaded in another order than they were fetched
in, one without a date may be lost to one that was fetched a little earlier. Nor does an answer with equal content move
the row's fetch time: it is not written.
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
"""HighLevel is younger."""
MARGIN = timedelta(days=1)
"""How far the API's clock may be ahead of Postgres's; up to the end of that hour."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Compares rows; equal within an hour, so that statements are built and cached once an hour."""

    latest: datetime
    """The last date that can be true."""

    @classmethod
    def at(cls, now: datetime) -> "Versions":
        """At a time by Postgres's clock."""
        return cls((now + MARGIN).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))

    def dated(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a column's date as far as it can be true, else null."""
        # As constants: Citus sends no parameter on to its nodes.
        return case((column.between(_constant(EARLIEST), _constant(self.latest)), column))

    def newest_date(self, new: ColumnElement[Any], old: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the date that a row shows next: an answer without one takes none away."""
        return func.coalesce(self.dated(new), self.dated(old), new, old)

    def is_older(self, new: Columns, old: Columns, *, is_partial: bool) -> ColumnElement[bool]:
        """Whether the row that is there stays as it is.

        A list or an export may lag behind, so it says nothing about a thing that the API itself said is gone.
        """
        fetched_earlier = func.coalesce(new["fetched_at"] < old["fetched_at"], false())
        older: ColumnElement[bool] = fetched_earlier
        if "date_updated" in new:
            given, there = self.dated(new["date_updated"]), self.dated(old["date_updated"])
            older = case((given != there, given < there), else_=fetched_earlier)
        return or_(old["deleted_at"].is_not(None), older) if is_partial else older

    def newest(self, records: list[Record]) -> Record:
        """Return the newest of some records of one thing; of equal ones the last."""
        return reduce(lambda one, other: one if self.is_older_row(other.row, one.row) else other, records)

    def is_older_row(self, new: Row, old: Row) -> bool:
        """Return the same of two rows that were received together."""
        given, there = (self.believed(row.get("date_updated")) for row in (new, old))
        if given is not None and there is not None and given != there:
            return given < there
        # Of one list, the row that has a date.
        return bool((new["fetched_at"], given is not None) < (old["fetched_at"], there is not None))

    def believed(self, value: datetime | None) -> datetime | None:
        """Return a date as far as it can be true."""
        return value if value is not None and EARLIEST <= value <= self.latest else None


def _constant(at: datetime) -> ColumnElement[Any]:
    return literal_column(f"'{at.isoformat()}'::timestamptz")
