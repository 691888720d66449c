from dataclasses import replace
from typing import Any

import pytest

from etl.state.outcomes import RunOutcome
from etl.worker.claims import LONGEST_WAIT, NothingClaimed
from etl.worker.next_step import MOST_BATCHES, ClaimItems, Collect, End, LoopState, Rest, Step, next_step

NOW = 1000.0
EMPTY = LoopState(batch_size=20, concurrency=8)
BUSY = replace(EMPTY, unsettled=10, waiting=5)
DRAINED = NothingClaimed({}, None)
PAUSED = NothingClaimed({"paused": {"LOC1"}}, None)
RATE = NothingClaimed({"rate": {"LOC1"}}, 3.0)
BLOCKED = NothingClaimed({"rate_limited": {"LOC1"}}, LONGEST_WAIT + 1)


@pytest.mark.parametrize(
    ("state", "changes", "step"),
    [
        (EMPTY, {}, ClaimItems(20)),
        (EMPTY, {"left": 7}, ClaimItems(7)),
        (EMPTY, {"left": 0}, End(RunOutcome.LIMIT)),
        (BUSY, {"left": 0}, Collect()),
        (BUSY, {}, ClaimItems(20)),
        (BUSY, {"has_claimed": True}, Collect()),
        (BUSY, {"next_claim": NOW + 1}, Collect()),
        (BUSY, {"next_claim": NOW}, ClaimItems(20)),
        (BUSY, {"waiting": 39}, ClaimItems(20)),
        (BUSY, {"waiting": 40}, Collect()),
        (BUSY, {"waiting": 9, "batch_size": 2}, ClaimItems(2)),
        (BUSY, {"waiting": 10, "batch_size": 2}, Collect()),
        (BUSY, {"unsettled": 20 * MOST_BATCHES}, Collect()),
        (BUSY, {"has_suspect": True}, Collect()),
        (EMPTY, {"has_suspect": True}, ClaimItems(20)),
        (BUSY, {"is_stopped": True}, End(RunOutcome.STOPPED)),
        (BUSY, {"has_mismatch": True}, End(RunOutcome.MIGRATED)),
        (BUSY, {"ends_at": NOW}, End(RunOutcome.MAX_SECONDS)),
        (BUSY, {"ends_at": NOW + 1}, ClaimItems(20)),
        (BUSY, {"must_give_up": True}, End(RunOutcome.API_UNREACHABLE, is_silent=True)),
        (BUSY, {"must_give_up": True, "is_misconfigured": True}, End(RunOutcome.MISCONFIGURED, is_silent=True)),
        (BUSY, {"nothing": DRAINED, "next_claim": NOW + 1}, Collect()),
        (EMPTY, {"nothing": DRAINED}, End(RunOutcome.DRAINED, {})),
        (EMPTY, {"nothing": DRAINED, "follow": True}, Rest(DRAINED)),
        (EMPTY, {"nothing": PAUSED}, End(RunOutcome.PAUSED, PAUSED.skipped)),
        (EMPTY, {"nothing": RATE}, Rest(RATE)),
        (EMPTY, {"nothing": BLOCKED}, End(RunOutcome.RATE_LIMITED, BLOCKED.skipped)),
        (
            EMPTY,
            {"nothing": PAUSED, "is_silent": True},
            End(RunOutcome.API_UNREACHABLE, PAUSED.skipped, is_silent=True),
        ),
        (EMPTY, {"nothing": DRAINED, "nothing_found": {"LOC1"}}, End(RunOutcome.PAUSED, {"nothing_found": {"LOC1"}})),
    ],
)
def test_what_a_run_does_next(state: LoopState, changes: dict[str, Any], step: Step) -> None:
    assert next_step(replace(state, **changes), NOW) == step
