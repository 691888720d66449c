"""The first SIGINT or SIGTERM ends runs in good order; a later one ends the process at once."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click

from etl.worker.loop import Loop

SAME_SECONDS = 1.0
"""Signals that come so close together are one: timeout(1) signals a command, and then its process group."""


@contextmanager
def signals_stop(loops: Sequence[Loop]) -> Iterator[None]:
    """As long as the block lasts, a signal stops these loops."""
    stopped_at: float | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped_at
        if stopped_at is not None:
            if time.monotonic() - stopped_at >= SAME_SECONDS:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        stopped_at = time.monotonic()
        for loop in loops:
            loop.stop()
        with suppress(OSError, RuntimeError):  # nobody may be reading any more
            click.echo("Finishing what is in hand …", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
