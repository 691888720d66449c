"""``etl check``: reports what needs action, for cron and for people on call."""

import sys
from collections import Counter
from datetime import datetime

import click

from etl.app.checking import Notifier, look
from etl.app.warehouse import load_settings
from etl.cli.options import JSON_LINES
from etl.errors import ConfigurationError
from etl.output import print_json, print_line, print_sentence
from etl.watch.findings import Finding

SHOWN = 20
"""Findings of one name that are printed."""


@click.command()
@JSON_LINES
@click.option(
    "--notify", is_flag=True, help="Send notices of findings that began, last or are over, as notify in jobs.yaml says."
)
def check(*, as_json: bool, notify: bool) -> None:
    """Say what is wrong, since when, what it costs, and how to fix it: one line each. Sends nothing to HighLevel.

    The thresholds are in jobs.yaml: alarms. Exits with 1 if anything is wrong. If nothing is, it exits with 0, and
    prints nothing unless to a terminal.

    \b
    Example, from cron, which mails what is printed: etl check
    Example, with notices to Slack, mail or others:  etl check --notify > /dev/null
    """
    settings = load_settings()
    notifier = Notifier(settings) if notify else None
    if notifier is not None and not notifier:
        raise ConfigurationError("No address for notices: set notify in jobs.yaml, or ETL_NOTIFY_URLS.")
    figures, current = look(settings)
    if notifier is not None:
        notifier.notify(figures, current)
    if as_json:
        for finding in current:
            print_json(finding)
    else:
        _print(current, figures.taken_at if figures else None)
    sys.exit(1 if current else 0)


def _print(current: list[Finding], now: datetime | None) -> None:
    """Print findings; of many with one name only the first ones."""
    if not current and sys.stdout.isatty():
        print_line("all ok")
    printed: Counter[str] = Counter()
    for finding in current:
        printed[finding.name] += 1
        if printed[finding.name] <= SHOWN:
            print_sentence(finding.line(now), hang=2)
    for name, count in printed.items():
        if count > SHOWN:
            print_line(f"{name}: {count - SHOWN} more; etl check --json has all")
