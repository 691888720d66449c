"""Waiting in tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from etl.sandbox.remote import Sandbox


def await_(condition: Callable[[], bool], *, seconds: float = 90.0) -> None:
    """Wait for what another thread or process does; fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def releasing(sandbox: Sandbox) -> Iterator[None]:
    """Let go of what the sandbox holds, again and again, as long as the block lasts."""
    ended = Event()

    def release() -> None:
        with Sandbox(sandbox.url, sandbox.config) as other:
            while not ended.wait(0.01):
                other.release()

    thread = Thread(target=release)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
