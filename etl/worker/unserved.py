"""Caches the locations that are not served, so that many of them cost almost nothing."""

from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Connection

from etl.state import locations
from etl.state.outcomes import SkipCause

CHECK_SECONDS = 2.0
"""How often it looks whether a location has changed."""
LONGEST_TRUST = 60.0
"""Seconds after which the cache is emptied, even without a change."""


class Unserved:
    """The locations that are not served.

    Attributes:
        causes: why, by location.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.causes: dict[str, str] = {}
        self._changes = ""
        self._next_check = self._trusted_until = 0.0

    def add(self, stopped: Mapping[str, Iterable[str]]) -> None:
        """Remember the locations whose cause lasts."""
        for cause, names in stopped.items():
            if SkipCause(cause).lasts:
                self.causes.update(dict.fromkeys(names, cause))

    def refresh(self, connection: Connection) -> None:
        """Empty the cache when a location has changed: it may have been connected or resumed."""
        now = self._clock()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_SECONDS
        changes = locations.changes(connection)
        if changes != self._changes or now >= self._trusted_until:
            self.causes, self._changes, self._trusted_until = {}, changes, now + LONGEST_TRUST
