"""Remembers which locations nobody serves, so that a look at many of them costs next to nothing."""

import time
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from etl.state import locations
from etl.state.outcomes import SkipCause

CHECK_SECONDS = 2.0
"""How often it looks whether a location has changed."""
LONGEST_TRUST = 60.0
"""Seconds after which all is forgotten, even if nothing seems to have changed."""


class Unserved:
    """The locations that nobody serves.

    Attributes:
        causes: why, by location.
    """

    def __init__(self) -> None:
        self.causes: dict[str, str] = {}
        self._changes = ""
        self._next_check = self._trusted_until = 0.0

    def add(self, stopped: Mapping[str, Iterable[str]]) -> None:
        """Remember the locations whose cause lasts."""
        for cause in filter(lambda each: SkipCause(each).lasts, stopped):
            self.causes.update(dict.fromkeys(stopped[cause], cause))

    def refresh(self, connection: Connection) -> None:
        """Forget all when a location has changed: somebody may have connected or resumed it."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_SECONDS
        changes = locations.changes(connection)
        if changes != self._changes or now >= self._trusted_until:
            self.causes, self._changes, self._trusted_until = {}, changes, now + LONGEST_TRUST
