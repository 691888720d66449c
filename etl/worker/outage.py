"""Tells an API that is away from an item that fails; pure, with the clock passed in."""

from etl.errors import ItemError, RefusedError, SnoozedError, UnreachableError

OUTAGE_AFTER = 8
"""Improper answers in a row that make an outage. Fewer than a first claim takes, so that even the first batch of a run
during an outage is judged as one."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
"""Seconds between two probes."""


class Outage:
    """Counts improper answers in a row.

    While an outage lasts, no attempt is spent: the fault is not the items'. One proper answer, be it an error of one
    item, ends it.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._proper = 0
        self._probe_at = 0.0
        self._pause = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the API counts as away."""
        return self._in_a_row >= OUTAGE_AFTER

    @property
    def total(self) -> bool:
        """Whether there were answers, and not one of them proper."""
        return self._in_a_row > 0 and self._proper == 0

    @property
    def suspected(self) -> bool:
        """Whether the next answers decide if the last ones were the items' fault."""
        return 1 < self._in_a_row < OUTAGE_AFTER

    def saw(self, error: ItemError | None, *, now: float) -> bool:
        """Take one outcome into account; True when it began an outage."""
        if isinstance(error, SnoozedError):
            # Nothing was asked, or its answer was about the token.
            return False
        if not is_improper(error):
            self._in_a_row, self._pause, self._probe_at = 0, 0.0, 0.0
            self._proper += 1
            return False
        self._in_a_row += 1
        # What was still under way when it began says nothing new; a failed probe does.
        if self.lasts and now >= self._probe_at:
            self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
            self._probe_at = now + self._pause
        return self._in_a_row == OUTAGE_AFTER

    def wait(self, *, now: float) -> float:
        """Seconds until the API should be probed with one item."""
        return max(self._probe_at - now, 0.0) if self.lasts else 0.0


def is_improper(error: ItemError | None) -> bool:
    """Whether an answer may be an outage: none, a 5xx, a page where JSON belongs, a refusal of the request."""
    return isinstance(error, UnreachableError) or (
        isinstance(error, RefusedError) and error.cause in ("not_json", "not_audio", "http_400", "http_422")
    )
