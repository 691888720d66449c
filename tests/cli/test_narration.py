from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.cli.progress import Narrator, Outlook, first_line, pacing, words
from etl.state.locations import Overview
from etl.state.runs import RunCounts
from etl.worker.run import WORKING, WorkerState

NOON = datetime(2026, 11, 14, 12, 0, tzinfo=UTC)
IDLE = WorkerState("resting")
AWAY = WorkerState("api_unreachable", wait=20.0)


def held(cause: str, *names: str, wait: float | None = None) -> WorkerState:
    return WorkerState("resting", {cause: set(names or ["LOC1"])}, wait)


@dataclass
class Told:
    """A narrator with clocks that the test sets."""

    lines: list[str] = field(default_factory=list)
    seconds: float = 0.0
    look: Outlook = field(default_factory=Outlook)

    def __post_init__(self) -> None:
        self.narrator = Narrator(
            "messages",
            say=self.lines.append,
            look=lambda _: self.look,
            clock=lambda: self.seconds,
            now=lambda: NOON + timedelta(seconds=self.seconds),
        )

    def at(self, seconds: float, condition: WorkerState, **counts: Any) -> list[str]:
        """The lines that are printed in this state of the loop, with these counts."""
        self.seconds = seconds
        if counts:
            self.narrator.progress(RunCounts(**counts))
        before = len(self.lines)
        self.narrator.watch(condition)
        return self.lines[before:]


def test_the_first_line_says_what_is_followed_and_where() -> None:
    assert first_line(["messages", "emails"], "postgresql://db/warehouse", now=NOON) == (
        "12:00:00 following messages, emails: loads what is queued in postgresql://db/warehouse, and waits for more"
    )


def test_a_run_that_begins_idle_says_nothing_more() -> None:
    told = Told()
    assert told.at(0, IDLE) + told.at(2, IDLE) == []


def test_a_change_of_state_is_reported_at_once_with_what_was_done_before() -> None:
    told = Told()
    told.at(1, WORKING)
    assert told.at(3, IDLE, loaded=12, retried=1) == ["12:00:03 messages: 12 loaded, 1 retried; idle"]


def test_a_state_that_lasts_is_reported_once() -> None:
    told = Told()
    told.at(1, IDLE)
    assert [line for second in range(2, 3600, 2) for line in told.at(second, IDLE)] == []


def test_steady_work_is_a_line_a_minute_with_the_counts_since_the_last_one() -> None:
    told = Told()
    lines = [line for second in range(1, 121) for line in told.at(second, WORKING, loaded=10 * second)]
    assert lines == ["12:01:00 messages: 600 loaded; working", "12:02:00 messages: 600 loaded; working"]


def test_an_item_now_and_then_is_at_most_a_line_a_minute() -> None:
    told = Told()
    lines = []
    for second in range(1, 600, 2):
        lines += told.at(second, WORKING, loaded=second)
        lines += told.at(second + 1, IDLE)
    assert len(lines) <= 11


def test_the_pace_of_the_rate_limit_is_reported_once_and_not_at_each_window() -> None:
    told = Told()
    lines = []
    for window in range(30):
        lines += told.at(10.0 * window, WORKING, loaded=100 * window)
        lines += told.at(10.0 * window + 1, held("rate", f"LOC{window}", wait=9.0))
    assert lines[0] == "12:00:01 messages: location LOC0: rate limit, next request in 9 s"
    assert len(lines) <= 2 + 5


def test_the_end_of_an_outage_is_reported() -> None:
    told = Told()
    assert told.at(0, AWAY) == ["12:00:00 messages: The API does not answer properly; next try at 12:00:20"]
    assert told.at(20, AWAY) == []
    assert told.at(40, WORKING) == ["12:00:40 messages: working"]


def test_states_that_alternate_are_reported_once_a_minute_each() -> None:
    told = Told()
    lines = [line for second in range(60) for line in told.at(second, held("paused") if second % 2 else IDLE)]
    assert [line.rpartition("messages: ")[2] for line in lines] == [
        "location LOC1: paused. See: etl locations list",
        "idle",
    ]


@pytest.mark.parametrize(
    ("condition", "look", "said"),
    [
        (IDLE, Outlook(retry_at=NOON + timedelta(minutes=5)), "idle, retry at 12:05:00"),
        (IDLE, Outlook(retry_at=NOON + timedelta(hours=13)), "idle, retry at 11-15 01:00"),
        (held("rate", wait=3.6), Outlook(), "location LOC1: rate limit, next request in 4 s"),
        (held("rate"), Outlook(), "location LOC1: rate limit"),
        (held("rate", ""), Outlook(default="LOC2"), "location LOC2: rate limit"),
        (held("rate", *"ABCDEFGHIJKL"), Outlook(), "location A, B, C, D, E, F, G, H, I, J and 2 more: rate limit"),
        (held("unanswered"), Outlook(), "location LOC1: the API does not answer properly"),
        (held("no_token"), Outlook(), "location LOC1: no valid token can be had for now. See: etl doctor"),
        (
            held("paused"),
            Outlook({"LOC1": Overview("LOC1", pause_cause="token_refused")}),
            "location LOC1: paused: token refused. See: etl locations list",
        ),
        (
            held("daily_budget"),
            Outlook({"LOC1": Overview("LOC1", blocked_until=NOON + timedelta(hours=1))}),
            "location LOC1: daily budget spent, next try at 13:00:00",
        ),
    ],
)
def test_waiting_says_why_and_until_when(condition: WorkerState, look: Outlook, said: str) -> None:
    assert words(condition, look, now=NOON) == [said]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (WORKING, ""),
        (IDLE, ""),
        (held("rate", wait=8.7), "rate limit: 9 s"),
        (held("rate_limited", wait=30), "the API asked to wait: 30 s"),
        (held("paused"), ""),
    ],
)
def test_a_progress_bar_says_in_a_few_words_what_a_wait_of_seconds_is_for(condition: WorkerState, said: str) -> None:
    assert pacing(condition) == said
