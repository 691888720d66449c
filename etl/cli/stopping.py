"""The first SIGINT or SIGTERM ends work in good order; a later one ends the process at once."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click

SAME_SECONDS = 1.0
"""Signals that come so close together are one: timeout(1) signals a command, and then its process group."""


@contextmanager
def signals_stop(stops: Sequence[Callable[[], None]]) -> Iterator[None]:
    """As long as the block lasts, a signal calls these, which must be safe to call from a signal handler."""
    stopped_at: float | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped_at
        if stopped_at is not None:
            if time.monotonic() - stopped_at >= SAME_SECONDS:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        stopped_at = time.monotonic()
        for each in stops:
            each()
        with suppress(OSError, RuntimeError):  # nobody may be reading any more
            click.echo("Finishing what is in hand …", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
