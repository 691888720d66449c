"""Loads a location's history, window by window; what is done is written down with each window, so it can be killed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from etl.database.retrying_transaction import RetryingTransaction
from etl.exports.loading import Loaded, Loading
from etl.exports.pages import Exports
from etl.exports.walk import Seen, pages
from etl.exports.windows import CHANNELS, DENSE_ROWS, FIRST_WIDTH, Window, next_width
from etl.state import backfills
from etl.state.backfills import Stand


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


@dataclass(frozen=True, slots=True)
class _Done:
    """A window that is loaded."""

    end: datetime
    messages: int
    missing: int


@dataclass(frozen=True, slots=True)
class Backfill:
    """Loads the history of a location."""

    exports: Exports
    loading: Loading
    transact: RetryingTransaction
    stopping: Callable[[], bool] = lambda: False
    show: Callable[[Progress], None] = lambda _: None

    def run(self, location_id: str, stand: Stand) -> Progress:
        """Go on from where it stands to its end. Several processes may do so at once.

        Raises:
            HaltedError: it cannot go on now; what is done is written down.
        """
        progress = Progress(stand.reached)
        width = FIRST_WIDTH
        while progress.reached < stand.until:
            start = progress.reached
            limit = stand.settled if start < stand.settled else stand.until
            done = self._load(Window(location_id, start, min(start + width, limit), None), progress)
            width = next_width(done.end - start, done.messages)
            progress.messages += done.messages
            progress.missing += done.missing
            progress.reached = done.end if done.end > stand.settled else self._note(location_id, stand, start, done)
            self.show(progress)
        self.transact(lambda connection: backfills.finish(connection, stand, location_id=location_id))
        return progress

    def _load(self, window: Window, progress: Progress) -> _Done:
        """Load what a window has, or the beginning of that if it is more than enough."""
        end, missing = window.end, 0
        dates: dict[str, datetime | None] = {}
        for channel in CHANNELS:
            seen = Seen()
            part = replace(window, end=end, channel=channel)
            for page in pages(self.exports, part, seen=seen, stopping=self.stopping):
                progress.loaded.add(self.loading.load(page))
                progress.requests += 1
                progress.rows += len(page.rows)
                self.show(progress)
                if page.cursor and len(seen.dates) > DENSE_ROWS and page.reached and window.start < page.reached < end:
                    end = page.reached
                    break
            else:
                missing += seen.missing
            dates |= seen.dates
        return _Done(end, sum(date is None or date < end for date in dates.values()), missing)

    def _note(self, location_id: str, stand: Stand, start: datetime, done: _Done) -> datetime:
        return self.transact(
            lambda connection: backfills.advance(
                connection,
                location_id=location_id,
                since=stand.since,
                start=start,
                end=done.end,
                messages=done.messages,
                missing=done.missing,
            )
        )
