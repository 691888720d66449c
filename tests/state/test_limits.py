from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from etl.api.rate_headers import RateHeaders
from etl.state import limits, limits_upkeep
from etl.state.allowance import UNHEARD_LIMIT, AnsweredRequest

HUNDRED = RateHeaders(max_requests=100, interval_ms=10_000)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def allowed(connection: Connection, location_id: str = "LOC1") -> int:
    # Postgres counts a transaction's locks, not its statements: asking again in the same one is fine.
    return limits.allowances(connection, [location_id])[location_id].requests


def spend(connection: Connection, count: int, *, lease_id: int = 1, location_id: str = "LOC1") -> None:
    limits.spend(connection, [(location_id, lease_id)] * count, seconds=60)


def answer(
    connection: Connection, headers: RateHeaders, *, count: int = 1, age: float = 0.0, lease_id: int = 1
) -> None:
    limits.record_answers(connection, [AnsweredRequest("LOC1", lease_id, age, headers)] * count)


def hear(connection: Connection, headers: RateHeaders) -> None:
    allowed(connection)
    spend(connection, 1, lease_id=99)
    answer(connection, headers, lease_id=99, age=3600.0)


def execute(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))


def test_an_unknown_location_starts_small(connection: Connection) -> None:
    assert allowed(connection) == UNHEARD_LIMIT


def test_the_headers_say_the_limit(connection: Connection) -> None:
    hear(connection, RateHeaders(max_requests=25, interval_ms=10_000))
    assert allowed(connection) == 25


def test_what_was_granted_is_no_longer_allowed(connection: Connection) -> None:
    hear(connection, HUNDRED)
    spend(connection, 30)
    assert allowed(connection) == 70


def test_an_unanswered_request_counts_however_long_it_takes(connection: Connection) -> None:
    hear(connection, HUNDRED)
    spend(connection, 10)
    execute(connection, "UPDATE etl.rate_usage SET expires_at = clock_timestamp() - interval '1 second'")
    limits.renew(connection, [1], seconds=60)
    assert allowed(connection) == 90


def test_a_grant_that_was_not_used_is_allowed_again(connection: Connection) -> None:
    hear(connection, HUNDRED)
    spend(connection, 10)
    limits.record_answers(connection, [], unsent=[("LOC1", 1)] * 4)
    assert allowed(connection) == 94


def test_two_workers_never_grant_for_a_location_at_once(engine: Engine) -> None:
    with engine.connect() as mine, engine.connect() as other:
        limits.allowances(mine, ["LOC1"])
        mine.commit()
        limits.allowances(mine, ["LOC1"])
        assert limits.allowances(other, ["LOC1"]) == {}


def test_a_settlement_that_takes_its_time_holds_up_no_other_location(engine: Engine) -> None:
    with engine.begin() as connection:
        limits.allowances(connection, ["LOC1", "LOC2"])
    with engine.begin() as slow, engine.begin() as other:
        slow.execute(text("UPDATE etl.rate_limits SET heard_at = now() WHERE location_id = 'LOC1'"))
        other.execute(text("SET LOCAL lock_timeout = '1s'"))
        assert ["LOC2"] == list(limits.allowances(other, ["LOC1", "LOC2"]))


def test_a_second_worker_sees_what_the_first_one_granted(engine: Engine) -> None:
    with engine.connect() as mine, engine.connect() as other:
        other.execute(text("SELECT 1"))
        hear(mine, HUNDRED)
        spend(mine, 30)
        mine.commit()
        assert allowed(other) == 70


def test_the_requests_of_others_with_the_same_token_leave_less_for_us(connection: Connection) -> None:
    hear(connection, HUNDRED)
    spend(connection, 10)
    answer(connection, RateHeaders(max_requests=100, interval_ms=10_000, remaining=60), count=10)
    assert allowed(connection) == 60


def test_our_own_requests_are_not_taken_for_others(connection: Connection) -> None:
    hear(connection, HUNDRED)
    spend(connection, 10)
    answer(connection, RateHeaders(max_requests=100, interval_ms=10_000, remaining=90), count=10)
    assert allowed(connection) == 90


