"""``etl run``: starts runs, shows their progress, and turns their reports into an exit code."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import Any

import click
from sqlalchemy import Engine

from etl.app.composition import address_of, require_known_recordings_urls
from etl.app.job_runner import RunRequest, run_together, work
from etl.app.processes import work_in_processes
from etl.app.signals import signals_stop
from etl.app.warehouse import described, load_settings, warehouse
from etl.cli.options import FiniteRange
from etl.cli.progress import first_line, local_now, narrated, pacing, say
from etl.config import jobs
from etl.config.jobs import MARTS, Job, JobsFile
from etl.config.settings import Settings
from etl.errors import ConfigurationError
from etl.output import logs_json, print_json, print_line, print_progress, print_sentence
from etl.state import message_queue
from etl.state.outcomes import RunOutcome
from etl.state.runs import COUNTS, RunCounts
from etl.watch.advice import UNANSWERED, ending, reason, unanswered
from etl.worker.evidence import SharedEvidence
from etl.worker.run import Display, Report, RunLimits, RunSpec, WorkerState

COUNTED = 1_000_000
"""Most due items that are counted for the live line: counting more would delay the start."""
AS_USUAL = (RunOutcome.DRAINED, RunOutcome.LIMIT, RunOutcome.MAX_SECONDS)
"""Outcomes that need no line in cron's mail."""


@click.command()
@click.argument("job", required=False)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Stop after N items.")
@click.option("--max-seconds", type=FiniteRange(0, min_open=True), metavar="S", help="Stop after S seconds.")
@click.option("--follow", is_flag=True, help="Do not exit: load new items as soon as they are queued.")
@click.option(
    "--processes", type=click.IntRange(1), metavar="N", default=1, help="Use N processes, for more than one core."
)
@click.option(
    "--health-port", metavar="[HOST:]PORT", help="With --follow: answer /healthz and /metrics there, by plain HTTP."
)
@click.option("--dry-run", is_flag=True, help="Only show what is due. Fetch and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "--quiet/--no-quiet",
    default=None,
    help="Print only what was done or is new. Default: quiet where there is no terminal, as in cron.",
)
def run(  # noqa: PLR0913 - one parameter an option
    job: str | None,
    limit: int | None,
    max_seconds: float | None,
    *,
    follow: bool,
    processes: int,
    health_port: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool | None,
) -> None:
    """Fetch the messages that are due, load them, and exit.

    JOB is an entry of jobs.yaml. Without it, every job runs once, one after another. With --follow, all run at the same
    time and do not end. With --processes, several processes share the work. Ctrl-C finishes the requests under way and
    puts the other items back into the queue.

    \b
    What a run counts:
      loaded    fetched, and written to the tables
      retried   failed, and fetched again later; an attempt is spent
      snoozed   waits without a failed attempt, for example for the rate limit
      dead      failed for good, e.g. after max_attempts (jobs.yaml): etl dead list
    Counts of 0 are left out. A run that ends as "drained" left nothing that is due.

    \b
    Example, from cron:    run etl crontab, which prints the line
    Example, as a service: etl run --follow
    """
    settings = load_settings()
    is_quiet = not (sys.stdout.isatty() or sys.stderr.isatty()) if quiet is None else quiet
    file = jobs.read(settings.etl_jobs)
    chosen = _choose(file.named, job, follow=follow, limit=limit)
    require_known_recordings_urls(chosen)
    request = RunRequest(tuple(chosen), RunLimits(follow, limit, max_seconds, file.kinds))
    with warehouse(settings, runs=request.runs) as engine:
        if dry_run:
            _show_due(engine, chosen, as_json=as_json)
            return
        if follow:
            names = [each.name for each in chosen if each.kind != MARTS]
            say(first_line(names or [MARTS], described(settings), now=local_now()))
        watched = partial(narrated, settings, engine) if follow else partial(_progress, engine)
        here = partial(run_together, settings, engine, shared=SharedEvidence())
        done = work_in_processes(request, processes, watched) if processes > 1 else work(request, here, watched)
        reports = []
        beside = _beside(settings, file, engine, health_port) if follow else nullcontext()
        with signals_stop([]), beside, closing(done):
            for each, report in done:
                if as_json or (follow and logs_json()):
                    print_json(_as_dict(each, report))
                else:
                    _summarize(settings, each, report, is_quiet=is_quiet and not follow)
                # A run of the marts asks nothing of the API, so it counts only if it failed.
                if each.kind != MARTS or report.outcome != RunOutcome.DRAINED:
                    reports.append(report)
    sys.exit(exit_code(*reports))


@contextmanager
def _beside(settings: Settings, file: JobsFile, engine: Engine, health_port: str | None) -> Iterator[None]:
    """Send notices and answer at the port during the block."""
    from etl.app.checking import notifying, watching

    with ExitStack() as opened:
        opened.enter_context(notifying(settings))
        if health_port is not None:
            from etl.app.health import serving_health
            from etl.watch.metrics import text_of

            watcher = opened.enter_context(watching(settings, file, engine.url))
            url = opened.enter_context(serving_health(health_port, lambda: text_of(watcher.look())))
            print_progress(f"Answering /healthz and /metrics on {url}")
        yield


def exit_code(*reports: Report) -> int:
    """Return the worst code of the runs; code 3 counts only if no run loaded anything."""
    is_partial = len(reports) > 1 and any(report.counts.loaded for report in reports)
    codes = [_exit_code(each) for each in reports if each.outcome.is_fault or not is_partial or _exit_code(each) != 3]
    return max(codes, default=0)


