from contextlib import closing
from itertools import count

import pytest
from sqlalchemy import Engine

from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from etl.state import locations
from etl.tokens.renewal import Renewal
from etl.tokens.renewal_threads import PAUSES
from etl.tokens.routing import TokenRouting
from tests.tokens.office import Office


def waiting(office: Office) -> list[tuple[str, int]]:
    """The locations of waiting items, and the attempts spent on them."""
    with office.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT location_id, max(attempt) FROM etl.message_queue GROUP BY location_id ORDER BY location_id"
        )
        return [tuple(row) for row in rows]


def loaded(office: Office) -> int:
    return int(office.value("SELECT count(*) FROM highlevel.messages"))


def test_many_connected_locations_are_loaded_in_one_run(office: Office) -> None:
    office.connect(office.first)
    office.connect_private(office.second)
    office.connect_company()
    for name in office.sandbox.location_ids:
        office.enqueue(name)
    assert ("drained", 15) == (office.run().outcome, loaded(office))


def test_expired_tokens_are_renewed_within_the_run(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    office.enqueue(office.first)
    assert ("drained", 5) == (office.run().outcome, loaded(office))


def test_a_token_refused_before_its_time_is_renewed_and_costs_no_attempt(office: Office) -> None:
    grant = office.connect(office.first)
    office.sandbox.revoke(token=grant.access_token)
    office.enqueue(office.first, 50)
    report = office.run()
    assert ("drained", 50, 0) == (report.outcome, loaded(office), report.counts.retried)


def test_a_token_that_is_refused_now_and_then_is_neither_renewed_nor_paused(office: Office) -> None:
    office.connect(office.first)
    before = office.token(office.first)
    ids = office.sandbox.dataset.ids(office.first)
    office.sandbox.faults(ids={ids[n]: {"kind": "401", "text": "Invalid JWT", "times": 1} for n in (0, 20, 40)})
    office.enqueue(office.first, 50)
    # Earlier than the others, which are asked for after them.
    for n in (0, 20, 40):
        office.execute("UPDATE etl.message_queue SET scheduled_at = '2020-01-01' WHERE message_id = :id", id=ids[n])
    report = office.run()
    assert ("drained", 50, before) == (report.outcome, loaded(office), office.token(office.first))
    assert office.place(office.first).paused_at is None


def test_an_item_that_is_refused_again_and_again_fails_alone_whatever_the_token(office: Office) -> None:
    office.connect(office.first)
    ids = office.sandbox.dataset.ids(office.first)
    office.sandbox.faults(ids={ids[0]: {"kind": "401", "text": "Invalid JWT"}})
    office.enqueue(office.first, 50)
    office.execute("UPDATE etl.message_queue SET scheduled_at = '2020-01-01' WHERE message_id = :id", id=ids[0])
    office.run()
    assert (49, None) == (loaded(office), office.place(office.first).paused_at)
    assert office.value("SELECT message_id FROM etl.dead_letters WHERE cause = 'token_refused'") == ids[0]


def test_tokens_that_live_for_seconds_are_no_trouble(engine: Engine, key: str, office: Office) -> None:
    config = SandboxConfig(limit=None, daily=None, messages=600, token_lifetime=1, faults={"latency": 0.1})
    with RunningSandbox(config) as brief, closing(type(office)(engine, brief, key)) as hasty:
        hasty.connect(hasty.first)
        hasty.enqueue(hasty.first, 60)
        report = hasty.run()
    assert ("drained", 60, None) == (report.outcome, loaded(hasty), hasty.place(hasty.first).paused_at)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("The token is not authorized for this scope.", "not_authorized"),
        ("Token's user type mismatch!", "not_authorized"),
        ("This authClass type is not allowed to access this scope.", "not_authorized"),
        ("The token does not have access to this location.", "not_authorized"),
        ("Invalid Private Integration token", "token_refused"),
    ],
)
def test_a_refused_location_is_paused_with_the_reason(office: Office, text: str, cause: str) -> None:
    office.connect_private(office.first)
    office.sandbox.faults(ids={name: {"kind": "401", "text": text} for name in office.sandbox.dataset.ids()})
    office.enqueue(office.first)
    office.run()
    place = office.place(office.first)
    assert (cause, f"the API answered 401: {text}") == (place.pause_cause, place.pause_detail)


