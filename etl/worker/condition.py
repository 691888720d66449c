"""What a loop is doing right now, for whoever watches it; data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Condition:
    """One look at a loop."""

    state: Literal["working", "resting", "api_unreachable"]
    """Resting: nothing can be claimed now, and nothing is in hand."""
    withheld: Mapping[str, set[str]] = field(default_factory=dict)
    """Locations whose due items are left, by cause, as in :class:`etl.worker.claims.Idle`."""
    wait: float | None = None
    """Seconds until an allowance may come back, or until the API is probed; None when unknown."""


WORKING = Condition("working")
