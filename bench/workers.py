"""1, 2 and 4 processes of ``etl run`` at one queue: how near they come to 1, 2 and 4 times the speed of one.

The queue never runs empty: neither starting nor the last items count, only what goes on side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import text

from bench.report import Target, print_table, ratio
from bench.stage import Stage, connected_sandbox
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import SandboxProcess
from etl.state import message_queue

PROCESSES = (1, 2, 4)
LOCATIONS = (50, 1)
LATENCY = 0.05
CONCURRENCY = 2
"""Requests in flight in each process: so few that four of them fill no processor."""
SHARE = 0.9
"""Of linear, that several processes must reach."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of so many processes."""

    speed: float
    """Messages a second."""
    busy: float
    """The share of all processors that was in use, by whomever."""


def measure(on: Stage, *, seconds: float, rounds: int) -> list[Target]:
    """Let processes share a queue for so many seconds, in turns; print, and return the targets."""
    targets = []
    # More messages than all can fetch in that time.
    messages = int(max(PROCESSES) * (seconds / LATENCY * CONCURRENCY + 200))
    for locations in LOCATIONS:
        config = SandboxConfig(
            locations=locations, messages=messages, limit=None, daily=None, faults={"latency": LATENCY}
        )
        with connected_sandbox(on, config) as (sandbox, variables):
            turns = [
                {count: _run(on, sandbox, variables, processes=count, seconds=seconds) for count in PROCESSES}
                for _ in range(rounds)
            ]
        targets += _report(turns, locations=locations, seconds=seconds)
    return targets


# A location without known limits is served carefully at first, which is not measured here.
HEARD = text("""
    INSERT INTO etl.rate_limits (location_id, max_requests, heard_at) VALUES (:location_id, 1000000, now())
    ON CONFLICT (location_id) DO UPDATE SET max_requests = 1000000, heard_at = now()
""")


def _run(
    on: Stage, sandbox: SandboxProcess, variables: Mapping[str, str], *, processes: int, seconds: float
) -> Measured:
    on.clear()
    with on.engine.begin() as connection:
        for name in sandbox.location_ids:
            message_queue.enqueue(connection, sandbox.dataset.ids(name), kind="message", location_id=name)
            connection.execute(HEARD, {"location_id": name})
    many = ["--processes", str(processes), "--max-seconds", str(seconds)]
    before = _ticks()
    report, _ = on.run_messages(*many, job={"concurrency": CONCURRENCY}, **variables)
    busy, passed = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    if report["outcome"] != "max_seconds":
        raise RuntimeError(f"the queue ran empty: {report}")
    return Measured(report["loaded"] / report["seconds"], busy / passed)


def _ticks() -> tuple[int, int]:
    """Ticks in which processors worked, and all ticks, since this machine started: proc(5)."""
    each = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return sum(each) - each[3] - each[4], sum(each)


def _report(turns: list[dict[int, Measured]], *, locations: int, seconds: float) -> list[Target]:
    shares = {n: ratio([each[n].speed for each in turns], [each[1].speed for each in turns]) / n for n in PROCESSES}
    places = f"{locations} location{'s' if locations > 1 else ''}"
    print_table(
        f"{places}, {CONCURRENCY} requests in flight in each process, {LATENCY * 1000:g} ms latency, {seconds:g} s, "
        f"{len(turns)} rounds in turns",
        [
            {
                "processes": n,
                "messages/s": median(each[n].speed for each in turns),
                "share of linear": shares[n],
                "processors in use": median(each[n].busy for each in turns),
            }
            for n in PROCESSES
        ],
    )
    return [
        Target(f"speed of {n} processes ÷ {n} times one, {places}", shares[n], at_least=SHARE) for n in PROCESSES[1:]
    ]
