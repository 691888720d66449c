"""Peak memory of ``etl run`` over many messages beside few: what is loaded must not stay."""

from bench.report import Target, print_table
from bench.stage import Measured, Stage, run_job, unlimited_sandbox

CONCURRENCY = 8


def measure(on: Stage, *, few: int, many: int) -> list[Target]:
    """Load few messages, then many, print the peaks, and return the target."""
    measured: dict[int, Measured] = {}
    with unlimited_sandbox(many) as sandbox:
        everything = list(sandbox.dataset.ids())
        for count in (few, many):
            on.clear()
            measured[count] = run_job(on, sandbox, ids=everything[:count], concurrency=CONCURRENCY)
    print_table(
        "Peak memory of etl run",
        [
            {
                "messages": count,
                "peak MiB": of.process.peak_mib,
                "messages/s": count / of.seconds,
                "seconds": of.seconds,
            }
            for count, of in measured.items()
        ],
    )
    figure = measured[many].process.peak_mib / measured[few].process.peak_mib
    return [Target(f"peak memory with {many:,} messages ÷ with {few:,}", figure, at_most=1.1)]
