import json
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from sqlalchemy import Connection

from etl.cli import backfill as command
from etl.database.connections import moment_of
from etl.exports import backfill
from etl.exports.backfill import Backfill, Progress
from etl.exports.pages import HaltedError
from etl.sandbox.server import RunningSandbox
from etl.state import backfills
from etl.state.backfills import Stand
from tests.command import Command
from tests.exports.conftest import Opener, both_cursors, kill_after
from tests.job import Job
from tests.waiting import releasing

KILLS = 6
SINCE, UNTIL = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)
COMMAND = ("backfill", "--since", "2026-06-01", "--until", "2026-11-10")


def begin(opener: Opener, until: datetime | None = UNTIL, *, again: bool = False) -> Stand:
    """Where a backfill begins, or goes on; without an end it is now, as Postgres says."""

    def work(connection: Connection) -> Stand:
        end = until or moment_of(connection)
        return backfills.begin(connection, location_id=opener.location_id, since=SINCE, until=end, again=again)

    return opener.transact(work)


def go_on(opener: Opener, stand: Stand) -> Progress:
    return Backfill(opener(), opener.loading, opener.transact).run(opener.location_id, stand)


def load(opener: Opener) -> Progress:
    """A whole backfill in this process."""
    return go_on(opener, begin(opener, again=True))


def ids(job: Job) -> list[Any]:
    return [message_id for (message_id,) in job.rows("SELECT message_id FROM highlevel.messages ORDER BY message_id")]


@both_cursors
def test_a_backfill_loads_every_message_and_every_thread(opener: Opener, large_job: Job) -> None:
    progress = load(opener)
    assert (ids(large_job), progress.messages, progress.missing) == (sorted(large_job.ids), len(large_job.ids), 0)


def test_a_backfill_killed_again_and_again_misses_nothing_and_loads_nothing_twice(
    large_job: Job, large_etl: Command, large: RunningSandbox
) -> None:
    draw = random.Random(7)
    for _ in range(KILLS):
        with large_etl.start(*COMMAND) as process:
            kill_after(draw.randrange(1, 8), process, large)
            process.communicate()
        large_job.execute("UPDATE etl.rate_usage SET expires_at = now()")
    done = large_etl(*COMMAND)
    assert done.returncode == 0, done.stderr
    assert ids(large_job) == sorted(large_job.ids)
    # Each window is counted once, in the transaction that says that it is loaded.
    assert large_job.rows("SELECT messages, missing, reached = until, finished_at IS NOT NULL FROM etl.backfills") == [
        (len(large_job.ids), 0, True, True)
    ]
    assert set(large.stats()["statuses"]) <= {"200", "dropped"}


def test_the_first_signal_ends_it_after_the_page_in_hand_and_the_same_command_goes_on(
    large_job: Job, large_etl: Command, large: RunningSandbox
) -> None:
    large.faults(ids={f"export/{large.location_ids[0]}": {"kind": "hold", "after": 8}})
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


def test_a_backfill_that_is_done_asks_nothing_more(large_etl: Command, opener: Opener, large: RunningSandbox) -> None:
    load(opener)
    asked = large.stats()["requests"]
    done = large_etl(*COMMAND)
    assert (done.returncode, "done before" in done.stdout, large.stats()["requests"]) == (0, True, asked)


def test_a_later_end_goes_on_where_it_ended(opener: Opener) -> None:
    load(opener)
    later = UNTIL.replace(day=20)
    stands = [begin(opener, until) for until in (UNTIL, later, later)]
    assert [(stand.reached, stand.until, stand.finished_at is None) for stand in stands] == [
        (UNTIL, UNTIL, False),
        (UNTIL, later, True),
        (UNTIL, later, True),
    ]


STATE = "SELECT messages, reached = until, finished_at IS NOT NULL FROM etl.backfills"


