"""Every statement on ``etl.mart_changes`` and ``etl.mart_zones``: what the job ``marts`` has to count. Never commits.

Guarantee: a change is noted in the transaction that makes it. The transaction that counts it deletes the note first and
reads the messages afterwards; if they change meanwhile, there is a new note. Each note is a row of its own, so no
transaction waits for another.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Connection, Text, cast, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from etl.database.conditions import in_array
from etl.models import MartChange, MartZone

LOCK = 4_719_024_812
"""Key of the advisory lock of who works the marts out: one at a time, so that no older figures overwrite newer ones."""


class Change(NamedTuple):
    """What changed at a location; the whole location if no other field is set."""

    location_id: str
    message_id: str | None = None
    """A message that changed; if it is a thread, its emails, too."""
    conversation_id: str | None = None
    happened_at: datetime | None = None
    """A time in the day that changed."""

    @property
    def is_whole(self) -> bool:
        """Return whether the whole location changed."""
        return self.message_id is None and self.conversation_id is None and self.happened_at is None


def of_row(
    location_id: str, message_id: str | None, conversation_id: str | None, happened_at: datetime | None
) -> list[Change]:
    """Return the changes of what a row was counted by; its message is looked up now, even if its date lies ahead."""
    looked_up = [Change(location_id, message_id)] if message_id else []
    return [*looked_up, Change(location_id, None, conversation_id, happened_at)]


# One document costs half of an array for each column.
NOTE = text("""
    INSERT INTO etl.mart_changes (location_id, message_ids, conversation_id, happened_at)
    SELECT * FROM json_to_recordset(CAST(:rows AS json))
        AS given (location_id text, message_ids text[], conversation_id text, happened_at timestamptz)
""")

# A message dated further in the future counts from a day before its date.
DUE = "(happened_at IS NULL OR happened_at <= now() + interval '1 day')"
TAKE = text(f"""
    DELETE FROM etl.mart_changes WHERE change_id IN (
        SELECT change_id FROM (
            SELECT change_id, sum(coalesce(cardinality(message_ids), 1)) OVER (
                ORDER BY change_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM etl.mart_changes WHERE {DUE} ORDER BY change_id LIMIT :most
        ) AS oldest
        WHERE before IS NULL OR before < :most)
    RETURNING location_id, message_ids, conversation_id, happened_at
""")  # noqa: S608 - a constant
BACKLOG = text(f"""
    SELECT coalesce(sum(coalesce(cardinality(message_ids), 1)), 0) AS changes,
           coalesce(extract(epoch FROM now() - min(noted_at)), 0)::float8 AS seconds
    FROM etl.mart_changes WHERE {DUE}
""")  # noqa: S608


def note(connection: Connection, changes: Iterable[Change]) -> None:
    """Note what this transaction changes; what has neither a message, a conversation nor a time counts nowhere."""
    rows: list[dict[str, Any]] = []
    by_location: dict[str, list[str]] = {}
    for change in dict.fromkeys(changes):
        location_id, message_id, conversation_id, happened_at = change
        if message_id and conversation_id is None and happened_at is None:
            by_location.setdefault(location_id, []).append(message_id)
        elif not change.is_whole:
            message_ids = message_id and [message_id]
            rows.append(change._asdict() | {"message_ids": message_ids})
    rows += [{"location_id": location_id, "message_ids": ids} for location_id, ids in by_location.items()]
    if rows:
        connection.execute(NOTE, {"rows": json.dumps(rows, default=datetime.isoformat)})


def note_locations(connection: Connection, location_ids: Collection[str]) -> None:
    """Have whole locations counted anew."""
    if location_ids:
        connection.execute(insert(MartChange), [{"location_id": location_id} for location_id in location_ids])


def lock(connection: Connection, *, wait: bool) -> bool:
    """Become the one who works the marts out, until the commit; False if somebody else is, and this does not wait."""
    function = func.pg_advisory_xact_lock if wait else func.pg_try_advisory_xact_lock
    return connection.execute(select(function(LOCK))).scalar_one() is not False


def take(connection: Connection, *, most: int) -> tuple[list[Change], bool]:
    """Take the oldest rows until they have so many changes, and say whether these are all; after :func:`lock`."""
    changes = _changes(connection.execute(TAKE, {"most": most}))
    return list(dict.fromkeys(changes)), len(changes) < most


def _changes(rows: Iterable[Any]) -> list[Change]:
    return [Change(row[0], id_, *row[2:]) for row in rows for id_ in row[1] or (None,)]


def noted(connection: Connection, *, location_id: str) -> list[Change]:
    """Return the changes of a location that are not counted yet."""
    columns = MartChange.location_id, MartChange.message_ids, MartChange.conversation_id, MartChange.happened_at
    query = select(*columns).where(MartChange.location_id == location_id)
    return _changes(connection.execute(query))


@dataclass(frozen=True, slots=True)
class Backlog:
    """Changes that are not counted yet."""

    changes: int
    seconds: float
    """How long the oldest of them waits."""


def backlog(connection: Connection) -> Backlog:
    """Count the changes that the job has not counted yet."""
    return Backlog(*connection.execute(BACKLOG).one())


def erase(connection: Connection, ids: Collection[str], *, location_id: str) -> None:
    """Delete changes that name erased messages or conversations and wait for a date in the future."""
    named = or_(
        MartChange.message_ids.op("&&")(cast(list(ids), ARRAY(Text))), in_array(MartChange.conversation_id, ids)
    )
    ahead = MartChange.happened_at > func.now() + timedelta(days=1)
    connection.execute(delete(MartChange).where(MartChange.location_id == location_id, ahead, named))


def clocks(connection: Connection) -> dict[str, tuple[str, str | None]]:
    """Return the time zones and opening hours that were used, by location."""
    query = select(MartZone.location_id, MartZone.time_zone, MartZone.opening_hours)
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}


def set_clocks(connection: Connection, clocks: Mapping[str, tuple[str, str | None]]) -> None:
    """Note which time zones and opening hours are used from now on."""
    if clocks:
        names = ("location_id", "time_zone", "opening_hours")
        rows = [dict(zip(names, (location_id, *clock), strict=True)) for location_id, clock in sorted(clocks.items())]
        statement = insert(MartZone).values(rows)
        new = {name: statement.excluded[name] for name in names[1:]}
        connection.execute(statement.on_conflict_do_update(index_elements=[MartZone.location_id], set_=new))
