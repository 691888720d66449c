"""Prints rows and texts: fitted to a terminal, or in a pipe as a script reads them.

The whole command line prints through here. A text of a customer or the API cannot control a terminal or fake a line:
such characters are spelled out, also in a pipe, which may end at a terminal.
"""

import dataclasses
import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import click
import structlog

from etl.errors import ConfigurationError

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that are not printed: control characters (C0 and C1), line ends, text direction, lone surrogates."""

PLAIN_WIDTH = 120
"""Columns of a table that is printed where there is no terminal."""

SHORT = 22
"""Most characters of a text that is not broken between its words, such as a date or a state."""
GAP = 3
"""Columns between two columns of a table."""


def printable(text: str) -> str:
    """Spell out control characters, such as ESC and a new line, in a text."""
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def print_line(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(printable(text), err=err)


def print_lines(text: str) -> None:
    """Print a text line by line."""
    for line in text.splitlines():
        print_line(line)


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    always: bool = False,
    optional: Sequence[str] = (),
) -> None:
    """Print rows under a header; with ``always``, as a table even where there is no terminal.

    Where a terminal is too narrow, the ``optional`` columns are left out, the first one first.
    """
    cells = [[_text(value) for value in row] for row in rows]
    if not (always or sys.stdout.isatty()):
        for line in (f"# {title}",) if title else ():
            print_line(line)
        for row in (header, *cells):
            click.echo("\t".join(row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    columns = list(zip(header, zip(*cells, strict=True) if cells else [()] * len(header), strict=True))
    left_out = []
    for name in optional:
        if sum(_least(*column) + GAP for column in columns) > console.width:
            columns = [column for column in columns if column[0] != name]
            left_out.append(name)
    for name, column in columns:
        table.add_column(name, no_wrap=_is_whole(column), min_width=_least(name, column))
    for kept in zip(*(column for _, column in columns), strict=True):
        table.add_row(*(Text(cell, overflow="fold") for cell in kept))
    if title:
        console.print(Text(title, style="bold"))
    console.print(table)
    if left_out:
        print_sentence(f"A wider terminal also shows: {', '.join(left_out)}")


def _text(value: object) -> str:
    """Return a cell's text; a time is local, short on a terminal, and to the second in a pipe."""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%m-%d %H:%M" if sys.stdout.isatty() else "%Y-%m-%d %H:%M:%S")
    return "" if value is None else printable(str(value))


def _is_whole(column: Sequence[str]) -> bool:
    """Whether cells stay on one line: ids, dates and numbers do; longer texts are broken between words."""
    return all(" " not in cell or len(cell) <= SHORT for cell in column)


def _least(name: str, column: Sequence[str]) -> int:
    """Return the least width of a column, in characters."""
    parts = column if _is_whole(column) else [word for cell in column for word in cell.split()]
    return max(len(name), *map(len, parts), 0)


def print_sentence(text: str, *, indent: int = 0, hang: int = 0, err: bool = False) -> None:
    """Print a sentence, broken between its words on a terminal; ``hang`` indents all lines but the first further."""
    text = printable(text)
    if (sys.stderr if err else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        text = click.wrap_text(text, width - 1, subsequent_indent=" " * (indent + hang), initial_indent=" " * indent)
        click.echo(text, err=err)
    else:
        click.echo(" " * indent + text, err=err)


def print_progress(text: str, *, hang: int = 0) -> None:
    """Print on standard error how work goes on; where the log is JSON lines, as one of those."""
    with suppress(OSError, ValueError):  # nobody may be reading any more
        if logs_json():
            structlog.get_logger("etl").info("progress", says=text)
        else:
            print_sentence(text, hang=hang, err=True)


def logs_json() -> bool:
    """Return whether log lines are JSON, so that standard error holds nothing else."""
    return isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer)


def print_json(value: object) -> None:
    """Print a value as JSON on one line of ASCII; a dataclass as its fields, other types as text."""
    click.echo(json.dumps(value, default=_as_json))


def _as_json(value: object) -> object:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else str(value)


def print_record(record: Any, received_as: str, received: bytes | None) -> None:
    """Print the fields of a dataclass, one on each line, then what was received, indented under a name."""
    for name, value in dataclasses.asdict(record).items():
        print_line(f"{name}: {'' if value is None else value}")
    if not received:
        print_line(f"{received_as}: none was received")
        return
    print_line(f"{received_as}:")
    for line in received.decode(errors="backslashreplace").split("\n"):
        print_line(f"  {line}")


def write_bytes(received: bytes) -> None:
    """Write bytes as they were received, but not to a terminal, which might obey them.

    Raises:
        ConfigurationError: standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise ConfigurationError("--raw writes bytes, which a terminal might obey. Send them to a file: … --raw > FILE")
    sys.stdout.flush()
    sys.stdout.buffer.write(received)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Return a length of time in its largest fitting unit."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
