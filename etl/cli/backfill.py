"""``etl backfill``: loads a location's history, and goes on where it was stopped."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Any

import click
from sqlalchemy import Connection, Engine

from etl.app.signals import signals_stop
from etl.app.warehouse import load_settings, warehouse
from etl.cli.exporting import chosen_location, held_up, message_job, progress_of, served_locations, walk_windows
from etl.config.settings import Settings
from etl.database.connections import moment_of
from etl.database.failures import reading_errors
from etl.errors import ConfigurationError, EtlError
from etl.output import counted, print_json, print_line, print_sentence
from etl.state import windows
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.state.windows import Summary, Why
from etl.worker.claims import WindowFilter
from etl.worker.run_limits import Report


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
            until = min(until or now, now)
            windows.plan_history(connection, location_id=place, since=since, until=until, again=again)
            look = partial(windows.summary, location_id=place, since=since, until=until)
            before = look(connection)
        began = time.monotonic()
        if not before.left:
            done, report, outcome = before, None, "done_before"
        else:
            report, done = _run(settings, engine, place, partial(look, began=now), start=since, end=until)
            outcome = "stopped" if report.outcome == RunOutcome.STOPPED else "done"
            if done.left and outcome == "done" and not report.counts.dead:
                raise held_up(settings, engine, place, report)
    counts = report.counts if report else RunCounts()
    if as_json:
        summary = _summary(done, counts) | {"location_id": place, "outcome": outcome}
        times = {"since": since.isoformat(), "until": until.isoformat(), "seconds": round(time.monotonic() - began, 3)}
        print_json(summary | times)
    elif report is None:
        print_line(
            f"backfill of {place}: done before, up to {until:%Y-%m-%d %H:%M} UTC, {done.messages:,} messages. "
            "To load them again: --again"
        )
    else:
        _print(place, done, counts, outcome, time.monotonic() - began)
    sys.exit(1 if counts.dead else 0)


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


def _run(
    settings: Settings,
    engine: Engine,
    location_id: str,
    look: Callable[[Connection], Summary],
    *,
    start: datetime,
    end: datetime,
) -> tuple[Report, Summary]:
    """Walk the windows of a location's history; returns how that ended, and what it brought."""

    def current() -> Summary:
        with reading_errors(engine), engine.connect() as connection:
            return look(connection)

    began = time.monotonic()
    with progress_of("backfill", start=start, end=end) as show:

        def progress() -> None:
            done = current()
            rate = done.messages / max(time.monotonic() - began, 0.001)
            show(done.reached, f"{done.left} windows left, {done.messages:,} messages, {rate:,.0f}/s")

        chosen = WindowFilter(Why.HISTORY, lambda: [location_id])
        report = walk_windows(settings, engine, "backfill", chosen, progress=progress)
    return report, current()


def _summary(done: Summary, counts: RunCounts) -> dict[str, object]:
    return {
        "reached": done.reached.isoformat(),
        "messages": done.messages,
        "written": done.written,
        "answered": counts.loaded,
        "fetched_singly": done.singly,
        "dead": counts.dead,
        "missing": done.missing,
        "requests": done.requests,
        "drift": dict(counts.drift),
    }


def _print(location_id: str, done: Summary, counts: RunCounts, outcome: str, seconds: float) -> None:
    print_sentence(
        f"backfill of {location_id}: {done.messages:,} messages ({done.written:,} new or changed) with "
        f"{done.requests:,} requests in {seconds:.1f} s",
        hang=2,
    )
    if done.singly:
        print_line(f"{done.singly} rows could not be loaded from the export. They are queued; etl run fetches them.")
    if counts.dead:
        print_line(f"{counted(counts.dead, 'row or window')} became dead letters. See: etl dead list")
    if done.missing:
        print_line(
            f"{done.missing} messages are missing: HighLevel counts them, but did not give them. Try again later, "
            "with --again."
        )
    if outcome == "stopped":
        print_line(f"Stopped at {done.reached:%Y-%m-%d %H:%M} UTC. The same command goes on from there.")
