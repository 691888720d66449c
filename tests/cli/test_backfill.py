import json
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from etl.cli import backfill as command
from etl.kinds import window_pages
from etl.sandbox.server import RunningSandbox
from etl.state import windows
from etl.state.windows import Why, Window
from etl.worker.run import Display, WorkerState
from tests.clock import Clock
from tests.command import Command
from tests.job import Job
from tests.large import both_cursors, kill_after
from tests.waiting import releasing

KILLS = 6
SINCE, UNTIL = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)
COMMAND = ("backfill", "--since", "2026-06-01", "--until", "2026-11-10")


def load(etl: Command, *more: str) -> dict[str, Any]:
    """A backfill in this process; its summary."""
    done = etl(*(more or (*COMMAND, "--again")), "--json")
    assert done.returncode in (0, 1), done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def ids(job: Job) -> list[Any]:
    return [message_id for (message_id,) in job.rows("SELECT message_id FROM highlevel.messages ORDER BY message_id")]


@both_cursors
def test_a_backfill_loads_every_message_and_every_thread(large_etl: Command, large_job: Job) -> None:
    done = load(large_etl)
    assert (ids(large_job), done["messages"], done["missing"]) == (sorted(large_job.ids), len(large_job.ids), 0)


def test_a_backfill_killed_again_and_again_misses_nothing_and_loads_nothing_twice(
    large_job: Job, large_etl: Command, large: RunningSandbox
) -> None:
    draw = random.Random(7)
    for _ in range(KILLS):
        with large_etl.start(*COMMAND) as process:
            kill_after(draw.randrange(1, 8), process, large)
            process.communicate()
        # Their leases are over; that what is in hand of a killed worker is suspected is another test's.
        large_job.execute("UPDATE etl.message_queue SET lease_id = NULL, leased_until = NULL WHERE kind = 'window'")
        large_job.execute("UPDATE etl.rate_usage SET expires_at = now()")
    done = large_etl(*COMMAND)
    assert done.returncode == 0, done.stderr
    assert ids(large_job) == sorted(large_job.ids)
    # Each window is counted once, in the transaction that says that it is loaded.
    assert state(large_job) == (len(large_job.ids), UNTIL, True)
    assert set(large.stats()["statuses"]) <= {"200", "dropped"}


def test_the_first_signal_ends_it_after_the_page_under_way_and_the_same_command_goes_on(
    large_job: Job, large_etl: Command, large: RunningSandbox
) -> None:
    large.faults(ids={f"export/{large.location_ids[0]}": {"kind": "hold", "after": 4}})
    with large_etl.start(*COMMAND) as process:
        large.wait_for(held=1)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "Finishing" in process.stderr.readline()
        with releasing(large):
            out, _ = process.communicate(timeout=90)
    assert (process.returncode, "goes on from there" in out) == (0, True)
    large.faults()
    summary = json.loads(large_etl(*COMMAND, "--json").stdout)
    assert summary["outcome"] == "done"
    assert 0 < summary["messages"] < len(large_job.ids)
    assert ids(large_job) == sorted(large_job.ids)


def test_a_backfill_that_is_done_asks_nothing_more(large_etl: Command, large: RunningSandbox) -> None:
    load(large_etl)
    asked = large.stats()["requests"]
    done = large_etl(*COMMAND)
    assert (done.returncode, "done before" in done.stdout, large.stats()["requests"]) == (0, True, asked)


def test_a_later_end_goes_on_where_it_ended(large_etl: Command, large_job: Job) -> None:
    load(large_etl)
    later = ("backfill", "--since", "2026-06-01", "--until", "2026-11-20")
    assert [load(large_etl, *later)["outcome"] for _ in range(2)] == ["done", "done_before"]
    windows = large_job.rows("SELECT min(since), max(until), count(*) FROM etl.windows WHERE since >= :end", end=UNTIL)
    assert windows == [(UNTIL, UNTIL.replace(day=20), 1)]


STATE = """
    SELECT sum(messages) FILTER (WHERE until <= queued_at - CAST(:overlap AS interval)), max(until),
           bool_and(finished_at IS NOT NULL)
    FROM etl.windows
"""


def state(job: Job) -> tuple[Any, ...]:
    """How many messages count as loaded, up to when, and whether all windows are walked."""
    (row,) = job.rows(STATE, overlap=windows.OVERLAP)
    return row


