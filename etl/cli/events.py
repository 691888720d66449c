"""``etl events``: the received webhooks, and how to read them again."""

import dataclasses
import json
import sys
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

import click
from sqlalchemy import Engine, func, select

from etl import jobs
from etl.cli.composition import settings, warehouse
from etl.cli.confirming import confirm
from etl.cli.numbers import FiniteRange
from etl.cli.tables import print_table, when
from etl.errors import ConfigurationError
from etl.models import EVENT_OUTCOMES
from etl.receive import events as webhook_events
from etl.receive.events import EventFilter, Page, StoredEvent

Command = TypeVar("Command", bound=Callable[..., Any])

PURGE_EVENTS = 5000
"""Events deleted in one transaction."""
SINCE = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def _filtering(command: Command) -> Command:
    """The options that narrow a choice."""
    for option in (
        click.option("--outcome", type=click.Choice(EVENT_OUTCOMES), help="Only those with this outcome."),
        click.option("--type", "event_type", help="Only of this type, e.g. InboundMessage."),
        click.option("--location", help="Only about this location."),
        click.option("--since", type=click.DateTime(SINCE), help="Only those received since then, in local time."),
    ):
        command = option(command)
    return command


def _choosing(command: Command) -> Command:
    """The options of a command that acts on several events."""
    chosen = click.option("--all", "every", is_flag=True, help="All of them.")(_filtering(command))
    return click.argument("ids", nargs=-1, metavar="[ID]…")(chosen)


def _filter(ids: tuple[str, ...], *, every: bool = False, **filters: Any) -> EventFilter:
    if ids and every:
        raise ConfigurationError("Either ids or --all, not both")
    since = filters["since"]
    return EventFilter(
        webhook_ids=ids or None,
        outcome=filters["outcome"],
        type=filters["event_type"],
        location_id=filters["location"],
        since=since.astimezone() if since else None,
    )


def _require_some(which: EventFilter, *, every: bool) -> None:
    if which == EventFilter() and not every:
        raise ConfigurationError("Say which: ids, --outcome, --type, --location, --since or --all")


@click.group()
def events() -> None:
    """List, show, replay or delete received webhooks."""


@events.command("list")
@_filtering
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Show at most this many.")
@click.option("--counts", is_flag=True, help="Count all events by outcome. Reads the whole table.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object on each line; with --counts, one object.")
def list_(limit: int, *, counts: bool, as_json: bool, **filters: Any) -> None:
    """List events, the newest first.

    \b
    Example: etl events list --outcome no_id --since 2026-08-01
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    which = _filter((), **filters)
    if counts and which != EventFilter():
        raise ConfigurationError("--counts counts all events: leave the other options out")
    with warehouse(settings()) as engine, engine.connect() as connection:
        if counts:
            _print_counts(webhook_events.outcomes(connection), as_json=as_json)
            return
        found = webhook_events.find(connection, which, limit=limit)
    if as_json:
        for event in found:
            click.echo(json.dumps(dataclasses.asdict(event), default=str))
    elif found:
        _print_events(found)
    else:
        click.echo("no events")


def _print_counts(counts: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(counts))
    else:
        click.echo(", ".join(f"{outcome}: {count}" for outcome, count in counts.items()) or "no events")


def _print_events(found: list[StoredEvent]) -> None:
    print_table(
        ("id", "received", "type", "location", "message", "email", "outcome", "replayed"),
        [
            (
                event.webhook_id,
                when(event.received_at),
                event.type,
                event.location_id,
                event.message_id,
                event.email_id,
                event.outcome,
                when(event.replayed_at),
            )
            for event in found
        ],
        optional=("replayed", "email", "location", "message"),
    )


@events.command()
@click.argument("webhook_id", metavar="ID")
def show(webhook_id: str) -> None:
    """Show an event and what was posted. Prints the words of customers."""
    with warehouse(settings()) as engine, engine.connect() as connection:
        found = webhook_events.find(connection, EventFilter([webhook_id]))
        body = webhook_events.body(connection, webhook_id)
    if not found or body is None:
        raise ConfigurationError(f"No event {webhook_id} is kept")
    for name, value in dataclasses.asdict(found[0]).items():
        click.echo(f"{name}: {'' if value is None else value}")
    click.echo("body:")
    sys.stdout.flush()
    sys.stdout.buffer.write(body + b"\n")


@events.command()
@_choosing
def replay(ids: tuple[str, ...], *, every: bool, **filters: Any) -> None:
    """Read events again and queue what they name.

    Use it after an upgrade, for example. Skips installations and removals of the app: an old one would undo later
    changes.

    \b
    Example: etl events replay --since "2026-08-01 12:00" --type InboundMessage
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    which = _filter(ids, every=every, **filters)
    _require_some(which, every=every)
    found = settings()
    kinds = jobs.kinds_taken(jobs.read(found.etl_jobs))
    with warehouse(found) as engine:
        replayed = sum(page.replayed for page in _pages(engine, which, kinds))
    if not replayed and ids:
        click.echo(f"None of these events is kept, or can be replayed: {', '.join(ids)}", err=True)
        sys.exit(1)
    click.echo(f"{replayed} replayed")


def _pages(engine: Engine, which: EventFilter, kinds: Collection[str]) -> Iterator[Page]:
    """Replay page by page, each in a transaction; events that arrive meanwhile are not among them."""
    with engine.connect() as connection:
        until = connection.execute(select(func.now())).scalar_one()
    page: Page | None = None
    while True:
        with engine.begin() as connection:
            page = webhook_events.replay(connection, which, kinds=kinds, until=until, after=page)
        if page is None:
            return
        yield page


@events.command()
@_choosing
@click.option(
    "--older-than",
    "days",
    type=FiniteRange(0),
    metavar="DAYS",
    help="Only those received more than this many days ago.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(ids: tuple[str, ...], *, every: bool, days: float | None, yes: bool, **filters: Any) -> None:
    """Delete events forever.

    If HighLevel sends a deleted event again, it is queued again.

    \b
    Example: etl events purge --older-than 7 --yes
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    which = _filter(ids, every=every, **filters)
    _require_some(which, every=every or days is not None)
    seconds = None if days is None else days * 86_400
    with warehouse(settings()) as engine:
        with engine.connect() as connection:
            chosen = webhook_events.count(connection, which, older_than=seconds)
        if chosen:
            which_ones = "1 event" if chosen == 1 else f"{chosen} events"
            confirm(f"Delete {which_ones} for good, with what was posted?", yes=yes)
        deleted = sum(_deletions(engine, which, seconds))
    click.echo(f"{deleted} deleted")


def _deletions(engine: Engine, which: EventFilter, older_than: float | None) -> Iterator[int]:
    while True:
        with engine.begin() as connection:
            deleted = webhook_events.purge(connection, which, older_than=older_than, limit=PURGE_EVENTS)
        yield deleted
        if deleted < PURGE_EVENTS:
            return
