from collections.abc import Callable, Iterator
from threading import Barrier, Thread
from threading import Event as Flag
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from etl.receive import events
from etl.receive.webhook import Event
from etl.state import dead_letters, locations, message_queue
from etl.state.message_queue import DeadLetter, Item, NewItem, PutBack
from tests.waiting import await_

LEASE = 60.0


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def enqueue(connection: Connection, *ids: str, location_id: str = "LOC1", priority: int = 0) -> int:
    return message_queue.enqueue(connection, ids, kind="message", location_id=location_id, priority=priority)


def claim(connection: Connection, quota: int = 10, location_id: str = "LOC1") -> list[Item]:
    return message_queue.claim(connection, kind="message", quotas={location_id: quota}, lease_seconds=LEASE)


def claim_one(connection: Connection) -> Item:
    (item,) = claim(connection)
    return item


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(text(query))]


def state(connection: Connection) -> list[tuple[Any, ...]]:
    return rows(
        connection,
        "SELECT message_id, attempt, lease_id IS NOT NULL, scheduled_at <= now() FROM etl.message_queue ORDER BY 1",
    )


WAITING = ("MSG1", 0, False, True)


def test_a_plain_insert_is_a_way_in(connection: Connection) -> None:
    connection.execute(text("INSERT INTO etl.message_queue (message_id) VALUES ('MSG1')"))
    assert [item.message_id for item in claim(connection, location_id="")] == ["MSG1"]


@pytest.mark.parametrize("bad", ["", " ", "a b", "a/b", "..", ".", "a\n", "é", "x" * 129, "a?b", "a%2Fb"])
def test_an_id_that_cannot_be_fetched_is_refused_by_the_table(connection: Connection, bad: str) -> None:
    with pytest.raises(IntegrityError):
        enqueue(connection, bad)


def test_an_unknown_kind_is_refused_by_the_table(connection: Connection) -> None:
    with pytest.raises(IntegrityError):
        message_queue.enqueue(connection, ["MSG1"], kind="telegram")


def test_enqueue_in_sql_says_whether_the_item_is_new(connection: Connection) -> None:
    asked = [rows(connection, "SELECT etl.enqueue('MSG1')") for _ in range(2)]
    assert asked == [[(True,)], [(False,)]]


