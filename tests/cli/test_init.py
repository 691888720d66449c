"""``etl init``: what it writes works as it is, and nothing is overwritten."""

from pathlib import Path

import pytest

from etl import packaged
from etl.config import jobs, settings
from tests.command import Command


@pytest.fixture
def bare(tmp_path: Path) -> Command:
    """The command line in an empty directory, with nothing set."""
    return Command(tmp_path, {})


def test_what_it_writes_is_read_as_the_defaults_with_a_key(bare: Command) -> None:
    done = bare("init")
    assert (0, True) == (done.returncode, "etl db upgrade" in done.stdout)
    found = settings.read({}, dotenv=bare.directory / ".env")
    assert (1, settings.Settings()) == (len(found.secret_keys), found.model_copy(update={"etl_secret_key": None}))
    assert jobs.read(bare.directory / "jobs.yaml") == jobs.read(packaged("jobs.yaml"))
    text = (bare.directory / ".env").read_text()
    assert all(f"{name.upper()}=" in text for name in settings.Settings.model_fields)


def test_nobody_else_may_read_the_tokens_to_come(bare: Command) -> None:
    bare("init")
    assert 0o600 == (bare.directory / ".env").stat().st_mode & 0o777


@pytest.mark.parametrize("name", ["jobs.yaml", ".env"])
def test_what_is_there_is_not_overwritten_and_nothing_is_added(bare: Command, name: str) -> None:
    (bare.directory / name).write_text("mine")
    done = bare("init")
    assert (2, f"Error: {name} is here already. Nothing was written.\n") == (done.returncode, done.stderr)
    assert {name: "mine"} == {path.name: path.read_text() for path in bare.directory.iterdir()}


def test_every_comment_after_a_hash_can_be_taken_away(bare: Command) -> None:
    bare("init")
    path = bare.directory / ".env"
    lines = [
        line[1:] if line.startswith("#") and line[1:2].isupper() else line for line in path.read_text().split("\n")
    ]
    path.write_text("\n".join(lines))
    assert "info" == settings.read({}, dotenv=path).log_level
