import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.cli.reconcile import COUNTS
from etl.load.known import Version
from etl.sandbox.server import RunningSandbox
from etl.state.windows import Why, Window
from etl.transform.catalogue import MESSAGE_TYPES
from etl.worker.comparing import NOT_EXPORTED, is_newer
from tests.command import Command
from tests.job import Job
from tests.large import both_cursors

START, END = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)


def of_time(sandbox: RunningSandbox) -> list[str]:
    """The messages that are compared, oldest first."""
    dates = {known: str(sandbox.dataset.messages[known]["dateAdded"]) for known in sandbox.dataset.ids()}
    return sorted((known for known, date in dates.items() if date >= START.isoformat()), key=lambda known: dates[known])


WINDOW = Window(Why.COMPARE, START, END)


def compare(job: Job) -> dict[str, dict[str, int]]:
    """The result of comparing, by day."""
    job.execute("DELETE FROM etl.windows")
    job.walk(WINDOW)
    found: dict[str, dict[str, int]] = {}
    for (days,) in job.rows("SELECT days FROM etl.windows WHERE days IS NOT NULL"):
        for day, counts in days.items():
            found[day] = {name: found.get(day, {}).get(name, 0) + counts.get(name, 0) for name in COUNTS}
    assert job.value("SELECT bool_and(finished_at IS NOT NULL) FROM etl.windows") is True
    return found


def total(days: dict[str, dict[str, int]], name: str) -> int:
    return sum(day[name] for day in days.values())


@pytest.fixture
def loaded(large_job: Job, large: RunningSandbox) -> list[str]:
    """Everything of the time is in the tables."""
    large_job.walk(Window(Why.HISTORY, START, END))
    return of_time(large)


def hear(job: Job, when: str = "2020-01-01Z") -> None:
    """Let the first webhook of the location be of that time."""
    job.execute(
        "INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body) "
        "VALUES ('first', :at, '', :location_id, 'ignored', '{}')",
        at=when,
        location_id=job.location_id,
    )


def queued(job: Job) -> set[str]:
    return {message_id for (message_id,) in job.rows("SELECT message_id FROM etl.message_queue WHERE priority >= 0")}


@both_cursors
def test_nothing_is_found_where_nothing_differs(large_job: Job, loaded: list[str]) -> None:
    days = compare(large_job)
    found = {name: total(days, name) for name in ("exported", "missing", "lost", "changed", "gone", "unseen")}
    assert found == {"exported": len(loaded), "missing": 0, "lost": 0, "changed": 0, "gone": 0, "unseen": 0}
    assert queued(large_job) == set()


def test_each_day_is_counted_separately(large_job: Job, large: RunningSandbox, loaded: list[str]) -> None:
    assert loaded
    days = compare(large_job)
    expected: dict[str, int] = {}
    for known in loaded:
        day = str(large.dataset.messages[known]["dateAdded"])[:10]
        expected[day] = expected.get(day, 0) + 1
    assert {day: counts["exported"] for day, counts in days.items()} == expected


def test_a_missing_message_is_queued_with_its_date(large_job: Job, loaded: list[str]) -> None:
    gone = loaded[5]
    large_job.execute("DELETE FROM highlevel.messages WHERE message_id = :id", id=gone)
    hear(large_job)
    days = compare(large_job)
    assert (total(days, "missing"), total(days, "lost"), queued(large_job)) == (1, 1, {gone})
    assert large_job.value("SELECT dated_at IS NOT NULL AND conversation_id IS NOT NULL FROM etl.message_queue") is True


def test_what_is_older_than_the_first_webhook_and_the_connection_was_not_lost(
    large: RunningSandbox, large_job: Job
) -> None:
    assert [0, len(of_time(large))] == [total(days := compare(large_job), "lost"), total(days, "missing")]
    large_job.execute("DELETE FROM etl.message_queue")
    dates = sorted(str(large.dataset.messages[known]["dateAdded"]) for known in of_time(large))
    hear(large_job, dates[-7])
    assert 7 == total(compare(large_job), "lost")
    large_job.execute("DELETE FROM etl.message_queue")
    large_job.execute(
        "INSERT INTO etl.locations (location_id, created_at) VALUES (:id, :at)", id=large_job.location_id, at=dates[-9]
    )
    assert 9 == total(compare(large_job), "lost")


@pytest.mark.parametrize("table", ["message_queue", "dead_letters"])
def test_a_missing_message_that_is_known_to_be_missing_was_not_lost(
    large_job: Job, loaded: list[str], table: str
) -> None:
    large_job.execute("DELETE FROM highlevel.messages WHERE message_id = :id", id=loaded[5])
    if table == "message_queue":
        large_job.enqueue(loaded[5])
    else:
        large_job.execute(
            "INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail) "
            "VALUES ('message', :id, '', 8, 'http_503', 'x')",
            id=loaded[5],
        )
    hear(large_job)
    days = compare(large_job)
    assert (total(days, "missing"), total(days, "lost")) == (1, 0)


@pytest.mark.parametrize(
    "erasing",
    [
        "INSERT INTO etl.pruned (table_name, before) VALUES ('messages', '2026-11-10Z')",
        (
            "INSERT INTO etl.forgotten (location_id, contact_id) "
            "SELECT DISTINCT location_id, contact_id FROM highlevel.messages"
        ),
        (
            "INSERT INTO etl.erased (digest, location_id, contact_digest) "
            "SELECT sha256(convert_to(message_id, 'UTF8')), location_id, '' FROM highlevel.messages"
        ),
    ],
)
def test_what_was_erased_for_good_is_not_missed(large_job: Job, loaded: list[str], erasing: str) -> None:
    large_job.execute(erasing)
    large_job.execute("DELETE FROM highlevel.messages")
    days = compare(large_job)
    assert (total(days, "exported"), total(days, "missing"), queued(large_job)) == (len(loaded), 0, set())