def blocked(connection: Connection) -> dict[str, Any]:
    (row,) = connection.execute(
        text(
            "SELECT blocked_cause AS cause, extract(epoch FROM blocked_until - clock_timestamp())::float8 AS seconds "
            "FROM etl.rate_limits"
        )
    ).mappings()
    return dict(row)


def test_a_429_blocks_for_as_long_as_it_says(connection: Connection) -> None:
    hear(connection, HUNDRED)
    limits.block(connection, "LOC1", seconds=30, jitter=0)
    assert allowed(connection) == 0
    assert 10 < blocked(connection)["seconds"] <= 30


def test_a_429_that_says_nothing_blocks_for_one_interval(connection: Connection) -> None:
    hear(connection, HUNDRED)
    limits.block(connection, "LOC1", seconds=None, jitter=0)
    assert 0 < blocked(connection)["seconds"] <= 10


def test_a_block_ends(connection: Connection) -> None:
    hear(connection, HUNDRED)
    limits.block(connection, "LOC1", seconds=0, jitter=0)
    assert allowed(connection) == 100


def test_a_daily_budget_that_is_nearly_spent_bounds_the_quota(connection: Connection) -> None:
    hear(connection, RateHeaders(max_requests=100, interval_ms=10_000, daily_limit=10_000, daily_remaining=7))
    assert allowed(connection) == 7


def test_granted_requests_leave_the_daily_budget_at_once(connection: Connection) -> None:
    hear(connection, RateHeaders(max_requests=100, interval_ms=10_000, daily_limit=10_000, daily_remaining=7))
    spend(connection, 5)
    assert allowed(connection) == 2


def test_a_spent_daily_budget_blocks_the_location(connection: Connection) -> None:
    hear(connection, RateHeaders(max_requests=100, interval_ms=10_000, daily_limit=10_000, daily_remaining=0))
    allowance = limits.allowances(connection, ["LOC1"])["LOC1"]
    assert (allowance.requests, allowance.cause) == (0, "daily_budget")


def test_a_spent_daily_budget_is_probed_with_one_request_when_its_block_is_over(connection: Connection) -> None:
    hear(connection, RateHeaders(max_requests=100, interval_ms=10_000, daily_limit=10_000, daily_remaining=0))
    execute(connection, "UPDATE etl.rate_limits SET blocked_until = now()")
    assert allowed(connection) == 1
    spend(connection, 1)
    assert allowed(connection) == 0


def test_a_budget_that_is_given_again_is_used_again(connection: Connection) -> None:
    hear(connection, RateHeaders(max_requests=100, interval_ms=10_000, daily_limit=10_000, daily_remaining=0))
    hear(connection, RateHeaders(max_requests=100, interval_ms=10_000, daily_limit=10_000, daily_remaining=9_999))
    assert allowed(connection) == 100


def test_our_own_count_of_the_day_starts_anew_at_midnight(connection: Connection) -> None:
    hear(connection, HUNDRED)
    execute(connection, "UPDATE etl.rate_limits SET daily_remaining = 0, daily_since = daily_since - 1")
    assert allowed(connection) == 100


def test_old_usage_is_forgotten(connection: Connection) -> None:
    hear(connection, HUNDRED)
    limits_upkeep.tidy(connection, under_way=60)
    assert connection.execute(text("SELECT count(*) FROM etl.rate_usage")).scalar_one() == 0


def test_a_gateways_answer_says_nothing_about_limits(connection: Connection) -> None:
    allowed(connection)
    spend(connection, 1)
    limits.record_answers(connection, [AnsweredRequest("LOC1", 1, 3600.0, is_proper=False)])
    assert allowed(connection) == UNHEARD_LIMIT


def test_a_server_without_headers_gets_the_documented_limit(connection: Connection) -> None:
    hear(connection, RateHeaders())
    assert allowed(connection) == 100