def test_the_newest_hour_is_loaded_again_and_counted_once(
    large_etl: Command, large_job: Job, large: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, *young = large_job.ids[:4]
    for known in young:
        large.change(known, dateAdded=(datetime.now(UTC) - timedelta(minutes=30)).isoformat())
    large.change(late, dateAdded=(SINCE - timedelta(days=1)).isoformat())
    everything = len(large_job.ids)
    until_now = ("backfill", "--since", "2026-06-01")
    assert load(large_etl, *until_now)["messages"] == everything - 1
    assert state(large_job)[0] == everything - 4
    # The export has a message now that it had not an instant ago, although that is older than what it had.
    large.change(late, dateAdded=(datetime.now(UTC) - timedelta(minutes=40)).isoformat())
    load(large_etl, *until_now)
    assert (ids(large_job), state(large_job)[0]) == (sorted(large_job.ids), everything - 4)
    monkeypatch.setattr(windows, "OVERLAP", timedelta())  # an hour later
    load(large_etl, *until_now)
    assert (state(large_job)[0], state(large_job)[2]) == (everything, True)


AHEAD = timedelta(days=2)


def test_the_end_of_a_backfill_is_now_as_postgres_says(
    large_etl: Command, large_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        """The clock of a machine that is two days ahead."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return super().now(tz) + AHEAD

    monkeypatch.setattr(command, "datetime", Ahead)
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    refused = large_etl("backfill", "--since", tomorrow)
    done = large_etl("backfill", "--since", "2026-06-01", "--until", f"{datetime.now(UTC) + AHEAD:%Y-%m-%d}")
    assert ((refused.returncode, "in the future" in refused.stderr), done.returncode) == ((2, True), 0)
    assert large_job.value("SELECT max(until) <= now() FROM etl.windows") is True


def test_what_a_clock_that_was_ahead_has_written_down_is_not_believed(
    large_etl: Command, large_job: Job, large: RunningSandbox
) -> None:
    load(large_etl)
    large_job.execute(
        "UPDATE etl.windows SET until = now() + interval '2 days', queued_at = now() - interval '1 day' "
        "WHERE until = (SELECT max(until) FROM etl.windows)"
    )
    asked = large.stats()["requests"]
    assert load(large_etl, "backfill", "--since", "2026-06-01")["outcome"] == "done"
    assert (large.stats()["requests"] > asked, large_job.value("SELECT max(until) < now() FROM etl.windows")) == (
        True,
        True,
    )


def test_two_backfills_at_once_load_and_count_everything_once(large_etl: Command, large_job: Job) -> None:
    with large_etl.start(*COMMAND) as one, large_etl.start(*COMMAND) as other:
        codes = [each.wait(timeout=90) for each in (one, other)]
    assert (codes, ids(large_job)) == ([0, 0], sorted(large_job.ids))
    assert state(large_job) == (len(large_job.ids), UNTIL, True)


@both_cursors
def test_a_window_with_too_many_rows_ends_where_its_walk_has_come_to(
    large_etl: Command, large_job: Job, large: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(large_etl)
    asked = large.stats()["requests"]
    monkeypatch.setattr(window_pages, "PAGE_ROWS", 20)
    load(large_etl)
    # Nothing is counted twice, and little is asked for twice: for each window one page of emails, at most.
    assert state(large_job) == (len(large_job.ids), UNTIL, True)
    assert large.stats()["requests"] - asked < 2 * len(large_job.ids) / 20 + asked


@pytest.mark.parametrize(("limit", "used", "outcome"), [(100, 60, "rate"), (100, 40, None), (4, 0, None)])
def test_a_window_of_history_is_walked_only_while_half_of_the_allowance_is_free(
    large_job: Job, large: RunningSandbox, limit: int, used: int, outcome: str | None
) -> None:
    large.limits(limit=limit, interval=1000 if used else 0.5)
    large_job.enqueue(large_job.ids[0])
    large_job.run()
    large_job.execute("DELETE FROM etl.rate_usage")
    large_job.execute(
        "INSERT INTO etl.rate_usage (location_id, requests, expires_at) VALUES (:id, :used, now() + interval '1 hour')",
        id=large_job.location_id,
        used=used,
    )
    clock = Clock()

    class Impatient(Display):
        """Lets the time of the run be over when it rests."""

        def watch(self, state: WorkerState) -> None:
            if outcome is not None and state.activity == "resting":
                clock.advance(100.0)

    window = Window(Why.HISTORY, SINCE, UNTIL)
    report = large_job.walk(window, clock=clock, display=Impatient())
    assert (report.outcome, outcome in report.skipped) == (
        "drained" if outcome is None else "max_seconds",
        outcome is not None,
    )


def test_loading_again_changes_nothing(large_etl: Command) -> None:
    load(large_etl)
    again = load(large_etl)
    assert (again["messages"] > 0, again["written"]) == (True, 0)


def test_a_waiting_item_that_a_page_answers_is_done(large_etl: Command, large_job: Job) -> None:
    large_job.enqueue(*large_job.ids[:30])
    done = load(large_etl)
    assert (done["answered"], large_job.value("SELECT count(*) FROM etl.message_queue")) == (30, 0)


@pytest.mark.parametrize(
    "state",
    [
        "scheduled_at = now() + interval '1 hour'",
        "enqueued_at = now() + interval '1 hour'",
        "lease_id = 7, leased_until = now() + interval '1 minute'",
    ],
)
def test_an_item_that_a_page_cannot_have_answered_stays(large_etl: Command, large_job: Job, state: str) -> None:
    large_job.enqueue(large_job.ids[0])
    large_job.execute(f"UPDATE etl.message_queue SET {state}")  # noqa: S608 - our own
    load(large_etl)
    assert large_job.rows("SELECT message_id FROM etl.message_queue WHERE priority = 0") == [(large_job.ids[0],)]


def test_an_item_stays_that_the_tables_know_better_than_the_export(
    large_etl: Command, large_job: Job, large: RunningSandbox
) -> None:
    known = next(each for each in large_job.ids if "dateUpdated" in large.get(each).json().get("message", ()))
    load(large_etl)
    change = "UPDATE highlevel.messages SET date_updated = now(), status = 'read' WHERE message_id = :id"
    large_job.execute(change, id=known)
    large_job.enqueue(known)
    load(large_etl)
    found = large_job.rows("SELECT m.status FROM highlevel.messages AS m JOIN etl.message_queue USING (message_id)")
    assert found == [("read",)]


def test_a_dead_letter_of_a_message_that_is_loaded_goes(large_etl: Command, large_job: Job) -> None:
    large_job.execute(
        "INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail) "
        "VALUES ('message', :id, '', 8, 'http_503', 'x')",
        id=large_job.ids[0],
    )
    load(large_etl)
    assert large_job.value("SELECT count(*) FROM etl.dead_letters") == 0


def _odd_date(job: Job, sandbox: RunningSandbox) -> None:
    """The export has a date that nobody understands."""
    row = sandbox.dataset.messages[job.ids[0]]
    odd = row | {"dateAdded": "soon"}
    page = {"messages": [odd], "nextCursor": None, "total": 1}
    sandbox.faults(ids={f"export/{job.location_id}": {"kind": "answer", "payload": page}})


def _poison(job: Job, _sandbox: RunningSandbox) -> None:
    job.execute(f"ALTER TABLE highlevel.messages ADD CHECK (message_id <> '{job.ids[0]}')")


@pytest.mark.parametrize("spoil", [_odd_date, _poison])
def test_a_row_that_cannot_be_loaded_is_queued_and_holds_up_no_other(
    large_etl: Command, large_job: Job, large: RunningSandbox, spoil: Callable[[Job, RunningSandbox], None]
) -> None:
    spoil(large_job, large)
    done = load(large_etl)
    queued = large_job.rows("SELECT message_id FROM etl.message_queue WHERE message_id = :id", id=large_job.ids[0])
    assert (queued, done["fetched_singly"] > 0) == ([(large_job.ids[0],)], True)
    assert len(ids(large_job)) == (0 if spoil is _odd_date else len(large_job.ids) - 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--since", "2999-01-01"), "--since is in the future"),
        (("--since", "2026-02-01", "--until", "2026-01-01"), "--since is not before --until"),
        (("--since", "yesterday"), "'yesterday' is not a date"),
        (("--since", "2026-01-01", "--location", "nobody"), "No token serves location nobody"),
    ],
)
def test_what_makes_no_sense_is_refused(large_etl: Command, arguments: tuple[str, ...], sentence: str) -> None:
    done = large_etl("backfill", *arguments)
    assert (done.returncode, sentence in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_a_location_that_the_token_may_not_read_is_reported_in_a_sentence(
    large_etl: Command, large_job: Job, large: RunningSandbox
) -> None:
    done = large_etl("backfill", "--since", "2026-01-01", HIGHLEVEL_LOCATION_ID="other")
    assert (done.returncode, "does not have access" in done.stderr) == (3, True)
    assert large_job.rows("SELECT location_id, pause_cause FROM etl.locations") == [("other", "not_authorized")]
    # No more than were on their way before the first answer came.
    assert large.stats()["requests"] <= 2
