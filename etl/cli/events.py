"""``etl events``: the received webhooks, and how to read them again."""

import sys
from functools import partial
from operator import attrgetter
from typing import Any, get_args

import click

from etl.app.warehouse import load_settings, warehouse
from etl.cli import options
from etl.config import jobs
from etl.database.connections import moment_of
from etl.errors import ConfigurationError
from etl.output import counted, print_json, print_line, print_record, print_table, write_bytes
from etl.receive.events import replay_page
from etl.receive.webhook import Outcome
from etl.state import webhook_events
from etl.state.webhook_events import EventFilter

PURGE_EVENTS = 5000
"""Events deleted in one transaction."""
SINCE = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
COLUMNS = attrgetter(
    "webhook_id", "received_at", "type", "location_id", "message_id", "email_id", "outcome", "replayed_at"
)

FILTERS = options.combined(
    click.option("--outcome", type=click.Choice(get_args(Outcome)), help="Only those with this outcome."),
    click.option("--type", help="Only of this type, e.g. InboundMessage."),
    click.option("--location", "location_id", help="Only about this location."),
    click.option(
        "--since",
        type=click.DateTime(SINCE),
        callback=lambda _context, _parameter, since: since and since.astimezone(),
        help="Only those received since then, in local time.",
    ),
)


choose = partial(options.choose, EventFilter, by="--outcome, --type, --location, --since")


@click.group()
def events() -> None:
    """List, show, replay or delete received webhooks."""


@events.command("list")
@FILTERS
@options.LIST_LIMIT
@click.option("--counts", is_flag=True, help="Count all events by outcome. Reads the whole table.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object on each line; with --counts, one object.")
def list_(limit: int, *, counts: bool, as_json: bool, **filters: Any) -> None:
    """List events, the newest first.

    \b
    Example: etl events list --outcome no_id --since 2026-08-01
    """
    which = EventFilter(**filters)
    if counts and which != EventFilter():
        raise ConfigurationError("--counts counts all events: leave out the other options")
    with warehouse(load_settings()) as engine, engine.connect() as connection:
        counted = webhook_events.outcomes(connection) if counts else {}
        events = [] if counts else webhook_events.find(connection, which, limit=limit)
    if as_json:
        for each in [counted] if counts else events:
            print_json(each)
    elif events:
        header = ("id", "received", "type", "location", "message", "email", "outcome", "replayed")
        print_table(header, map(COLUMNS, events), optional=("replayed", "email", "location", "message"))
        options.tell_limit(len(events), limit)
    else:
        nothing = "no events" if which == EventFilter() else "no such event"
        print_line(", ".join(f"{outcome}: {count}" for outcome, count in counted.items()) or nothing)


@events.command()
@click.argument("webhook_id", metavar="ID")
@options.RAW
def show(webhook_id: str, *, raw: bool) -> None:
    """Show an event and what was posted. Prints the words of customers.

    Control characters are spelled out, such as \\x1b.
    """
    with warehouse(load_settings()) as engine, engine.connect() as connection:
        events = webhook_events.find(connection, EventFilter([webhook_id]))
        body = webhook_events.body(connection, webhook_id)
    if not events or body is None:
        print_line(f"No event {webhook_id} is kept", err=True)
        sys.exit(1)
    if raw:
        write_bytes(body)
    else:
        print_record(events[0], "body", body)


@events.command()
@options.SOME_IDS
@FILTERS
def replay(ids: tuple[str, ...], *, every: bool, **filters: Any) -> None:
    """Read events again and queue their messages again, for example after an upgrade.

    Skips installations and removals of the app: an old one would undo later changes.

    \b
    Example: etl events replay --since "2026-08-01 12:00" --type InboundMessage
    """
    which = choose(ids, every=every, **filters)
    settings = load_settings()
    kinds = jobs.read(settings.etl_jobs).kinds
    with warehouse(settings) as engine:
        with engine.connect() as connection:
            until = moment_of(connection)  # events that arrive meanwhile are left out
        replayed, page = 0, None
        while True:
            with engine.begin() as connection:
                page = replay_page(connection, which, kinds=kinds, until=until, after=page)
            if page is None:
                break
            replayed += page.replayed
    if not replayed and ids:
        print_line(f"None of these events is kept, or can be replayed: {', '.join(ids)}", err=True)
        sys.exit(1)
    print_line(f"{replayed} replayed")


@events.command()
@options.SOME_IDS
@FILTERS
@options.older_than("were received")
@options.YES
def purge(ids: tuple[str, ...], *, every: bool, yes: bool, **filters: Any) -> None:
    """Delete events forever.

    If HighLevel sends a deleted event again, it is queued again.

    \b
    Example: etl events purge --older-than 7 --yes
    """
    which = choose(ids, every=every, **filters)
    with warehouse(load_settings()) as engine:
        with engine.connect() as connection:
            chosen = webhook_events.count(connection, which)
        if chosen:
            options.confirm(f"Delete {counted(chosen, 'event')} for good, with what was posted?", yes=yes)
        deleted = options.in_batches(engine, partial(webhook_events.purge, which=which, limit=PURGE_EVENTS))
    print_line(f"{deleted} deleted")
