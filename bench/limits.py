"""Three `etl run` processes at ten locations for a minute: no request too many, and hardly an allowance unused."""

import subprocess
import sys
from typing import Any

from sqlalchemy import text

from bench.report import Target, print_table, print_targets
from bench.stage import Stage
from etl.sandbox.config import SandboxConfig
from etl.sandbox.limits import Window
from etl.sandbox.server import SandboxProcess
from etl.state import message_queue
from etl.tokens.connecting import keep_private
from etl.tokens.vault import Vault, new_key

LIMIT, INTERVAL = 100, 10.0
LOCATIONS, WORKERS = 10, 3


def measure(on: Stage, *, seconds: float, window: Window) -> list[Target]:
    """Let the workers loose on more than they may fetch, print what the server counted, and return the targets."""
    on.clear()
    # The limits that another measurement heard from another sandbox, for locations of the same names.
    with on.engine.begin() as connection:
        connection.execute(text("TRUNCATE etl.rate_limits"))
    # Half as much again as the allowance, so that no location runs out of work.
    messages = int(LOCATIONS * LIMIT * (seconds / INTERVAL + 1) * 1.5)
    config = SandboxConfig(locations=LOCATIONS, messages=messages, limit=LIMIT, interval=INTERVAL, window=window)
    with SandboxProcess(config) as sandbox:
        _run_workers(on, sandbox, seconds)
        stats = sandbox.stats()
    on.clear()
    shares = _print(stats, window)
    targets = [
        Target(claim=f"429s, {window} window", figure=stats["statuses"].get("429", 0), at_most=0),
        Target(
            claim=f"share of the allowance used, worst location, {window} window", figure=min(shares), at_least=0.95
        ),
    ]
    print_targets(targets)
    return targets


def _run_workers(on: Stage, sandbox: SandboxProcess, seconds: float) -> None:
    key = new_key()
    for location_id in sandbox.location_ids:
        keep_private(on.engine, Vault((key,)), location_id, sandbox.token(location_id))
        with on.engine.begin() as connection:
            ids = list(sandbox.dataset.ids(location_id))
            message_queue.enqueue(connection, ids, kind="message", location_id=location_id)
    environment = on.environment(
        ETL_SECRET_KEY=key, HIGHLEVEL_BASE_URL=sandbox.url, ETL_JOBS=str(on.jobs_file(concurrency=8))
    )
    command = [sys.executable, "-m", "etl", "run", "messages", "--max-seconds", str(seconds), "--json"]
    workers = [
        subprocess.Popen(command, env=environment, cwd=on.directory, stdout=subprocess.PIPE, text=True)
        for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.communicate()
        if worker.returncode != 0:
            raise RuntimeError(f"a worker ended with {worker.returncode}")


def _print(stats: dict[str, Any], window: Window) -> list[float]:
    """Print what each location was asked; returns the share of its allowance that was used."""
    lasted = stats["last_request"] - stats["first_request"]
    # The most that windows of this length admit in that time, when each begins as the one before is over.
    allowance = LIMIT * (int(lasted // INTERVAL) + 1)
    shares = {name: count / allowance for name, count in stats["locations"].items()}
    print_table(
        f"{WORKERS} workers, {LOCATIONS} locations, {lasted:.0f} s, {window} window of {LIMIT} in {INTERVAL:g} s: "
        f"{stats['statuses'].get('429', 0)} requests refused",
        ["location", "requests", "share of the allowance"],
        [[name, stats["locations"][name], share] for name, share in shares.items()],
    )
    return list(shares.values())
