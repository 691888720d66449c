"""``etl check``: reports what needs action, for cron and for people on call."""

import sys
from collections import Counter
from datetime import datetime

import click

from etl.app.checking import Teller, look
from etl.app.warehouse import load_settings
from etl.cli.options import JSON_LINES
from etl.errors import ConfigurationError
from etl.output import print_json, print_line, print_sentence
from etl.watch.findings import Finding

SHOWN = 20
"""Findings of one name that are printed."""


@click.command()
@JSON_LINES
@click.option("--notify", is_flag=True, help="Tell whoever notify in jobs.yaml names: of what is new, over, or lasts.")
def check(*, as_json: bool, notify: bool) -> None:
    """Say what is wrong, since when, what it costs, and how to fix it: one line each. Nothing is asked of HighLevel.

    The thresholds are in jobs.yaml: alarms. Exits with 1 if anything is wrong, else with 0; then it
    prints nothing unless to a terminal.

    \b
    Example, from cron, which mails what is printed: etl check
    Example, with notices to Slack, mail or others:  etl check --notify > /dev/null
    """
    settings = load_settings()
    teller = Teller(settings) if notify else None
    if teller is not None and not teller:
        raise ConfigurationError("No address for notices: set notify in jobs.yaml, or ETL_NOTIFY_URLS.")
    figures, found = look(settings)
    if teller is not None:
        teller.tell(figures, found)
    if as_json:
        for finding in found:
            print_json(finding)
    else:
        _print(found, figures.taken_at if figures else None)
    sys.exit(1 if found else 0)


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
