"""``etl run``: starts a run, shows its progress, and turns its report into an exit code."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import click
from sqlalchemy import Engine

from etl import jobs, message_queue
from etl.cli.composition import open_loop, settings, warehouse
from etl.cli.numbers import FiniteRange
from etl.errors import ConfigurationError
from etl.jobs import Job
from etl.runs import Tally
from etl.settings import Settings
from etl.worker.loop import Loop, Plan, Report

WITHHELD = {
    "paused": "Paused; why, and how to mend it, says etl locations list",
    "not_connected": "Served by no token; connect them with etl connect, or set HIGHLEVEL_LOCATION_ID to the location "
    "of HIGHLEVEL_TOKEN",
    "no_token": "No valid token can be had for now; the log says why, and so does etl doctor",
}
"""Why items of a location wait, in words."""

WORK_LEFT = {
    "paused": "Items of some locations wait for somebody to act",
    "budget": "The daily budget of these locations is spent; their items wait",
    "rate_limited": "The API asked these locations to wait longer than a run does",
    "api_unreachable": "The API does not answer properly; every item was kept",
    "misconfigured": "The API refuses every request; every item was kept",
}
"""Outcomes that leave work, in words."""


@click.command()
@click.argument("job", required=False)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Stop after N items.")
@click.option("--max-seconds", type=FiniteRange(0, min_open=True), metavar="S", help="Stop after S seconds.")
@click.option("--follow", is_flag=True, help="Do not exit: load new items as soon as they are queued.")
@click.option("--dry-run", is_flag=True, help="Only show what is due. Fetch and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def run(
    job: str | None, limit: int | None, max_seconds: float | None, *, follow: bool, dry_run: bool, as_json: bool
) -> None:
    """Fetch the messages that are due, load them, and exit.

    JOB is an entry of jobs.yaml. Without it, every job runs once. Ctrl-C finishes the items in hand and puts the others
    back into the queue.

    Words in the output: "retried" items failed and are tried again later; after max_attempts (in jobs.yaml) they are
    "dead": see etl dead list. "snoozed" items wait without a failed attempt, for example for the rate limit.
    "drained" means that nothing is due any more.

    \b
    Example, from cron:    run etl crontab, which prints the line
    Example, as a service: etl run messages --follow
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    found = settings()
    chosen = _choose(jobs.read(found.etl_jobs), job, follow=follow)
    with warehouse(found) as engine:
        if dry_run:
            _show_due(engine, chosen, as_json=as_json)
            return
        reports = list(_run_all(found, engine, chosen, limit=limit, max_seconds=max_seconds, follow=follow))
        for each, report in reports:
            _summarize(found, each, report, as_json=as_json)
    sys.exit(max(exit_code(report) for _, report in reports))


def _run_all(
    found: Settings, engine: Engine, chosen: list[Job], *, limit: int | None, max_seconds: float | None, follow: bool
) -> Iterator[tuple[Job, Report]]:
    """Run the jobs one after another; the limit, the seconds and a signal are for all of them together."""
    began = time.monotonic()
    for job in chosen:
        spent = time.monotonic() - began
        plan = Plan(
            job=job.name,
            concurrency=job.concurrency,
            batch_size=job.batch_size,
            follow=follow,
            limit=limit,
            max_seconds=None if max_seconds is None else max(max_seconds - spent, 0.0),
            taken=jobs.kinds_taken(jobs.read(found.etl_jobs)),
        )
        report = run_once(found, engine, job, plan)
        yield job, report
        if report.outcome in ("stopped", "limit", "max_seconds"):
            return
        if limit is not None:
            limit -= report.tally.loaded + report.tally.dead


def run_once(found: Settings, engine: Engine, job: Job, plan: Plan) -> Report:
    """One run with live progress, which the first signal ends in good order."""
    with (
        _progress(engine, job, plan) as progress,
        open_loop(found, engine, job, plan, progress=progress) as loop,
        _signals(loop),
    ):
        return loop.run()


