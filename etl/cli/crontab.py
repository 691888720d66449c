"""``etl crontab``: the schedules of jobs.yaml as lines for cron."""

import shlex
import sys
from pathlib import Path

import click

from etl import jobs
from etl.cli.composition import settings
from etl.jobs import Job

EACH_MINUTE = "* * * * *"


@click.command()
def crontab() -> None:
    """Print lines for cron, from the schedules in jobs.yaml.

    The lines have full paths, because cron does not know your directory and your PATH. Run this command in the
    directory with jobs.yaml and .env.

    \b
    Example: (crontab -l; etl crontab) | crontab -
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    for job in jobs.read(settings().etl_jobs).values():
        click.echo(line_of(job, directory=Path.cwd(), program=program()))


def line_of(job: Job, *, directory: Path, program: Path) -> str:
    """One line of a crontab; a job that starts each minute ends before the next one begins."""
    command = f"cd {shlex.quote(str(directory))} && {shlex.quote(str(program))} run {shlex.quote(job.name)}"
    if job.schedule == EACH_MINUTE:
        command += " --max-seconds 55"
    # In a crontab, a percent sign ends the command: crontab(5).
    return f"{job.schedule} {command.replace('%', chr(92) + '%')}"


def program() -> Path:
    """The etl that runs now."""
    started = Path(sys.argv[0])
    return started.resolve() if started.name == "etl" else Path(sys.executable).parent / "etl"
