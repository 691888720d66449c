"""``etl docs``: the pages that the help texts name, wherever the program is installed."""

from pathlib import Path

import click

from etl import packaged
from etl.errors import ConfigurationError
from etl.output import print_line, print_lines


@click.command()
@click.argument("page", required=False)
def docs(page: str | None) -> None:
    """Print a PAGE of the documentation; without one, list the pages.

    \b
    Example: etl docs operations
    """
    pages = {path.stem: path for path in sorted(packaged("docs").glob("*.md"))}
    if page is None:
        for name, path in pages.items():
            print_line(f"{name:<14} {path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")
        print_line(f"Units, containers and manifests: {packaged('deploy')}")
        return
    name = Path(page).stem
    if name not in pages:
        raise ConfigurationError(f"There is no page {name!r}; there are: {', '.join(pages)}")
    print_lines(pages[name].read_text(encoding="utf-8"))
