"""Check the work and notify those whom jobs.yaml names: once, or repeatedly beside runs."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from etl.app.composition import audio_problem, routing_of
from etl.app.warehouse import warehouse
from etl.config import jobs
from etl.config.settings import Settings
from etl.database.connections import probe_writes
from etl.errors import EtlError
from etl.state import notices
from etl.state.notices import SentNotice
from etl.watch import sending
from etl.watch.figures import Figures, gather, keep, look_around
from etl.watch.findings import Finding, findings, of_surroundings
from etl.watch.notices import News, news

log = structlog.get_logger("etl.watch")

EVERY_SECONDS = 300.0
"""How often a follower looks."""


def look(settings: Settings) -> tuple[Figures | None, list[Finding]]:
    """Return the figures and the findings; no figures when Postgres cannot be reached.

    Raises:
        ConfigurationError: jobs.yaml is not understood.
    """
    file = jobs.read(settings.etl_jobs)
    alarms, entries = file.alarms, file.named
    audio = {job.name: audio_problem(job) for job in entries.values() if job.recordings_url is not None}
    around = look_around(settings, audio, receiver=alarms.receiver)
    try:
        with warehouse(settings) as engine, engine.connect() as connection:
            probe_writes(connection)  # a full disk shows only there
            figures = gather(connection, settings, routing_of(settings))
            keep(connection, figures)
    except EtlError as error:
        costs = "Nothing is stored or loaded meanwhile; HighLevel is asked to send again"
        away = Finding("database", "", "; ".join(str(error).splitlines()), None, costs, "More says: etl doctor")
        return None, [away, *of_surroundings(around, alarms)]
    return figures, findings(figures, around, alarms=alarms, jobs=entries)


class Teller:
    """Sends notices to the addresses of jobs.yaml and ETL_NOTIFY_URLS."""

    def __init__(self, settings: Settings) -> None:
        """Read the addresses.

        Raises:
            ConfigurationError: one cannot be understood.
        """
        self._settings = settings
        notify = jobs.read(settings.etl_jobs).notify
        urls = (*notify.urls, *settings.etl_notify_urls)
        self.targets = sending.targets(urls) if urls else []
        self.ping = notify.ping
        # Where Postgres cannot keep what was told.
        self._file = settings.etl_home / "told.json"
        self._told_away: SentNotice | None = None

    def __bool__(self) -> bool:
        return bool(self.targets or self.ping)

    def tell(self, figures: Figures | None, found: Sequence[Finding]) -> None:
        """Tell what is new, what is over and, once a day, what is not; then ask the URL of the dead man's switch."""
        if self.targets:
            if figures is None:
                self._tell_away(found[0])
            else:
                self._tell_back(figures.taken_at)
                self._tell(figures.taken_at, found)
        if self.ping is not None:
            sending.ping(self.ping)

    def send(self, message: News) -> bool:
        """Send to all; whether somebody was told."""
        return any(sending.send(self.targets, title=message.title, body=message.body))

    def _tell(self, now: datetime, found: Sequence[Finding]) -> None:
        # Sent before it is noted: what nobody took is told again.
        with warehouse(self._settings) as engine, engine.begin() as connection:
            if notices.lock(connection):
                message = news(found, notices.sent(connection), now)
                if message and self.send(message):
                    notices.note(connection, message.told)
                    notices.drop(connection, [(each.name, each.subject) for each in message.over])

    def _tell_away(self, finding: Finding) -> None:
        now = datetime.now(UTC)  # noqa: TID251 - Postgres, whose clock counts elsewhere, is away
        told = self._told_away or _read(self._file)
        message = news([finding], [told] if told else [], now)
        if message and self.send(message):
            self._told_away = SentNotice(finding.name, finding.subject, told.began_at if told else now, now)
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.write_text(json.dumps(asdict(self._told_away), default=str))

    def _tell_back(self, now: datetime) -> None:
        told = self._told_away or _read(self._file)
        if told is not None and self.send(news([], [told], now)):
            self._told_away = None
            with suppress(OSError):
                self._file.unlink(missing_ok=True)


def _read(path: Path) -> SentNotice | None:
    try:
        kept = json.loads(path.read_text())
        times = (datetime.fromisoformat(kept[name]) for name in ("began_at", "told_at"))
        return SentNotice(kept["name"], kept["subject"], *times)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def telling(settings: Settings, *, every: float = EVERY_SECONDS) -> Iterator[None]:
    """As long as the block lasts, look and tell every few minutes, if there is anybody to tell. Never stops a run.

    Raises:
        ConfigurationError: an address cannot be understood.
    """
    teller = Teller(settings)
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(every):
            try:
                teller.tell(*look(settings))
            except (EtlError, SQLAlchemyError) as error:
                log.warning("not_told", error=type(error).__name__)

    thread = threading.Thread(target=work, name="telling", daemon=True)
    if teller:
        thread.start()
    try:
        yield
    finally:
        ended.set()
