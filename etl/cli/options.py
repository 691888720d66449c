"""Options shared by several commands, their values, and the confirmation before a deletion."""

import errno
import math
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from sqlalchemy import Connection, Engine

from etl.errors import ConfigurationError
from etl.output import print_line, printable
from etl.state import message_queue

Command = TypeVar("Command", bound=Callable[..., Any])
Filter = TypeVar("Filter")


def combined(*each: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Combine several options into one decorator."""

    def add(command: Command) -> Command:
        for option in reversed(each):
            command = option(command)
        return command

    return add


class FiniteRange(click.FloatRange):
    """A FloatRange that refuses ``nan`` and ``inf``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


MAX_DAYS = 36_500
"""A hundred years."""
JSON_LINES = click.option("--json", "as_json", is_flag=True, help="Print JSON: one object on each line.")
LIST_LIMIT = click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1), help="Show at most this many."
)


def tell_limit(shown: int, limit: int, *, which: str = "the newest") -> None:
    """Say that a list may be longer than what is shown."""
    if shown == limit:
        print_line(f"These are {which} {limit}; --limit shows more.", err=True)


CAUSE = click.option("--cause", help="Only with this cause, e.g. not_found.")
KIND = click.option("--kind", type=click.Choice(message_queue.KINDS), help="Only of this kind.")


SOME_IDS = combined(
    click.argument("ids", nargs=-1, metavar="[ID]…"),
    click.option("--all", "every", is_flag=True, help="All of them."),
)
RAW = click.option("--raw", is_flag=True, help="Write only what was received, byte for byte; not to a terminal.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")


def older_than(what: str) -> Callable[[Command], Command]:
    """Return an option for the least age in days of what is chosen."""
    text = f"Only those that {what} more than this many days ago."
    return click.option("--older-than", "older_than_days", type=FiniteRange(0, MAX_DAYS), metavar="DAYS", help=text)


def choose(filter_: Callable[..., Filter], ids: tuple[str, ...], *, every: bool, by: str, **narrowing: Any) -> Filter:
    """Return a filter for rows that were chosen: with ids, with options that narrow the choice, or with ``--all``.

    Raises:
        ConfigurationError: nothing was chosen, or in two ways.
    """
    if ids and every:
        raise ConfigurationError("Either ids or --all, not both")
    if not ids and not every and all(value is None for value in narrowing.values()):
        raise ConfigurationError(f"Say which: ids, {by} or --all")
    return filter_(ids or None, **narrowing)


def confirm(question: str, *, yes: bool) -> None:
    """Go on if ``yes`` was given, or a person agrees.

    Raises:
        ConfigurationError: there is no terminal to ask on.
        click.Abort: the person does not agree.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} There is no terminal to ask on: add --yes. Nothing was deleted.")
    click.confirm(printable(question), abort=True)


def read_stdin(problem: str) -> str:
    """Return the text of standard input.

    Raises:
        ConfigurationError: it is not UTF-8; the text ends with ``problem``.
    """
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"Standard input is not UTF-8 text{problem}") from error


def in_batches(engine: Engine, change: Callable[[Connection], int], *, most: float = math.inf) -> int:
    """Change one batch after another, each in a transaction, until none or ``most`` are done; return how many."""
    total = 0
    while total < most:
        with engine.begin() as connection:
            changed = change(connection)
        if not changed:
            break
        total += changed
    return total


def listen_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens at ``--host`` and ``--port``.

    Raises:
        click.UsageError: the port is taken, or the host is not this machine's.
    """
    from etl.listening import listen

    try:
        return listen(host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        cure = "Try another --port." if error.errno == errno.EADDRINUSE else "Try another --host or --port."
        raise click.UsageError(f"cannot listen on {host}:{port}: {reason}. {cure}") from error
