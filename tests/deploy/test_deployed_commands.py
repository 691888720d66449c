"""The commands that units, containers and manifests start exist, with their options."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from etl.cli import cli

DEPLOY = Path("deploy")


def commands() -> Iterator[tuple[str, list[str]]]:
    """The words after ``etl`` of every command, with the file that holds it."""
    for unit in DEPLOY.rglob("*.service"):
        for line in re.findall(r"^ExecStart=\S+/etl (.*)", unit.read_text(), re.MULTILINE):
            yield unit.name, shlex.split(line)
    for line in re.findall(r"^CMD (.*)", (DEPLOY / "container/Containerfile").read_text(), re.MULTILINE):
        yield "Containerfile", json.loads(line)
    for path in DEPLOY.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            for words in _of_containers(document):
                yield path.name, words


def _of_containers(node: Any) -> Iterator[list[str]]:
    """Commands of compose, and arguments of Kubernetes."""
    if isinstance(node, list):
        for each in node:
            yield from _of_containers(each)
    if isinstance(node, dict):
        for key, value in node.items():
            is_command = key in ("command", "args") and isinstance(value, list)
            if is_command and value[0] != "sleep":
                yield value
            elif not is_command:
                yield from _of_containers(value)


@pytest.mark.parametrize(("file", "words"), list(commands()))
def test_a_command_that_is_deployed_is_understood(file: str, words: list[str]) -> None:
    command: click.Command = cli
    words = list(words)
    while isinstance(command, click.Group) and words:
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, file
        command = found
    command.make_context(command.name, words)


def test_there_are_commands() -> None:
    assert {words[0] for _, words in commands()} >= {"serve", "run", "db", "reconcile", "prune"}
