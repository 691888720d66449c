"""``etl reconcile``: compares HighLevel's export with the tables, and queues what differs."""

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import click
from sqlalchemy import Connection, Engine

from etl.app.warehouse import load_settings, warehouse
from etl.cli.exporting import chosen_location, held_up, message_job, served_locations, walk
from etl.config import jobs
from etl.config.settings import Settings
from etl.database.connections import moment_of
from etl.database.failures import reading_errors
from etl.errors import ConfigurationError
from etl.output import print_json, print_line, print_table
from etl.state import windows
from etl.state.outcomes import RunOutcome
from etl.worker.run import Report, WindowFilter

COUNTS = ("exported", "missing", "lost", "changed", "gone", "unseen")


def duration(given: str) -> timedelta:
    """Read a number of hours or days: 48h, 7d."""
    read = re.fullmatch(r"(\d{1,5})([hd])", given, re.ASCII)
    if read is None or not int(read[1]):
        raise click.BadParameter(f"{given!r} is not a number of hours or days. Examples: 48h, 7d")
    return timedelta(hours=int(read[1]) * (24 if read[2] == "d" else 1))


@click.command()
@click.option("--window", type=duration, default="48h", show_default=True, help="How far back to look: 48h, 7d.")
@click.option("--location", "location_id", metavar="ID", help="Only this location.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object for each location and day.")
def reconcile(window: timedelta, location_id: str | None, *, as_json: bool) -> None:
    """Compare HighLevel's export with the tables, and queue every message that differs.

    "missing" messages are not in the tables; "lost" are those of them for which no webhook came, although the location
    was connected or had sent one before. "changed" messages are newer in HighLevel. "gone" messages are no
    longer in the export. etl run then fetches them all.

    Exit code 1 when webhooks were lost, 3 when no location could be compared.

    \b
    Example: etl reconcile --window 7d
    """
    settings = load_settings()
    message_job(jobs.read(settings.etl_jobs))
    with warehouse(settings) as engine:
        served = served_locations(settings, engine)
        location_ids = served if location_id is None and served else [chosen_location(served, location_id)]
        report, compared = _run(settings, engine, location_ids, window)
        failed = [name for name, comparison in compared.items() if comparison.left]
        failures = [f"Not compared: {held_up(settings, engine, name, report)}" for name in failed]
    days = [(name, day, counts) for name, each in compared.items() for day, counts in each.days.items()]
    if days or not failures:
        _print(days, as_json=as_json)
    for failure in failures:
        print_line(failure, err=True)
    if failures and len(failures) == len(location_ids):
        sys.exit(2 if report.outcome == RunOutcome.MISCONFIGURED else 3)
    lost = sum(counts.get("lost", 0) for _, _, counts in days)
    if lost:
        cure = "They are queued now. Check that HighLevel can reach etl serve."
        print_line(f"Webhooks are being lost: {lost} messages came without one. {cure}", err=True)
    sys.exit(1 if lost else 0)


def _run(
    settings: Settings, engine: Engine, location_ids: list[str], window: timedelta
) -> tuple[Report, dict[str, windows.Comparison]]:
    """Compare locations; one that cannot be asked stops no other."""
    with reading_errors(engine), engine.begin() as connection:
        end = moment_of(connection)
        try:
            start = end - window
        except OverflowError as error:
            raise ConfigurationError("--window is too long.") from error
        for location_id in location_ids:
            windows.compare(connection, location_id, since=start, until=end)
        queued = sum(windows.compared(connection, name).left for name in location_ids)

    def compare(connection: Connection) -> dict[str, windows.Comparison]:
        return {name: windows.compared(connection, name) for name in location_ids}

    def reached(connection: Connection) -> tuple[datetime, str]:
        compared = compare(connection)
        left = sum(each.left for each in compared.values())
        exported = sum(day.get("exported", 0) for each in compared.values() for day in each.days.values())
        done = max(1 - left / max(queued, 1), 0)
        return start + (end - start) * done, f"{left} windows left, {exported:,} messages"

    chosen = WindowFilter(windows.Why.COMPARE, location_ids)
    report = walk(settings, engine, "reconcile", chosen, reached, span=(start, end))
    if report.outcome == RunOutcome.STOPPED:
        raise click.Abort
    with reading_errors(engine), engine.connect() as connection:
        return report, compare(connection)


def _print(days: Sequence[tuple[str, str, Mapping[str, int]]], *, as_json: bool) -> None:
    if as_json:
        for location_id, day, counts in days:
            print_json({"location_id": location_id, "day": day} | {name: counts.get(name, 0) for name in COUNTS})
    elif days:
        rows = [(name, day, *(counts.get(count, 0) for count in COUNTS)) for name, day, counts in days]
        print_table(("location", "day (UTC)", "in export", *COUNTS[1:]), rows)
    else:
        print_line("nothing to compare: the export has no messages of this time")
