"""``etl crontab``: the schedules of jobs.yaml as lines for cron."""

import shlex
import sys
from pathlib import Path

import click

from etl.app.warehouse import load_settings
from etl.config import jobs
from etl.config.settings import outside_of
from etl.output import print_line, print_sentence

EACH_MINUTE = "* * * * *"
NIGHTLY = "17 3 * * *"
"""When reconcile and prune run."""


@click.command()
def crontab() -> None:
    """Print lines for cron, from the schedules and the retention in jobs.yaml.

    The lines have full paths, because cron does not know your directory and your PATH. Run this command in the
    directory with jobs.yaml and .env: cron sees the settings in .env, but not those that you export in a shell. Each
    job has its own line, so that a busy job does not delay the others.

    \b
    Example: (crontab -l; etl crontab) | crontab -
    """
    settings = load_settings()
    file = jobs.read(settings.etl_jobs)
    lines = [(job.schedule, command_of(job)) for job in file.named.values()]
    if "message" in file.kinds:
        lines.append((NIGHTLY, "reconcile"))
    if file.retention != jobs.Retention():
        lines.append((NIGHTLY, "prune"))
    dotenv = Path.cwd() / ".env"
    if missing := outside_of(dotenv):
        print_sentence(
            f"Cron does not see settings that only this shell has. Write them into {dotenv}, or into the crontab: "
            f"{', '.join(missing)}",
            err=True,
        )
    for schedule, command in lines:
        print_line(line_of(schedule, command, directory=Path.cwd(), program=program()))


def command_of(job: jobs.Job) -> str:
    """Return the command of a job; a run that starts each minute ends before the next one begins."""
    return f"run {shlex.quote(job.name)}" + (" --max-seconds 55" if job.schedule == EACH_MINUTE else "")


def line_of(schedule: str, command: str, *, directory: Path, program: Path) -> str:
    """Return one line of a crontab."""
    line = f"cd {shlex.quote(str(directory))} && {shlex.quote(str(program))} {command}"
    # In a crontab, a percent sign ends the command: crontab(5).
    return f"{schedule} {line.replace('%', chr(92) + '%')}"


def program() -> Path:
    """Return the etl that runs now."""
    started = Path(sys.argv[0])
    return started.resolve() if started.name == "etl" else Path(sys.executable).parent / "etl"
