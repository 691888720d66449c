"""Counts what was asked of the sandbox, as a witness against its clients. Reads no clock and performs no I/O."""

from collections import Counter, defaultdict, deque
from typing import Any


class Stats:
    """Requests to the API: how many, how they ended, how many at once, how dense. Times are seconds since 1970.

    What was asked for goes by its name: an id, or ``recording/<id>`` and the like (see :mod:`etl.sandbox.faults`).
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self.held = 0
        """Answers held just now."""
        self._first: float | None = None
        self._last: float | None = None
        self._statuses: Counter[str] = Counter()
        self._locations: Counter[str] = Counter()
        self._names: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._most_for_one = 0
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)
        self._densest: Counter[str] = Counter()

    def begin(self, name: str, now: float) -> None:
        """A request has arrived."""
        self._first = now if self._first is None else self._first
        self._last = now
        self._names[name] += 1
        self._under_way[name] += 1
        self._most_for_one = max(self._most_for_one, self._under_way[name])

    def counted(self, location_id: str, now: float) -> None:
        """The rate limit has counted a request of this location."""
        recent = self._recent[location_id]
        recent.append(now)
        while now - recent[0] >= self._interval:
            recent.popleft()
        self._densest[location_id] = max(self._densest[location_id], len(recent))

    def end(self, name: str, location_id: str, outcome: str) -> None:
        """A request is over; ``outcome`` is its status, or ``dropped``."""
        self._statuses[outcome] += 1
        self._locations[location_id or "unauthorized"] += 1
        self._under_way[name] -= 1

    def to_json(self) -> dict[str, Any]:
        """Everything counted; ``peaks`` is each location's most counted requests in any sliding interval."""
        return {
            "requests": self._names.total(),
            "held": self.held,
            "statuses": self._statuses,
            "refused_429": self._statuses["429"],
            "locations": self._locations,
            "peaks": self._densest,
            "max_concurrent_same_id": self._most_for_one,
            "first_request": self._first,
            "last_request": self._last,
            "ids": self._names,
        }
