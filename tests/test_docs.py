"""Whatever the documentation and the help texts tell to type exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from etl.cli import cli

PAGES = sorted([Path("README.md"), *Path("docs").rglob("*.md")])
CODE = re.compile(r"```(?:mermaid.*?|[a-z]*\n(.*?))```|`([^`]+)`", re.DOTALL)
ETL = re.compile(r"(?:^|[\s/(;`])etl((?: +[^\s`|;&)#,:]+)+)", re.MULTILINE)
MAKE = re.compile(r"(?:^|[\s(`])make ([a-z]+)\b", re.MULTILINE)
PLACEHOLDERS = re.compile(r"^[^-a-z]|[…=/.$'\"<\[]")


def commands(command: click.Command, path: str = "etl") -> Iterator[tuple[str, click.Command]]:
    """A command and those within it, each with its whole name."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")


HELP = {f"{path} --help": command.get_help(click.Context(command, info_name=path)) for path, command in commands(cli)}
TEXTS = {str(page): page.read_text(encoding="utf-8") for page in PAGES} | HELP


def typed(source: str) -> str:
    """What a text shows as code; a help text is searched as a whole."""
    text = TEXTS[source]
    return text if source in HELP else "\n".join(block or span for block, span in CODE.findall(text))


def problem_of(words: list[str]) -> str | None:
    """What does not exist of a command line; the names of the commands come before anything else."""
    command: click.Command = cli
    for word in words:
        if command.context_settings.get("ignore_unknown_options"):
            return None
        options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
        if re.match(r"-+[a-z]", word):
            if word.partition("=")[0] not in options | {"--version"}:
                return f"{command.name} has no option {word}"
        elif isinstance(command, click.Group):
            if PLACEHOLDERS.search(word):
                return None
            # etl db url/psql and etl dead list|show name several at once.
            found = [command.get_command(click.Context(command), name) for name in re.split(r"[/|]", word)]
            if None in found:
                return f"there is no command {word} in {command.name}"
            command = found[-1] or command
    return None


@pytest.mark.parametrize("line", ["fly", "db fly", "run --speed 3", "dead list|fly", "locations pause --all"])
def test_what_does_not_exist_is_found(line: str) -> None:
    assert problem_of(line.split()) is not None


@pytest.mark.parametrize("source", TEXTS)
def test_every_command_and_option_that_is_told_exists(source: str) -> None:
    lines = [found.split() for found in ETL.findall(typed(source))]
    problems = [f"etl {' '.join(words)}: {problem_of(words)}" for words in lines if problem_of(words)]
    assert problems == []


@pytest.mark.parametrize("source", [str(page) for page in PAGES])
def test_every_target_of_make_that_is_told_exists(source: str) -> None:
    known = set(re.findall(r"^([a-z]+):.*## ", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(MAKE.findall(typed(source))) - known == set()


def test_the_pages_name_commands_at_all() -> None:
    assert len([words for source in TEXTS for words in ETL.findall(typed(source))]) > 50
