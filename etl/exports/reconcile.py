"""Compares an export with the tables and queues what differs: what webhooks missed, what changed, what is gone."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from etl.database.retrying_transaction import RetryingTransaction
from etl.errors import TransformError
from etl.exports.loading import is_named, keep_unnamed
from etl.exports.pages import Exports, Page
from etl.exports.walk import Seen, pages
from etl.exports.windows import CHANNELS, Window, slices
from etl.kinds import Options, Origin, messages
from etl.load import known, suppression
from etl.load.known import Version
from etl.load.versions import Versions
from etl.models.record import Row
from etl.state import dead_letters, locations, message_queue
from etl.state.dead_letters import LetterFilter
from etl.state.message_queue import NewItem

NOT_EXPORTED = ("TYPE_GROUP_SMS", "TYPE_INTERNAL_CHAT", "TYPE_SMS_REVIEW_REQUEST", "TYPE_REVIEW")
"""Types that an export does not have: "Group chat and review requests are not supported", HighLevel docs."""
SETTLED = timedelta(minutes=10)
"""A message younger than this may be on its way: its webhook to us, or itself into the export."""


@dataclass(slots=True)
class Day:
    """What was found of one UTC day; counts of messages."""

    day: date
    exported: int = 0
    missing: int = 0
    """In the export and not in the tables; now queued."""
    lost: int = 0
    """Of those, how many nobody had queued, although they are old enough and webhooks could come: none came."""
    changed: int = 0
    """Newer in the export than in the tables; now queued."""
    gone: int = 0
    """In the tables and not in the export; now queued, so that the API itself is asked."""
    unseen: int = 0
    """Counted by the API in the time that begins here and not given."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Compares one location's export with the tables."""

    exports: Exports
    transact: RetryingTransaction
    stopping: Callable[[], bool] = lambda: False

    def run(self, location_id: str, *, start: datetime, end: datetime) -> Iterator[tuple[datetime, list[Day]]]:
        """Compare the messages created in that time, and queue those that differ.

        Tells again and again how far it has come, and what it found since.

        Raises:
            HaltedError: it cannot go on now.
        """
        days: dict[date, Day] = {}
        for first, last in slices(start, end):
            self._slice(location_id, first, last, days, now=end)
            done = [days.pop(day) for day in sorted(days) if day < last.date() or last == end]
            yield last, done

    def _slice(self, location_id: str, start: datetime, end: datetime, days: dict[date, Day], *, now: datetime) -> None:
        def day_of(moment: datetime | None) -> Day:
            day = (moment or start).astimezone(UTC).date()
            return days.setdefault(day, Day(day))

        fresh: set[str] = set()

        def take(page: Page) -> None:
            rows = {id_: row for id_, row in _rows(page).items() if id_ not in fresh}
            fresh.update(rows)
            found = self.transact(lambda connection: _compare(connection, location_id, rows, now=now))
            if not all(map(is_named, page.rows)):
                self.transact(lambda connection: keep_unnamed(connection, page))
            for id_, row in rows.items():
                day = day_of(row["date_added"])
                day.exported += 1
                day.missing += id_ in found.missing
                day.lost += id_ in found.lost
                day.changed += id_ in found.changed

        for channel in CHANNELS:
            seen = Seen()
            window = Window(location_id, start, end, channel)
            for page in pages(self.exports, window, seen=seen, stopping=self.stopping):
                take(page)
            if seen.missing:
                day_of(start).unseen += seen.missing
        settled = min(end, now - SETTLED)
        gone = self.transact(lambda connection: _queue_gone(connection, location_id, fresh, start=start, end=settled))
        for moment in gone:
            day_of(moment).gone += 1


@dataclass(frozen=True, slots=True)
class _Differing:
    missing: frozenset[str]
    lost: frozenset[str]
    changed: frozenset[str]


def _rows(page: Page) -> dict[str, Row]:
    """Return the rows of a page as the tables would have them; of one that cannot be understood, only its id."""
    rows: dict[str, Row] = {}
    versions = Versions.at(page.asked_at)
    for raw in filter(is_named, page.rows):
        id_ = raw["id"]
        row = _row(raw, Origin(id_, page.location_id, page.asked_at))
        row["date_updated"] = versions.believed(row["date_updated"])
        if id_ not in rows or not versions.is_older_row(row, rows[id_]):
            rows[id_] = row
    return rows


def _row(raw: dict[str, Any], origin: Origin) -> Row:
    try:
        (record,) = messages.transform(raw, origin, options=Options(), is_partial=True)
    except TransformError:
        unknown = dict.fromkeys(("status", "date_updated", "date_added", "conversation_id"))
        key = {"location_id": origin.location_id, "message_id": origin.id}
        return {**unknown, **key, "fetched_at": origin.fetched_at}
    return record.row


def _compare(connection: Connection, location_id: str, rows: dict[str, Row], *, now: datetime) -> _Differing:
    """Queue what the tables do not have, or have older; not what was erased for good."""
    rows, at = suppression.drop_rows(connection, rows)
    have = known.versions(connection, location_id, list(rows), now=at)
    missing = [id_ for id_ in rows if id_ not in have]
    changed = [id_ for id_, version in have.items() if is_newer(rows[id_], version)]
    places = (location_id, "")
    expected = message_queue.queued(connection, missing, location_ids=places)
    if missing:
        which = LetterFilter(message_ids=missing, kind="message", location_ids=places)
        letters = dead_letters.find(connection, which)
        expected |= {each.message_id for each in letters}
    since = locations.webhooks_since(connection, location_id) if missing else None
    lost = [
        id_
        for id_ in missing
        if id_ not in expected and since is not None and _is_lost(rows[id_], since=since, now=now)
    ]
    named = [
        NewItem("message", id_, location_id, rows[id_]["conversation_id"], rows[id_]["date_added"])
        for id_ in (*missing, *changed)
    ]
    message_queue.enqueue_items(connection, named)
    return _Differing(frozenset(missing), frozenset(lost), frozenset(changed))


def is_newer(row: Row, version: Version) -> bool:
    """Whether an exported row tells something that the tables do not know; one that lags behind does not."""
    if version.is_deleted:
        return True
    updated = row["date_updated"], version.date_updated
    if updated[0] is not None and updated[1] is not None and updated[0] != updated[1]:
        return bool(updated[0] > updated[1])
    return row["status"] is not None and row["status"] != version.status


def _is_lost(row: Row, *, since: datetime, now: datetime) -> bool:
    """Tell whether a webhook of the message should have come by now."""
    return row["date_added"] is not None and since <= row["date_added"] < now - SETTLED


def _queue_gone(
    connection: Connection, location_id: str, exported: Collection[str], *, start: datetime, end: datetime
) -> list[datetime]:
    """Have the API asked about what is in the tables only; returns when those messages were created."""
    have = known.living(connection, location_id, start=start, end=end, without=NOT_EXPORTED)
    gone = sorted(have.keys() - exported)
    message_queue.enqueue_items(connection, [NewItem("message", id_, location_id) for id_ in gone])
    return [have[id_] for id_ in gone]
