"""Every statement on ``etl.windows``: the spans of time that are read from exports. Nothing here commits.

The id of a window says what to ask for, so that a worker needs nothing but the item.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from etl.models import ExportWindow
from etl.state import message_queue
from etl.state.message_queue import ItemFilter, NewItem

KIND = "window"
WIDTH = timedelta(days=30)
"""How wide a window is at most. One with too many rows for one walk is cut where its walk has come to."""
OVERLAP = timedelta(hours=1)
"""The newest messages may come late into the export. A window that reaches into the last hour before it was queued does
not count as loaded: a later backfill asks for it again."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Why(StrEnum):
    """The purpose of a window."""

    HISTORY = "history"
    """They are loaded: etl backfill."""
    BACKLOG = "backlog"
    """They are loaded, since many of their messages wait in the queue: etl run."""
    COMPARE = "compare"
    """They are compared with the tables: etl reconcile."""


@dataclass(frozen=True, slots=True)
class Window:
    """The messages of a location created from ``since`` to before ``until``; both in whole milliseconds."""

    why: Why
    since: datetime
    until: datetime

    @property
    def id(self) -> str:
        """Return the id of its item in the queue."""
        return f"{self.why}:{_milliseconds(self.since)}:{_milliseconds(self.until)}"

    @classmethod
    def of(cls, id_: str) -> "Window":
        """Return the window of an id.

        Raises:
            ValueError: it is no such id.
        """
        try:
            why, since, until = id_.split(":")
            window = cls(Why(why), EPOCH + int(since) * MILLISECOND, EPOCH + int(until) * MILLISECOND)
        except OverflowError as error:
            raise ValueError(id_) from error
        if window.since >= window.until:
            raise ValueError(id_)
        return window

    def halves(self) -> "tuple[Window, ...]":
        """Return the window in two parts; none when it is one millisecond."""
        middle = floor(self.since + (self.until - self.since) / 2)
        return (replace(self, until=middle), replace(self, since=middle)) if middle > self.since else ()


