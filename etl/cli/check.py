"""``etl check``: whether somebody has to act, for cron and for one who is woken at night."""

import sys
from collections import Counter
from datetime import datetime

import click
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from etl.app.composition import routing_of
from etl.app.warehouse import load_settings, warehouse
from etl.cli.options import JSON_LINES
from etl.config import jobs
from etl.config.settings import Settings
from etl.database.connections import probe_writes
from etl.database.failures import NOT_GRANTED, sqlstate_of
from etl.errors import EtlError
from etl.output import print_json, print_line, print_sentence
from etl.watch.figures import Figures, gather, look_around
from etl.watch.findings import Finding, findings, of_surroundings

SHOWN = 20
"""Findings of one name that are printed."""


@click.command()
@JSON_LINES
def check(*, as_json: bool) -> None:
    """Say what is wrong, since when, what it costs, and how to fix it: one line each. Nothing is asked of HighLevel.

    From when on something is wrong is in jobs.yaml: alarms. Exits with 1 if anything is, else with 0; then nothing is
    printed where there is no terminal.

    \b
    Example, from cron, which mails what is printed: etl check
    """
    settings = load_settings()
    figures, found = look(settings)
    if as_json:
        for finding in found:
            print_json(finding)
    else:
        _print(found, figures.taken_at if figures else None)
    sys.exit(1 if found else 0)


def look(settings: Settings) -> tuple[Figures | None, list[Finding]]:
    """Return the figures and what is wrong; no figures where Postgres cannot be asked.

    Raises:
        ConfigurationError: jobs.yaml is not understood.
    """
    alarms, entries = jobs.read_alarms(settings.etl_jobs), jobs.read(settings.etl_jobs)
    around = look_around(settings, entries, receiver=alarms.receiver)
    try:
        with warehouse(settings) as engine, engine.connect() as connection:
            _write(connection)
            figures = gather(connection, settings, routing_of(settings))
    except EtlError as error:
        costs = "Nothing is stored or loaded meanwhile; HighLevel is asked to send again"
        away = Finding("database", "", "; ".join(str(error).splitlines()), None, costs, "More says: etl doctor")
        return None, [away, *of_surroundings(around, alarms)]
    return figures, findings(figures, around, alarms=alarms, jobs=entries)


def _write(connection: Connection) -> None:
    """Write something: a full disk shows only there."""
    try:
        probe_writes(connection)
    except DBAPIError as error:
        # The role of a worker may make no temporary tables.
        if sqlstate_of(error) != NOT_GRANTED:
            raise


def _print(found: list[Finding], now: datetime | None) -> None:
    """Print them; of those of one name the first ones."""
    if not found and sys.stdout.isatty():
        print_line("all ok")
    printed: Counter[str] = Counter()
    for finding in found:
        printed[finding.name] += 1
        if printed[finding.name] <= SHOWN:
            print_sentence(finding.line(now), hang=2)
    for name, count in printed.items():
        if count > SHOWN:
            print_line(f"{name}: {count - SHOWN} more; etl check --json has all")
