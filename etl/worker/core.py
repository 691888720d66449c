"""Keeps the threads of a busy run on one core.

Only one thread of a Python process runs at a time. Spread over several cores, each handing over of the interpreter lock
wakes another core, which on a virtual machine takes longer than the work that was handed over: without latency, two
cores made a run 1.4 times slower than one (``make bench``). Postgres gets the others.

The kernel chose the core, since it is the one we are on; a run that waits for work is free to be moved again. Does
nothing where there is no such call (macOS, Windows).
"""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

PROCESSOR = 39
"""Field of /proc/…/stat that says on which core a thread ran last: proc_pid_stat(5)."""


class Core:
    """The one core, once it is taken; threads started meanwhile are on it too. A context manager, which leaves it."""

    def __init__(self) -> None:
        self._before: set[int] | None = None

    def take(self) -> None:
        """Keep all threads where this one is."""
        if sys.platform != "linux" or self._before is not None:
            return
        allowed = os.sched_getaffinity(0)
        here = _current()
        if here in allowed and len(allowed) > 1:
            self._before = allowed
            _move({here})

    def leave(self) -> None:
        """Let the kernel move the threads again."""
        if self._before is not None:
            _move(self._before)
            self._before = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


def _current() -> int | None:
    """The core this thread is on; None where that cannot be seen."""
    try:
        # The name in the second field may hold blanks and brackets.
        fields = Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()
        return int(fields[PROCESSOR - 3])
    except (OSError, ValueError, IndexError):
        return None


def _move(cores: set[int]) -> None:
    if sys.platform == "linux":
        for thread in threading.enumerate():
            # One that has just ended, or a sandbox that forbids the call: it was only about speed.
            with suppress(OSError):
                os.sched_setaffinity(thread.native_id or 0, cores)
