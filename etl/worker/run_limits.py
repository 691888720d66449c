"""What a run may do, and how it ended; data only."""

from dataclasses import dataclass, field

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
