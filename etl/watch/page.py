"""Renders the page of the work in a thread, every half minute, so that each request is answered at once."""

import base64
import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from etl import __version__
from etl.errors import ConfigurationError
from etl.output import duration
from etl.state import dead_letters, runs, samples, webhook_events
from etl.watch import plots
from etl.watch.advice import in_words, shown, state_of

if TYPE_CHECKING:
    from mako.template import Template

    from etl.watch.watcher import Look, Watcher

log = structlog.get_logger("etl.watch")

EVERY_SECONDS = 30.0
LETTERS, EVENTS, RUNS, LOCATIONS = 20, 20, 10, 50
"""How many of each are shown."""
NOT_READ = "The figures cannot be read now: Postgres does not answer, or this role may not read them. See: etl doctor"


@dataclass(slots=True)
class Page:
    """The page and its rendering; safe to read from any thread."""

    watcher: "Watcher"
    html: str = "Not made yet. Reload in a moment."
    style_hash: str = ""
    """Of the page's only style element, for Content-Security-Policy."""
    _template: "Template" = field(init=False)
    _drawings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _drawn_at: datetime | None = None
    _wake: threading.Event = field(default_factory=threading.Event)
    _ended: bool = False

    def __post_init__(self) -> None:
        """Read the template.

        Raises:
            ConfigurationError: what the page needs is not installed.
        """
        try:
            import vl_convert  # noqa: F401, PLC0415 - an optional install
            from mako.template import Template  # noqa: PLC0415 - the same
        except ImportError as error:
            raise ConfigurationError(
                "To show the page (ETL_PAGE_PASSWORD), install the report extra: pip install 'highlevel-etl[report]'"
            ) from error
        source = (Path(__file__).parent / "page.html.mako").read_text(encoding="utf-8")
        self._template = Template(source, default_filters=["h"])  # noqa: S702 - every value is escaped by the filter h
        style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
        digest = hashlib.sha256((style[1] if style else "").encode()).digest()
        self.style_hash = f"sha256-{base64.b64encode(digest).decode()}"

    def start(self) -> None:
        """Render it every half minute, until :meth:`end`."""
        threading.Thread(target=self._work, name="page", daemon=True).start()

    def end(self) -> None:
        """Stop rendering."""
        self._ended = True
        self._wake.set()

    def retry(self, which: dead_letters.LetterFilter) -> None:
        """Queue the items of dead letters again, and render the page."""
        with self.watcher.engine.begin() as connection:
            dead_letters.retry(connection, which)
        self.watcher.forget()
        self.make()

    def make(self) -> None:
        """Render it now."""
        look = self.watcher.look()
        try:
            self.html = self._render(look)
        except SQLAlchemyError as error:
            log.warning("page_not_made", error=type(error).__name__)
            self.html = self._problem()

    def _work(self) -> None:
        while not self._ended:
            self.make()
            self._wake.wait(EVERY_SECONDS)

    def _render(self, look: "Look | None") -> str:
        if look is None:
            return self._problem()
        figures, findings = look
        now = figures.taken_at
        with self.watcher.engine.connect() as connection:
            letters = dead_letters.find(connection, dead_letters.LetterFilter(), limit=LETTERS)
            last_runs = runs.latest(connection, RUNS)[:RUNS]
            events = webhook_events.find(connection, webhook_events.EventFilter(), limit=EVENTS)
            taken = samples.since(connection, now - timedelta(days=7, hours=6))
        if plots.is_newer(taken, self._drawn_at):
            self._drawings = {
                each.title: {span: plots.draw(each, taken, span=span, now=now) for span in plots.SPANS}
                for each in plots.PLOTS
            }
            self._drawn_at = taken[-1].at
        page: str = self._template.render(
            title=f"highlevel-etl: {len(findings)} wrong" if findings else "highlevel-etl: all ok",
            problem="",
            version=__version__,
            now=now,
            moment=_moment,
            ago=lambda at: "" if at is None else duration(max((now - at).total_seconds(), 0.0)),
            findings=findings,
            queue=figures.depth,
            drawings=self._drawings,
            causes=figures.letters,
            letters=letters,
            locations=sorted(figures.locations, key=lambda each: state_of(each) == "served")[:LOCATIONS],
            hidden=max(len(figures.locations) - LOCATIONS, 0),
            runs=[(each, runs.state_of(each)) for each in last_runs],
            events=events,
            shown=shown,
            state_of=state_of,
            in_words=in_words,
        )
        return page

    def _problem(self) -> str:
        page: str = self._template.render(title="highlevel-etl", problem=NOT_READ, version=__version__)
        return page


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
