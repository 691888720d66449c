"""What a run may do, what its parts share, and how it ended; data only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from etl.models import Base
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a run may do."""

    job: str
    concurrency: int
    batch_size: int | None = None
    """Items a transaction; None: as many as are best."""
    follow: bool = False
    limit: int | None = None
    max_seconds: float | None = None
    taken: frozenset[str] = frozenset()
    """The kinds of items that some job takes: no others follow from what is loaded."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What the parts of a run have in common."""

    clock: Callable[[], float]
    default_location_id: str
    """The location of items that name none; empty: not known."""
    taken: Mapping[str, type[Base] | None]
    """The kinds that some job takes, and where each keeps what it fetches: no other follows from a record."""
    resting: dict[str, float] = field(default_factory=dict)
    """Until when no backlog of these locations is looked for in their export."""


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
