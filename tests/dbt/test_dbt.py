import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import URL, Engine, make_url

from etl.database import roles
from tests.command import Command
from tests.job import Job
from tests.login_role import login_role
from tests.marts import refresh

HERE = Path(__file__).parent
ENVIRONMENT = Path(sys.prefix) / "dbt"
INVOKE = """
import sys
from dbt.cli.main import dbtRunner
runner = dbtRunner()
for command in sys.argv[1:]:
    result = runner.invoke([*command.split(), "--profiles-dir", "."])
    if not result.success:
        sys.exit(f"dbt {command} failed: {result.exception or ''}")
"""
"""Commands of dbt one after another in one process, which saves the seconds that each start takes."""


@pytest.fixture
def python() -> Path:
    """The Python that has dbt, in a virtual environment of its own that is made anew when its versions change."""
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
    return ENVIRONMENT / "bin" / "python"


@pytest.fixture
def transformer(engine: Engine) -> Iterator[URL]:
    with login_role(engine, roles.grant_transformer) as (_, url):
        yield make_url(url)


@pytest.fixture
def project(tmp_path: Path, etl: Command, transformer: URL) -> Path:
    """A project whose sources are what ``etl dbt-sources`` prints, and which adds our package."""
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    shutil.copy(HERE / "dbt_project.yml", project)
    (project / "packages.yml").write_text(yaml.safe_dump({"packages": [{"local": str(Path("dbt").absolute())}]}))
    target = {
        "type": "postgres",
        "host": transformer.host or transformer.query.get("host"),
        "port": transformer.port or 5432,
        "user": transformer.username,
        "password": transformer.password,
        "dbname": transformer.database,
        "schema": transformer.username,
        "threads": 1,
    }
    profiles = {"analyst": {"target": "warehouse", "outputs": {"warehouse": target}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profiles))
    printed = etl("dbt-sources", "--warn-after", "1", "--error-after", "2")
    assert (0, "") == (printed.returncode, printed.stderr)
    (project / "models" / "highlevel.yml").write_text(printed.stdout)
    return project


Dbt = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dbt(python: Path, project: Path) -> Dbt:
    """Runs commands of dbt, which end at the first one that fails."""

    def run(*commands: str) -> subprocess.CompletedProcess[str]:
        arguments = [str(python), "-c", INVOKE, *commands]
        return subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=project)

    return run


def test_dbt_builds_the_package_as_a_transformer_without_warnings_and_all_tests_hold(
    dbt: Dbt, job: Job, engine: Engine, etl: Command, transformer: URL
) -> None:
    job.enqueue(*job.ids[:200])
    job.load("message", "email")
    with engine.begin() as connection:
        refresh(connection)

    done = dbt("deps", "--warn-error source freshness", "--warn-error build")
    assert done.returncode == 0, done.stdout[-3000:]

    # A row of a transaction that ended late, and one that is not read again.
    own, count = transformer.username, "SELECT count(*) FROM {own}.messages_incremental WHERE status = 'changed'"
    for message_id, age in zip(job.ids[:2], ("10 minutes", "3 hours"), strict=True):
        job.execute(
            "UPDATE highlevel.messages SET status = 'changed', updated_at = updated_at - CAST(:age AS interval) "
            "WHERE message_id = :id",
            id=message_id,
            age=age,
        )
    another = job.value(
        "SELECT min(contact_id) FROM highlevel.messages WHERE contact_id NOT IN "
        "(SELECT contact_id FROM highlevel.messages WHERE status = 'changed')"
    )
    assert etl("forget", "--contact", another, "--yes").returncode == 0
    done = dbt("run --select messages_incremental")
    left = job.value("SELECT count(*) FROM highlevel.messages")
    assert (0, 1, left, True) == (
        done.returncode,
        job.value(count.format(own=own)),
        job.value(f"SELECT count(*) FROM {own}.messages_incremental"),  # noqa: S608 - a name of ours
        left < 200,
    ), done.stdout[-3000:]


def test_dbt_warns_that_nothing_was_loaded_for_too_long(dbt: Dbt, job: Job) -> None:
    job.execute(
        "INSERT INTO highlevel.messages (location_id, message_id, fetched_at, updated_at) "
        "VALUES ('LOC1', 'MSG1', now(), now() - interval '90 minutes')"
    )
    select = "--select source:analyst.highlevel.messages"
    told = dbt("deps", f"source freshness {select}")
    job.execute("UPDATE highlevel.messages SET updated_at = now() - interval '150 minutes'")
    failed = dbt(f"source freshness {select}")
    assert (0, "WARN=1" in told.stdout or "WARN freshness" in told.stdout) == (told.returncode, True), told.stdout
    assert (1, "ERROR STALE" in failed.stdout) == (failed.returncode, True), failed.stdout


def test_dbt_finds_a_file_without_its_message(dbt: Dbt, job: Job) -> None:
    job.execute("INSERT INTO highlevel.attachments VALUES ('LOC1', 'MSG1', 0, 'https://files.example/a.pdf')")

    done = dbt("deps", "test --select source:analyst.highlevel.attachments")

    assert done.returncode == 1
    assert "ERROR=1" in done.stdout
