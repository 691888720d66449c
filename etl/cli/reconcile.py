"""``etl reconcile``: compares HighLevel's export with the tables, and queues what differs."""

import dataclasses
import re
import sys
from datetime import timedelta
from threading import Event
from typing import Any

import click
from sqlalchemy import Engine

from etl.app.composition import open_exports
from etl.app.signals import hanging_up, signals_stop
from etl.app.warehouse import load_settings, warehouse
from etl.cli.exporting import MANNER, chosen_location, explained, message_job, progress_of, served_locations
from etl.config.settings import Settings
from etl.database.connections import moment_of
from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.errors import ConfigurationError
from etl.exports.pages import HaltedError
from etl.exports.reconcile import Day, Reconciliation
from etl.output import print_json, print_line, print_table

COUNTS = ("exported", "missing", "lost", "changed", "gone", "unseen")


class Duration(click.ParamType[timedelta]):
    """Hours or days: 48h, 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the time it lasts."""
        if isinstance(value, timedelta):
            return value
        given = re.fullmatch(r"(\d{1,5})([hd])", value, re.ASCII)
        if given is None or not int(given[1]):
            self.fail(f"{value!r} is not a number of hours or days. Examples: 48h, 7d", param, ctx)
        return timedelta(hours=int(given[1]) * (24 if given[2] == "d" else 1))


@click.command()
@click.option("--window", type=Duration(), default="48h", show_default=True, help="How far back to look: 48h, 7d.")
@click.option("--location", "location_id", metavar="ID", help="Only this location.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a location and day.")
def reconcile(window: timedelta, location_id: str | None, *, as_json: bool) -> None:
    """Compare HighLevel's export with the tables, and queue every message that differs.

    "missing" messages are not in the tables; "lost" are those of them for which no webhook came in time, although the
    location was connected or had sent one before. "changed" messages are newer in HighLevel. "gone" messages are no
    longer in the export. etl run then fetches them all.

    Exit code 1 when webhooks were lost, 3 when no location could be compared.

    \b
    Example: etl reconcile --window 7d
    """
    settings = load_settings()
    message_job(settings)
    with warehouse(settings) as engine:
        served = served_locations(settings, engine)
        places = served if location_id is None and served else [chosen_location(served, location_id)]
        days, failures = _run(settings, engine, places, window)
    if days or not failures:
        _print(days, as_json=as_json)
    for place, halted in failures:
        print_line(f"Not compared: {explained(halted, place, settings)}", err=True)
    if failures and len(failures) == len(places):
        sys.exit(max(halted.exit_code for _, halted in failures))
    lost = sum(day.lost for _, day in days)
    if lost:
        print_line(
            f"Webhooks are being lost: {lost} messages came without one. They are queued now. Check that HighLevel can "
            "reach etl serve.",
            err=True,
        )
    sys.exit(1 if lost else 0)


def _run(
    settings: Settings, engine: Engine, places: list[str], window: timedelta
) -> tuple[list[tuple[str, Day]], list[tuple[str, HaltedError]]]:
    """Compare one location after the other; one that cannot be asked holds up none of the others."""
    stop = Event()
    days: list[tuple[str, Day]] = []
    failures: list[tuple[str, HaltedError]] = []
    transact = RetryingTransaction(engine, patience=PATIENCE, stopping=stop.is_set)
    end = transact(moment_of)
    try:
        start = end - window
    except OverflowError as error:
        raise ConfigurationError("--window is too long.") from error
    with (
        hanging_up(engine) as hang_up,
        open_exports(settings, engine, MANNER, transact) as exports,
        signals_stop([stop.set, hang_up]),
    ):
        for place in places:
            with progress_of(f"reconcile {place}", start=start, end=end) as show:
                work = Reconciliation(exports, transact, stopping=stop.is_set)
                try:
                    for reached, found_days in work.run(place, start=start, end=end):
                        days += [(place, day) for day in found_days]
                        show(reached, f"{sum(day.exported for _, day in days):,} messages")
                except HaltedError as halted:
                    if halted.cause == "stopped":
                        raise click.Abort from halted
                    failures.append((place, halted))
    return days, failures


def _print(days: list[tuple[str, Day]], *, as_json: bool) -> None:
    if as_json:
        for place, day in days:
            print_json({"location_id": place} | dataclasses.asdict(day))
        return
    if days:
        rows = [(place, day.day, *(getattr(day, name) for name in COUNTS)) for place, day in days]
        print_table(("location", "day (UTC)", "in export", *COUNTS[1:]), rows)
    else:
        print_line("nothing to compare: the export has no messages of this time")