def test_enqueue_counts_new_items_once(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    assert enqueue(connection, "MSG1", "MSG2", "MSG2", "MSG3") == 2


def test_a_claimed_item_is_not_claimed_again(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    claim(connection)
    assert claim(connection) == []


def test_an_item_is_not_claimed_before_its_time(connection: Connection) -> None:
    connection.execute(text("SELECT etl.enqueue('MSG1', scheduled_at => now() + interval '1 minute')"))
    assert claim(connection, location_id="") == []


def test_higher_priority_is_claimed_sooner(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    enqueue(connection, "MSG2", priority=5)
    assert [item.message_id for item in claim(connection, quota=1)] == ["MSG2"]


def test_each_location_gets_its_quota(connection: Connection) -> None:
    enqueue(connection, "A1", "A2", "A3", location_id="LOC1")
    enqueue(connection, "B1", "B2", "B3", location_id="LOC2")
    claimed = message_queue.claim(connection, kind="message", quotas={"LOC1": 1, "LOC2": 2}, lease_seconds=LEASE)
    assert sorted(item.location_id for item in claimed) == ["LOC1", "LOC2", "LOC2"]


def test_two_claims_at_once_share_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        enqueue(connection, *(f"MSG{number}" for number in range(400)))
    barrier = Barrier(4)
    claimed: list[str] = []

    def work() -> None:
        barrier.wait()
        for _ in range(10):
            with engine.begin() as connection:
                claimed.extend(item.message_id for item in claim(connection, quota=10))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 400


def test_a_completed_item_is_gone(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    item = claim_one(connection)
    assert message_queue.complete(connection, [item]) == {item}
    assert state(connection) == []


def test_completing_removes_an_earlier_dead_letter(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    message_queue.to_dead_letter(connection, [DeadLetter(claim_one(connection), "not_found", "…")])
    enqueue(connection, "MSG1")
    message_queue.complete(connection, [claim_one(connection)])
    assert rows(connection, "SELECT * FROM etl.dead_letters") == []


def test_a_retry_spends_the_attempt(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    message_queue.put_back(connection, [PutBack(claim_one(connection), 60.0, "http_500")])
    assert state(connection) == [("MSG1", 1, False, False)]


def test_a_snooze_spends_no_attempt(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    message_queue.put_back(connection, [PutBack(claim_one(connection), 60.0, "rate_limited", spent=False)])
    assert state(connection) == [("MSG1", 0, False, False)]


def test_an_item_that_failed_for_good_is_a_dead_letter_with_the_answer(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    message_queue.to_dead_letter(
        connection, [DeadLetter(claim_one(connection), "transform", "dateAdded: expected a date", b"{}")]
    )
    assert rows(
        connection, "SELECT message_id, location_id, attempt, cause, detail, payload FROM etl.dead_letters"
    ) == [("MSG1", "LOC1", 1, "transform", "dateAdded: expected a date", b"{}")]


def test_dying_again_keeps_the_payload_when_the_new_failure_brought_none(connection: Connection) -> None:
    for payload in (b"{}", None):
        enqueue(connection, "MSG1")
        message_queue.to_dead_letter(connection, [DeadLetter(claim_one(connection), "x", "…", payload)])
    assert rows(connection, "SELECT payload FROM etl.dead_letters") == [(b"{}",)]


Settle = Callable[[Connection, Item], int]
SETTLEMENTS: dict[str, Settle] = {
    "complete": lambda connection, item: len(message_queue.complete(connection, [item])),
    "retry": lambda connection, item: message_queue.put_back(connection, [PutBack(item, 60.0)]),
    "snooze": lambda connection, item: message_queue.put_back(connection, [PutBack(item, 60.0, spent=False)]),
    "give up": lambda connection, item: message_queue.to_dead_letter(connection, [DeadLetter(item, "x", "…")]),
}
settlements = pytest.mark.parametrize("settle", SETTLEMENTS.values(), ids=SETTLEMENTS.keys())


def at(connection: Connection, table: str = "message_queue") -> list[tuple[Any, ...]]:
    return rows(connection, f"SELECT message_id, location_id FROM etl.{table} ORDER BY 1, 2")  # noqa: S608 - our own


def claim_at_both(connection: Connection) -> dict[tuple[str, str], Item]:
    """Two ids at two locations each, all in hand under one lease."""
    for place in ("LOC1", "LOC2"):
        enqueue(connection, "MSG1", "MSG2", location_id=place)
    items = message_queue.claim(connection, kind="message", quotas={"LOC1": 2, "LOC2": 2}, lease_seconds=LEASE)
    return {(item.message_id, item.location_id): item for item in items}


WAYS: dict[str, Callable[[Connection, str], object]] = {
    "python": lambda connection, place: enqueue(connection, "MSG1", location_id=place),
    "sql": lambda connection, place: connection.execute(text("SELECT etl.enqueue('MSG1', :place)"), {"place": place}),
}


@pytest.mark.parametrize("queue", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize(("first", "second"), [("LOC1", "LOC2"), ("LOC1", ""), ("", "LOC1")])
def test_the_same_id_at_another_location_is_another_item_and_moves_none(
    connection: Connection, queue: Callable[[Connection, str], object], first: str, second: str
) -> None:
    for place in (first, second, first):
        queue(connection, place)
    assert at(connection) == sorted([("MSG1", first), ("MSG1", second)])


@settlements
def test_settling_an_item_leaves_the_same_id_of_another_location_claimed(
    connection: Connection, settle: Settle
) -> None:
    claimed = claim_at_both(connection)
    assert settle(connection, claimed["MSG1", "LOC1"]) == 1
    in_hand = rows(connection, "SELECT message_id, location_id FROM etl.message_queue WHERE lease_id IS NOT NULL")
    assert sorted(in_hand) == [("MSG1", "LOC2"), ("MSG2", "LOC1"), ("MSG2", "LOC2")]


def test_items_that_are_settled_together_are_distinguished_by_id_and_location(connection: Connection) -> None:
    claimed = claim_at_both(connection)
    together = [claimed["MSG1", "LOC1"], claimed["MSG2", "LOC2"]]
    assert message_queue.complete(connection, [], others=together) == set(together)
    assert message_queue.complete(connection, together) == set(together)
    assert at(connection) == [("MSG1", "LOC2"), ("MSG2", "LOC1")]


def test_a_dead_letter_is_of_one_location(connection: Connection) -> None:
    claimed = claim_at_both(connection)
    message_queue.to_dead_letter(
        connection, [DeadLetter(claimed["MSG1", place], "x", "…", place.encode()) for place in PLACES]
    )
    assert at(connection, "dead_letters") == [("MSG1", "LOC1"), ("MSG1", "LOC2")]
    letters = dead_letters.find(connection, dead_letters.LetterFilter())
    assert {each.location_id: dead_letters.payload(connection, each) for each in letters} == PLACES
    message_queue.follow_up(connection, [NewItem("message", "MSG1", "LOC3"), NewItem("message", "MSG1", "LOC1")])
    assert at(connection) == [("MSG1", "LOC3"), ("MSG2", "LOC1"), ("MSG2", "LOC2")]
    enqueue(connection, "MSG1", location_id="LOC2")
    message_queue.complete(connection, claim(connection, location_id="LOC2"))
    assert at(connection, "dead_letters") == [("MSG1", "LOC1")]
    assert dead_letters.retry(connection, dead_letters.LetterFilter()) == 1
    assert ("MSG1", "LOC1") in at(connection)


@pytest.mark.parametrize(("dead", "loaded"), [("LOC1", ""), ("", "LOC1")])
def test_the_default_location_has_two_names_for_dead_letters(connection: Connection, dead: str, loaded: str) -> None:
    for place in (dead, "LOC2"):
        enqueue(connection, "MSG1", location_id=place)
        message_queue.to_dead_letter(
            connection, [DeadLetter(item, "x", "…") for item in claim(connection, location_id=place)]
        )
    enqueue(connection, "MSG1", location_id=loaded)
    message_queue.complete(connection, claim(connection, location_id=loaded), default="LOC1")
    assert at(connection, "dead_letters") == [("MSG1", "LOC2")]


PLACES = {"LOC1": b"LOC1", "LOC2": b"LOC2"}


@settlements
def test_a_late_worker_settles_nothing_that_was_claimed_again(connection: Connection, settle: Settle) -> None:
    enqueue(connection, "MSG1")
    late = claim_one(connection)
    lapse(connection)
    message_queue.release_lapsed(connection)
    claim(connection)
    before = rows(connection, "SELECT * FROM etl.message_queue")
    assert settle(connection, late) == 0
    assert before == rows(connection, "SELECT * FROM etl.message_queue")


@settlements
def test_a_late_worker_settles_nothing_even_if_the_attempt_number_repeats(
    connection: Connection, settle: Settle
) -> None:
    enqueue(connection, "MSG1")
    late = claim_one(connection)
    lapse(connection)
    message_queue.release_lapsed(connection)
    message_queue.complete(connection, [claim_one(connection)])
    enqueue(connection, "MSG1")
    assert claim_one(connection).attempt == late.attempt
    assert settle(connection, late) == 0


@settlements
def test_an_item_queued_again_while_claimed_is_fetched_again(connection: Connection, settle: Settle) -> None:
    enqueue(connection, "MSG1")
    item = claim_one(connection)
    assert enqueue(connection, "MSG1") == 0
    settle(connection, item)
    assert [(row[0], row[2]) for row in state(connection)] == [("MSG1", False)]


def test_an_item_queued_again_while_claimed_and_completed_is_due_at_once(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    item = claim_one(connection)
    enqueue(connection, "MSG1")
    message_queue.complete(connection, [item])
    assert state(connection) == [WAITING]


def test_a_claimed_item_that_is_wanted_later_waits_until_then(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    item = claim_one(connection)
    connection.execute(text("SELECT etl.enqueue('MSG1', 'LOC1', scheduled_at => now() + interval '1 hour')"))
    message_queue.complete(connection, [item])
    assert state(connection) == [("MSG1", 0, False, False)]


def test_queueing_a_claimed_item_that_fails_makes_it_due_with_its_attempts_back(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    item = claim_one(connection)
    enqueue(connection, "MSG1")
    message_queue.put_back(connection, [PutBack(item, 3600.0, "http_500")])
    assert state(connection) == [WAITING]


@pytest.mark.parametrize(
    "column", ["scheduled_at = '-infinity'", "attempt = 2147483647", "attempt = -1", "lapses = 2147483647"]
)
def test_a_row_that_would_stop_every_run_is_refused_by_the_table(connection: Connection, column: str) -> None:
    enqueue(connection, "MSG1")
    with pytest.raises(IntegrityError):
        connection.execute(text("UPDATE etl.message_queue SET " + column))  # noqa: S608 - the test.s own text


def test_settling_and_enqueuing_the_same_items_never_deadlocks(engine: Engine) -> None:
    ids = [f"MSG{number:03d}" for number in range(100)]
    with engine.begin() as connection:
        enqueue(connection, *ids)
    failures: list[BaseException] = []
    stop = Flag()

    def enqueue_again() -> None:
        while not stop.is_set():
            try:
                with engine.begin() as connection:
                    enqueue(connection, *ids)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)

    thread = Thread(target=enqueue_again)
    thread.start()
    for _ in range(30):
        with engine.begin() as connection:
            items = claim(connection, quota=100)
        with engine.begin() as connection:
            message_queue.complete(connection, [], others=items)
            message_queue.complete(connection, items[50:])
            message_queue.put_back(connection, [PutBack(item, 0.0) for item in items[:50]])
    stop.set()
    thread.join()
    assert failures == []


def test_a_retry_of_dead_letters_and_a_worker_that_settles_them_do_not_deadlock(engine: Engine) -> None:
    with engine.begin() as connection:
        enqueue(connection, "MSG1")
        message_queue.to_dead_letter(connection, [DeadLetter(claim_one(connection), "x", "…")])
        enqueue(connection, "MSG1")
        item = claim_one(connection)
    retried: list[int] = []

    def retry() -> None:
        with engine.begin() as other:
            retried.append(dead_letters.retry(other, dead_letters.LetterFilter()))

    thread = Thread(target=retry)
    with engine.begin() as connection:
        message_queue.complete(connection, [], others=[item])
        thread.start()
        await_a_waiter(engine)
        message_queue.complete(connection, [item])
    thread.join()
    assert [1] == retried


INSTALLED = Event("install", "INSTALL", "install", b"", location_id="LOC1")
ARRIVED = Event("said", "OutboundMessage", "queued", b"", location_id="LOC1", items=(("message", "MSG1"),))


def test_events_of_a_location_and_a_settlement_that_pauses_it_do_not_deadlock(engine: Engine) -> None:
    with engine.begin() as connection:
        enqueue(connection, "MSG1")
        item = claim_one(connection)
    failures: list[BaseException] = []

    def receive() -> None:
        try:
            with engine.begin() as connection:
                events.act(connection, [INSTALLED, ARRIVED])
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    thread = Thread(target=receive)
    with engine.begin() as connection:
        message_queue.complete(connection, [], others=[item])
        thread.start()
        await_a_waiter(engine)
        locations.pause(connection, "LOC1", cause="x", detail="x", token="x")
    thread.join()
    assert failures == []


IN_SQL = """
    SELECT count(etl.enqueue(id, 'LOC1')) FROM (SELECT unnest(CAST(:ids AS text[])) AS id ORDER BY id) AS named
"""


def test_events_and_others_that_queue_the_same_items_do_not_deadlock(engine: Engine) -> None:
    ids = [f"MSG{number:03}" for number in range(400)]
    named = [NewItem("message", id_, "LOC1") for id_ in ids]
    failures: list[BaseException] = []

    def again(work: Callable[[Connection], object]) -> None:
        for _ in range(60):
            try:
                with engine.begin() as connection:
                    work(connection)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)

    works: list[Callable[[Connection], object]] = [
        lambda connection: message_queue.enqueue_items(connection, named),
        lambda connection: connection.execute(text(IN_SQL), {"ids": ids}),
        lambda connection: message_queue.complete(connection, claim(connection, quota=100)),
    ]
    threads = [Thread(target=again, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_purge_passes_over_letters_that_somebody_has_locked(engine: Engine) -> None:
    with engine.begin() as connection:
        enqueue(connection, "MSG1", "MSG2")
        message_queue.to_dead_letter(connection, [DeadLetter(item, "x", "…") for item in claim(connection)])
    with engine.begin() as connection, engine.begin() as other:
        connection.execute(text("SELECT FROM etl.dead_letters WHERE message_id = 'MSG1' FOR UPDATE"))
        assert 1 == dead_letters.purge(other, dead_letters.LetterFilter())


def await_a_waiter(engine: Engine) -> None:
    """Wait until some transaction waits for another one's lock."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    """

    def waits() -> bool:
        with engine.connect() as connection:
            return bool(connection.execute(text(waiting)).scalar_one())

    await_(waits)


def test_being_fetched_again_happens_once(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    item = claim_one(connection)
    enqueue(connection, "MSG1")
    message_queue.complete(connection, [item])
    message_queue.complete(connection, [claim_one(connection)])
    assert state(connection) == []


def test_news_of_a_waiting_item_makes_it_due_with_its_attempts_back(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    message_queue.put_back(connection, [PutBack(claim_one(connection), 600.0)])
    enqueue(connection, "MSG1")
    assert state(connection) == [WAITING]


def test_a_later_schedule_does_not_put_a_waiting_item_off(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    connection.execute(text("SELECT etl.enqueue('MSG1', 'LOC1', scheduled_at => now() + interval '1 hour')"))
    assert state(connection) == [WAITING]


def lapse(connection: Connection) -> None:
    connection.execute(text("UPDATE etl.message_queue SET leased_until = now() - interval '1 second'"))


def test_a_lapsed_lease_returns_its_item(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    claim(connection)
    lapse(connection)
    assert message_queue.release_lapsed(connection) == 1
    assert state(connection) == [WAITING]


def test_a_lease_of_a_clock_that_was_set_back_lapses(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    claim(connection)
    assert message_queue.release_lapsed(connection) == 0
    connection.execute(text("UPDATE etl.message_queue SET leased_until = leased_until + interval '1 hour'"))
    assert message_queue.release_lapsed(connection) == 1


def die(connection: Connection, *, suspects: bool) -> None:
    """Let a worker claim what there is, and be killed."""
    message_queue.claim(connection, kind="message", quotas={"LOC1": 99}, lease_seconds=LEASE, suspects=suspects)
    lapse(connection)
    message_queue.release_lapsed(connection)


def test_from_its_second_lapse_on_an_item_is_claimed_only_where_suspects_are_asked_for(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    assert [message_queue.due_locations(connection, ["LOC1"], kind="message")["LOC1"]] == [False]
    for _ in range(2):
        die(connection, suspects=False)
    assert message_queue.due_locations(connection, ["LOC1"], kind="message") == {"LOC1": True}
    assert claim(connection) == []
    (item,) = message_queue.claim(connection, kind="message", quotas={"LOC1": 1}, lease_seconds=LEASE, suspects=True)
    assert (item.attempt, item.lapses, item.is_lost) == (1, 2, False)


def test_only_a_lapse_of_an_item_that_was_claimed_alone_spends_an_attempt(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    found = []
    for death in range(5):
        die(connection, suspects=death >= 2)
        found += rows(connection, "SELECT attempt, lapses FROM etl.message_queue")
    assert found == [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5)]
    (item,) = message_queue.claim(connection, kind="message", quotas={"LOC1": 1}, lease_seconds=LEASE, suspects=True)
    message_queue.to_dead_letter(connection, [DeadLetter(item, "worker_lost", "…")])
    assert (item.is_lost, rows(connection, "SELECT attempt FROM etl.dead_letters")) == (True, [(3,)])


@pytest.mark.parametrize(("spent", "lapses"), [(True, 0), (False, 1)])
def test_an_attempt_that_ended_clears_an_item_of_suspicion_and_a_snooze_does_not(
    connection: Connection, *, spent: bool, lapses: int
) -> None:
    enqueue(connection, "MSG1")
    die(connection, suspects=False)
    message_queue.put_back(connection, [PutBack(claim_one(connection), 0.0, "x", spent=spent)])
    assert rows(connection, "SELECT lapses FROM etl.message_queue") == [(lapses,)]


def test_a_renewed_lease_does_not_lapse(connection: Connection) -> None:
    enqueue(connection, "MSG1")
    item = claim_one(connection)
    lapse(connection)
    assert message_queue.renew(connection, [item.lease_id], lease_seconds=LEASE) == 1
    assert message_queue.release_lapsed(connection) == 0


def test_every_claim_has_a_lease_of_its_own(connection: Connection) -> None:
    enqueue(connection, "MSG1", "MSG2", "MSG3")
    leases = [claim(connection, quota=2), claim(connection, quota=2)]
    assert [len({item.lease_id for item in items}) for items in leases] == [1, 1]
    assert leases[0][0].lease_id != leases[1][0].lease_id


def test_waiting_locations_are_found_in_order_beyond_a_cursor(connection: Connection) -> None:
    for name in ("", "A", "B", "C"):
        enqueue(connection, f"M1{name}", f"M2{name}", location_id=name)
    found = [
        message_queue.waiting_locations(connection, kind="message", after=after, most=2, skipped=skipped)
        for after, skipped in ((None, []), ("A", ["B"]), ("C", []))
    ]
    assert found == [{"": False, "A": False}, {"B": None, "C": False}, {}]
    assert [list(each) for each in found] == [["", "A"], ["B", "C"], []]


def test_what_is_due_is_counted_only_as_far_as_asked(connection: Connection) -> None:
    enqueue(connection, "MSG1", "MSG2", "MSG3")
    assert [message_queue.due(connection, kind="message", most=most) for most in (2, 9)] == [2, 3]


def test_depth_counts_waiting_and_claimed_items(connection: Connection) -> None:
    enqueue(connection, "MSG1", "MSG2")
    connection.execute(text("SELECT etl.enqueue('MSG3', 'LOC1', scheduled_at => now() + interval '1 hour')"))
    claim(connection, quota=1)
    (depth,) = message_queue.depth(connection)
    assert (depth.items, depth.in_hand, depth.due) == (3, 1, 1)


def test_a_follow_up_does_not_wait_for_who_settles_the_same_item(engine: Engine) -> None:
    with engine.begin() as connection:
        enqueue(connection, "MSG1")
    with engine.connect() as settling, engine.connect() as other:
        settling.execute(text("DELETE FROM etl.message_queue WHERE message_id = 'MSG1'"))
        other.execute(text("SET LOCAL lock_timeout = '1s'"))
        assert message_queue.follow_up(other, [NewItem("message", "MSG1", "LOC1")]) == 0
