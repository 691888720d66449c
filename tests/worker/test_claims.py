import time
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from etl.kinds import Options, all_kinds
from etl.state import locations, message_queue, stored_tokens
from etl.state.message_queue.items import SUSPECT
from etl.tokens.routing import LocationTokens, Token, TokenRouting
from etl.worker.claims import Claims, NothingClaimed, Round
from etl.worker.unserved import CHECK_SECONDS
from tests.clock import Clock

MESSAGE = all_kinds(Options())["message"]

FILL = text("""
    INSERT INTO etl.message_queue (message_id, location_id)
    SELECT 'busy' || n, 'LOC-BUSY' FROM generate_series(1, 20000) AS n
    UNION ALL
    SELECT 'quiet' || place || '-' || n, 'LOC' || lpad(place::text, 3, '0')
    FROM generate_series(1, 100) AS place, generate_series(1, 10) AS n
""")

HEARD = text("""
    INSERT INTO etl.rate_limits (location_id, heard_at) SELECT DISTINCT location_id, now() FROM etl.message_queue
""")


class EveryLocation(LocationTokens):
    """Each location serves itself, unless it is paused; no request is sent here."""

    def __init__(self) -> None:
        self.routing = TokenRouting()

    def resolve(
        self, connection: Connection, location_ids: Iterable[str]
    ) -> tuple[dict[str, Token], dict[str, list[str]]]:
        names = list(location_ids)
        paused = [each for each, status in stored_tokens.statuses(connection, names).items() if status.is_paused]
        served = {name: Token(name, "pit-1", name) for name in names if name not in paused}
        return served, {"paused": paused} if paused else {}


def claim_until_quiet(engine: Engine, *, most: int) -> tuple[int, int]:
    """Claim again and again; how many items of the quiet and of the busy locations that took."""
    claims = Claims(MESSAGE, EveryLocation(), time.monotonic)
    quiet = busy = 0
    round_ = Round()
    for _ in range(most):
        with engine.begin() as connection:
            claim = claims.claim(connection, 100, round_=round_)
            round_ = claim.round
            for claimed in claim.items:
                if claimed.item.location_id == "LOC-BUSY":
                    busy += 1
                else:
                    quiet += 1
    return quiet, busy