def _exit_code(report: Report) -> int:
    """0 done, 1 items died or a worker did, 2 the API's address or version is wrong, 3 nothing could be done now."""
    if report.outcome == RunOutcome.MISCONFIGURED:
        return ConfigurationError.exit_code
    if report.outcome in (RunOutcome.API_UNREACHABLE, RunOutcome.MIGRATED):
        return 3
    if report.counts.dead or report.outcome == RunOutcome.LOST:
        return 1
    # A location that waits while others work is only named in the output.
    return 3 if report.outcome.leaves_locations and not report.counts.loaded else 0


def _choose(entries: dict[str, Job], name: str | None, *, follow: bool, limit: int | None) -> list[Job]:
    if name is not None:
        if name not in entries:
            raise ConfigurationError(f"No job {name!r} in jobs.yaml; there are: {', '.join(entries)}")
        return [entries[name]]
    # A limit counts items, which the job of the marts has not.
    chosen = [job for job in entries.values() if limit is None or job.kind != MARTS]
    if follow and limit is not None and len(chosen) > 1:
        raise ConfigurationError(f"--follow with --limit needs to know which job: {', '.join(entries)}")
    return chosen


@contextmanager
def _progress(engine: Engine, job: Job, limits: RunLimits) -> Iterator[RunSpec]:
    """Yield the run, with a live line on a terminal."""
    if not sys.stderr.isatty() or job.kind == MARTS:
        yield RunSpec(job, limits)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with engine.connect() as connection:
        due = message_queue.due(connection, kind=job.kind, most=COUNTED)
    total = min(due, limits.limit or due)
    texts = [TextColumn(f"{{task.{field}}}") for field in ("description", "fields[counts]", "fields[waits]")]
    columns = (texts[0], BarColumn(10), MofNCompleteColumn(), TimeElapsedColumn(), *texts[1:])
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(job.name, total=None if total == COUNTED else total, counts="", waits="")

        class Bar(Display):
            def progress(self, counts: RunCounts) -> None:
                texts = _counts(("dead", counts.dead), ("retried", counts.retried), ("snoozed", counts.snoozed))
                bar.update(task, completed=counts.loaded + counts.dead, counts=texts)

            def watch(self, state: WorkerState) -> None:
                bar.update(task, waits=pacing(state))

        yield RunSpec(job, limits, Bar())


def _summarize(settings: Settings, job: Job, report: Report, *, is_quiet: bool) -> None:
    """Print what a run did; if quiet, only what happened or is new, so that cron mails nothing else."""
    counts = report.counts
    has_done = any((counts.loaded, counts.deleted, counts.retried, counts.dead, counts.drift))
    has_news = report.is_news and report.outcome not in AS_USUAL
    if is_quiet and not has_done and not has_news:
        return
    _print_report(job, report)
    if is_quiet and not has_news:
        return
    if report.outcome.leaves_locations:
        for cause, names in report.skipped.items():
            print_sentence(reason(cause, [name or settings.highlevel_location_id for name in names]), hang=2, err=True)
    if report.outcome == RunOutcome.MIGRATED:
        print_sentence(report.detail, hang=2, err=True)
    if report.outcome in UNANSWERED:
        print_sentence(unanswered(report.outcome, report.detail, address=address_of(settings)), hang=2, err=True)


def _print_report(job: Job, report: Report) -> None:
    """Print the counts of a run in words, without those of 0."""
    counts = report.counts
    of_these = _counts(("unchanged", counts.unchanged), ("deleted upstream", counts.deleted))
    others = _counts(("retried", counts.retried), ("snoozed", counts.snoozed), ("dead", counts.dead))
    what = "conversations and days counted" if job.kind == MARTS else "loaded"
    loaded = f"{counts.loaded} {what}" + (f" ({of_these})" if of_these else "")
    print_sentence(
        f"{job.name}: {', '.join(filter(None, (loaded, others)))} in {report.seconds:.1f} s "
        f"({ending(report.outcome, report.skipped)})",
        hang=2,
    )
    if counts.drift:
        seen = ", ".join(f"{entry} x{count}" for entry, count in counts.drift.most_common(10))
        print_line(f"Schema drift, kept but unknown to this version: {seen}")
    if counts.dead:
        print_line("Dead letters: etl dead list")


def _counts(*parts: tuple[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in parts if count)


def _as_dict(job: Job, report: Report) -> dict[str, Any]:
    counts = report.counts
    return {
        "job": job.name,
        "outcome": report.outcome,
        "seconds": round(report.seconds, 3),
        **{name: getattr(counts, name) for name in COUNTS},
        "drift": dict(counts.drift),
        "withheld": {cause: sorted(names) for cause, names in report.skipped.items()},
        "detail": report.detail,
    }


def _show_due(engine: Engine, chosen: list[Job], *, as_json: bool) -> None:
    with engine.connect() as connection:
        depths = message_queue.depth(connection)
    for job in [each for each in chosen if each.kind != MARTS]:
        mine = [each for each in depths if each.kind == job.kind]
        due = {each.location_id: each.due for each in mine if each.due}
        if as_json:
            print_json({"job": job.name, "due": due})
            continue
        print_line(f"{job.name}: {sum(due.values())} due, nothing fetched")
        for location_id, count in due.items():
            print_line(f"  {location_id or '(default location)'}: {count}")
