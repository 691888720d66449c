from random import Random
from typing import Any

import pytest
import requests

from etl.sandbox.config import SandboxConfig
from etl.sandbox.limits import Allowance, Limit
from etl.sandbox.server import RunningSandbox
from tests.waiting import await_

NOON = 1_800_014_400.0


def taken(allowance: Allowance, times: list[float]) -> list[bool]:
    return [allowance.take(NOON + moment) for moment in times]


def test_a_hundred_pass_and_the_next_one_is_refused() -> None:
    assert [True] * 100 + [False] == taken(Allowance(Limit()), [0.0] * 101)


def test_the_next_one_is_refused_until_ten_seconds_after_the_first() -> None:
    assert [True] * 100 + [False] == taken(Allowance(Limit()), [moment / 10 for moment in range(100)] + [9.999])


def test_one_passes_ten_seconds_after_the_first() -> None:
    assert [True, False] == taken(Allowance(Limit()), [moment / 10 for moment in range(100)] + [10.0, 10.0])[-2:]


def test_a_refused_request_is_not_counted() -> None:
    allowance = Allowance(Limit(limit=1))
    taken(allowance, [0.0] + [9.0] * 50)
    assert allowance.take(NOON + 10)


def test_no_interval_ever_holds_more_than_the_limit_and_nothing_is_refused_without_need() -> None:
    draw = Random(7)
    allowance = Allowance(Limit(limit=5, interval=2))
    moment, passed = NOON, list[float]()
    for _ in range(2000):
        moment += draw.choice((0, 0.125, 0.25, 1.5))
        room = sum(moment - earlier < 2 for earlier in passed) < 5
        assert room == allowance.take(moment)
        if room:
            passed.append(moment)


def test_a_fixed_window_lets_twice_the_limit_pass_around_its_change() -> None:
    allowance = Allowance(Limit(limit=5, window="fixed"))
    assert [True] * 10 + [False] == taken(allowance, [9.9] * 5 + [10.0] * 6)


def test_a_fixed_window_refuses_inside_itself() -> None:
    allowance = Allowance(Limit(limit=1, window="fixed"))
    assert [True, False] == taken(allowance, [0.0, 9.99])


def test_the_daily_budget_ends() -> None:
    assert [True, True, False] == taken(Allowance(Limit(daily=2)), [0, 3600, 7200])


def test_the_daily_budget_starts_over_at_midnight_in_utc() -> None:
    assert [True, False, True] == taken(Allowance(Limit(daily=1)), [0, 43_199, 43_200])


def test_without_a_limit_everything_passes() -> None:
    assert [True] * 5000 == taken(Allowance(Limit(limit=None, daily=None)), [0.0] * 5000)


def test_the_headers_tell_what_is_left() -> None:
    allowance = Allowance(Limit(limit=3, daily=10))
    taken(allowance, [0.0, 0.0])
    assert {
        b"x-ratelimit-limit-daily": b"10",
        b"x-ratelimit-daily-remaining": b"8",
        b"x-ratelimit-interval-milliseconds": b"10000",
        b"x-ratelimit-max": b"3",
        b"x-ratelimit-remaining": b"1",
    } == dict(allowance.headers(NOON))


def test_without_a_limit_the_headers_promise_a_huge_one() -> None:
    headers = dict(Allowance(Limit(limit=None, daily=None)).headers(NOON))
    assert (b"10000", b"1000000000") == (headers[b"x-ratelimit-max"], headers[b"x-ratelimit-limit-daily"])


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"interval": 0}, {"daily": -1}, {"window": "rolling"}])
def test_a_limit_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Limit(**wrong)


def test_over_http_the_limit_holds() -> None:
    with RunningSandbox(SandboxConfig(limit=5, interval=600)) as sandbox:
        first = sandbox.dataset.ids(sandbox.location_ids[0])[0]
        assert [200] * 5 + [429] == [sandbox.get(first).status_code for _ in range(6)]


def test_over_http_the_limit_slides() -> None:
    with RunningSandbox(SandboxConfig(limit=1, interval=0.1)) as sandbox:
        first = sandbox.dataset.ids(sandbox.location_ids[0])[0]
        assert 200 == sandbox.get(first).status_code
        await_(lambda: sandbox.get(first).status_code == 200)


def refused(sandbox: RunningSandbox, **limit: Any) -> requests.Response:
    sandbox.limits(limit=1, **limit)
    sandbox.get(sandbox.dataset.ids()[0])
    return sandbox.get(sandbox.dataset.ids()[0])


def test_a_429_says_that_nothing_is_left(sandbox: RunningSandbox) -> None:
    assert "0" == refused(sandbox).headers["X-RateLimit-Remaining"]


def test_a_429_has_the_form_of_the_other_errors(sandbox: RunningSandbox) -> None:
    answer = refused(sandbox).json()
    assert (429, "Too Many Requests") == (answer["statusCode"], answer["message"])


def test_what_was_used_stays_counted_when_the_limit_changes(sandbox: RunningSandbox) -> None:
    first = sandbox.dataset.ids()[0]
    sandbox.get(first)
    sandbox.limits(limit=2)
    assert [200, 429] == [sandbox.get(first).status_code for _ in range(2)]
