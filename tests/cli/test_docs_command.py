"""``etl docs``: whatever page a text of ours names is there."""

import re
from pathlib import Path

from tests.command import Command


def test_each_page_that_help_or_errors_name_can_be_printed(etl: Command) -> None:
    named = {name for path in Path("etl").rglob("*.py") for name in re.findall(r"see docs/(\w+)\.md", path.read_text())}
    assert {"operations", "sandbox"} <= named
    for name in named:
        assert etl("docs", name).stdout == Path(f"docs/{name}.md").read_text()


def test_the_pages_are_listed_with_their_titles(etl: Command) -> None:
    listed = etl("docs").stdout
    assert "operations     Operations: run it for real\n" in listed
    assert listed.splitlines()[-1] == f"Units, containers and manifests: {Path('deploy').absolute()}"


def test_an_unknown_page_is_an_error_that_names_those_there_are(etl: Command) -> None:
    asked = etl("docs", "nonesuch")
    assert (asked.returncode, ", architecture, backfill, " in asked.stderr) == (2, True)
