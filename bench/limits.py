"""``etl run`` in three processes at ten locations for a minute: no request too many, hardly an allowance unused."""

from typing import Any

from bench.report import Target, print_table
from bench.stage import Stage, connected_sandbox
from etl.sandbox.config import SandboxConfig
from etl.sandbox.limits import Window
from etl.state import message_queue

LIMIT, INTERVAL = 100, 10.0
LOCATIONS, WORKERS = 10, 3


def measure(on: Stage, *, seconds: float, window: Window) -> list[Target]:
    """Let the workers loose on more than they may fetch, print what the server counted, and return the targets."""
    # Half as much again as the allowance, so that no location runs out of work.
    messages = int(LOCATIONS * LIMIT * (seconds / INTERVAL + 1) * 1.5)
    config = SandboxConfig(locations=LOCATIONS, messages=messages, limit=LIMIT, interval=INTERVAL, window=window)
    with connected_sandbox(on, config) as (sandbox, variables):
        with on.engine.begin() as connection:
            for name in sandbox.location_ids:
                message_queue.enqueue(connection, sandbox.dataset.ids(name), kind="message", location_id=name)
        on.run_messages("--processes", str(WORKERS), "--max-seconds", str(seconds), job={}, **variables)
        stats = sandbox.stats()
    shares = _print(stats, window)
    return [
        Target(f"429s, {window} window", stats["statuses"].get("429", 0), at_most=0),
        Target(f"share of the allowance used, worst location, {window} window", min(shares.values()), at_least=0.95),
    ]


def _print(stats: dict[str, Any], window: Window) -> dict[str, float]:
    """Print what each location was asked; returns the share of its allowance that was used."""
    lasted = stats["last_request"] - stats["first_request"]
    # The most that windows of this length admit in that time, when each begins as the one before is over.
    allowance = LIMIT * (int(lasted // INTERVAL) + 1)
    shares = {name: count / allowance for name, count in stats["locations"].items()}
    print_table(
        f"{WORKERS} workers, {LOCATIONS} locations, {lasted:.0f} s, {window} window of {LIMIT} in {INTERVAL:g} s: "
        f"{stats['statuses'].get('429', 0)} requests refused",
        [
            {"location": name, "requests": stats["locations"][name], "share of the allowance": share}
            for name, share in shares.items()
        ],
    )
    return shares