def test_a_changed_message_is_queued(large_job: Job, large: RunningSandbox, loaded: list[str]) -> None:
    large.change(loaded[7], status="read", dateUpdated="2026-11-09T00:00:00.000Z")
    assert (total(compare(large_job), "changed"), queued(large_job)) == (1, {loaded[7]})


@pytest.mark.parametrize("wrong", ["2099-01-01Z", "9999-12-31T23:59:59Z", "0001-01-01Z"])
def test_a_date_that_cannot_be_true_hides_no_change(
    large_job: Job, large: RunningSandbox, loaded: list[str], wrong: str
) -> None:
    large_job.execute("UPDATE highlevel.messages SET date_updated = :wrong", wrong=wrong)
    large.change(loaded[7], status="read")
    assert (total(compare(large_job), "changed"), queued(large_job)) == (1, {loaded[7]})


def test_a_message_that_is_gone_is_queued_and_the_api_s_answer_marks_it(
    large_job: Job, large: RunningSandbox, loaded: list[str]
) -> None:
    large.delete(loaded[9])
    assert (total(compare(large_job), "gone"), queued(large_job)) == (1, {loaded[9]})
    large_job.run(max_attempts=1)
    assert large_job.rows("SELECT message_id FROM highlevel.messages WHERE deleted_at IS NOT NULL") == [(loaded[9],)]
    assert total(compare(large_job), "gone") == 0


def test_types_that_no_export_has_are_not_missed(large_job: Job, large: RunningSandbox, loaded: list[str]) -> None:
    change = "UPDATE highlevel.messages SET message_type = 'TYPE_GROUP_SMS' WHERE message_id = :id"
    large_job.execute(change, id=loaded[9])
    large.delete(loaded[9])
    assert (total(compare(large_job), "gone"), queued(large_job)) == (0, set())


def test_what_the_export_counts_and_does_not_give_is_reported_and_the_api_is_asked(
    large_job: Job, large: RunningSandbox, loaded: list[str]
) -> None:
    rows = [large.dataset.messages[known] for known in loaded[:3]]
    page = {"messages": rows, "nextCursor": None, "total": len(rows) + 1}
    large.faults(ids={f"export/{large_job.location_id}": {"kind": "answer", "payload": page}})
    days = compare(large_job)
    without = {known for known in loaded if large.dataset.messages[known]["messageType"] in NOT_EXPORTED}
    assert (total(days, "unseen") > 0, queued(large_job)) == (True, set(loaded[3:]) - without)
    # The API has them all, so none of them is deleted.
    large.faults()
    large_job.run()
    assert large_job.value("SELECT count(*) FROM highlevel.messages WHERE deleted_at IS NOT NULL") == 0


UPDATED = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "version", "expected"),
    [
        (("sent", UPDATED), Version("sent", UPDATED), False),
        (("sent", UPDATED), Version("delivered", UPDATED), True),
        (("sent", UPDATED + timedelta(seconds=1)), Version("sent", UPDATED), True),
        (("sent", UPDATED - timedelta(seconds=1)), Version("delivered", UPDATED), False),
        (("sent", None), Version("delivered", UPDATED), True),
        ((None, None), Version("delivered", UPDATED), False),
        (("sent", UPDATED), Version("sent", UPDATED, is_deleted=True), True),
    ],
)
def test_a_row_is_newer_when_it_tells_something(row: tuple[Any, Any], version: Version, *, expected: bool) -> None:
    assert is_newer({"status": row[0], "date_updated": row[1]}, version) is expected


def test_lost_webhooks_are_exit_code_1_once(large_etl: Command, large_job: Job, loaded: list[str]) -> None:
    hear(large_job)
    large_job.execute("DELETE FROM highlevel.messages WHERE message_id = ANY(:ids)", ids=loaded[-3:])
    first = large_etl("reconcile", "--window", "900d", "--json")
    days = [json.loads(line) for line in first.stdout.splitlines()]
    assert (first.returncode, "Webhooks are being lost" in first.stderr) == (1, True)
    assert sum(day["lost"] for day in days) >= 3
    assert large_etl("reconcile", "--window", "900d").returncode == 0


def test_a_location_that_cannot_be_compared_is_reported(large_etl: Command, large: RunningSandbox) -> None:
    large.revoke(location_id=large.location_ids[0])
    done = large_etl("reconcile")
    assert (done.returncode, "Not compared" in done.stderr) == (3, True)


def test_a_time_without_messages_is_reported(large_etl: Command) -> None:
    done = large_etl("reconcile", "--window", "1h")
    assert (0, "nothing to compare: the export has no messages of this time\n") == (done.returncode, done.stdout)


@pytest.mark.parametrize("window", ["0h", "2", "x", "-1d"])
def test_a_window_that_is_none_is_refused(large_etl: Command, window: str) -> None:
    assert large_etl("reconcile", "--window", window).returncode == 2


def test_every_type_that_is_left_out_is_a_type() -> None:
    assert set(NOT_EXPORTED) <= set(MESSAGE_TYPES)
