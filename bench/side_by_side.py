"""The job beside a loop that only fetches, a plain script and dlt: same Postgres, same sandbox, taken in turns."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

from bench.report import Target, print_table, print_targets, ratio
from bench.stage import Measured, Stage, run_contender, run_job, unlimited_sandbox
from etl.sandbox.server import SandboxProcess

JOB, BARE, PLAIN, DLT = "the job", "bare loop", "plain script", "dlt"
MODULES = {BARE: "bare_loop", PLAIN: "plain_script", DLT: "dlt_pipeline"}
TABLES = {JOB: "highlevel.messages", PLAIN: "plain.messages", DLT: "by_dlt.messages"}


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
    names = [BARE, JOB, PLAIN]
    if find_spec("dlt") is None:
        print("\ndlt is not installed, so its row is missing: pip install -e '.[bench]'")
    else:
        names.append(DLT)
    with unlimited_sandbox(conditions.messages, latency=conditions.latency) as sandbox:
        rounds = _rounds(on, sandbox, names, conditions)
    _print(rounds, conditions)
    targets = _targets({name: [each.seconds for each in of] for name, of in rounds.items()}, conditions)
    print_targets(targets)
    return targets


def _rounds(on: Stage, sandbox: SandboxProcess, names: list[str], conditions: Conditions) -> dict[str, list[Measured]]:
    """Measure in turns; the first turn only warms up: the sandbox's texts, dlt's tables, Postgres's files."""
    measured: dict[str, list[Measured]] = {name: [] for name in names}
    everything = list(sandbox.dataset.ids())
    for turn in range(-1, conditions.rounds):
        ids = everything if turn >= 0 or not conditions.latency else everything[: conditions.concurrency * 10]
        for name in names:
            on.clear()
            result = _contender(on, sandbox, name)(ids, conditions.concurrency)
            if name in TABLES and on.count(TABLES[name]) != len(ids):
                raise RuntimeError(f"{name} did not store every message")
            if turn >= 0:
                measured[name].append(result)
    return measured


def _contender(on: Stage, sandbox: SandboxProcess, name: str) -> Callable[[list[str], int], Measured]:
    if name == JOB:
        return lambda ids, concurrency: run_job(on, sandbox, ids=ids, concurrency=concurrency)
    module = MODULES[name]
    return lambda ids, concurrency: run_contender(on, sandbox, module, ids=ids, concurrency=concurrency)


def _print(rounds: dict[str, list[Measured]], conditions: Conditions) -> None:
    job = [each.seconds for each in rounds[JOB]]
    rows = []
    for name in sorted(rounds, key=lambda name: median(each.seconds for each in rounds[name])):
        seconds = [each.seconds for each in rounds[name]]
        whole = median(each.process.seconds for each in rounds[name])
        peak = median(each.process.peak_mib for each in rounds[name])
        speed = conditions.messages / median(seconds)
        rows.append([name, speed, median(seconds), min(seconds), max(seconds), whole, ratio(seconds, job), round(peak)])
    print_table(
        f"{conditions.messages:,} messages, {conditions.concurrency} requests in flight, "
        f"{conditions.latency * 1000:g} ms latency, {conditions.rounds} rounds in turns",
        ["", "messages/s", "seconds", "least", "most", "whole process", "time ÷ job's", "peak MiB"],
        rows,
    )


def _targets(seconds: dict[str, list[float]], conditions: Conditions) -> list[Target]:
    latency = f"{conditions.latency * 1000:g} ms latency"
    share = 0.95 if conditions.latency else 0.5
    targets = [
        Target(
            claim=f"the job's speed ÷ the bare loop's, {latency}",
            figure=ratio(seconds[BARE], seconds[JOB]),
            at_least=share,
        )
    ]
    if not conditions.latency:
        for name, bound in ((PLAIN, 1.5), (DLT, 1.2)):
            if name in seconds:
                figure = ratio(seconds[name], seconds[JOB])
                targets.append(Target(claim=f"the job's speed ÷ {name}'s, {latency}", figure=figure, at_least=bound))
    return targets
