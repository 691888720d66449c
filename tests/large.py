"""Shared by tests of many messages."""

import pytest

from etl.sandbox.server import RunningSandbox
from tests.command import Process
from tests.waiting import await_

both_cursors = pytest.mark.parametrize("large", ["place", "key"], indirect=True)
"""How HighLevel reads cursors is not known: a walk must work with both readings."""


def kill_after(requests: int, process: Process, sandbox: RunningSandbox) -> None:
    """Kill a command when the sandbox has seen so many requests more, unless it has ended by itself before."""
    wanted = sandbox.stats()["requests"] + requests
    await_(lambda: process.poll() is not None or sandbox.stats()["requests"] >= wanted)
    process.kill()