def test_its_items_wait_untouched_and_others_go_on(office: Office) -> None:
    office.connect_private(office.first)
    office.connect_private(office.second)
    office.enqueue(office.first)
    office.enqueue(office.second)
    office.sandbox.revoke(location_id=office.first)
    report = office.run()
    assert ("paused", {"paused": {office.first}}, [(office.first, 0)], 5) == (
        report.outcome,
        report.skipped,
        waiting(office),
        loaded(office),
    )


def test_a_renewed_token_that_is_refused_too_pauses_the_location(office: Office) -> None:
    office.connect(office.first)
    office.sandbox.faults(ids={name: {"kind": "401", "text": "Invalid JWT"} for name in office.sandbox.dataset.ids()})
    office.enqueue(office.first)
    report = office.run()
    assert ("paused", "token_refused", [(office.first, 0)]) == (
        report.outcome,
        office.place(office.first).pause_cause,
        waiting(office),
    )


def test_a_new_token_lifts_the_pause(office: Office) -> None:
    office.connect_private(office.first)
    office.enqueue(office.first)
    office.sandbox.revoke(location_id=office.first)
    office.run()
    office.connect(office.first)
    assert ("drained", 5) == (office.run().outcome, loaded(office))


def test_resuming_serves_the_location_again(office: Office) -> None:
    office.connect_private(office.first)
    office.enqueue(office.first)
    office.sandbox.faults(ids=dict.fromkeys(office.sandbox.dataset.ids(), "403"))
    office.run()
    office.sandbox.faults()
    with office.engine.begin() as connection:
        locations.resume(connection, office.first)
    assert ("drained", 5) == (office.run().outcome, loaded(office))


def test_a_pause_by_hand_outlives_a_new_token(office: Office) -> None:
    office.connect(office.first)
    office.enqueue(office.first)
    with office.engine.begin() as connection:
        locations.pause(connection, office.first, cause=locations.BY_HAND, detail="stocktaking", token=None)
    office.connect(office.first)
    assert ("paused", [(office.first, 0)]) == (office.run().outcome, waiting(office))


def test_items_of_a_location_nobody_serves_wait_untouched(office: Office) -> None:
    office.connect(office.first)
    office.enqueue(office.first)
    office.enqueue(office.second)
    report = office.run()
    assert ("paused", {"not_connected": {office.second}}, [(office.second, 0)], 5) == (
        report.outcome,
        report.skipped,
        waiting(office),
        loaded(office),
    )


def test_a_token_endpoint_that_is_away_ends_the_run_with_its_items_untouched(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    office.enqueue(office.first)
    away = Renewal(engine=office.engine, vault=office.vault, oauth=office.app(url="http://127.0.0.1:1"))
    report = office.run(office.tokens(renewal=away, clock=count(0.0, PAUSES[-1]).__next__))
    assert ("paused", {"no_token": {office.first}}, [(office.first, 0)]) == (
        report.outcome,
        report.skipped,
        waiting(office),
    )


def test_a_stored_token_that_no_key_opens_holds_up_its_location_only(office: Office) -> None:
    office.connect_private(office.first)
    office.connect_private(office.second)
    office.execute("UPDATE etl.locations SET access_token = 'garbage' WHERE location_id = :id", id=office.first)
    office.enqueue(office.first)
    office.enqueue(office.second)
    assert ({"no_token": {office.first}}, 5) == (office.run().skipped, loaded(office))


def test_the_environments_token_and_connected_locations_share_a_run(office: Office) -> None:
    office.connect(office.second)
    office.enqueue(office.first, named="")
    office.enqueue(office.second)
    routing = TokenRouting(office.sandbox.token(office.first), office.first)
    assert ("drained", 10) == (office.run(office.tokens(routing=routing)).outcome, loaded(office))
