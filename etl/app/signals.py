"""The first SIGINT or SIGTERM ends work in good order; a later one ends the process at once."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from sqlalchemy import Engine

from etl.database import connections
from etl.output import print_progress

SAME_SECONDS = 1.0
"""Signals that come so close together are one: timeout(1) signals a command, and then its process group."""
SILENT_SECONDS = 10.0
"""How long work that is to stop waits for an answer of Postgres."""
LOOK_SECONDS = 0.5

_stops: list[Callable[[], None]] = []
"""Functions that a signal calls: those of all blocks under way."""
_is_stopped = threading.Event()


def stop_all() -> None:
    """Act as a signal does, from any thread: on running work, and on work that begins later."""
    _is_stopped.set()
    for each in tuple(_stops):
        each()


@contextmanager
def signals_stop(stops: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Call these functions on a signal during the block; they must be safe in a signal handler."""
    stopped_at: float | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped_at
        if stopped_at is not None:
            if time.monotonic() - stopped_at >= SAME_SECONDS:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        stopped_at = time.monotonic()
        stop_all()
        with suppress(RuntimeError):  # no thread can be had
            # In a thread: a handler may interrupt code that holds the lock of the log.
            threading.Thread(target=print_progress, args=("Finishing the requests under way …",), daemon=True).start()

    _stops.extend(stops)
    if _is_stopped.is_set():
        stop_all()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        del _stops[len(_stops) - len(stops) :]


@contextmanager
def hanging_up(engine: Engine) -> Iterator[Callable[[], None]]:
    """Yield a function to call when work is to stop: a wait for a silent Postgres is then cut off after seconds.

    That counts as a lost connection. Nothing else ends such a wait while something on the way, such as a proxy,
    confirms what it does not pass on.
    """
    asked, ended = threading.Event(), threading.Event()

    def watch() -> None:
        asked.wait()
        since: dict[object, float] = {}
        while not ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            since = {each: since.get(each, now) for each in connections.waiting(engine)}
            for each in [each for each, began in since.items() if now - began >= SILENT_SECONDS]:
                connections.cut(each)

    threading.Thread(target=watch, name="hanging-up", daemon=True).start()
    try:
        yield asked.set
    finally:
        ended.set()
        asked.set()
