"""Whether what was claimed is still this worker's."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from etl.sandbox.server import RunningSandbox
from etl.state import message_queue
from etl.tokens.routing import Token
from etl.worker.leases import LEASE_SECONDS, Leases
from etl.worker.pipeline import Claimed
from tests.clock import Clock
from tests.job import Job


@pytest.fixture
def claimed(engine: Engine) -> list[Claimed]:
    with engine.begin() as connection:
        message_queue.enqueue(connection, ["MSG1", "MSG2"], kind="message")
        items = message_queue.claim(connection, kind="message", quotas={"": 2}, lease_seconds=LEASE_SECONDS)
    return [Claimed(item, Token("LOC1", "pit-1", "1"), 0.0) for item in items]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(engine: Engine, clock: Clock) -> Iterator[Leases]:
    with Leases(engine, clock) as leases:
        yield leases


def lease_of(claimed: list[Claimed]) -> int:
    return claimed[0].item.lease_id


def test_a_lease_holds_as_long_as_it_is_renewed(leases: Leases, claimed: list[Claimed], clock: Clock) -> None:
    leases.hold(claimed, since=clock())
    for _ in range(3):
        clock.advance(LEASE_SECONDS / 3)
        leases.renew()
    assert leases.is_held(lease_of(claimed))


def test_a_lease_that_was_not_renewed_in_time_never_holds_again(
    leases: Leases, claimed: list[Claimed], clock: Clock
) -> None:
    leases.hold(claimed, since=clock())
    clock.advance(LEASE_SECONDS)
    leases.renew()
    assert not leases.is_held(lease_of(claimed))


def test_renewing_keeps_the_items_ours(leases: Leases, claimed: list[Claimed], engine: Engine, clock: Clock) -> None:
    leases.hold(claimed, since=clock())
    with engine.begin() as connection:
        connection.execute(text("UPDATE etl.message_queue SET leased_until = now() + interval '1 second'"))
    leases.renew()
    with engine.connect() as connection:
        left = text("SELECT min(leased_until) > now() + interval '10 seconds' FROM etl.message_queue")
        assert connection.execute(left).scalar_one()


def test_a_lease_holds_until_its_last_item_is_settled(leases: Leases, claimed: list[Claimed], clock: Clock) -> None:
    leases.hold(claimed, since=clock())
    leases.drop(claimed[:1])
    before = leases.is_held(lease_of(claimed))
    leases.drop(claimed[1:])
    assert (True, False) == (before, leases.is_held(lease_of(claimed)))


def test_nothing_is_sent_for_an_item_whose_lease_may_have_lapsed(
    job: Job, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.enqueue(*job.ids[:10])
    before = sandbox.stats()["requests"]
    monkeypatch.setattr(Leases, "is_held", lambda *_: False)
    counts = job.run(limit=10).counts
    # Items that no thread had begun by then are put back, and not counted.
    assert (True, 0, 0, before) == (counts.snoozed > 0, counts.loaded, counts.retried, sandbox.stats()["requests"])
    assert 10 == job.value("SELECT count(*) FROM etl.message_queue WHERE attempt = 0")
