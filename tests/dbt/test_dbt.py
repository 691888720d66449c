import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from tests.command import Command
from tests.job import Job

HERE = Path(__file__).parent
ENVIRONMENT = Path(sys.prefix) / "dbt"


@pytest.fixture
def dbt() -> Path:
    """The program dbt, in a virtual environment of its own that is made anew when its versions change."""
    with Path(sys.prefix, "dbt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other test may run beside this one
        wanted = hashlib.sha256((HERE / "constraints.txt").read_bytes()).hexdigest()
        made = ENVIRONMENT / "made"
        if not made.exists() or made.read_text() != wanted:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
            pip = [str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*pip, "-r", str(HERE / "constraints.txt")], check=True)
            made.write_text(wanted)
    return ENVIRONMENT / "bin" / "dbt"


@pytest.fixture
def project(tmp_path: Path, database_url: str, etl: Command) -> Path:
    """A project whose sources are what ``etl dbt-sources`` prints."""
    url = make_url(database_url)
    target = {
        "type": "postgres",
        "host": url.host or url.query.get("host"),
        "port": url.port or 5432,
        "user": url.username,
        "password": url.password or "",
        "dbname": url.database,
        "schema": "public",
        "threads": 1,
    }
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    shutil.copy(HERE / "dbt_project.yml", project)
    profiles = {"analyst": {"target": "warehouse", "outputs": {"warehouse": target}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profiles))
    printed = etl("dbt-sources")
    assert (0, "") == (printed.returncode, printed.stderr)
    (project / "models" / "highlevel.yml").write_text(printed.stdout)
    return project


def test_dbt_reads_the_sources_without_warnings_and_their_tests_hold(dbt: Path, project: Path, job: Job) -> None:
    job.enqueue(*job.ids[:200])
    job.load("message", "email")

    done = subprocess.run(
        [dbt, "--warn-error", "test", "--project-dir", project, "--profiles-dir", project],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]
    assert "ERROR=0" in done.stdout


def test_dbt_finds_a_file_without_its_message(dbt: Path, project: Path, job: Job) -> None:
    job.execute("INSERT INTO highlevel.attachments VALUES ('LOC1', 'MSG1', 0, 'https://files.example/a.pdf')")

    done = subprocess.run(
        [dbt, "test", "--select", "source:highlevel.attachments", "--project-dir", project, "--profiles-dir", project],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "ERROR=1" in done.stdout
