"""The lines that ``etl crontab`` prints work under cron as they are."""

import subprocess
import sys
from pathlib import Path

from etl.cli.crontab import command_of, line_of
from etl.config.jobs import Job
from tests.command import Command


def test_a_line_starts_the_job_in_its_directory_with_nothing_but_cron_s_environment(etl: Command) -> None:
    (etl.directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in etl.environment.items()))
    program = Path(sys.executable).parent / "etl"
    line = line_of("* * * * *", command_of(Job(name="messages")), directory=etl.directory, program=program)
    command = line.removeprefix("* * * * * ")
    done = subprocess.run(["/bin/sh", "-c", command], env={}, capture_output=True, text=True, check=False)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_settings_that_cron_will_not_see_are_named(etl: Command) -> None:
    (etl.directory / ".env").write_text(f"DATABASE_URL={etl.environment['DATABASE_URL']}\nHIGHLEVEL_TOKEN_FILE=x\n")
    done = etl("crontab", DATABASE_URL="")
    told = f"Write them into {etl.directory}/.env, or into the crontab: HIGHLEVEL_LOCATION_ID, HIGHLEVEL_BASE_URL\n"
    assert (0, True) == (done.returncode, done.stderr.endswith(told)), done.stderr


def test_where_the_env_file_has_all_nothing_is_reported(etl: Command) -> None:
    (etl.directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in etl.environment.items()))
    assert "" == etl("crontab").stderr


def test_a_percent_sign_is_escaped() -> None:
    line = line_of("0 3 * * *", "run messages", directory=Path("/srv/100%"), program=Path("/bin/etl"))
    assert line == r"0 3 * * * cd /srv/100\% && /bin/etl run messages"


def test_every_job_has_its_line(etl: Command) -> None:
    (etl.directory / "jobs.yaml").write_text('jobs:\n  a:\n  b:\n    schedule: "5 * * * *"\n')
    # That of the marts comes by itself, and reconcile compares each night.
    assert ["* * * * * cd", "5 * * * * cd", "* * * * * cd", "17 3 * * * c"] == [
        line[:12] for line in etl("crontab").stdout.splitlines()
    ]
