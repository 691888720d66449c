"""The allowance of a location, decided without a database and without a clock."""

from dataclasses import replace

import pytest

from etl.api.rate_headers import RateHeaders
from etl.state.allowance import GUARD, UNHEARD_LIMIT, AnsweredRequest, Limit, Usage, after_answers, allowance_of

LIMIT = Limit(max_requests=100, interval_ms=10_000, daily_limit=200_000, daily_remaining=200_000)
UNDER_WAY = Usage(1, lease_id=7, requests=10, seconds_left=60.0)
"""Ten requests that were granted with lease 7."""


def answered(age: float = 0.0, **headers: int) -> AnsweredRequest:
    return AnsweredRequest("LOC1", 7, age, RateHeaders(**headers))


@pytest.mark.parametrize(
    ("limit", "usages", "requests"),
    [
        (LIMIT, [], 100),
        (LIMIT, [UNDER_WAY], 90),
        (LIMIT, [replace(UNDER_WAY, seconds_left=-1.0)], 100),
        (LIMIT, [replace(UNDER_WAY, requests=120)], 0),
        (replace(LIMIT, is_heard=False), [], UNHEARD_LIMIT),
        (replace(LIMIT, daily_remaining=7), [], 7),
        (replace(LIMIT, blocked_seconds=0.1), [], 0),
        (replace(LIMIT, blocked_seconds=-0.1), [], 100),
        (replace(LIMIT, daily_remaining=0), [], 0),
        (replace(LIMIT, daily_remaining=0, is_heard=False), [], 1),
        (replace(LIMIT, daily_remaining=0, blocked_cause="daily_budget"), [], 1),
        (replace(LIMIT, daily_remaining=0, blocked_cause="daily_budget"), [UNDER_WAY], 0),
    ],
)
def test_what_is_allowed_is_the_limit_less_what_counts(limit: Limit, usages: list[Usage], requests: int) -> None:
    assert requests == allowance_of(limit, usages).requests


@pytest.mark.parametrize(
    ("limit", "cause"),
    [
        (LIMIT, "rate"),
        (replace(LIMIT, max_requests=2), "rate"),
        (replace(LIMIT, max_requests=1), "limit_too_low"),
        (replace(LIMIT, daily_remaining=1), "daily_budget"),
    ],
)
def test_an_item_that_needs_two_requests_waits_for_what_allows_two(limit: Limit, cause: str) -> None:
    assert cause == allowance_of(limit, [], each=2).cause


def test_the_wait_ends_when_the_first_answered_request_no_longer_counts() -> None:
    usages = [Usage(1, None, 40, 6.0), Usage(2, None, 60, 3.0), replace(UNDER_WAY, seconds_left=1.0)]
    assert 3.0 == allowance_of(LIMIT, usages).wait


def test_an_answered_request_counts_for_one_interval_from_its_answer() -> None:
    assert [(1, 10.0 + GUARD - 4.0)] == after_answers(LIMIT, [UNDER_WAY], [answered(4.0)], {}).counting


def test_answers_that_came_close_together_are_one_entry() -> None:
    assert [2, 1] == [
        requests
        for requests, _ in after_answers(LIMIT, [], [answered(0.01), answered(0.02), answered(1.0)], {}).counting
    ]


def test_what_is_answered_or_given_back_is_no_longer_under_way() -> None:
    assert {1: 6} == after_answers(LIMIT, [UNDER_WAY], [answered()] * 3, {7: 1}).under_way


def test_an_entry_of_which_all_is_answered_goes() -> None:
    assert {1: 0} == after_answers(LIMIT, [UNDER_WAY], [answered()] * 10, {}).under_way


def test_the_youngest_answer_that_says_something_is_believed() -> None:
    answers = [answered(3.0, max_requests=50), answered(2.0, max_requests=25), answered(1.0)]
    assert 25 == after_answers(LIMIT, [], answers, {}).limit.max_requests


def test_what_the_api_counted_beyond_ours_was_sent_by_others() -> None:
    counting = after_answers(LIMIT, [UNDER_WAY], [answered(0.0, max_requests=100, remaining=60)], {}).counting
    assert (30, 10.0 + GUARD) in counting


def test_our_own_requests_are_not_taken_for_others() -> None:
    assert 1 == len(after_answers(LIMIT, [UNDER_WAY], [answered(0.0, max_requests=100, remaining=90)], {}).counting)


def test_a_request_that_counted_when_the_answer_came_is_ours() -> None:
    earlier = Usage(2, None, 30, -0.5)
    assert 1 == len(
        after_answers(LIMIT, [UNDER_WAY, earlier], [answered(1.0, max_requests=100, remaining=60)], {}).counting
    )


def test_the_least_that_any_answer_says_of_the_day_is_believed() -> None:
    answers = [answered(0.2, daily_remaining=4), answered(0.1, daily_remaining=5)]
    assert 4 == after_answers(LIMIT, [], answers, {}).limit.daily_remaining


def test_what_is_still_under_way_leaves_the_daily_budget() -> None:
    assert 91 == after_answers(LIMIT, [UNDER_WAY], [answered(0.0, daily_remaining=100)], {}).limit.daily_remaining


def test_a_request_that_was_never_sent_goes_back_to_the_daily_budget() -> None:
    assert 200_002 == after_answers(LIMIT, [UNDER_WAY], [], {7: 2}).limit.daily_remaining


@pytest.mark.parametrize(("remaining", "budget"), [(0, False), (1, True)])
def test_an_answer_shows_whether_the_daily_limit_is_used_up(remaining: int, budget: bool) -> None:  # noqa: FBT001 - a parameter
    assert budget is after_answers(LIMIT, [], [answered(0.0, daily_remaining=remaining)], {}).budget


def test_a_gateways_answer_says_nothing() -> None:
    assert not after_answers(LIMIT, [], [AnsweredRequest("LOC1", 7, 0.0, is_proper=False)], {}).is_heard


@pytest.mark.parametrize(
    ("was_heard", "headers", "is_heard"),
    [
        (True, {"max_requests": 25}, True),
        (True, {"interval_ms": 1000}, True),
        (True, {"daily_remaining": 5}, False),
        (True, {}, False),
        (False, {}, True),
    ],
)
def test_an_answer_that_is_silent_about_the_limits_keeps_none_that_were_said_young(
    *, was_heard: bool, headers: dict[str, int], is_heard: bool
) -> None:
    assert is_heard == after_answers(replace(LIMIT, is_heard=was_heard), [], [answered(**headers)], {}).is_heard
