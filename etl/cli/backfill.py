"""``etl backfill``: loads a location's history, and goes on where it was stopped."""

import sys
import time
from datetime import UTC, datetime
from threading import Event
from typing import Any

import click
from sqlalchemy import Engine

from etl import kinds
from etl.app.composition import open_exports, options_of
from etl.app.signals import hanging_up, signals_stop
from etl.app.warehouse import load_settings, warehouse
from etl.cli.exporting import MANNER, chosen_location, explained, message_job, progress_of, served_locations
from etl.config import jobs
from etl.config.settings import Settings
from etl.database.connections import moment_of
from etl.database.failures import reading_errors
from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.errors import ConfigurationError, EtlError
from etl.exports.backfill import Backfill, Progress
from etl.exports.loading import Loading
from etl.exports.pages import HaltedError
from etl.output import counted, print_json, print_line, print_sentence
from etl.state import backfills
from etl.state.backfills import Stand


class Moment(click.ParamType[datetime]):
    """A date, or a date and time; in UTC where it says nothing else."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the moment."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a date. Example: 2026-01-31, or 2026-01-31T12:00:00Z", param, ctx)


@click.command()
@click.option("--location", "location_id", metavar="ID", help="Location to load. Not needed when there is only one.")
@click.option("--all", "every", is_flag=True, help="Load every location that has a token, one after another.")
@click.option("--since", type=Moment(), required=True, metavar="DATE", help="Load messages created from then on (UTC).")
@click.option("--until", type=Moment(), metavar="DATE", help="Load messages created before then. Default: now.")
@click.option("--again", is_flag=True, help="Start over, even where it was loaded before.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def backfill(
    context: click.Context,
    /,
    location_id: str | None,
    since: datetime,
    until: datetime | None,
    *,
    every: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Load the history of a location: up to 500 messages with one request.

    It leaves half of the rate limit to the messages that arrive meanwhile. Stop it whenever you like: the same command
    goes on where it was. Emails, recordings and transcripts of what it finds are queued; etl run fetches them.

    \b
    Example: etl backfill --since 2026-01-01
    """
    if every:
        if location_id is not None:
            raise ConfigurationError("Either --location or --all, not both")
        sys.exit(_each(context, since=since, until=until, again=again, as_json=as_json))
    if until is not None and since >= until:
        raise ConfigurationError("--since is not before --until.")
    settings = load_settings()
    message_job(settings)
    with warehouse(settings) as engine:
        place = chosen_location(served_locations(settings, engine), location_id)
        with reading_errors(engine), engine.begin() as connection:
            now = moment_of(connection)
            if since >= now:
                raise ConfigurationError("--since is in the future.")
            stand = backfills.begin(
                connection, location_id=place, since=since, until=min(until or now, now), again=again
            )
        began = time.monotonic()
        is_done = stand.finished_at is not None
        progress, outcome = (Progress(stand.until), "done_before") if is_done else _run(settings, engine, place, stand)
    seconds = time.monotonic() - began
    if as_json:
        print_json(_summary(place, stand, progress, outcome, seconds))
    elif is_done:
        print_line(
            f"backfill of {place}: done before, up to {stand.until:%Y-%m-%d %H:%M} UTC, {stand.messages:,} messages. "
            "To load them again: --again"
        )
    else:
        _print(place, progress, outcome, seconds)
    sys.exit(1 if progress.loaded.dead else 0)


def _each(context: click.Context, **options: Any) -> int:
    """Load one location after another, of which none holds up the others; returns 3 only if none could be loaded."""
    settings = load_settings()
    with warehouse(settings) as engine:
        served = served_locations(settings, engine)
    stopped = Event()
    codes: list[int] = []
    with signals_stop([stopped.set]):
        # Without any, the error says what is missing.
        for location_id in served or [chosen_location(served, None)]:
            if stopped.is_set():
                break
            try:
                context.invoke(backfill, location_id=location_id, every=False, **options)
            except SystemExit as end:
                codes.append(int(end.code or 0))
            except EtlError as error:
                codes.append(error.exit_code)
                print_sentence(f"{location_id}: {error}", hang=2, err=True)
    return max([code for code in codes if code != 3] or codes or [0])


def _run(settings: Settings, engine: Engine, location_id: str, stand: Stand) -> tuple[Progress, str]:
    stop = Event()
    began = time.monotonic()
    last = Progress(stand.reached)
    transact = RetryingTransaction(engine, patience=PATIENCE, stopping=stop.is_set)
    taken = kinds.tables(jobs.enabled_kinds(jobs.read(settings.etl_jobs)))
    with (
        progress_of("backfill", start=stand.since, end=stand.until) as show,
        hanging_up(engine) as hang_up,
        open_exports(settings, engine, MANNER, transact) as exports,
        signals_stop([stop.set, hang_up]),
    ):

        def tell(progress: Progress) -> None:
            nonlocal last
            last = progress
            rate = progress.rows / max(time.monotonic() - began, 0.001)
            show(progress.reached, f"{progress.rows:,} messages, {rate:,.0f}/s")

        work = Backfill(
            exports=exports,
            loading=Loading(transact, options_of(message_job(settings)), taken),
            transact=transact,
            stopping=stop.is_set,
            show=tell,
        )
        try:
            return work.run(location_id, stand), "done"
        except HaltedError as halted:
            if halted.cause == "stopped":
                return last, "stopped"
            raise explained(halted, location_id, settings) from halted


def _summary(location_id: str, stand: Stand, progress: Progress, outcome: str, seconds: float) -> dict[str, object]:
    loaded = progress.loaded
    return {
        "location_id": location_id,
        "outcome": outcome,
        "since": stand.since.isoformat(),
        "until": stand.until.isoformat(),
        "reached": progress.reached.isoformat(),
        "messages": progress.messages,
        "written": loaded.written,
        "answered": loaded.items.loaded,
        "fetched_singly": loaded.singly,
        "dead": loaded.dead,
        "missing": progress.missing,
        "requests": progress.requests,
        "seconds": round(seconds, 3),
        "drift": dict(loaded.items.drift),
    }


def _print(location_id: str, progress: Progress, outcome: str, seconds: float) -> None:
    loaded = progress.loaded
    print_sentence(
        f"backfill of {location_id}: {progress.messages:,} messages ({loaded.written:,} new or changed) with "
        f"{progress.requests:,} requests in {seconds:.1f} s",
        hang=2,
    )
    if loaded.singly:
        print_line(f"{loaded.singly} rows could not be loaded from the export. They are queued; etl run fetches them.")
    if loaded.dead:
        print_line(
            f"{counted(loaded.dead, 'row')} without an id became dead letters. See: etl dead list --cause bad_id"
        )
    if progress.missing:
        print_line(
            f"{progress.missing} messages are missing: HighLevel counts them, but did not give them. Try again later, "
            "with --again."
        )
    if outcome == "stopped":
        print_line(f"Stopped at {progress.reached:%Y-%m-%d %H:%M} UTC. The same command goes on from there.")
