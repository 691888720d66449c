"""Whether what was claimed is still this worker's."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from etl import message_queue
from etl.pipeline import Claimed
from etl.sandbox.server import RunningSandbox
from etl.worker.leases import Leases

SECONDS = 0.9


@pytest.fixture
def claimed(engine: Engine) -> list[Claimed]:
    with engine.begin() as connection:
        message_queue.enqueue(connection, ["MSG1", "MSG2"], kind="message")
        items = message_queue.claim(connection, kind="message", quotas={"": 2}, lease_seconds=SECONDS)
    return [Claimed(item, "LOC1") for item in items]


@pytest.fixture
def leases(engine: Engine) -> Iterator[Leases]:
    with Leases(engine, seconds=SECONDS) as leases:
        yield leases


def lease_of(claimed: list[Claimed]) -> int:
    return claimed[0].item.lease_id


def test_a_lease_stands_as_long_as_it_is_renewed(leases: Leases, claimed: list[Claimed]) -> None:
    leases.hold(claimed, since=time.monotonic())
    time.sleep(SECONDS * 2)
    assert leases.stands(lease_of(claimed))


def test_a_lease_that_was_not_renewed_in_time_never_stands_again(leases: Leases, claimed: list[Claimed]) -> None:
    leases.hold(claimed, since=time.monotonic() - SECONDS)
    time.sleep(SECONDS)
    assert not leases.stands(lease_of(claimed))


def test_a_lease_stands_until_its_last_item_is_settled(leases: Leases, claimed: list[Claimed]) -> None:
    leases.hold(claimed, since=time.monotonic())
    leases.drop(claimed[:1])
    before = leases.stands(lease_of(claimed))
    leases.drop(claimed[1:])
    assert (True, False) == (before, leases.stands(lease_of(claimed)))


def test_nothing_is_sent_for_an_item_whose_lease_may_have_lapsed(
    job: Any, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.enqueue(*job.ids[:10])
    before = sandbox.stats()["requests"]
    monkeypatch.setattr(Leases, "stands", lambda *_: False)
    report = job.run(max_seconds=1.0)
    assert (0, 0, before) == (report.tally.loaded, report.tally.retried, sandbox.stats()["requests"])
    assert 10 == job.value("SELECT count(*) FROM etl.message_queue WHERE attempt = 0")
