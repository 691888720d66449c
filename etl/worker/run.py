"""What a run may do, what its parts share, how it goes, and how it ended; data only."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from etl.config.jobs import Job
from etl.models import Base
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.state.windows import Why


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a run may do."""

    follow: bool = False
    limit: int | None = None
    max_seconds: float | None = None
    taken: frozenset[str] = frozenset()
    """The kinds of items that some job takes; follow-ups of other kinds are not queued."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Values that the parts of a run share."""

    clock: Callable[[], float]
    default_location_id: str
    """The location of items that name none; empty: not known."""
    taken: Mapping[str, type[Base] | None]
    """The kinds that some job takes, with their tables; follow-ups of other kinds are not queued."""
    resting: dict[str, float] = field(default_factory=dict)
    """Until when the run does not use the export for backlogs of these locations."""


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


class Display:
    """Shows how a run goes; this one shows nothing."""

    def progress(self, counts: RunCounts) -> None:
        """Take the counts so far."""

    def watch(self, state: WorkerState) -> None:
        """Take the state of the loop."""


@dataclass(slots=True)
class WindowFilter:
    """Which windows are claimed; the locations may change between claims."""

    why: Why
    location_ids: Collection[str]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A run to start, and the display of its progress."""

    job: Job
    limits: RunLimits
    display: Display = field(default_factory=Display)
    windows: WindowFilter | None = None
    """Which windows a run of kind window takes."""


@dataclass(slots=True)
class Report:
    """How a run ended."""

    outcome: RunOutcome
    counts: RunCounts
    seconds: float
    skipped: dict[str, set[str]] = field(default_factory=dict)
    """Locations whose due items were left, by cause."""
    detail: str = ""
    is_news: bool = True
    """Whether the run of the job before it ended otherwise, or left other locations."""
