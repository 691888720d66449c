"""What tests of many messages share."""

import pytest

from etl.sandbox.server import RunningSandbox
from tests.command import Process
from tests.waiting import await_

both_cursors = pytest.mark.parametrize("large", ["place", "key"], indirect=True)
"""Nobody has told how HighLevel's cursors are read: what walks must be right under both readings."""


def kill_after(requests: int, process: Process, sandbox: RunningSandbox) -> None:
    """Kill a command when the sandbox has seen so many requests more, unless it has ended by itself before."""
    wanted = sandbox.stats()["requests"] + requests
    await_(lambda: process.poll() is not None or sandbox.stats()["requests"] >= wanted)
    process.kill()