def exit_code(report: Report) -> int:
    """0 done, 1 items died, 2 the API's address or version is wrong, 3 nothing could be done now."""
    if report.outcome == "misconfigured":
        return ConfigurationError.exit_code
    if report.outcome == "api_unreachable":
        return 3
    if report.tally.dead:
        return 1
    # One location that waits among others that work is a line in the output.
    return 3 if report.outcome in WORK_LEFT and not report.tally.loaded else 0


def _choose(known: dict[str, Job], name: str | None, *, follow: bool) -> list[Job]:
    if name is not None:
        if name not in known:
            raise ConfigurationError(f"No job {name!r} in jobs.yaml; there are: {', '.join(known)}")
        return [known[name]]
    if follow and len(known) > 1:
        raise ConfigurationError(f"--follow needs to know which job: {', '.join(known)}")
    return list(known.values())


@contextmanager
def _signals(loop: Loop) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops the loop in good order; a second one ends the process at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        loop.stop()
        with suppress(OSError, RuntimeError):  # nobody may be reading any more
            click.echo("Finishing what is in hand …", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(engine: Engine, job: Job, plan: Plan) -> Iterator[Callable[[Tally], None]]:
    """A live line on a terminal; nothing elsewhere, where the summary says all."""
    if not sys.stderr.isatty():
        yield lambda _tally: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with engine.connect() as connection:
        due = sum(each.due for each in message_queue.depth(connection) if each.kind == job.kind)
    total = None if plan.follow else min(due, plan.limit or due)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rest]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(job.name, total=total, rest="")

        def show(tally: Tally) -> None:
            parts = (("dead", tally.dead), ("retried", tally.retried), ("snoozed", tally.snoozed))
            rest = ", ".join(f"{count} {name}" for name, count in parts if count)
            bar.update(task, completed=tally.loaded + tally.dead, rest=rest)

        yield show


def _summarize(found: Settings, job: Job, report: Report, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_dict(job, report)))
        return
    print_report(job, report)
    if report.outcome in WORK_LEFT:
        default = found.highlevel_location_id or "(default location)"
        for cause, text in WITHHELD.items():
            if cause in report.withheld:
                where = ", ".join(sorted(name or default for name in report.withheld[cause])[:10])
                click.echo(f"{text}: {where}", err=True)
        if report.outcome == "paused":
            return
        names = sorted({name or default for names in report.withheld.values() for name in names})
        click.echo(f"{WORK_LEFT[report.outcome]}: {report.detail or ', '.join(names[:10]) or '-'}", err=True)


def print_report(job: Job, report: Report) -> None:
    """What a run did, in words."""
    tally = report.tally
    click.echo(
        f"{job.name}: {tally.loaded} loaded ({tally.unchanged} unchanged, {tally.deleted} deleted upstream), "
        f"{tally.retried} retried, {tally.snoozed} snoozed, {tally.dead} dead in {report.seconds:.1f} s "
        f"({report.outcome})"
    )
    if tally.drift:
        seen = ", ".join(f"{entry} x{count}" for entry, count in tally.drift.most_common(10))
        click.echo(f"Schema drift, kept but unknown to this version: {seen}")
    if tally.dead:
        click.echo("Dead letters: etl dead list")


def _as_dict(job: Job, report: Report) -> dict[str, Any]:
    tally = report.tally
    return {
        "job": job.name,
        "outcome": report.outcome,
        "seconds": round(report.seconds, 3),
        "loaded": tally.loaded,
        "unchanged": tally.unchanged,
        "deleted": tally.deleted,
        "retried": tally.retried,
        "snoozed": tally.snoozed,
        "dead": tally.dead,
        "drift": dict(tally.drift),
        "withheld": {cause: sorted(names) for cause, names in report.withheld.items()},
        "detail": report.detail,
    }


def _show_due(engine: Engine, chosen: list[Job], *, as_json: bool) -> None:
    with engine.connect() as connection:
        depths = message_queue.depth(connection)
    for job in chosen:
        mine = [each for each in depths if each.kind == job.kind]
        due = {each.location_id: each.due for each in mine if each.due}
        if as_json:
            click.echo(json.dumps({"job": job.name, "due": due}))
            continue
        click.echo(f"{job.name}: {sum(due.values())} due, nothing fetched")
        for location_id, count in due.items():
            click.echo(f"  {location_id or '(default location)'}: {count}")
