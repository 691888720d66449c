"""Waiting in tests."""

import time
from collections.abc import Callable


def await_(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for what another thread or process does; fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
