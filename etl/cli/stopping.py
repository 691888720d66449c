"""The first SIGINT or SIGTERM ends work in good order; a later one ends the process at once."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

import click

SAME_SECONDS = 1.0
"""Signals that come so close together are one: timeout(1) signals a command, and then its process group."""


class Stoppable(Protocol):
    """A run, or other work."""

    def stop(self) -> None:
        """End soon, in good order; safe to call from a signal handler."""


class Stop:
    """Tells work that looks now and then whether it shall end."""

    def __init__(self) -> None:
        self._is_asked = False

    def stop(self) -> None:
        """It shall."""
        self._is_asked = True

    def __call__(self) -> bool:
        """Whether it shall."""
        return self._is_asked


@contextmanager
def signals_stop(works: Sequence[Stoppable]) -> Iterator[None]:
    """As long as the block lasts, a signal stops these."""
    stopped_at: float | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped_at
        if stopped_at is not None:
            if time.monotonic() - stopped_at >= SAME_SECONDS:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        stopped_at = time.monotonic()
        for work in works:
            work.stop()
        with suppress(OSError, RuntimeError):  # nobody may be reading any more
            click.echo("Finishing what is in hand …", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
