"""Loads a location's history, window by window; what is done is written down with each window, so it can be killed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from etl import backfills
from etl.backfills import Stand
from etl.exports.loading import Loaded, Loading
from etl.exports.pages import Exports, Page
from etl.exports.walk import whole
from etl.exports.windows import CHANNELS, FIRST_WIDTH, Window, is_too_dense, next_width
from etl.worker.transactor import Transactor


@dataclass(slots=True)
class Progress:
    """What a backfill has done since it was started."""

    reached: datetime
    rows: int = 0
    """Rows of all pages, those that came twice included."""
    messages: int = 0
    missing: int = 0
    requests: int = 0
    loaded: Loaded = field(default_factory=Loaded)


class _DenseError(Exception):
    """A window has too many rows to be walked as it is."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Backfill:
    """Loads the history of a location."""

    exports: Exports
    loading: Loading
    transact: Transactor
    stopping: Callable[[], bool] = lambda: False
    show: Callable[[Progress], None] = lambda _: None

    def run(self, location_id: str, stand: Stand) -> Progress:
        """Go on from where it stands to its end.

        Raises:
            HaltedError: it cannot go on now; what is done is written down.
        """
        progress = Progress(stand.reached)
        width = FIRST_WIDTH
        while progress.reached < stand.until:
            end = min(progress.reached + width, stand.until)
            try:
                rows = self._window(location_id, end, width, progress, stand)
            except _DenseError as dense:
                rows = dense.rows
            width = next_width(width, rows)
        return progress

    def _window(self, location_id: str, end: datetime, width: timedelta, progress: Progress, stand: Stand) -> int:
        """Load one window and write that down; returns how many rows it has."""

        def take(page: Page) -> None:
            progress.loaded.add(self.loading.load(page))
            progress.requests += 1
            progress.rows += len(page.rows)
            self.show(progress)
            if is_too_dense(width, page.total or 0):
                raise _DenseError(page.total or 0)

        windows = [Window(location_id, progress.reached, end, channel) for channel in CHANNELS]
        seen = [whole(self.exports, window, take, stopping=self.stopping) for window in windows]
        rows = sum(len(each.ids) for each in seen)
        missing = sum(each.missing for each in seen)
        self.transact(
            lambda connection: backfills.advance(
                connection,
                location_id=location_id,
                since=stand.since,
                reached=end,
                messages=rows,
                missing=missing,
            )
        )
        progress.reached = end
        progress.messages += rows
        progress.missing += missing
        self.show(progress)
        return rows
