"""``etl notify``: sends a test to the addresses for notices."""

import sys

import click

from etl.app.checking import Notifier
from etl.app.warehouse import load_settings
from etl.errors import ConfigurationError
from etl.output import print_line
from etl.watch import sending

TEST = "This is a test of highlevel-etl. What etl check finds is sent here."


@click.command()
@click.option("--test", "is_test", is_flag=True, required=True, help="Send a test to every address.")
def notify(*, is_test: bool) -> None:  # noqa: ARG001 - required, so that nobody sends by mistake
    """Send a test to all addresses of notify in jobs.yaml and ETL_NOTIFY_URLS. Exits with 1 if one is refused.

    \b
    Example: etl notify --test
    """
    notifier = Notifier(load_settings())
    if not notifier:
        raise ConfigurationError("No address for notices: set notify in jobs.yaml, or ETL_NOTIFY_URLS.")
    taken = sending.send(notifier.targets, title="highlevel-etl: test", body=TEST)
    for target, is_taken in zip(notifier.targets, taken, strict=True):
        print_line(f"{sending.service_of(target)}: {'sent' if is_taken else 'not sent'}")
    is_pinged = notifier.ping is None or sending.ping(notifier.ping)
    if notifier.ping is not None:
        print_line(f"ping: {'answered' if is_pinged else 'not answered'}")
    sys.exit(0 if all(taken) and is_pinged else 1)
