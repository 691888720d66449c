"""Everything a sandbox knows and remembers, without HTTP. Performs no I/O; the clock is an argument."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from etl.sandbox.config import SandboxConfig
from etl.sandbox.faults import FaultPlan
from etl.sandbox.limits import Allowance, Limit
from etl.sandbox.oauth import Authority
from etl.sandbox.stats import Stats


@dataclass(slots=True)
class Walk:
    """One export from page to page: what was asked, what it found, and when it was last asked for a page."""

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
        """Back to how it started. Tokens issued since then are forgotten; the private ones are valid again."""
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
        """Let go of the answers that are held; those to come are held again."""
        self.released.set()
        self.released = asyncio.Event()

    def spoil(self, **plan: Any) -> None:
        """Replace what goes wrong."""
        self.faults = FaultPlan.model_validate(plan)

    def limit(self, **limit: Any) -> None:
        """Change the limit of every location; what was used stays counted."""
        for each in self.allowances.values():
            each.limit = Limit(**limit)

    def message(self, known_id: str) -> dict[str, Any]:
        """Return the content of a message; empty if there is no such message."""
        thing = self.things.get(known_id)
        return {} if thing is None or thing.kind != "message" else thing.content

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
        """Make a thing disappear upstream. Raises KeyError where there is no such thing."""
        del self.things[known_id]
