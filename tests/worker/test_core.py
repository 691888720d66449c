"""A busy run keeps to one core."""

import os
import sys
import threading
from collections.abc import Iterator

import pytest

from etl.worker.core import Core

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="there is no core to choose"
)


@pytest.fixture
def core() -> Iterator[Core]:
    with Core() as core:
        yield core


@pytest.fixture
def other_thread() -> Iterator[int]:
    """The native id of a thread that is there before and after."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    yield thread.native_id or 0
    over.set()
    thread.join()


def test_all_threads_share_one_core(core: Core, other_thread: int) -> None:
    core.take()
    assert 1 == len(os.sched_getaffinity(0) | os.sched_getaffinity(other_thread))


def test_a_thread_started_later_is_on_it_too(core: Core) -> None:
    core.take()
    found: list[set[int]] = []
    thread = threading.Thread(target=lambda: found.append(os.sched_getaffinity(0)))
    thread.start()
    thread.join()
    assert [os.sched_getaffinity(0)] == found


def test_afterwards_the_kernel_may_move_them_as_before(core: Core, other_thread: int) -> None:
    before = os.sched_getaffinity(0)
    core.take()
    core.take()
    core.leave()
    assert [before, before] == [os.sched_getaffinity(0), os.sched_getaffinity(other_thread)]
