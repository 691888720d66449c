"""The job beside a loop that only fetches, a thread pool and dlt: same Postgres, same sandbox, taken in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

from bench.report import Target, print_table, print_targets, ratio
from bench.stage import Measured, Stage, run_contender, run_job, unlimited_sandbox
from etl.sandbox.server import SandboxProcess

JOB, LOOP, POOL, DLT = "the job", "requests loop", "thread pool", "dlt"
MODULES = {LOOP: "requests_loop", POOL: "plain_script", DLT: "dlt_pipeline"}
TABLES = {JOB: "highlevel.messages", POOL: "plain.messages", DLT: "by_dlt.messages"}
BATCH = 100
"""Messages in one batch of the job; the others' statements are told for as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under which the contenders meet."""

    messages: int
    rounds: int
    concurrency: int
    latency: float
    """Seconds an answer takes."""


def measure(on: Stage, conditions: Conditions) -> list[Target]:
    """Let all of them load the same messages, print the table, and return the targets."""
    names = [LOOP, JOB, POOL]
    if find_spec("dlt") is None:
        print("\ndlt is not installed, so its row is missing: pip install -e '.[bench]'")
    else:
        names.append(DLT)
    with unlimited_sandbox(conditions.messages, latency=conditions.latency) as sandbox:
        rounds, statements = _rounds(on, sandbox, names, conditions)
    _print(rounds, statements, conditions)
    targets = _latency_targets(rounds, conditions) if conditions.latency else _speed_targets(rounds, statements)
    print_targets(targets)
    return targets


def _rounds(
    on: Stage, sandbox: SandboxProcess, names: list[str], conditions: Conditions
) -> tuple[dict[str, list[Measured]], dict[str, float]]:
    """Measure in turns; the first turn warms everything up, and counts the statements of a batch instead of time."""
    measured: dict[str, list[Measured]] = {name: [] for name in names}
    statements: dict[str, float] = {}
    everything = list(sandbox.dataset.ids())
    for turn in range(-1, conditions.rounds):
        ids = everything if turn >= 0 or not conditions.latency else everything[: conditions.concurrency * 10]
        for name in names:
            on.clear()
            if turn >= 0:
                measured[name].append(_contender(on, sandbox, name)(ids, conditions.concurrency))
            else:
                with on.counted_statements() as count:
                    _contender(on, sandbox, name)(ids, conditions.concurrency)
                statements[name] = count() * BATCH / len(ids)
            if name in TABLES and on.count(TABLES[name]) != len(ids):
                raise RuntimeError(f"{name} did not store every message")
    return measured, statements


def _contender(on: Stage, sandbox: SandboxProcess, name: str) -> Callable[[list[str], int], Measured]:
    if name == JOB:
        return lambda ids, concurrency: run_job(on, sandbox, ids=ids, concurrency=concurrency)
    module = MODULES[name]
    return lambda ids, concurrency: run_contender(on, sandbox, module, ids=ids, concurrency=concurrency)


def _print(rounds: Mapping[str, Sequence[Measured]], statements: Mapping[str, float], conditions: Conditions) -> None:
    job = _seconds(rounds[JOB])
    rows = []
    for name in sorted(rounds, key=lambda name: median(_seconds(rounds[name]))):
        seconds, whole, processor = _seconds(rounds[name]), _wholes(rounds[name]), _processors(rounds[name])
        rows.append([
            name,
            conditions.messages / median(seconds),
            median(seconds),
            max(seconds),
            ratio(seconds, job),
            median(whole),
            ratio(whole, _wholes(rounds[JOB])),
            1000 * median(processor) / conditions.messages,
            statements[name],
            round(median(each.process.peak_mib for each in rounds[name])),
        ])  # fmt: skip
    print_table(
        f"{conditions.messages:,} messages, {conditions.concurrency} requests in flight, "
        f"{conditions.latency * 1000:g} ms latency, {conditions.rounds} rounds in turns; whole processes start, too",
        [
            "",
            "messages/s",
            "seconds",
            "most",
            "÷ job's",
            "whole process",
            "÷ job's",
            "processor ms/message",
            f"statements/{BATCH}",
            "peak MiB",
        ],
        rows,
    )


def _seconds(of: Sequence[Measured]) -> list[float]:
    return [each.seconds for each in of]


def _wholes(of: Sequence[Measured]) -> list[float]:
    return [each.process.seconds for each in of]


def _processors(of: Sequence[Measured]) -> list[float]:
    return [each.process.processor for each in of]


def _latency_targets(rounds: Mapping[str, Sequence[Measured]], conditions: Conditions) -> list[Target]:
    claim = f"the job's speed ÷ the requests loop's, {conditions.latency * 1000:g} ms latency"
    return [Target(claim=claim, figure=ratio(_seconds(rounds[LOOP]), _seconds(rounds[JOB])), at_least=0.95)]


def _speed_targets(rounds: Mapping[str, Sequence[Measured]], statements: Mapping[str, float]) -> list[Target]:
    job = rounds[JOB]
    targets = [
        Target(
            claim="the job's processor time ÷ the requests loop's, whole processes",
            figure=ratio(_processors(job), _processors(rounds[LOOP])),
            at_most=1.3,
        ),
        Target(claim=f"statements of the job for {BATCH} messages", figure=statements[JOB], at_most=14.0),
    ]
    for name, bound, bound_of_whole in ((POOL, 2.0, 2.0), (DLT, 2.0, 1.4)):
        if name in rounds:
            figure, whole = (ratio(of(rounds[name]), of(job)) for of in (_seconds, _wholes))
            targets += [
                Target(claim=f"the job's speed ÷ {name}'s", figure=figure, at_least=bound),
                Target(claim=f"the job's speed ÷ {name}'s, whole processes", figure=whole, at_least=bound_of_whole),
            ]
    return targets
