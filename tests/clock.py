"""A clock that a test sets forward."""

import time


class Clock:
    """The real time since something, and what was added to it."""

    def __init__(self) -> None:
        self._added = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._added

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self._added += seconds
