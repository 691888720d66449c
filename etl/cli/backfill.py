"""``etl backfill``: loads a location's history, and goes on where it was stopped."""

import sys
import time
from datetime import UTC, datetime
from functools import partial
from threading import Event

import click
from sqlalchemy import Connection, Engine

from etl.app.signals import signals_stop
from etl.app.warehouse import load_settings, warehouse
from etl.cli.exporting import chosen_location, held_up, message_job, served_locations, walk
from etl.config import jobs
from etl.config.settings import Settings
from etl.database.connections import moment_of
from etl.database.failures import reading_errors
from etl.errors import ConfigurationError, EtlError
from etl.output import counted, print_json, print_line, print_sentence
from etl.state import windows
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.worker.run import Report, WindowFilter


def moment(given: str) -> datetime:
    """Read a date, or a date and time; in UTC unless it has an offset."""
    try:
        read = datetime.fromisoformat(given)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        example = "Example: 2026-01-31, or 2026-01-31T12:00:00Z"
        raise click.BadParameter(f"{given!r} is not a date. {example}") from error


@click.command()
@click.option("--location", "location_id", metavar="ID", help="Location to load. Not needed when there is only one.")
@click.option("--all", "every", is_flag=True, help="Load every location that has a token, one after another.")
@click.option("--since", type=moment, required=True, metavar="DATE", help="Load messages created from then on (UTC).")
@click.option("--until", type=moment, metavar="DATE", help="Load messages created before then. Default: now.")
@click.option("--again", is_flag=True, help="Start over, even where it was loaded before.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def backfill(
    location_id: str | None, since: datetime, until: datetime | None, *, every: bool, again: bool, as_json: bool
) -> None:
    """Load the history of a location: up to 500 messages with one request.

    Half of the rate limit is left for messages that arrive meanwhile. Stop it whenever you like: the same command goes
    on from there. Emails, recordings and transcripts of the loaded messages are queued; etl run fetches them.

    \b
    Example: etl backfill --since 2026-01-01
    """
    if every and location_id is not None:
        raise ConfigurationError("Either --location or --all, not both")
    if until is not None and since >= until:
        raise ConfigurationError("--since is not before --until.")
    settings = load_settings()
    message_job(jobs.read(settings.etl_jobs))
    stopped = Event()
    codes: list[int] = []
    with warehouse(settings) as engine, signals_stop([stopped.set]):
        served = served_locations(settings, engine)
        for name in served if every and served else [chosen_location(served, location_id)]:
            if stopped.is_set():
                break
            try:
                codes.append(_load(settings, engine, name, since, until, again=again, as_json=as_json))
            except EtlError as error:
                if not every:
                    raise
                codes.append(error.exit_code)
                print_sentence(f"{name}: {error}", hang=2, err=True)
    # A location that waits stops no other, so it counts only if all do.
    sys.exit(max([code for code in codes if code != 3] or codes or [0]))


def _load(
    settings: Settings,
    engine: Engine,
    location_id: str,
    since: datetime,
    until: datetime | None,
    *,
    again: bool,
    as_json: bool,
) -> int:
    """Load a location's history and print the result; return 1 if something became a dead letter.

    Raises:
        EtlError: some windows cannot be walked now.
    """
    with reading_errors(engine), engine.begin() as connection:
        now = moment_of(connection)
        if since >= now:
            raise ConfigurationError("--since is in the future.")
        until = min(until or now, now)
        windows.plan_history(connection, location_id=location_id, since=since, until=until, again=again)
        look = partial(windows.summary, location_id=location_id, since=since, until=until)
        done = look(connection)
    began = time.monotonic()
    report = Report(RunOutcome.DRAINED, RunCounts(), 0.0)
    outcome = "done" if done.left else "done_before"
    if done.left:
        look = partial(look, began=now)

        def reached(connection: Connection) -> tuple[datetime, str]:
            done = look(connection)
            rate = done.messages / max(time.monotonic() - began, 0.001)
            return done.reached, f"{done.left} windows left, {done.messages:,} messages, {rate:,.0f}/s"

        chosen = WindowFilter(windows.Why.HISTORY, [location_id])
        report = walk(settings, engine, "backfill", chosen, reached, span=(since, until))
        with reading_errors(engine), engine.connect() as connection:
            done = look(connection)
        if report.outcome == RunOutcome.STOPPED:
            outcome = "stopped"
        elif done.left and not report.counts.dead:
            raise held_up(settings, engine, location_id, report)
    seconds = time.monotonic() - began
    if as_json:
        times = {"since": since.isoformat(), "until": until.isoformat(), "seconds": round(seconds, 3)}
        print_json(_summary(done, report.counts) | {"location_id": location_id, "outcome": outcome} | times)
    elif outcome == "done_before":
        what = f"done before, up to {until:%Y-%m-%d %H:%M} UTC, {done.messages:,} messages"
        print_line(f"backfill of {location_id}: {what}. To load them again: --again")
    else:
        _print(location_id, done, report.counts, outcome, seconds)
    return 1 if report.counts.dead else 0


def _summary(done: windows.Summary, counts: RunCounts) -> dict[str, object]:
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


def _print(location_id: str, done: windows.Summary, counts: RunCounts, outcome: str, seconds: float) -> None:
    loaded = f"{done.messages:,} messages ({done.written:,} new or changed)"
    print_sentence(f"backfill of {location_id}: {loaded} with {done.requests:,} requests in {seconds:.1f} s", hang=2)
    if done.singly:
        print_line(
            f"{done.singly} rows of the export could not be loaded. They are queued; etl run fetches them one by one."
        )
    if counts.dead:
        print_line(f"{counted(counts.dead, 'dead letter')} of rows or windows that cannot be read. See: etl dead list")
    if done.missing:
        why = "HighLevel counts them, but did not send them"
        print_line(f"{done.missing} messages are missing: {why}. Try again later, with --again.")
    if outcome == "stopped":
        print_line(f"Stopped at {done.reached:%Y-%m-%d %H:%M} UTC. The same command goes on from there.")
