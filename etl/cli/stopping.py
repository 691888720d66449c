"""The first SIGINT or SIGTERM ends runs in good order; a second one ends the process at once."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click

from etl.worker.loop import Loop


@contextmanager
def signals_stop(loops: Sequence[Loop]) -> Iterator[None]:
    """As long as the block lasts, a signal stops these loops."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
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
