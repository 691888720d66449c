"""1, 2 and 4 processes of ``etl run`` at one queue: how near they come to 1, 2 and 4 times the speed of one.

The queue never runs empty: neither starting nor the last items count, only what goes on side by side.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import text

from bench import process
from bench.report import Target, print_table, print_targets, ratio
from bench.stage import Stage
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import SandboxProcess
from etl.state import message_queue
from etl.tokens.connecting import keep_private
from etl.tokens.vault import Vault, new_key

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
    for locations in LOCATIONS:
        with _connected(on, locations=locations, messages=_most(seconds)) as (sandbox, key):
            turns = [
                {count: _run(on, sandbox, key, processes=count, seconds=seconds) for count in PROCESSES}
                for _ in range(rounds)
            ]
        targets += _report(turns, locations=locations, seconds=seconds)
    print_targets(targets)
    return targets


def _most(seconds: float) -> int:
    """More messages than all can fetch in that time."""
    return int(max(PROCESSES) * (seconds / LATENCY * CONCURRENCY + 200))


@contextmanager
def _connected(on: Stage, *, locations: int, messages: int) -> Iterator[tuple[SandboxProcess, str]]:
    """Yield a sandbox without limits whose locations are connected, and the key of their tokens."""
    key = new_key()
    faults = {"latency": LATENCY}
    config = SandboxConfig(locations=locations, messages=messages, limit=None, daily=None, faults=faults)
    with SandboxProcess(config) as sandbox:
        for location_id in sandbox.location_ids:
            keep_private(on.engine, Vault((key,)), location_id, sandbox.token(location_id))
        yield sandbox, key
    on.clear()
    with on.engine.begin() as connection:
        connection.execute(text("TRUNCATE etl.rate_limits, etl.locations"))


# A location whose headers were never heard is served carefully at first, which is not measured here.
HEARD = text("""
    INSERT INTO etl.rate_limits (location_id, max_requests, heard_at) VALUES (:location_id, 1000000, now())
    ON CONFLICT (location_id) DO UPDATE SET max_requests = 1000000, heard_at = now()
""")


def _run(on: Stage, sandbox: SandboxProcess, key: str, *, processes: int, seconds: float) -> Measured:
    on.clear()
    with on.engine.begin() as connection:
        for location_id in sandbox.location_ids:
            ids = list(sandbox.dataset.ids(location_id))
            message_queue.enqueue(connection, ids, kind="message", location_id=location_id)
            connection.execute(HEARD, {"location_id": location_id})
    many = ["--processes", str(processes), "--max-seconds", str(seconds)]
    before = _ticks()
    finished = process.run(
        [sys.executable, "-m", "etl", "run", "messages", "--json", *many],
        environment=on.environment(
            ETL_SECRET_KEY=key, HIGHLEVEL_BASE_URL=sandbox.url, ETL_JOBS=str(on.jobs_file(CONCURRENCY))
        ),
        directory=on.directory,
    )
    busy, passed = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    report = json.loads(finished.output)
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
        ["processes", "messages/s", "share of linear", "processors in use"],
        [
            [n, median(each[n].speed for each in turns), shares[n], median(each[n].busy for each in turns)]
            for n in PROCESSES
        ],
    )
    return [
        Target(claim=f"speed of {n} processes ÷ {n} times one, {places}", figure=shares[n], at_least=SHARE)
        for n in PROCESSES[1:]
    ]