def test_a_later_429_never_shortens_a_block(connection: Connection) -> None:
    hear(connection, HUNDRED)
    limits.block(connection, "LOC1", seconds=60, jitter=0)
    limits.block(connection, "LOC1", seconds=None, jitter=0)
    assert 10 < blocked(connection)["seconds"] <= 60


@pytest.mark.parametrize("odd", [RateHeaders(max_requests=1), RateHeaders(max_requests=9_000, interval_ms=100)])
def test_a_limit_is_forgotten_an_hour_after_it_was_said_last(connection: Connection, odd: RateHeaders) -> None:
    hear(connection, odd)
    assert allowed(connection) == odd.max_requests
    hear(connection, RateHeaders())
    execute(connection, "UPDATE etl.rate_limits SET heard_at = heard_at - interval '1 hour'")
    assert allowed(connection) == UNHEARD_LIMIT
    hear(connection, RateHeaders())
    assert allowed(connection) == 100
    spend(connection, 1)
    answer(connection, RateHeaders())
    left = "SELECT max(extract(epoch FROM expires_at - clock_timestamp())) FROM etl.rate_usage"
    assert 0.2 < connection.execute(text(left)).scalar_one() < 10.1


def set_clock_back(connection: Connection) -> None:
    """Let Postgres's clock be set back by an hour, as a restore or a failover may do: all that is stored is later."""
    execute(connection, "UPDATE etl.rate_usage SET expires_at = expires_at + interval '1 hour'")
    execute(
        connection,
        "UPDATE etl.rate_limits SET heard_at = heard_at + interval '1 hour', "
        "blocked_at = blocked_at + interval '1 hour', blocked_until = blocked_until + interval '1 hour'",
    )


def test_a_clock_that_is_set_back_makes_requests_count_for_an_interval_once_more_and_no_longer(
    connection: Connection,
) -> None:
    hear(connection, HUNDRED)
    limits_upkeep.tidy(connection, under_way=60)
    spend(connection, 30)
    answer(connection, RateHeaders(), count=20)
    set_clock_back(connection)
    limits_upkeep.tidy(connection, under_way=60)
    assert allowed(connection) == 70
    left = "SELECT requests, extract(epoch FROM expires_at - clock_timestamp()) FROM etl.rate_usage ORDER BY lease_id"
    (under_way, for_a_minute), (answered, for_an_interval) = connection.execute(text(left)).all()
    assert (under_way, 50 < for_a_minute <= 60) == (10, True)
    assert (answered, 0 < for_an_interval < 11) == (20, True)


def test_what_counts_as_it_should_is_left_alone(connection: Connection) -> None:
    hear(connection, HUNDRED)
    limits_upkeep.tidy(connection, under_way=60)
    spend(connection, 30)
    answer(connection, RateHeaders(), count=20)
    before = connection.execute(text("SELECT * FROM etl.rate_usage ORDER BY usage_id")).all()
    limits_upkeep.tidy(connection, under_way=60)
    assert before == connection.execute(text("SELECT * FROM etl.rate_usage ORDER BY usage_id")).all()


@pytest.mark.parametrize("seconds", [30.0, 86_400.0])
def test_a_429_is_heeded_unless_the_clock_was_set_back_since(connection: Connection, seconds: float) -> None:
    hear(connection, HUNDRED)
    limits.block(connection, "LOC1", seconds=seconds, jitter=0)
    limits_upkeep.tidy(connection, under_way=60)
    assert allowed(connection) == 0
    set_clock_back(connection)
    limits_upkeep.tidy(connection, under_way=60)
    assert allowed(connection) == 100


def test_a_spent_day_is_probed_after_the_clock_was_set_back(connection: Connection) -> None:
    hear(connection, RateHeaders(max_requests=100, interval_ms=10_000, daily_limit=10_000, daily_remaining=0))
    limits_upkeep.tidy(connection, under_way=60)
    assert allowed(connection) == 0
    set_clock_back(connection)
    limits_upkeep.tidy(connection, under_way=60)
    assert allowed(connection) == 1
