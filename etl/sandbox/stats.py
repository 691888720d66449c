"""Counts what was asked of the sandbox, as a witness against its clients. Reads no clock and performs no I/O."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Stats:
    """Requests to the API: how many, how they ended, how many at once. Times are seconds since 1970.

    Attributes:
        held: answers held just now.
        statuses: how requests ended, ``dropped`` among them.
        locations: whose tokens asked; those of nobody are ``unauthorized``.
        ids: what was asked for: an id, or ``recording/<id>`` and the like (see :mod:`etl.sandbox.faults`).
        under_way: the same, of requests that have not ended.
        max_concurrent_same_id: the most of those at once for one of ``ids``.
    """

    requests: int = 0
    held: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    locations: Counter[str] = field(default_factory=Counter)
    ids: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)
    max_concurrent_same_id: int = 0
    first_request: float | None = None
    last_request: float | None = None

    def begin(self, name: str, now: float) -> None:
        """Count a request that has arrived."""
        self.first_request = self.first_request or now
        self.last_request = now
        self.requests += 1
        self.ids[name] += 1
        self.under_way[name] += 1
        self.max_concurrent_same_id = max(self.max_concurrent_same_id, self.under_way[name])

    def end(self, name: str, location_id: str, outcome: str) -> None:
        """Count a request that is over."""
        self.statuses[outcome] += 1
        self.locations[location_id or "unauthorized"] += 1
        self.under_way -= Counter((name,))