def floor(moment: datetime) -> datetime:
    """Return the moment in whole milliseconds, the unit of exports."""
    return EPOCH + _milliseconds(moment) * MILLISECOND


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def slices(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield a time in parts of :data:`WIDTH`, the last one shorter."""
    while start < end:
        yield start, min(start + WIDTH, end)
        start += WIDTH


def add(connection: Connection, location_id: str, windows: Sequence[Window]) -> None:
    """Queue windows, and note them as not walked yet; those that are queued or dead letters stay so."""
    if not windows:
        return
    rows = [{"location_id": location_id, "window_id": each.id, **asdict(each)} for each in windows]
    anew = {"queued_at": func.now(), "finished_at": None, "messages": 0, "missing": 0, "written": 0, "singly": 0}
    key = [ExportWindow.location_id, ExportWindow.window_id]
    connection.execute(insert(ExportWindow).values(rows).on_conflict_do_update(index_elements=key, set_=anew))
    message_queue.follow_up(connection, [NewItem(KIND, each.id, location_id) for each in windows])


def finish(connection: Connection, location_id: str, id_: str, *, window: Window, counts: Mapping[str, Any]) -> None:
    """Note what walking a window brought; ``window`` is as much of it as was walked. A backlog's is removed."""
    if window.why is Why.BACKLOG:
        remove(connection, location_id, id_)
        return
    walked = {"window_id": window.id, "until": window.until, "finished_at": func.now(), **counts}
    own = update(ExportWindow).where(ExportWindow.location_id == location_id, ExportWindow.window_id == id_)
    connection.execute(own.values(walked))


def remove(connection: Connection, location_id: str, id_: str) -> None:
    """Remove a window that others replace."""
    connection.execute(
        delete(ExportWindow).where(ExportWindow.location_id == location_id, ExportWindow.window_id == id_)
    )


GAPS = text("""
    SELECT lower(gap) AS since, upper(gap) AS until FROM unnest(
        tstzmultirange(tstzrange(:since, :until)) - (
            SELECT coalesce(range_agg(tstzrange(since, until)), '{}') FROM etl.windows
            WHERE location_id = :location_id AND why = 'history')
    ) AS gap
""")


FORGET = text("""
    DELETE FROM etl.windows WHERE location_id = :location_id AND why = 'history' AND finished_at IS NOT NULL
      AND tstzrange(since, until) && tstzrange(:since, :until)
      AND (:again OR until > queued_at - CAST(:overlap AS interval))
""")


def plan_history(connection: Connection, *, location_id: str, since: datetime, until: datetime, again: bool) -> None:
    """Queue windows for those parts of a location's history that are neither loaded nor queued.

    ``again`` forgets what is loaded. What was loaded by a clock that was ahead does not count either.
    """
    # Two at once would queue the same time twice.
    connection.execute(text("LOCK TABLE etl.windows IN SHARE ROW EXCLUSIVE MODE"))
    given = {
        "location_id": location_id,
        "since": floor(since),
        "until": floor(until + MILLISECOND - MILLISECOND / 1000),
    }
    connection.execute(FORGET, given | {"overlap": OVERLAP, "again": again})
    settled = floor(connection.execute(select(func.now())).scalar_one() - OVERLAP)
    windows = [
        Window(Why.HISTORY, start, end)
        for gap in connection.execute(GAPS, given).all()
        for part in (
            (gap.since, min(gap.until, max(settled, gap.since))),
            (max(gap.since, min(settled, gap.until)), gap.until),
        )
        for start, end in slices(*part)
    ]
    add(connection, location_id, windows)
    # Somebody may have cancelled one, or it waits for its next attempt.
    query = select(ExportWindow.window_id).where(
        ExportWindow.location_id == location_id, ExportWindow.why == Why.HISTORY, ExportWindow.finished_at.is_(None)
    )
    left = [NewItem(KIND, id_, location_id) for id_ in connection.execute(query).scalars()]
    message_queue.follow_up(connection, left)
    message_queue.hurry(connection, ItemFilter(kind=KIND, location_id=location_id))


@dataclass(frozen=True, slots=True)
class Summary:
    """How far a location's history is loaded; counts of messages since some moment."""

    left: int
    """Windows that are to be walked."""
    reached: datetime
    """Everything created before this time is loaded."""
    messages: int
    missing: int
    """How many more the export counted and did not give."""
    written: int
    singly: int
    requests: int


def summary(
    connection: Connection, *, location_id: str, since: datetime, until: datetime, began: datetime = EPOCH
) -> Summary:
    """Sum up the windows of a location's history that overlap this time."""
    query = text("""
        SELECT count(*) FILTER (WHERE finished_at IS NULL) AS left,
               coalesce(min(since) FILTER (WHERE finished_at IS NULL), :until) AS reached,
               coalesce(sum(messages) FILTER (WHERE finished_at >= :began), 0)::bigint AS messages,
               coalesce(sum(missing) FILTER (WHERE finished_at >= :began), 0)::bigint AS missing,
               coalesce(sum(written) FILTER (WHERE finished_at >= :began), 0)::bigint AS written,
               coalesce(sum(singly) FILTER (WHERE finished_at >= :began), 0)::bigint AS singly,
               coalesce(sum(requests) FILTER (WHERE finished_at >= :began), 0)::bigint AS requests
        FROM etl.windows
        WHERE location_id = :location_id AND why = 'history' AND since < :until AND until > :since
    """)
    given = {"location_id": location_id, "since": since, "until": until, "began": began}
    return Summary(**connection.execute(query, given).mappings().one())


def compare(connection: Connection, location_id: str, *, since: datetime, until: datetime) -> None:
    """Queue windows that compare, in place of earlier ones of the location that are done."""
    connection.execute(
        delete(ExportWindow).where(
            ExportWindow.location_id == location_id,
            ExportWindow.why == Why.COMPARE,
            ExportWindow.finished_at.is_not(None),
        )
    )
    parts = slices(floor(since), floor(until))
    add(connection, location_id, [Window(Why.COMPARE, start, end) for start, end in parts])


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of comparing one UTC day of a location; counts of messages."""

    left: int
    """Windows that are to be walked."""
    days: dict[str, Counter[str]]


def compared(connection: Connection, location_id: str) -> Comparison:
    """Return what comparing a location has found so far, by day."""
    query = select(ExportWindow.finished_at, ExportWindow.days).where(
        ExportWindow.location_id == location_id, ExportWindow.why == Why.COMPARE
    )
    rows = connection.execute(query).all()
    days: dict[str, Counter[str]] = {}
    for row in rows:
        for day, counts in (row.days or {}).items():
            days.setdefault(day, Counter()).update(counts)
    return Comparison(sum(row.finished_at is None for row in rows), dict(sorted(days.items())))


@dataclass(frozen=True, slots=True)
class Lost:
    """Messages of a location for which no webhook came."""

    location_id: str
    since: datetime
    """From when on the export was compared."""
    lost: int


def lost(connection: Connection) -> list[Lost]:
    """Return what the last comparison of the last two days says was lost, by location."""
    # Those of earlier comparisons are deleted when the next one is queued.
    query = text("""
        SELECT w.location_id, min(w.since) AS since, sum((d.value ->> 'lost')::bigint) AS lost
        FROM etl.windows AS w CROSS JOIN LATERAL jsonb_each(w.days) AS d
        WHERE w.why = 'compare' AND w.finished_at > now() - interval '2 days'
        GROUP BY w.location_id HAVING sum((d.value ->> 'lost')::bigint) > 0 ORDER BY w.location_id
    """)
    return [Lost(row.location_id, row.since, int(row.lost)) for row in connection.execute(query)]
