"""Reads the figures for many askers: one reading serves all for a while."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from etl.config.jobs import JobsFile
from etl.config.settings import Settings
from etl.tokens.routing import TokenRouting
from etl.watch.figures import Figures, Surroundings, gather, keep
from etl.watch.findings import Finding, findings

log = structlog.get_logger("etl.watch")

FRESH_SECONDS = 15.0
"""Least time that one reading serves."""
SHARE = 0.02
"""Largest share of the time that reading may take: a slow reading serves for longer."""
BOUND = text("SELECT set_config('statement_timeout', '10s', true)")
"""A slow reading ends, so that it delays nothing else."""

Look = tuple[Figures, Sequence[Finding]]


@dataclass(slots=True)
class Watcher:
    """Figures and findings of a moment ago; safe to share between threads."""

    engine: Engine
    settings: Settings
    routing: TokenRouting
    file: JobsFile
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _last: Look | None = field(default=None, repr=False)
    _next: float = 0.0
    _error: str = ""

    def look(self) -> Look | None:
        """Return figures and findings, the last or new ones; None if Postgres is away or the role may not read them."""
        with self._lock:
            if self.clock() >= self._next:
                began = self.clock()
                self._last = self._ask()
                ended = self.clock()
                self._next = ended + max(FRESH_SECONDS, (ended - began) / SHARE)
            return self._last

    def forget(self) -> None:
        """Read again at the next request."""
        self._next = 0.0

    def _ask(self) -> Look | None:
        try:
            with self.engine.connect() as connection:
                connection.execute(BOUND)
                figures = gather(connection, self.settings, self.routing)
                keep(connection, figures)
        except SQLAlchemyError as error:
            reason = type(getattr(error, "orig", error)).__name__
            if reason != self._error:
                log.warning("work_not_watched", error=reason)
            self._error = reason
            return None
        self._error = ""
        return figures, findings(figures, Surroundings(), alarms=self.file.alarms, jobs=self.file.named)
