"""``etl dead``: items that failed for good, and what to do about them."""

import sys
from dataclasses import replace
from functools import partial
from operator import attrgetter

import click

from etl.app.warehouse import load_settings, warehouse
from etl.cli import options
from etl.errors import ConfigurationError
from etl.output import counted, print_json, print_line, print_record, print_table, write_bytes
from etl.state import dead_letters
from etl.state.dead_letters import BAD_ID, LetterFilter

SOME = options.combined(options.SOME_IDS, options.CAUSE, options.KIND)
choose = partial(options.choose, LetterFilter, by="--cause")


@click.group()
def dead() -> None:
    """List, show, retry or delete dead letters: items that failed for good."""


@dead.command("list")
@options.CAUSE
@options.LIST_LIMIT
@options.JSON_LINES
def list_(cause: str | None, limit: int, *, as_json: bool) -> None:
    """List dead letters, the newest first."""
    with warehouse(load_settings()) as engine, engine.connect() as connection:
        letters = dead_letters.find(connection, LetterFilter(cause=cause), limit=limit)
        causes = dead_letters.causes(connection)
    if as_json:
        for letter in letters:
            print_json(letter)
        return
    summary = ", ".join(f"{count} {name}" for name, count in causes.items())
    if not letters:
        print_line(f"no dead letters with this cause; there are {summary}" if causes else "no dead letters")
        return
    header = ("id", "location", "kind", "attempts", "cause", "detail", "died", "retried")
    columns = attrgetter("message_id", "location_id", "kind", "attempt", "cause", "detail", "died_at", "retried_at")
    print_table(header, map(columns, letters), optional=("location", "attempts", "retried", "kind"))
    print_line(f"all dead letters: {summary}. Look at one: etl dead show ID")
    options.tell_limit(len(letters), limit)


@dead.command()
@click.argument("message_id", metavar="ID")
@options.KIND
@options.RAW
def show(message_id: str, kind: str | None, *, raw: bool) -> None:
    """Show a dead letter and what was received. Prints the words of customers.

    Control characters are spelled out, such as \\x1b.
    """
    with warehouse(load_settings()) as engine, engine.connect() as connection:
        letters = dead_letters.find(connection, LetterFilter([message_id], kind=kind))
        _require_known(len(letters), (message_id,))
        received = [(letter, dead_letters.payload(connection, letter)) for letter in letters]
    if not raw:
        for letter, payload in received:
            print_record(letter, "payload", payload)
            print_line("")
        return
    if len(received) > 1:
        kinds = " or ".join(letter.kind for letter in letters)
        raise ConfigurationError(f"{message_id} has {len(received)} dead letters. Say which: --kind {kinds}")
    write_bytes(received[0][1] or b"")


@dead.command()
@SOME
def retry(ids: tuple[str, ...], *, every: bool, cause: str | None, kind: str | None) -> None:
    """Queue dead letters again, for example after an upgrade.

    Each dead letter stays until its item is loaded.
    """
    which = replace(choose(ids, every=every, cause=cause), kind=kind)
    with warehouse(load_settings()) as engine, engine.begin() as connection:
        queued = dead_letters.retry(connection, which)
        others = replace(which, cause=BAD_ID) if cause in (None, BAD_ID) else None
        stuck = dead_letters.count(connection, others) if others is not None else 0
    _require_known(queued + stuck, ids)
    if stuck:
        why = f"what was received has no id that can be fetched (cause {BAD_ID})"
        print_line(f"{counted(stuck, 'dead letter')} cannot be retried: {why}. See: etl dead show ID", err=True)
    print_line(f"{queued} queued again")
    sys.exit(1 if stuck and not queued else 0)


@dead.command()
@SOME
@options.older_than("died")
@options.YES
def purge(
    ids: tuple[str, ...], *, every: bool, cause: str | None, kind: str | None, older_than_days: float | None, yes: bool
) -> None:
    """Delete dead letters forever, with what was received."""
    which = replace(choose(ids, every=every, cause=cause, older_than_days=older_than_days), kind=kind)
    with warehouse(load_settings()) as engine:
        with engine.connect() as connection:
            count = dead_letters.count(connection, which)
        _require_known(count, ids)
        if count:
            options.confirm(f"Delete {counted(count, 'dead letter')} for good, with what was received?", yes=yes)
        with engine.begin() as connection:
            deleted = dead_letters.purge(connection, which)
    print_line(f"{deleted} deleted")


def _require_known(count: int, ids: tuple[str, ...]) -> None:
    """Exit with 1 when a named dead letter does not exist."""
    if ids and not count:
        print_line(f"No dead letter of {', '.join(ids)}. See: etl dead list", err=True)
        sys.exit(1)
