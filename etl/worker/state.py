"""The current state of a loop, for displays; data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The state of a loop at one time."""

    activity: Literal["working", "resting", "api_unreachable"]
    """Resting: nothing can be claimed now, and nothing is unsettled."""
    skipped: Mapping[str, set[str]] = field(default_factory=dict)
    """Locations whose due items are left, by cause, as in :class:`etl.worker.claims.NothingClaimed`."""
    wait: float | None = None
    """Seconds until an allowance may come back, or until the API is probed; None when unknown."""


WORKING = WorkerState("working")
