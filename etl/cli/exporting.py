"""Walks windows of an export, for the commands backfill and reconcile."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection, Engine

from etl.app.composition import address_of, routing_of
from etl.app.job_runner import run_together
from etl.config import jobs
from etl.config.settings import Settings
from etl.database.failures import reading_errors
from etl.errors import ConfigurationError, EtlError
from etl.output import print_line, printable
from etl.state import locations
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.state.windows import KIND
from etl.watch.advice import CONNECT, UNANSWERED, reason, some, unanswered
from etl.worker.run import Display, Report, RunLimits, RunSpec, WindowFilter

LOOK_SECONDS, PLAIN_SECONDS = 0.5, 60.0
"""How often progress is looked up and shown: on a terminal, and where there is none."""


def walk(
    settings: Settings,
    engine: Engine,
    name: str,
    chosen: WindowFilter,
    reached: Callable[[Connection], tuple[datetime, str]],
    *,
    span: tuple[datetime, datetime],
) -> Report:
    """Walk queued windows with a run of their own; show how far of the time ``span`` it has ``reached``."""
    file = jobs.read(settings.etl_jobs)
    changes = {"name": name, "kind": KIND, "concurrency": 1, "batch_size": 2}
    job = message_job(file).model_copy(update=changes)
    is_live, (start, end) = sys.stderr.isatty(), span
    texts = [TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[detail]}")]
    columns = (texts[0], BarColumn(bar_width=20), TaskProgressColumn(), texts[1], TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not is_live) as bar:
        task = bar.add_task(printable(name), total=max((end - start).total_seconds(), 1.0), detail="")

        class Windows(Display):
            looked_at = time.monotonic() - LOOK_SECONDS

            def progress(self, counts: RunCounts) -> None:  # noqa: ARG002 - it shows what the tables say
                if time.monotonic() < self.looked_at + (LOOK_SECONDS if is_live else PLAIN_SECONDS):
                    return
                self.looked_at = time.monotonic()
                with reading_errors(engine), engine.connect() as connection:
                    at, detail = reached(connection)
                bar.update(task, completed=(at - start).total_seconds(), detail=detail)
                if not is_live:
                    print_line(f"{name}: reached {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {detail}", err=True)

        spec = RunSpec(job, RunLimits(taken=file.kinds), Windows(), windows=chosen)
        return run_together(settings, engine, [spec])[0]


def held_up(settings: Settings, engine: Engine, location_id: str, report: Report) -> EtlError:
    """Return the error that says why windows of a location are left; they stay queued."""
    later = "The same command goes on later"
    if report.outcome in UNANSWERED:
        said = unanswered(report.outcome, report.detail, address=address_of(settings))
    else:
        causes = [cause for cause, names in report.skipped.items() if location_id in names]
        unclear = f"The API did not answer properly for location {location_id}"
        said = reason(causes[0], [location_id]) if causes else unclear
        with reading_errors(engine), engine.connect() as connection:
            details = {each.location_id: each.pause_detail for each in locations.overview(connection)}
        if detail := details.get(location_id):
            said = f"{said} ({detail})"
    error = EtlError(said if report.outcome == RunOutcome.PAUSED else f"{said}. {later}")
    error.exit_code = 2 if report.outcome == RunOutcome.MISCONFIGURED else 3
    return error


def message_job(file: jobs.JobsFile) -> jobs.Job:
    """Return the job that takes messages.

    Raises:
        ConfigurationError: there is none, so queued messages would wait forever.
    """
    job = next((job for job in file.named.values() if job.kind == "message"), None)
    if job is None:
        raise ConfigurationError("No job in jobs.yaml takes items of kind message. Add one with: kind: message")
    return job


def served_locations(settings: Settings, engine: Engine) -> list[str]:
    """Return the locations that have a token: the environment's, where its id is known, and the connected ones."""
    routing = routing_of(settings)
    with reading_errors(engine), engine.connect() as connection:
        overviews = locations.overview(connection)
    served = {location.location_id for location in overviews if location.connected and location.retired_at is None}
    own = {routing.location_id} if routing.token is not None else set()
    return sorted((served | own) - {""})


def chosen_location(served: list[str], given: str | None) -> str:
    """Return the requested location, or the only one.

    Raises:
        ConfigurationError: no token serves it, or it is not clear which one is meant.
    """
    if given is not None:
        if given in served:
            return given
        known = f"Served: {some(served)}." if served else f"{CONNECT}."
        raise ConfigurationError(f"No token serves location {given}. {known}")
    if len(served) == 1:
        return served[0]
    if served:
        raise ConfigurationError(f"Say which location, with --location: {some(served)}")
    raise ConfigurationError("Say which location, with --location, or set HIGHLEVEL_LOCATION_ID.")
