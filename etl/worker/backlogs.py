"""Finds locations with many waiting messages, and has their export walked before those are fetched one by one.

Pages of an export hold many messages of one time. Only messages with a known date are fetched in this way, and only as
long as each page has enough of them.

Why: docs/decisions, "A backlog is fetched by pages or one by one, not both at once".
"""

from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from etl.kinds import Kind
from etl.state import message_queue, windows
from etl.state.windows import KIND, Why
from etl.tokens.routing import LocationTokens
from etl.worker.backlog_spans import spans
from etl.worker.claims import Claims, Round
from etl.worker.pipeline import Claimed
from etl.worker.run import RunContext, WindowFilter
from etl.worker.window_rows import REST_SECONDS

BACKLOG = 200
"""Due messages of a location that make it worth to look for them in its export."""
LOOK_ITEMS = 2 * BACKLOG
"""Due messages of a location that are looked at to see whether it has a backlog."""
LOOK_LOCATIONS = 64
"""Locations looked at with one statement."""
LOOK_SECONDS = 0.5
"""How long one search takes at most; the next one goes on from there."""
WALKERS = 4
"""Windows that a run walks at once."""
PAUSE_SECONDS = 60.0
"""The time between two searches."""


class Backlogs:
    """The backlogs that a run knows of: locations whose export is walked for them, by us or by others."""

    def __init__(self, walks: Kind, tokens: LocationTokens, context: RunContext) -> None:
        """Take the kind of windows."""
        self._clock = context.clock
        self._tokens = tokens
        self._windows = WindowFilter(Why.BACKLOG, ())
        self._claims = Claims(walks, tokens, context.clock, windows=self._windows)
        self._resting = context.resting
        self._walks = 0
        self._after: str | None = None
        self._next_look = 0.0

    def refresh(self, connection: Connection) -> Collection[str]:
        """Return whose export is walked; look for more when it is time."""
        if self._clock() >= self._next_look:
            self.look(connection)
            self._next_look = self._clock() + PAUSE_SECONDS
        elif self._windows.location_ids:
            self._windows.location_ids = message_queue.locations_of(connection, KIND, prefix=Why.BACKLOG)
        return self._windows.location_ids

    def claim(self, connection: Connection) -> list[Claimed]:
        """Claim windows, if fewer are being walked than may be."""
        if not self._windows.location_ids or self._walks >= WALKERS:
            return []
        return self._claims.claim(connection, WALKERS - self._walks, round_=Round(), is_alone=False).items

    def take(self, windows: Sequence[Claimed]) -> None:
        """Count claimed windows."""
        self._walks += len(windows)

    def drop(self, settled: Sequence[Claimed]) -> bool:
        """Count settled windows off; return whether there is one."""
        windows = sum(each.is_backlog for each in settled)
        self._walks -= windows
        return windows > 0

    def look(self, connection: Connection) -> bool:
        """Queue windows where a location has a backlog that its export may answer; returns whether any is walked.

        Goes from location to location, and on from there the next time: no run waits for a long queue to be read.
        """
        began = self._clock()
        # If a window has killed its workers, the messages are fetched one by one instead.
        for window_id, location_id in message_queue.drop_suspects(connection, KIND, prefix=Why.BACKLOG):
            windows.remove(connection, location_id, window_id)
            self._resting[location_id] = began + REST_SECONDS
        walking = message_queue.locations_of(connection, KIND, prefix=Why.BACKLOG)
        items: Counter[str] = Counter()
        while True:
            page = list(
                message_queue.waiting_locations(connection, kind="message", after=self._after, most=LOOK_LOCATIONS)
            )
            items.update(self._count(connection, page))
            self._after = page[-1] if len(page) == LOOK_LOCATIONS else None
            if self._after is None or self._clock() - began >= LOOK_SECONDS:
                break
        found = {
            name
            for name, count in items.items()
            if count >= BACKLOG and name not in walking and self._resting.get(name, 0.0) <= began
        }
        walking |= {name for name in found if self._queue(connection, name)}
        self._windows.location_ids = walking
        return bool(walking)

    def _queue(self, connection: Connection, location_id: str) -> bool:
        is_default = location_id == self._tokens.routing.location_id
        parts = spans(connection, (location_id, "") if is_default else (location_id,)).dense()
        windows.add(connection, location_id, [each.window() for each in parts])
        return bool(parts)

    def _count(self, connection: Connection, names: Sequence[str]) -> dict[str, int]:
        """How many of the next items of these locations their exports may answer, by the location that is asked."""
        found = message_queue.backlogs(connection, names, most=LOOK_ITEMS)
        served, _ = self._tokens.resolve(connection, names if found else ())
        counts: Counter[str] = Counter()
        for each in found:
            if each.location_id in served and (location_id := served[each.location_id].location_id):
                counts[location_id] += each.items
        return counts