def test_a_location_with_very_many_items_holds_up_nobody(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(FILL)
        connection.execute(HEARD)
    quiet, _ = claim_until_quiet(engine, most=25)
    assert quiet == 1000


def test_the_busy_location_gets_no_more_than_its_allowance(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(FILL)
        connection.execute(HEARD)
    _, busy = claim_until_quiet(engine, most=25)
    assert busy == 100


LATER = text("""
    INSERT INTO etl.message_queue (message_id, location_id, scheduled_at)
    SELECT 'later' || place, 'LOC' || lpad(place::text, 3, '0'), now() + interval '1 day'
    FROM generate_series(1, 64) AS place
""")


def test_items_that_wait_for_their_time_take_nothing_from_those_that_are_due(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(LATER)
        connection.execute(text("INSERT INTO etl.message_queue (message_id, location_id) VALUES ('due', 'LOC060')"))
        connection.execute(HEARD)
    for want in (100, 1):
        with engine.connect() as connection:
            claim = Claims(MESSAGE, EveryLocation(), time.monotonic).claim(connection, want, round_=Round())
            assert [each.item.message_id for each in claim.items] == ["due"]


def test_a_location_without_allowance_is_reported_though_others_filled_the_claim(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO etl.message_queue (message_id, location_id) VALUES ('spent', 'LOC1'), ('taken', 'LOC2')")
        )
        connection.execute(HEARD)
        connection.execute(
            text(
                "INSERT INTO etl.rate_usage (location_id, requests, expires_at) "
                "VALUES ('LOC1', 100, now() + interval '1 hour')"
            )
        )
    with engine.connect() as another, engine.connect() as connection:
        another.execute(text("SELECT FROM etl.message_queue WHERE message_id = 'taken' FOR UPDATE"))
        nothing = Claims(MESSAGE, EveryLocation(), time.monotonic).claim(connection, 1, round_=Round()).nothing
        assert nothing is not None
        assert nothing.skipped == {"rate": {"LOC1"}}


def test_suspects_and_others_take_turns(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO etl.message_queue (message_id, location_id, lapses) "
                "SELECT 'MSG' || n, 'LOC1', CASE WHEN n <= 3 THEN 2 ELSE 0 END FROM generate_series(1, 5) AS n"
            )
        )
        connection.execute(HEARD)
    claims = Claims(MESSAGE, EveryLocation(), time.monotonic)
    claimed, round_ = [], Round()
    with engine.begin() as connection:
        for _ in range(5):
            claim = claims.claim(connection, 1, round_=round_, is_alone=True)
            claimed.append(claim.items)
            round_ = claim.round
    assert [[each.item.lapses >= SUSPECT for each in items] for items in claimed] == [
        [True],
        [False],
        [True],
        [False],
        [True],
    ]


def test_a_suspect_is_skipped_and_reported_while_something_is_claimed(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO etl.message_queue (message_id, location_id, lapses) VALUES ('MSG1', 'LOC1', 2)")
        )
        connection.execute(HEARD)
    claims = Claims(MESSAGE, EveryLocation(), time.monotonic)
    with engine.begin() as connection:
        claim = claims.claim(connection, 1, round_=Round(), is_alone=False)
    assert (claim.nothing, claim.passed_suspect) == (NothingClaimed({"rate": {"LOC1"}}, None), True)


@pytest.fixture
def paused(engine: Engine) -> int:
    """So many locations with due items, all of them paused by hand."""
    places = 200
    with engine.begin() as connection:
        for number in range(places):
            message_queue.enqueue(connection, ["MSG1"], kind="message", location_id=f"LOC{number:03d}")
            locations.pause(connection, f"LOC{number:03d}", cause="by_hand", detail="x", token=None)
    return places


def test_a_look_at_many_paused_locations_is_two_statements_once_they_are_known(engine: Engine, paused: int) -> None:
    claims = Claims(MESSAGE, EveryLocation(), time.monotonic)
    assert len(round_of(claims, engine).skipped["paused"]) == paused
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    event.listen(engine, "before_cursor_execute", note)
    assert len(round_of(claims, engine).skipped["paused"]) == paused
    assert len(sent) <= 2, sent


def test_a_location_that_is_resumed_or_that_comes_is_seen_among_many_paused_ones(engine: Engine, paused: int) -> None:
    clock = Clock()
    claims = Claims(MESSAGE, EveryLocation(), clock)
    with engine.begin() as connection:
        message_queue.enqueue(connection, ["MSG1"], kind="message", location_id="LOC1500")
    assert claimed_at(claims, engine) == ["LOC1500"]
    clock.advance(CHECK_SECONDS)
    round_of(claims, engine)
    with engine.begin() as connection:
        locations.resume(connection, "LOC150")
    clock.advance(CHECK_SECONDS)
    assert claimed_at(claims, engine) == ["LOC150"]
    assert len(round_of(claims, engine).skipped["paused"]) == paused - 1


def round_of(claims: Claims, engine: Engine) -> NothingClaimed:
    """Look until a whole round took nothing."""
    round_ = Round()
    while True:
        with engine.begin() as connection:
            claim = claims.claim(connection, 100, round_=round_)
        if claim.nothing is not None:
            return claim.nothing
        assert not claim.items
        round_ = claim.round


def claimed_at(claims: Claims, engine: Engine) -> list[str]:
    """Look until something is claimed; where."""
    round_ = Round()
    while True:
        with engine.begin() as connection:
            claim = claims.claim(connection, 100, round_=round_)
        assert claim.nothing is None
        if claim.items:
            return [each.item.location_id for each in claim.items]
        round_ = claim.round
