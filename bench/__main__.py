"""``python -m bench``: measures everything, side by side, and says which targets were met.

These machines are noisy: read the ratios, which come from rounds taken in turns, not the absolute figures.
"""

import argparse
import signal
import sys
from collections.abc import Callable

from bench import bulk, claim, limits, peak_memory, receive, scale, side_by_side, startup, views, workers
from bench.report import Target, print_targets
from bench.side_by_side import Conditions
from bench.stage import Stage, stage


def main() -> None:
    """Measure what was asked for, on one scratch Postgres; exit 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, side by side.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller numbers: a look, no proof")
    parser.add_argument("--only", choices=list(measurements(quick=True)), action="append", help="just this; repeatable")
    parser.add_argument("--items", type=int, help="of scale: how many items are queued")
    parser.add_argument("--warehouse", metavar="URL", help="of views: an empty database to fill, or one that is filled")
    arguments = parser.parse_args()
    targets: list[Target] = []
    # Otherwise the scratch Postgres would outlive a benchmark that is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with stage() as on:
        chosen = measurements(quick=arguments.quick, items=arguments.items, warehouse=arguments.warehouse)
        for name, measure in chosen.items():
            if arguments.only is None or name in arguments.only:
                measured = measure(on)
                print_targets(measured)
                targets += measured
    print("\nAll targets")
    print_targets(targets)
    sys.exit(0 if all(target.met for target in targets) else 1)


def measurements(
    *, quick: bool, items: int | None = None, warehouse: str | None = None
) -> dict[str, Callable[[Stage], list[Target]]]:
    """Return what can be measured, by name."""
    rounds, messages = (3, 1000) if quick else (5, 3000)
    plain = Conditions(messages=messages, rounds=rounds, concurrency=8, latency=0.0)
    slow = Conditions(messages=messages, rounds=3, concurrency=32, latency=0.1)
    few, many = (10_000, 100_000) if quick else (10_000, 1_000_000)
    loads = (1000, 5000) if quick else (5000, 100_000)
    seconds = 25.0 if quick else 60.0
    received = receive.Conditions(rounds=3, events=2000 if quick else 10_000, connections=64, messages=300)
    large = scale.Size(items or (100_000 if quick else 1_000_000), locations=10_000, churn=10_000 if quick else 40_000)
    return {
        "speed": lambda on: side_by_side.measure(on, plain),
        "latency": lambda on: side_by_side.measure(on, slow),
        "claim": lambda on: claim.measure(on, few=few, many=many, rounds=15),
        "memory": lambda on: peak_memory.measure(on, few=loads[0], many=loads[1]),
        "bulk": lambda on: bulk.measure(on, messages=5000 if quick else 20_000, singly=300 if quick else 1000),
        "workers": lambda on: workers.measure(on, seconds=10.0 if quick else 30.0, rounds=2 if quick else 3),
        "startup": lambda on: startup.measure(on, rounds=rounds),
        "sliding": lambda on: limits.measure(on, seconds=seconds, window="sliding"),
        "fixed": lambda on: limits.measure(on, seconds=seconds, window="fixed"),
        "receive": lambda on: receive.measure(on, received),
        "views": lambda on: views.measure(on, conversations=20_000 if quick else 350_000, rounds=rounds, url=warehouse),
        "scale": lambda on: scale.measure(on, large, rounds=rounds),
    }


if __name__ == "__main__":
    main()
