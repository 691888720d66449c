"""The embedded Postgres, and what another user of the same machine can do to it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.database import embedded
from etl.errors import ConfigurationError, DatabaseUnavailableError

MALLORY = 65_534
"""The number of another user."""
PROGRAM = "COPY (SELECT 1) TO PROGRAM 'cat'"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play another user")


@pytest.fixture
def data(home: Path) -> Iterator[Path]:
    """A folder for an embedded server, which is stopped at the end."""
    yield home / "home" / "postgres"
    embedded.stop(home / "home" / "postgres")


def connect(url: str, *, user: int | None = None) -> "subprocess.CompletedProcess[str]":
    """Connect as a user of the machine, and run a program as the superuser can."""
    psql = embedded.psql()
    assert psql is not None
    command = [str(psql), "-XAt", "-c", PROGRAM, url]
    return subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)


def test_its_owner_connects_by_a_path_with_a_space_and_starts_it_once(home: Path) -> None:
    data = home / "a home" / "postgres"
    urls = [embedded.start(data) for _ in range(2)]
    pid = (data / "postmaster.pid").read_text().split()[0]
    assert (urls[0], connect(urls[0]).returncode, (data / "postmaster.pid").read_text().split()[0]) == (urls[1], 0, pid)
    assert [embedded.stop(data), embedded.stop(data)] == [True, False]


@as_root
def test_another_user_cannot_connect(data: Path) -> None:
    told = connect(embedded.start(data), user=MALLORY)
    assert (told.returncode > 0, "Permission denied" in told.stderr) == (True, True), told.stderr


@as_root
def test_another_user_cannot_log_in_even_where_somebody_opened_the_folder(data: Path) -> None:
    url = embedded.start(data)
    data.chmod(0o711)
    told = connect(url, user=MALLORY)
    assert (told.returncode > 0, "Peer authentication failed" in told.stderr) == (True, True), told.stderr


@as_root
@pytest.mark.parametrize("is_running", [True, False])
def test_what_an_older_version_left_open_is_closed(data: Path, *, is_running: bool) -> None:
    url = embedded.start(data)
    (data / "pg_hba.conf").write_text("local all all trust\n")
    embedded.stop(data)
    if is_running:
        wanted, embedded.HBA = embedded.HBA, "local all all trust\n"
        embedded.start(data)
        embedded.HBA = wanted
        data.chmod(0o711)
        assert connect(url, user=MALLORY).returncode == 0
    embedded.start(data)
    data.chmod(0o711)
    told = connect(url, user=MALLORY)
    assert (told.returncode > 0, "Peer authentication failed" in told.stderr) == (True, True), told.stderr


@as_root
def test_as_root_no_folder_is_opened(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=f"may not enter {private}. Set ETL_HOME"):
        embedded.start(private / ".etl" / "postgres")
    assert (private.stat().st_mode & 0o777, list(private.iterdir())) == (0o700, [])


@as_root
def test_folders_that_are_made_are_for_their_owner(data: Path) -> None:
    embedded.start(data)
    assert [each.stat().st_mode & 0o777 for each in (data.parent, data)] == [0o711, 0o700]


@as_root
@pytest.mark.parametrize("planted", ["home", "home/postgres"])
def test_a_folder_that_somebody_planted_is_refused_as_it_is(data: Path, home: Path, planted: str) -> None:
    data.parent.mkdir()
    (home / planted).mkdir(exist_ok=True)
    os.chown(home / planted, MALLORY, MALLORY)
    with pytest.raises(ConfigurationError, match=f"{planted} belongs to nobody"):
        embedded.start(data)
    assert (home / planted).stat().st_uid == MALLORY


@as_root
def test_a_link_that_somebody_planted_changes_nothing_at_its_target(data: Path, home: Path) -> None:
    target = home / "target"
    target.mkdir(mode=0o750)
    data.parent.mkdir()
    data.symlink_to(target)
    with pytest.raises(ConfigurationError, match="belongs to root"):
        embedded.start(data)
    assert (target.stat().st_mode & 0o777, target.stat().st_uid, list(target.iterdir())) == (0o750, 0, [])


def test_a_path_that_is_too_long_names_the_cure(home: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"too long .* Set ETL_HOME to a shorter one"):
        embedded.start(home / ("x" * 100) / "postgres")
    assert list(home.iterdir()) == []


def test_a_file_in_the_way_is_named(home: Path) -> None:
    (home / "home").write_text("a file where a directory belongs")
    with pytest.raises(DatabaseUnavailableError, match=str(home / "home")):
        embedded.start(home / "home" / "postgres")