def test_the_newest_hour_is_loaded_again_and_counted_once(
    opener: Opener, large_job: Job, large: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, *young = large_job.ids[:4]
    for known in young:
        large.change(known, dateAdded=(datetime.now(UTC) - timedelta(minutes=30)).isoformat())
    large.change(late, dateAdded=(SINCE - timedelta(days=1)).isoformat())
    everything = len(large_job.ids)
    assert go_on(opener, begin(opener, None)).messages == everything - 1
    assert large_job.rows(STATE) == [(everything - 4, False, True)]
    # The export has a message now that it had not an instant ago, although that is older than what it had.
    large.change(late, dateAdded=(datetime.now(UTC) - timedelta(minutes=40)).isoformat())
    go_on(opener, begin(opener, None))
    assert (ids(large_job), large_job.rows(STATE)) == (sorted(large_job.ids), [(everything - 4, False, True)])
    monkeypatch.setattr(backfills, "OVERLAP", timedelta())  # an hour later
    go_on(opener, begin(opener, None))
    assert large_job.rows(STATE) == [(everything, True, True)]


AHEAD = timedelta(days=2)


def test_the_end_of_a_backfill_is_now_as_postgres_says(
    opener: Opener, large_etl: Command, large_job: Job, monkeypatch: pytest.MonkeyPatch
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
    assert large_job.value("SELECT until <= now() AND reached <= until FROM etl.backfills") is True
    assert begin(opener, None).reached < datetime.now(UTC)


def test_what_a_clock_that_was_ahead_has_written_down_is_not_believed(opener: Opener, large_job: Job) -> None:
    load(opener)
    large_job.execute(
        "UPDATE etl.backfills SET until = now() + interval '2 days', reached = now() + interval '2 days',"
        " seen_at = now() - interval '1 day', finished_at = now() - interval '1 day'"
    )
    stand = begin(opener, None)
    now = datetime.now(UTC)
    assert (stand.finished_at, stand.until < now, stand.reached < now - timedelta(days=1)) == (None, True, True)


def test_a_slower_backfill_takes_back_nothing_that_a_faster_one_has_reached(opener: Opener, large_job: Job) -> None:
    slow = begin(opener)
    go_on(opener, begin(opener))
    with pytest.raises(HaltedError):
        Backfill(opener(), opener.loading, opener.transact, stopping=lambda: True).run(opener.location_id, slow)
    done = [(len(large_job.ids), True, True)]
    assert large_job.rows(STATE) == done
    go_on(opener, slow)
    assert large_job.rows(STATE) == done


def test_two_backfills_at_once_load_and_count_everything_once(large_etl: Command, large_job: Job) -> None:
    with large_etl.start(*COMMAND) as one, large_etl.start(*COMMAND) as other:
        codes = [each.wait(timeout=90) for each in (one, other)]
    assert (codes, ids(large_job)) == ([0, 0], sorted(large_job.ids))
    assert large_job.rows(STATE) == [(len(large_job.ids), True, True)]


def test_what_begins_again_is_not_carried_on_by_another_that_had_come_further(opener: Opener) -> None:
    def advance(start: datetime, end: datetime) -> datetime:
        return opener.transact(
            lambda connection: backfills.advance(
                connection,
                location_id=opener.location_id,
                since=SINCE,
                start=start,
                end=end,
                messages=1,
                missing=0,
            )
        )

    begin(opener)
    july, august = SINCE.replace(month=7), SINCE.replace(month=8)
    assert advance(SINCE, july) == july
    begin(opener, again=True)
    assert advance(july, august) == SINCE


@both_cursors
def test_a_window_with_too_many_rows_ends_where_its_walk_has_come_to(
    opener: Opener, large_job: Job, large: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(opener)
    asked = large.stats()["requests"]
    monkeypatch.setattr(backfill, "DENSE_ROWS", 40)
    load(opener)
    # Nothing is counted twice, and little is asked for twice: for each window one page of emails, at most.
    assert large_job.rows(STATE) == [(len(large_job.ids), True, True)]
    assert large.stats()["requests"] - asked < 4 * asked


def test_loading_again_changes_nothing(opener: Opener) -> None:
    load(opener)
    again = load(opener)
    assert (again.messages > 0, again.loaded.written) == (True, 0)


def test_a_waiting_item_that_a_page_answers_is_done(opener: Opener, large_job: Job) -> None:
    large_job.enqueue(*large_job.ids[:30])
    progress = load(opener)
    assert (progress.loaded.items.loaded, large_job.value("SELECT count(*) FROM etl.message_queue")) == (30, 0)


@pytest.mark.parametrize(
    "state",
    [
        "scheduled_at = now() + interval '1 hour'",
        "enqueued_at = now() + interval '1 hour'",
        "lease_id = 7, leased_until = now() + interval '1 hour'",
    ],
)
def test_an_item_that_a_page_cannot_have_answered_stays(opener: Opener, large_job: Job, state: str) -> None:
    large_job.enqueue(large_job.ids[0])
    large_job.execute(f"UPDATE etl.message_queue SET {state}")  # noqa: S608 - our own
    load(opener)
    assert large_job.rows("SELECT message_id FROM etl.message_queue WHERE priority = 0") == [(large_job.ids[0],)]


def test_an_item_stays_that_the_tables_know_better_than_the_export(
    opener: Opener, large_job: Job, large: RunningSandbox
) -> None:
    known = next(each for each in large_job.ids if "dateUpdated" in large.get(each).json().get("message", ()))
    load(opener)
    change = "UPDATE highlevel.messages SET date_updated = now(), status = 'read' WHERE message_id = :id"
    large_job.execute(change, id=known)
    large_job.enqueue(known)
    load(opener)
    found = large_job.rows("SELECT m.status FROM highlevel.messages AS m JOIN etl.message_queue USING (message_id)")
    assert found == [("read",)]


def test_a_dead_letter_of_a_message_that_is_loaded_goes(opener: Opener, large_job: Job) -> None:
    large_job.execute(
        "INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail) "
        "VALUES ('message', :id, '', 8, 'http_503', 'x')",
        id=large_job.ids[0],
    )
    load(opener)
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
    opener: Opener, large_job: Job, large: RunningSandbox, spoil: Callable[[Job, RunningSandbox], None]
) -> None:
    spoil(large_job, large)
    progress = load(opener)
    queued = large_job.rows("SELECT message_id FROM etl.message_queue WHERE message_id = :id", id=large_job.ids[0])
    assert (queued, progress.loaded.singly > 0) == ([(large_job.ids[0],)], True)
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


def test_a_location_that_the_token_may_not_read_is_told_in_a_sentence(
    large_etl: Command, large_job: Job, large: RunningSandbox
) -> None:
    done = large_etl("backfill", "--since", "2026-01-01", HIGHLEVEL_LOCATION_ID="other")
    assert (done.returncode, "does not have access" in done.stderr) == (3, True)
    assert large_job.rows("SELECT location_id, pause_cause FROM etl.locations") == [("other", "not_authorized")]
    assert large.stats()["requests"] == 1
