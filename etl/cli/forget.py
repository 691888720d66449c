"""``etl forget``: erases a contact, after saying what it erases."""

import sys
from collections import Counter

import click

from etl.app.composition import message_erasure_of
from etl.app.warehouse import load_settings, warehouse
from etl.cli.options import YES, confirm
from etl.config import jobs
from etl.errors import ConfigurationError
from etl.ids import ID_RULE, is_fetchable
from etl.output import print_line, print_table
from etl.privacy.contact_erasure import ContactErasure


@click.command()
@click.option("--contact", "contact_id", required=True, metavar="ID", help="The contact, as HighLevel names it.")
@click.option("--location", "location_id", metavar="ID", help="Only at this location.  [default: all locations]")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@YES
def forget(contact_id: str, location_id: str | None, *, dry_run: bool, yes: bool) -> None:
    """Erase a contact for good, with its messages, calls, emails and received webhooks.

    Keeps its id, and hashes of the ids of its messages, so that nothing is loaded again. Does not reach copies
    and backups. You can repeat the command at any time.

    \b
    Example: etl forget --contact nFTYKxIl5Y3zJCP7kBVd --dry-run
    """
    for name, value in (("--contact", contact_id), ("--location", location_id)):
        if value is not None and not is_fetchable(value):
            raise ConfigurationError(f"{name}: {value!r} is not an id ({ID_RULE})")
    settings = load_settings()
    with warehouse(settings) as engine:
        forgetting = ContactErasure(message_erasure_of(engine, jobs.read(settings.etl_jobs).named.values()), contact_id)
        rows_by_location = forgetting.find(location_id=location_id)
        if not rows_by_location:
            print_line(f"No data found for contact {contact_id}. Nothing was changed.", err=True)
            sys.exit(1)
        if dry_run:
            _print(sum(rows_by_location.values(), Counter()), "would be erased")
            return
        if any(rows_by_location.values()):
            confirm(f"Erase the contact {contact_id} of {', '.join(rows_by_location)} for good?", yes=yes)
        erased = sum(map(forgetting.run, rows_by_location), Counter[str]())
    _print(erased, "erased")


def _print(rows: Counter[str], what: str) -> None:
    if not rows:
        print_line("It was erased before, and nothing of it has come back.")
        return
    print_table(("table", what), sorted(rows.items()))
