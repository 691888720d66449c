"""How a release is made, and what it pins."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

RELEASE = Path("tools/release.py").absolute()
CHANGELOG = "# Changelog\n\n## Unreleased\n\n### Fixed\n\n- A fault.\n\n## 0.1.0 - 2026-01-01\n\n- All.\n"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[><=~! ]", requirement)[0]).lower()


def pins(path: str) -> dict[str, str]:
    return {name_of(name): version for name, version in PIN.findall(Path(path).read_text())}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    for command in ("init -q", "config user.name a", "config user.email a@b", "add .", "commit -qm first"):
        git(tmp_path, *command.split())
    return tmp_path


def git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True, text=True).stdout  # noqa: S607


def release(repository: Path, version: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(RELEASE), version, "2026-12-01"]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def test_a_release_dates_the_changelog_and_tags_it_with_what_is_new(repository: Path) -> None:
    assert release(repository, "0.2.0").returncode == 0
    changelog = (repository / "CHANGELOG.md").read_text()
    assert "## Unreleased\n\n## 0.2.0 - 2026-12-01\n\n### Fixed\n\n- A fault.\n\n## 0.1.0" in changelog
    assert git(repository, "tag", "-l", "--format=%(contents)", "v0.2.0").strip() == "0.2.0\n\n### Fixed\n\n- A fault."
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("version", ["", "v0.2.0", "0.2", "0.2.0 "])
def test_what_is_no_version_is_refused(repository: Path, version: str) -> None:
    refused = release(repository, version)
    assert (refused.returncode, "is no version" in refused.stderr) == (1, True)


def test_nothing_is_released_twice_nor_without_a_change(repository: Path) -> None:
    release(repository, "0.2.0")
    assert "There is a v0.2.0 already" in release(repository, "0.2.0").stderr
    assert "nothing under: ## Unreleased" in release(repository, "0.3.0").stderr


def test_nothing_is_released_while_something_is_not_committed(repository: Path) -> None:
    (repository / "more").write_text("")
    assert "Commit or stash" in release(repository, "0.2.0").stderr


def test_what_is_hashed_is_what_was_tested_and_all_that_is_needed() -> None:
    hashed, tested = pins("requirements.txt"), pins("constraints.txt")
    needed = tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"]
    assert {name: version for name, version in hashed.items() if tested.get(name, version) != version} == {}
    assert {name_of(each) for each in needed} - hashed.keys() == set()
