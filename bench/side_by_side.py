"""The job beside a loop that only fetches, a thread pool and dlt: same Postgres, same sandbox, taken in turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

from bench.report import Target, print_table, ratio
from bench.stage import Measured, Stage, run_contender, run_job, unlimited_sandbox
from etl.sandbox.server import SandboxProcess

JOB, LOOP, POOL, DLT = "the job", "requests loop", "thread pool", "dlt"
MODULES = {LOOP: "requests_loop", POOL: "plain_script", DLT: "dlt_pipeline"}
TABLES = {JOB: "highlevel.messages", POOL: "plain.messages", DLT: "by_dlt.messages"}
BATCH = 100
"""Messages in one batch of the job; statements of other contenders are given for the same number."""


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
    return _latency_targets(rounds, conditions) if conditions.latency else _speed_targets(rounds, statements)


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
                measured[name].append(_contender(on, sandbox, name, ids, conditions.concurrency))
            else:
                with on.counted_statements() as count:
                    _contender(on, sandbox, name, ids, conditions.concurrency)
                statements[name] = count() * BATCH / len(ids)
            if name in TABLES and on.count(TABLES[name]) != len(ids):
                raise RuntimeError(f"{name} did not store every message")
    return measured, statements


def _contender(on: Stage, sandbox: SandboxProcess, name: str, ids: list[str], concurrency: int) -> Measured:
    if name == JOB:
        return run_job(on, sandbox, ids=ids, concurrency=concurrency)
    return run_contender(on, sandbox, MODULES[name], ids=ids, concurrency=concurrency)


def _print(rounds: Mapping[str, Sequence[Measured]], statements: Mapping[str, float], conditions: Conditions) -> None:
    print_table(
        f"{conditions.messages:,} messages, {conditions.concurrency} requests in flight, "
        f"{conditions.latency * 1000:g} ms latency, {conditions.rounds} rounds in turns; whole processes start, too",
        [
            {
                "": name,
                "messages/s": conditions.messages / median(_seconds(of)),
                "seconds": median(_seconds(of)),
                "most": max(_seconds(of)),
                "÷ job's": ratio(_seconds(of), _seconds(rounds[JOB])),
                "whole process": median(_wholes(of)),
                "÷ job's whole": ratio(_wholes(of), _wholes(rounds[JOB])),
                "processor ms/message": 1000 * median(_processors(of)) / conditions.messages,
                f"statements/{BATCH}": statements[name],
                "peak MiB": round(median(each.process.peak_mib for each in of)),
            }
            for name, of in sorted(rounds.items(), key=lambda each: median(_seconds(each[1])))
        ],
    )


def _seconds(of: Sequence[Measured]) -> list[float]:
    return [each.seconds for each in of]


def _wholes(of: Sequence[Measured]) -> list[float]:
    return [each.process.seconds for each in of]


def _processors(of: Sequence[Measured]) -> list[float]:
    return [each.process.processor for each in of]


def _latency_targets(rounds: Mapping[str, Sequence[Measured]], conditions: Conditions) -> list[Target]:
    claim = f"the job's speed ÷ the requests loop's, {conditions.latency * 1000:g} ms latency"
    return [Target(claim, ratio(_seconds(rounds[LOOP]), _seconds(rounds[JOB])), at_least=0.95)]


def _speed_targets(rounds: Mapping[str, Sequence[Measured]], statements: Mapping[str, float]) -> list[Target]:
    job = rounds[JOB]
    processor = ratio(_processors(job), _processors(rounds[LOOP]))
    targets = [
        Target("the job's processor time ÷ the requests loop's, whole processes", processor, at_most=1.3),
        Target(f"statements of the job for {BATCH} messages", statements[JOB], at_most=14.0),
    ]
    for name, bound, bound_of_whole in ((POOL, 2.0, 2.0), (DLT, 2.0, 1.4)):
        if name in rounds:
            figure, whole = (ratio(of(rounds[name]), of(job)) for of in (_seconds, _wholes))
            targets.append(Target(f"the job's speed ÷ {name}'s", figure, at_least=bound))
            targets.append(Target(f"the job's speed ÷ {name}'s, whole processes", whole, at_least=bound_of_whole))
    return targets
