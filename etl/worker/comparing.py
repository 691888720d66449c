"""Compares a walked window with the tables, and queues what differs: what is missing there, has changed or is gone."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from etl.kinds.window_pages import Walk
from etl.load import known, suppression
from etl.load.known import Version
from etl.load.versions import Versions
from etl.models.record import Record, Row
from etl.state import dead_letters, locations, message_queue
from etl.state.dead_letters import LetterFilter
from etl.state.message_queue import NewItem

NOT_EXPORTED = ("TYPE_GROUP_SMS", "TYPE_INTERNAL_CHAT", "TYPE_SMS_REVIEW_REQUEST", "TYPE_REVIEW")
"""Types that an export does not have: "Group chat and review requests are not supported", HighLevel docs."""
SETTLED = timedelta(minutes=10)
"""A message younger than this may be on its way: its webhook to us, or itself into the export."""


@dataclass(frozen=True, slots=True)
class Differing:
    """The result of comparing some rows: ids."""

    rows: dict[str, Row]
    missing: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    """Missing messages whose webhook was lost: not queued, although old enough, and webhooks could come."""
    changed: frozenset[str] = frozenset()

    def named(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield each finding with its name."""
        yield from (("missing", self.missing), ("lost", self.lost), ("changed", self.changed))


def compare(connection: Connection, location_id: str, records: Sequence[Record]) -> Differing:
    """Queue what the tables do not have, or have older; not what was erased for good."""
    if not records:
        return Differing({})
    now = records[0].row["fetched_at"]
    exported = _newest(records, now)
    rows, at = suppression.drop_rows(connection, exported)
    have = known.versions(connection, location_id, list(rows), now=at)
    missing = [id_ for id_ in rows if id_ not in have]
    changed = [id_ for id_, version in have.items() if is_newer(rows[id_], version)]
    location_ids = (location_id, "")
    expected = message_queue.queued(connection, missing, location_ids=location_ids)
    if missing:
        which = LetterFilter(message_ids=missing, kind="message", location_ids=location_ids)
        expected |= {each.message_id for each in dead_letters.find(connection, which)}
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
    return Differing(exported, frozenset(missing), frozenset(lost), frozenset(changed))


def _newest(records: Sequence[Record], now: datetime) -> dict[str, Row]:
    """Return the newest row of each message."""
    rows: dict[str, Row] = {}
    versions = Versions.at(now)
    for record in records:
        id_, row = record.row["message_id"], record.row
        row["date_updated"] = versions.believed(row["date_updated"])
        if id_ not in rows or not versions.is_older_row(row, rows[id_]):
            rows[id_] = row
    return rows


def is_newer(row: Row, version: Version) -> bool:
    """Whether an exported row is newer than what the tables have; an export may be late."""
    if version.is_deleted:
        return True
    updated = row["date_updated"], version.date_updated
    if updated[0] is not None and updated[1] is not None and updated[0] != updated[1]:
        return bool(updated[0] > updated[1])
    return row["status"] is not None and row["status"] != version.status


def _is_lost(row: Row, *, since: datetime, now: datetime) -> bool:
    """Tell whether a webhook of the message should have come by now."""
    return row["date_added"] is not None and since <= row["date_added"] < now - SETTLED


def queue_gone(connection: Connection, walk: Walk, exported: Collection[str]) -> list[datetime]:
    """Have the API asked about what is in the tables only; returns when those messages were created."""
    window = walk.window
    end = min([window.until, *(page.asked_at - SETTLED for page in walk.pages)])
    have = known.living(connection, walk.location_id, start=window.since, end=end, without=NOT_EXPORTED)
    gone = sorted(have.keys() - exported)
    message_queue.enqueue_items(connection, [NewItem("message", id_, walk.location_id) for id_ in gone])
    return [have[id_] for id_ in gone]
