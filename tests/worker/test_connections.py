"""Runs whose connections to HighLevel drip, die idle or swallow what is sent."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from urllib.parse import urlsplit

import pytest

from etl.api import connections
from etl.api.client import BOUNDS
from etl.sandbox.server import RunningSandbox
from etl.worker import loop as loops
from tests.clock import Clock
from tests.job import Job
from tests.tcp import Server, heard, reset
from tests.waiting import await_

WAITING = "SELECT count(*), max(attempt), count(lease_id) FROM etl.message_queue"


def test_a_run_whose_time_is_over_awaits_no_answer_that_drips(
    job: Job, dripping: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "GRACE_SECONDS", 0.1)
    job.enqueue(*job.ids[:6])
    clock = Clock()
    loop = job.loop(base_url=dripping.url, max_seconds=3600, concurrency=4, clock=clock)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(loop.run)
        await_(lambda: dripping.connections > 0)
        clock.advance(3600)
        report = run.result()
    assert (report.outcome, report.counts.retried, report.counts.dead) == ("max_seconds", 0, 0)
    assert report.seconds < 3600 + BOUNDS.total_seconds
    assert job.rows(WAITING) == [(6, 0, 0)]


def test_nor_does_one_that_is_stopped(job: Job, dripping: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "GRACE_SECONDS", 0.1)
    job.enqueue(*job.ids[:6])
    loop = job.loop(base_url=dripping.url, concurrency=4)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(loop.run)
        await_(lambda: dripping.connections > 0)
        loop.stop()
        report = run.result()
    assert (report.outcome, report.seconds < BOUNDS.total_seconds) == ("stopped", True)
    assert job.rows(WAITING) == [(6, 0, 0)]


class Gateway(Server):
    """Passes bytes on to a sandbox, until it forgets the connections that it has."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        super().__init__()
        self._to = urlsplit(sandbox.url)
        self._forgotten = 0
        self._is_silent = False
        self.lost = 0
        """Requests on connections that it had forgotten."""
        self.serve = self._pass_on

    def forget(self, *, silently: bool = False) -> None:
        """Know nothing any more of the connections that there are: what comes on them is reset, or swallowed."""
        self._forgotten, self._is_silent = self.connections, silently

    def _pass_on(self, connection: socket.socket, number: int) -> None:
        with socket.create_connection((self._to.hostname, self._to.port)) as beyond:
            back = Thread(target=_copy, args=(beyond, connection))
            back.start()
            while request := heard(connection):
                if number < self._forgotten:
                    self.lost += 1
                    self._lose(connection)
                    break
                beyond.sendall(request)
            beyond.shutdown(socket.SHUT_RDWR)
            back.join()

    def _lose(self, connection: socket.socket) -> None:
        if self._is_silent:
            self.ended.wait()
        else:
            reset(connection)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)


@pytest.fixture
def gateway(sandbox: RunningSandbox) -> Iterator[Gateway]:
    gateway = Gateway(sandbox)
    yield gateway
    gateway.close()


def loaded(job: Job, count: int) -> bool:
    return bool(job.value("SELECT count(*) FROM highlevel.messages") == count)


def test_a_follower_loads_the_next_messages_although_its_connections_died_while_they_were_idle(
    job: Job, sandbox: RunningSandbox, gateway: Gateway
) -> None:
    sandbox.limits(limit=100, interval=60)
    loop = job.loop(base_url=gateway.url, follow=True, concurrency=4, max_attempts=1)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(loop.run)
        try:
            job.enqueue(*job.ids[:8])
            await_(lambda: loaded(job, 8))
            gateway.forget()
            job.enqueue(*job.ids[8:16])
            await_(lambda: loaded(job, 16))
        finally:
            loop.stop()
        counts = run.result().counts
    assert (gateway.lost > 0, counts.snoozed, counts.retried, counts.dead) == (True, gateway.lost, 0, 0)
    # Each was sent twice, so far as we know, and is counted so.
    assert job.value("SELECT sum(requests) FROM etl.rate_usage") == 16 + gateway.lost
    assert sandbox.stats()["statuses"] == {"200": 16}


def test_connections_that_swallow_requests_are_not_used_when_they_were_idle_for_long(
    job: Job, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = job.loop(base_url=gateway.url, follow=True, concurrency=4)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(loop.run)
        try:
            job.enqueue(*job.ids[:8])
            await_(lambda: loaded(job, 8))
            gateway.forget(silently=True)
            monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)  # time goes by
            job.enqueue(*job.ids[8:16])
            await_(lambda: loaded(job, 16))
        finally:
            loop.stop()
        assert (run.result().counts.retried, gateway.lost) == (0, 0)
