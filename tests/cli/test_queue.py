"""``etl queue``: looks into the queue, and empties it."""

import json
from typing import Any

import pytest

from tests.command import Command
from tests.job import Job

WRONG = """
    INSERT INTO etl.message_queue (message_id, location_id, cause, attempt, scheduled_at, enqueued_at)
    SELECT 'wrong-' || n, 'LOC2', 'http_400', 3, now() + interval '1 hour', now() - interval '3 days'
    FROM generate_series(1, CAST(:count AS int)) AS n
"""
IN_HAND = "UPDATE etl.message_queue SET lease_id = 1, leased_until = now() + interval '1 hour' WHERE message_id = :id"


@pytest.fixture
def filled(job: Job) -> Job:
    """Two items that are due, one in hand, and three wrong ones of another location."""
    job.enqueue(*job.ids[:3])
    job.execute(IN_HAND, id=job.ids[2])
    job.execute(WRONG, count=3)
    return job


def listed(etl: Command, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in etl("queue", "list", "--json", *arguments).stdout.splitlines()]


def test_each_item_says_why_it_waits(etl: Command, filled: Job) -> None:
    why = {each["message_id"]: each["waits_for"] for each in listed(etl)}
    assert why == {
        filled.ids[0]: "a worker",
        filled.ids[1]: "a worker",
        filled.ids[2]: "nothing: a worker has claimed it",
        **dict.fromkeys(("wrong-1", "wrong-2", "wrong-3"), "a later try: http 400"),
    }


def test_an_item_that_nobody_can_fetch_says_so(etl: Command, job: Job) -> None:
    job.enqueue("M1", location_id="LOC9")
    job.enqueue("U1", kind="user")
    job.execute(
        "INSERT INTO etl.locations (location_id, paused_at, pause_cause) VALUES (:id, now(), 'token_refused')",
        id=job.location_id,
    )
    job.enqueue("M2")
    assert {each["message_id"]: each["waits_for"] for each in listed(etl)} == {
        "M1": "a token: its location is not connected",
        "U1": "a job of its kind in jobs.yaml",
        "M2": "its location: paused: token refused",
    }


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--cause", "http_400"), 3),
        (("--location", "LOC2"), 3),
        (("--location", "(default)"), 3),
        (("--older-than", "2"), 3),
        (("--kind", "user"), 0),
        (("--kind", "message", "--limit", "4"), 4),
    ],
)
@pytest.mark.usefixtures("filled")
def test_a_list_is_narrowed(etl: Command, options: tuple[str, ...], count: int) -> None:
    assert count == len(listed(etl, *options))


@pytest.mark.usefixtures("filled")
def test_the_list_tells_how_many_there_are_by_cause(etl: Command) -> None:
    assert etl("queue", "list").stdout.splitlines()[-2:] == [
        "5 waiting, 1 claimed",
        "by cause, in the whole queue: 3 http_400",
    ]


@pytest.mark.usefixtures("filled")
def test_an_item_is_shown(etl: Command) -> None:
    lines = etl("queue", "show", "wrong-1").stdout.splitlines()
    assert {"message_id: wrong-1", "cause: http_400", "attempt: 3", "waits_for: a later try: http 400"} <= set(lines)
    assert 1 == etl("queue", "show", "nothing").returncode


def test_cancelled_items_are_gone_and_claimed_items_stay(etl: Command, filled: Job) -> None:
    asked = etl("queue", "cancel", "--all")
    assert (2, True, 6) == (asked.returncode, "Cancel 5 items" in asked.stderr, len(listed(etl)))
    assert "3 cancelled\n" == etl("queue", "cancel", "--cause", "http_400", "--yes").stdout
    assert "2 cancelled; 1 claimed stay\n" == etl("queue", "cancel", "--all", "--yes").stdout
    assert filled.queued() == [("message", filled.ids[2])]
    assert 1 == etl("queue", "cancel", "nothing", "--yes").returncode


def test_many_items_are_cancelled_in_batches(etl: Command, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.state.message_queue.choosing.BATCH", 40)
    job.execute(WRONG, count=100)
    assert "100 cancelled\n" == etl("queue", "cancel", "--location", "LOC2", "--yes").stdout
    assert job.queued() == []


def test_what_waits_for_a_later_try_is_fetched_now(etl: Command, filled: Job) -> None:
    filled.execute(
        "UPDATE etl.message_queue SET scheduled_at = now() + interval '1 hour' WHERE message_id = :id", id=filled.ids[0]
    )
    assert "4 due now\n" == etl("queue", "retry", "--all").stdout
    etl("run")
    assert 1 == filled.value("SELECT count(*) FROM highlevel.messages WHERE message_id = :id", id=filled.ids[0])
    assert filled.rows("SELECT DISTINCT attempt FROM etl.message_queue WHERE location_id = 'LOC2'") == [(0,)]


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_who_names_nothing_changes_nothing(etl: Command, filled: Job, command: str) -> None:
    assert (2, 6) == (etl("queue", command).returncode, len(filled.queued()))
