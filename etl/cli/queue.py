"""``etl queue``: what waits to be fetched, why, and how to empty it."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NoReturn

import click
from sqlalchemy import Connection, Engine

from etl.app.composition import routing_of
from etl.app.warehouse import load_settings, warehouse
from etl.cli import options
from etl.config import jobs
from etl.config.settings import Settings
from etl.output import counted, print_json, print_line, print_table
from etl.state import locations, message_queue
from etl.state.message_queue import ItemFilter, Waiting
from etl.watch.advice import as_served, in_words, shown, state_of, unserved

WHICH = options.combined(
    options.CAUSE,
    options.KIND,
    click.option(
        "--location",
        "location_id",
        metavar="ID",
        callback=lambda _context, _parameter, typed: "" if typed == shown("") else typed,
        help="Only of this location. (default) means items that name none.",
    ),
    options.older_than("were queued"),
)
choose = partial(options.choose, ItemFilter, by="--cause, --kind, --location, --older-than")


@click.group()
def queue() -> None:
    """List, show, cancel or retry the items of the queue, which wait to be fetched."""


@queue.command("list")
@WHICH
@options.LIST_LIMIT
@options.JSON_LINES
def list_(limit: int, *, as_json: bool, **narrowing: Any) -> None:
    """List the items that wait, and why, in the order in which they come due."""
    settings = load_settings()
    with warehouse(settings) as engine, engine.connect() as connection:
        which = ItemFilter(**narrowing)
        items = message_queue.find(connection, which, limit=limit)
        waits, claimed = message_queue.counts(connection, which)
        causes = message_queue.causes(connection)
        why = _reasons(settings, connection)
    if as_json:
        for item in items:
            print_json(dataclasses.asdict(item) | {"waits_for": why(item)})
        return
    header = ("id", "location", "kind", "attempts", "waits for", "until", "queued")
    columns = attrgetter("message_id", "location_id", "kind", "attempt")
    rows = [
        (*columns(item), why(item), None if item.is_due else item.leased_until or item.scheduled_at, item.enqueued_at)
        for item in items
    ]
    print_table(header, rows, optional=("location", "attempts", "queued", "kind"))
    print_line(f"{waits} waiting, {claimed} claimed")
    failed = ", ".join(f"{count} {name}" for name, count in causes.items() if name)
    if failed:
        print_line(f"by cause, in the whole queue: {failed}")
    options.tell_limit(len(items), limit, which="the first")


@queue.command()
@click.argument("message_id", metavar="ID")
def show(message_id: str) -> None:
    """Show an item, and why it waits."""
    settings = load_settings()
    with warehouse(settings) as engine, engine.connect() as connection:
        items = message_queue.find(connection, ItemFilter([message_id]), limit=100)
        why = _reasons(settings, connection)
    for item in items:
        for name, value in (dataclasses.asdict(item) | {"waits_for": why(item)}).items():
            print_line(f"{name}: {'' if value is None else value}")
        print_line("")
    if not items:
        _exit_unknown((message_id,))


@queue.command()
@options.SOME_IDS
@WHICH
@options.YES
def cancel(ids: tuple[str, ...], *, every: bool, yes: bool, **narrowing: Any) -> None:
    """Delete items that wait, so that they are not fetched. Items that a worker has claimed stay.

    \b
    Example: etl queue cancel --cause not_found --location ve9EPM428h8vShlRW1KT
    """
    which = choose(ids, every=every, **narrowing)
    with warehouse(load_settings()) as engine:
        waits, claimed = _counts(engine, which)
        if waits:
            options.confirm(f"Cancel {counted(waits, 'item')}, which will not be fetched?", yes=yes)
        done = options.in_batches(engine, partial(message_queue.cancel, which=which), most=waits)
    print_line(f"{done} cancelled" + (f"; {claimed} claimed stay" if claimed else ""))


@queue.command()
@options.SOME_IDS
@WHICH
def retry(ids: tuple[str, ...], *, every: bool, **narrowing: Any) -> None:
    """Make items due now that failed and wait for a later try; count their attempts from 0 again."""
    which = choose(ids, every=every, **narrowing)
    with warehouse(load_settings()) as engine:
        waits, _ = _counts(engine, which)
        done = options.in_batches(engine, partial(message_queue.hurry, which=which), most=waits)
    print_line(f"{done} due now")


def _counts(engine: Engine, which: ItemFilter) -> tuple[int, int]:
    """Count chosen items that wait, and that are claimed; exit with 1 when ids are given and none is queued."""
    with engine.connect() as connection:
        waits, claimed = message_queue.counts(connection, which)
    if which.message_ids and not waits + claimed:
        _exit_unknown(which.message_ids)
    return waits, claimed


def _reasons(settings: Settings, connection: Connection) -> Callable[[Waiting], str]:
    """Return a function that says why an item waits."""
    routing, taken = routing_of(settings), jobs.read(settings.etl_jobs).kinds
    overviews = as_served(locations.overview(connection), routing)
    states: Mapping[str, str] = {each.location_id: state_of(each) for each in overviews}

    def why(item: Waiting) -> str:
        if item.leased_until is not None:
            return "nothing: a worker has claimed it"
        if not item.is_due:
            return f"a later try: {in_words(item.cause)}" if item.cause else "its time"
        if item.kind not in taken:
            return "a job of its kind in jobs.yaml"
        if unserved([item.location_id], overviews, routing):
            return "a token: its location is not connected"
        state = states.get(item.location_id or routing.location_id, "served")
        return "a worker" if state == "served" else f"its location: {state}"

    return why


def _exit_unknown(ids: Sequence[str]) -> NoReturn:
    print_line(f"Nothing is queued of {', '.join(ids)}. See: etl queue list", err=True)
    sys.exit(1)
