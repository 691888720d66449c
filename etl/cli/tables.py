"""How rows look on a terminal: a table fitted to it, or tab-separated lines where there is none."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import click

PLAIN_WIDTH = 120
"""Columns of a table that is printed where there is no terminal."""


WHOLE = 24
"""Characters of a cell that is never broken: an id has 20."""


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None, always: bool = False
) -> None:
    """Print rows under a header; with ``always``, as a table even where there is no terminal."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    if not (always or sys.stdout.isatty()):
        if title:
            click.echo(f"# {title}")
        click.echo("\t".join(header))
        for row in cells:
            click.echo("\t".join(row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for place, name in enumerate(header):
        # Ids, dates and numbers stay whole; what is longer is folded.
        longest = max((len(row[place]) for row in cells), default=0)
        table.add_column(name, no_wrap=longest <= WHOLE)
    for row in cells:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    if title:
        console.print(Text(title, style="bold"))
    console.print(table)


def when(moment: datetime | None) -> str:
    """A moment in local time: short on a terminal, to the second where a script may read it."""
    form = "%m-%d %H:%M" if sys.stdout.isatty() else "%Y-%m-%d %H:%M:%S"
    return "" if moment is None else moment.astimezone().strftime(form)


def duration(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
