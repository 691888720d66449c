"""Checks the work and sends notices to the addresses in jobs.yaml: once, or repeatedly beside runs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import structlog
from pydantic import TypeAdapter
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from etl.app.composition import audio_problem, routing_of
from etl.app.warehouse import warehouse
from etl.config import jobs
from etl.config.jobs import JobsFile
from etl.config.settings import Settings
from etl.database.connections import open_engine, probe_writes
from etl.errors import EtlError
from etl.state import notices
from etl.watch import sending
from etl.watch.figures import Figures, Surroundings, disk_free, gather, keep, receiver_problem
from etl.watch.findings import Finding, findings, of_surroundings
from etl.watch.notices import News, news
from etl.watch.watcher import Watcher

log = structlog.get_logger("etl.watch")

EVERY_SECONDS = 300.0
"""How often ``etl run --follow`` checks."""


def look(settings: Settings) -> tuple[Figures | None, list[Finding]]:
    """Return the figures and the findings; no figures when Postgres cannot be reached.

    Raises:
        ConfigurationError: jobs.yaml is not understood.
    """
    file = jobs.read(settings.etl_jobs)
    alarms, entries = file.alarms, file.named
    keeping = [job for job in entries.values() if job.recordings_url is not None]
    audio = {job.name: problem for job in keeping if (problem := audio_problem(job))}
    around = Surroundings(disk_free(settings), audio, receiver_problem(alarms.receiver) if alarms.receiver else None)
    try:
        with warehouse(settings) as engine, engine.connect() as connection:
            probe_writes(connection)  # a full disk shows only there
            figures = gather(connection, settings, routing_of(settings))
            keep(connection, figures)
    except EtlError as error:
        costs = "Nothing is stored or loaded meanwhile; HighLevel is asked to send again"
        away = Finding("database", "", "; ".join(str(error).splitlines()), None, costs, "For more: etl doctor")
        return None, [away, *of_surroundings(around, alarms)]
    return figures, findings(figures, around, alarms=alarms, jobs=entries)


class Notifier:
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
        # Keeps the notice that Postgres is away, which Postgres cannot keep.
        self._file = settings.etl_home / "told.json"
        self._content = TypeAdapter(notices.SentNotice | None)
        self._away: notices.SentNotice | None = None

    def __bool__(self) -> bool:
        return bool(self.targets or self.ping)

    def notify(self, figures: Figures | None, current: Sequence[Finding]) -> None:
        """Send notices of new, ended and (once a day) lasting findings; then request the dead man's switch."""
        if self.targets:
            # Postgres, whose clock counts elsewhere, may be away.
            now = figures.taken_at if figures else datetime.now(UTC)  # noqa: TID251
            self._send_of_database([] if figures else current[:1], now)
            if figures:
                self._send_news(current, now)
        if self.ping is not None:
            sending.ping(self.ping)

    def send(self, message: News) -> bool:
        """Send to all addresses; return whether one took it."""
        return any(sending.send(self.targets, title=message.title, body=message.body))

    def _send_news(self, current: Sequence[Finding], now: datetime) -> None:
        # Sent first and noted afterwards: a notice that no address took is sent again.
        with warehouse(self._settings) as engine, engine.begin() as connection:
            if notices.lock(connection):
                message = news(current, notices.sent(connection), now)
                if message and self.send(message):
                    notices.note(connection, message.keys)
                    notices.drop(connection, [(each.name, each.subject) for each in message.over])

    def _send_of_database(self, away: Sequence[Finding], now: datetime) -> None:
        """Send that Postgres is away, or back; a file keeps that it was sent."""
        sent = self._away
        with suppress(OSError, ValueError):
            sent = sent or self._content.validate_json(self._file.read_bytes())
        message = news(away, [sent] if sent else [], now)
        if message and self.send(message):
            self._away = None
            for each in away:
                self._away = notices.SentNotice(each.name, each.subject, sent.began_at if sent else now, now)
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.write_bytes(self._content.dump_json(self._away))


@contextmanager
def watching(settings: Settings, file: JobsFile, url: URL | str) -> Iterator[Watcher]:
    """Yield a watcher that reads the figures for many requests, on a connection of its own."""
    engine = open_engine(url if isinstance(url, str) else url.render_as_string(hide_password=False), pool_size=1)
    try:
        yield Watcher(engine, settings, routing_of(settings), file)
    finally:
        engine.dispose()


@contextmanager
def notifying(settings: Settings, *, every: float = EVERY_SECONDS) -> Iterator[None]:
    """During the block, check and send notices every few minutes, if there is an address. Never stops a run.

    Raises:
        ConfigurationError: an address cannot be understood.
    """
    notifier = Notifier(settings)
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(every):
            try:
                notifier.notify(*look(settings))
            except (EtlError, SQLAlchemyError) as error:
                log.warning("not_notified", error=type(error).__name__)

    thread = threading.Thread(target=work, name="notifying", daemon=True)
    if notifier:
        thread.start()
    try:
        yield
    finally:
        ended.set()
