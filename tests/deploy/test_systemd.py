"""The units of deploy/systemd, read by systemd itself."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = shutil.which("systemd-analyze") or ""
UNITS = Path("deploy/systemd")
NAMES = sorted(path.name for path in UNITS.iterdir() if path.is_file())
EXPOSED = 20
"""Tenths of systemd's measure of what a service could do to the machine: 0 nothing, 100 everything."""

pytestmark = pytest.mark.skipif(PROGRAM == "", reason="no systemd-analyze")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units in a folder, calling a program that is there."""
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("*.service"):
        path.write_text(path.read_text().replace("/srv/etl/venv/bin/etl", shutil.which("true") or ""))
    return tmp_path


def analyze(installed: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{installed}:"}
    return subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_systemd_understands_each_unit(installed: Path, name: str) -> None:
    verified = analyze(installed, "verify", str(installed / name))
    if "Failed to" in verified.stderr and "unit" not in verified.stderr:
        pytest.skip(verified.stderr)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_an_unknown_key_is_found(installed: Path) -> None:
    unit = installed / "etl-serve.service"
    unit.write_text(unit.read_text().replace("Restart=always", "Restarts=always"))
    assert "Unknown key" in analyze(installed, "verify", str(unit)).stderr


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".service")])
def test_no_service_may_do_much_to_the_machine(installed: Path, name: str) -> None:
    exposure = analyze(installed, "security", "--offline=true", f"--threshold={EXPOSED}", str(installed / name))
    assert exposure.returncode == 0, exposure.stdout[-200:]


def test_without_the_drop_in_it_could(installed: Path) -> None:
    shutil.rmtree(installed / "etl-.service.d")
    unit = str(installed / "etl-serve.service")
    assert analyze(installed, "security", "--offline=true", f"--threshold={EXPOSED}", unit).returncode != 0


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".timer")])
def test_each_timer_has_its_service(name: str) -> None:
    assert (UNITS / name).with_suffix(".service").exists()
