"""Everything a sandbox knows and remembers, without HTTP. Performs no I/O; the clock is an argument."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from etl.sandbox.config import SandboxConfig
from etl.sandbox.faults import FaultPlan
from etl.sandbox.limits import Allowance, Limit
from etl.sandbox.oauth import Authority


@dataclass
class Stats:
    """Counts what was asked, as a witness against the clients. Times are seconds since 1970.

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


@dataclass(slots=True)
class Walk:
    """One export from page to page: its query, its result, and the time of the last request for a page."""

    query: dict[str, Any]
    ids: list[str]
    asked_at: float


class World:
    """The state behind the routes: data and its changes, tokens, limits, faults, statistics.

    Attributes:
        things: those of the data set, as they are now.
        cursors: the exports under way, and the place in them that each cursor leads to.
    """

    def __init__(self, config: SandboxConfig, clock: Callable[[], float]) -> None:
        self.config = config
        self.clock = clock
        self.dataset = config.dataset()
        self.released = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Restore the initial state. Tokens issued since then are forgotten; the private ones are valid again."""
        config, dataset = self.config, self.dataset
        self.things = dict(dataset.things)
        self.faults = config.faults.model_copy(deep=True)
        self.allowances = {location_id: Allowance(config) for location_id in dataset.location_ids}
        self.stats = Stats()
        self.cursors: dict[str, tuple[Walk, int]] = {}
        self.authority = Authority(
            dataset.company_id,
            {known: dataset.things[known].content["name"] for known in dataset.location_ids},
            self.clock,
            config.token_lifetime,
            config.refresh_grace,
        )
        self.release()

    def release(self) -> None:
        """Release the answers that are held; later ones are held again."""
        self.released.set()
        self.released = asyncio.Event()

    def spoil(self, **plan: Any) -> None:
        """Replace the faults."""
        self.faults = FaultPlan.model_validate(plan)

    def limit(self, **limit: Any) -> None:
        """Change the limit of every location; what was used stays counted."""
        for each in self.allowances.values():
            each.limit = Limit(**limit)

    def expire_cursors(self) -> None:
        """Let every export that has begun die."""
        self.cursors.clear()

    def change(self, known_id: str, patch: dict[str, Any]) -> None:
        """Replace fields of a thing; null removes one. Raises KeyError where there is no such thing."""
        thing = self.things[known_id]
        kept = {key: value for key, value in thing.content.items() if key not in patch}
        given = {key: value for key, value in patch.items() if value is not None}
        self.things[known_id] = replace(thing, content=kept | given)

    def delete(self, known_id: str) -> None:
        """Delete a thing. Raises KeyError where there is no such thing."""
        del self.things[known_id]
