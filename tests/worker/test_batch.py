"""How many outcomes are settled together."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from etl.kinds import Options, all_kinds
from etl.state.message_queue import Item
from etl.state.runs import RunCounts
from etl.tokens.routing import Token
from etl.worker.batch import Batch
from etl.worker.pipeline import Claimed, Outcome
from etl.worker.run import RunContext
from etl.worker.settlement import Settlement


def outcomes(count: int) -> list[Outcome]:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    claimed = Claimed(Item("message", "MSG1", "LOC1", 1, 1, None, at), Token("LOC1", "pit-1", "1"), 0.0)
    return [Outcome(claimed, 0.0, records=[])] * count


def batch(size: int | None) -> Batch:
    """A batch that is settled without a database."""

    kind = all_kinds(Options())["message"]
    settlement = Settlement(kind, max_attempts=8, context=RunContext(time.monotonic, "", {}))
    row: Any = SimpleNamespace(transact=lambda _work: RunCounts())  # all that it calls
    return Batch(settlement, row, size=size, linger=60.0)


def sizes(size: int | None, *counts: int) -> list[int]:
    """How much a batch holds after each of several that held so many."""
    growing, found = batch(size), []
    for count in counts:
        growing.add(outcomes(count))
        growing.settle()
        found.append(growing.size)
    return found


def test_a_batch_grows_while_outcomes_fill_it_and_shrinks_when_they_do_not() -> None:
    assert sizes(None, 100, 250, 400, 399, 10, 10) == [200, 400, 400, 200, 100, 100]


@pytest.mark.parametrize("size", [1, 20, 1000])
def test_a_bound_in_jobs_yaml_stays_a_bound(size: int) -> None:
    assert sizes(size, size, size * 2, 1) == [size] * 3


def test_a_full_batch_is_settled_at_once() -> None:
    full = batch(None)
    full.add(outcomes(99))
    assert full.patience() > 0.0
    full.add(outcomes(1))
    assert full.patience() == 0.0
