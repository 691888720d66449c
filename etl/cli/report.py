"""``etl report``: a page with plots of what was loaded."""

import os
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from etl.app.warehouse import load_settings, warehouse
from etl.errors import ConfigurationError
from etl.load import marts
from etl.output import print_line
from etl.report import figures
from etl.report.page import render

DAYS = 30
"""Days that are shown without --since."""


@click.command()
@click.option("--location", "location_id", metavar="ID", help="Only this location.")
@click.option("--since", metavar="DAY", help=f"First day, such as 2026-03-01. Default: {DAYS} days ago.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write, such as report.html.")
def report(*, location_id: str | None, since: str | None, out: Path) -> None:
    """Write one HTML page with plots: messages, answers, delivery, calls, freshness.

    It needs no network, and holds no texts, phone numbers or addresses of customers. It needs the report extra.

    \b
    Example: etl report --since 2026-03-01 --out report.html
    """
    first = _read_day(since)
    if out.is_dir() or not out.parent.is_dir():
        raise ConfigurationError(f"{out} cannot be written: name a file in a directory that exists.")
    _write(out, _page(location_id, first))
    print_line(f"{out} is written. Open it in a browser.")


def _read_day(since: str | None) -> date:
    today = datetime.now(UTC).date()  # noqa: TID251 - a default day, for which this clock will do
    if since is None:
        return today - timedelta(days=DAYS)
    try:
        day = date.fromisoformat(since)
    except ValueError as error:
        raise ConfigurationError(f"--since {since} is not a day. Example: --since 2026-03-01") from error
    if day > today:
        raise ConfigurationError(f"--since {day} is in the future. Name a day up to today.")
    return day


def _page(location_id: str | None, since: date) -> str:
    with warehouse(load_settings(), writes=False) as engine, engine.connect() as opened:
        connection = opened.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        locations = figures.locations(connection, location_id=location_id)
        if not locations:
            raise ConfigurationError(
                "No messages are loaded yet. Queue some with etl enqueue, load them with: etl run"
                if location_id is None
                else f"Location {location_id} has no messages. highlevel.location_time_zones lists those that have."
            )
        begin, until, is_behind = figures.days(connection, location_id=location_id, since=since)
        if is_behind or marts.as_of(connection) is None:
            raise ConfigurationError("The figures are not counted yet. Run: etl run marts")
        if until is None:
            raise ConfigurationError("No loaded message counts: none has a date, or all are internal or deleted.")
        if begin is None:
            raise ConfigurationError(f"There is nothing since {since}. The newest message is of: --since {until}")
        counted = figures.read(connection, locations, figures.Period.of(begin, until), location_id=location_id)
    return render(counted)


def _write(out: Path, page: str) -> None:
    """Write the file whole or not at all, readable for its owner alone, and never through a link."""
    try:
        handle, part = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            Path(part).replace(out)
        finally:
            Path(part).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}.") from error
