"""``etl dead``: items that were given up on, and what to do about them."""

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from etl import dead_letters
from etl.cli.composition import settings, warehouse
from etl.cli.confirming import confirm
from etl.cli.numbers import FiniteRange
from etl.cli.tables import print_table, when
from etl.dead_letters import LetterFilter
from etl.errors import ConfigurationError
from etl.models import KINDS

Command = TypeVar("Command", bound=Callable[..., Any])


def _choosing(command: Command) -> Command:
    """The options of a command that acts on several letters."""
    for option in (
        click.option("--kind", type=click.Choice(KINDS), help="Only of this kind."),
        click.option("--cause", help="Only with this cause, e.g. not_found."),
        click.option("--all", "every", is_flag=True, help="All of them."),
        click.argument("ids", nargs=-1, metavar="[ID]…"),
    ):
        command = option(command)
    return command


def _filter(ids: tuple[str, ...], *, every: bool, cause: str | None, kind: str | None) -> LetterFilter:
    if not ids and not every and cause is None:
        raise ConfigurationError("Say which: ids, --cause or --all")
    if ids and every:
        raise ConfigurationError("Either ids or --all, not both")
    return LetterFilter(ids or None, cause, kind)


@click.group()
def dead() -> None:
    """List, show, retry or delete dead letters: items that were given up on."""


@dead.command("list")
@click.option("--cause", help="Only with this cause, e.g. not_found.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Show at most this many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object on each line.")
def list_(cause: str | None, limit: int, *, as_json: bool) -> None:
    """List dead letters, the newest first."""
    with warehouse(settings()) as engine, engine.connect() as connection:
        letters = dead_letters.find(connection, LetterFilter(cause=cause), limit=limit)
        causes = dead_letters.causes(connection)
    if as_json:
        for letter in letters:
            click.echo(json.dumps(dataclasses.asdict(letter), default=str))
        return
    if not letters:
        click.echo("no dead letters")
        return
    print_table(
        ("id", "location", "kind", "attempts", "cause", "detail", "died", "retried"),
        [
            (
                letter.message_id,
                letter.location_id,
                letter.kind,
                letter.attempt,
                letter.cause,
                letter.detail,
                when(letter.died_at),
                when(letter.retried_at),
            )
            for letter in letters
        ],
        optional=("location", "attempts", "retried", "kind"),
    )
    click.echo(", ".join(f"{name}: {count}" for name, count in causes.items()))


@dead.command()
@click.argument("message_id", metavar="ID")
@click.option("--kind", type=click.Choice(KINDS), help="The kind, if several kinds have this id.")
def show(message_id: str, kind: str | None) -> None:
    """Show a dead letter and what was received. Prints the words of customers."""
    with warehouse(settings()) as engine, engine.connect() as connection:
        letters = dead_letters.find(connection, LetterFilter([message_id], kind=kind))
        if not letters:
            raise ConfigurationError(f"No dead letter of {message_id}")
        for letter in letters:
            for name, value in dataclasses.asdict(letter).items():
                click.echo(f"{name}: {'' if value is None else value}")
            payload = dead_letters.payload(connection, letter)
            click.echo("payload: none was received" if payload is None else "payload:")
            if payload is not None:
                sys.stdout.flush()
                sys.stdout.buffer.write(payload + b"\n")


@dead.command()
@_choosing
def retry(ids: tuple[str, ...], *, every: bool, cause: str | None, kind: str | None) -> None:
    """Queue dead letters again, for example after an upgrade.

    Each dead letter stays until its item is loaded.
    """
    which = _filter(ids, every=every, cause=cause, kind=kind)
    with warehouse(settings()) as engine, engine.begin() as connection:
        queued = dead_letters.retry(connection, which)
    _require_matches(queued, which)
    click.echo(f"{queued} queued again")


def _require_matches(count: int, which: LetterFilter) -> None:
    """Exit with 1 when what was named is not there."""
    if not count and which.message_ids is not None:
        click.echo(f"No dead letter of {', '.join(which.message_ids)}. See: etl dead list", err=True)
        sys.exit(1)


@dead.command()
@_choosing
@click.option(
    "--older-than",
    "days",
    type=FiniteRange(0),
    metavar="DAYS",
    help="Only those given up on more than this many days ago.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(
    ids: tuple[str, ...], *, every: bool, cause: str | None, kind: str | None, days: float | None, yes: bool
) -> None:
    """Delete dead letters forever, with what was received."""
    which = _filter(ids, every=every or (days is not None and not ids), cause=cause, kind=kind)
    with warehouse(settings()) as engine:
        with engine.connect() as connection:
            count = dead_letters.count(connection, which, older_than_days=days)
        _require_matches(count, which)
        confirm(f"Delete {count} dead letters for good, with what was received?", yes=yes)
        with engine.begin() as connection:
            deleted = dead_letters.purge(connection, which, older_than_days=days)
    click.echo(f"{deleted} deleted")
