import json
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from etl import backfills
from etl.backfills import Stand
from etl.exports.backfill import Backfill, Progress
from etl.sandbox.server import RunningSandbox
from tests.command import Command
from tests.exports.conftest import Opener, kill_after
from tests.job import Job
from tests.waiting import releasing

KILLS = 6
SINCE, UNTIL = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)
COMMAND = ("backfill", "--since", "2026-06-01", "--until", "2026-11-10")


def load(opener: Opener) -> Progress:
    """A whole backfill in this process."""
    stand = opener.transact(
        lambda connection: backfills.begin(
            connection, location_id=opener.location_id, since=SINCE, until=UNTIL, again=True
        )
    )
    return Backfill(opener(), opener.loading, opener.transact).run(opener.location_id, stand)


def ids(job: Job) -> list[Any]:
    return [message_id for (message_id,) in job.rows("SELECT message_id FROM highlevel.messages ORDER BY message_id")]


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


def test_a_later_end_goes_on_where_it_ended_and_a_little_before(opener: Opener) -> None:
    load(opener)

    def begin(until: datetime) -> Stand:
        return opener.transact(
            lambda connection: backfills.begin(
                connection, location_id=opener.location_id, since=SINCE, until=until, again=False
            )
        )

    later = UNTIL.replace(day=20)
    stands = [begin(UNTIL), begin(later), begin(later)]
    assert [(stand.reached, stand.finished_at is None) for stand in stands] == [
        (UNTIL, False),
        (UNTIL - backfills.OVERLAP, True),
        (UNTIL - backfills.OVERLAP, True),
    ]


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
    change = "UPDATE highlevel.messages SET date_updated = '2027-01-01', status = 'read' WHERE message_id = :id"
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
    done = large_etl("backfill", "--since", "2026-01-01", "--location", "other", HIGHLEVEL_LOCATION_ID="")
    assert (done.returncode, "does not have access" in done.stderr) == (3, True)
    assert large_job.value("SELECT count(*) FROM etl.locations") == 0
    assert large.stats()["requests"] == 1
