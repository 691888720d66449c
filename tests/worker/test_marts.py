"""The tables that the job marts keeps: always what all messages say, whatever way they changed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from etl.config.jobs import Job as JobEntry
from etl.database import schema
from etl.database.retrying_transaction import RetryingTransaction
from etl.kinds import Options, Origin, emails, messages
from etl.load import erasure, loader
from etl.load import marts as mart_tables
from etl.models import Email, Message
from etl.models.record import Record
from etl.state.runs import RunCounts
from etl.worker import marts
from etl.worker.run import Display, RunLimits, RunSpec
from tests.clock import Clock
from tests.command import Command
from tests.job import Job
from tests.marts import work_out_noted

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
PLAIN = {
    "locationId": "LOC1",
    "conversationId": "CNV1",
    "contactId": "CON1",
    "messageType": "TYPE_SMS",
    "status": "delivered",
    "source": "app",
}


def message(id_: str, *, minutes: int = 0, later: int = 0, direction: str = "inbound", **more: Any) -> list[Record]:
    """The record of an answer about a message; ``later`` hours after the first such answer."""
    date_added = (NOON + timedelta(minutes=minutes)).isoformat()
    payload = PLAIN | {"id": id_, "direction": direction, "dateAdded": date_added} | more
    origin = Origin(id_, "", NOON + timedelta(days=1, hours=later))
    return messages.transform(payload, origin, options=Options())


def email(id_: str, thread: str, *, minutes: int = 0, direction: str = "inbound", **more: Any) -> list[Record]:
    date_added = (NOON + timedelta(minutes=minutes)).isoformat()
    payload = PLAIN | {"id": id_, "threadId": thread, "direction": direction, "dateAdded": date_added} | more
    return emails.transform(payload, Origin(id_, "", NOON + timedelta(days=1)), options=Options())


FIRST = [
    *message("ASK"),
    *message("ANSWER", minutes=30, direction="outbound"),
    *message("THREAD", minutes=40, messageType="TYPE_EMAIL", meta={"email": {"messageIds": ["MAIL"]}}),
    *message("CALL", minutes=50, messageType="TYPE_CALL", meta={"call": {"duration": 9, "status": "completed"}}),
    *message("OTHER", conversationId="CNV2"),
]


@pytest.fixture
def transact(engine: Engine) -> RetryingTransaction:
    return RetryingTransaction(engine, patience=0.0, stopping=lambda: False)


def load(*records: list[Record]) -> Callable[[Connection], Any]:
    return partial(loader.load, records=[each for of_one in records for each in of_one])


def deleted(id_: str, table: Any = Message) -> Callable[[Connection], Any]:
    return partial(loader.mark_deleted, table=table, id_=id_, location_id="LOC1")


def execute(statement: str) -> Callable[[Connection], Any]:
    return lambda connection: connection.execute(text(statement))


ZONE = "INSERT INTO highlevel.locations (location_id, time_zone, fetched_at) VALUES ('LOC1', 'Asia/Tokyo', now())"
CHANGES: dict[str, Callable[[Connection], Any]] = {
    "a message comes": load(message("NEW", minutes=60)),
    "an older message comes": load(message("NEW", minutes=-60)),
    "a status changes": load(message("ANSWER", minutes=30, direction="outbound", later=1, status="failed")),
    "a date changes": load(message("ASK", minutes=-3000, later=1)),
    "a conversation changes": load(message("ASK", later=1, conversationId="CNV3")),
    "a call was missed": load(
        message("CALL", minutes=50, later=1, messageType="TYPE_CALL", meta={"call": {"status": "no-answer"}})
    ),
    "the first email of a thread is fetched": load(email("MAIL", "THREAD", minutes=45, conversationId="CNV2")),
    "a thread becomes a campaign": load(
        email("MAIL", "THREAD", minutes=4000, direction="outbound"),
        message("THREAD", minutes=40, later=1, messageType="TYPE_CAMPAIGN_EMAIL"),
    ),
    "another thread names an email": load(
        message("THREAD2", conversationId="CNV2", messageType="TYPE_EMAIL", meta={"email": {"messageIds": ["LATER"]}})
    ),
    "a message is deleted upstream": deleted("ASK"),
    "the last message of a conversation is deleted upstream": deleted("OTHER"),
    "a thread is deleted upstream": deleted("THREAD"),
    "a message is erased": partial(erasure.erase_messages, ids=["ASK"], location_id="LOC1", why="erased"),
    "a thread is erased": partial(erasure.erase_messages, ids=["THREAD"], location_id="LOC1", why="erased"),
    "the zone of the location becomes known": execute(ZONE),
    "opening hours are set": execute("INSERT INTO highlevel.opening_hours VALUES ('LOC1', 2, '09:00', '18:00')"),
    "the default zone changes": execute("UPDATE highlevel.settings SET default_time_zone = 'Pacific/Apia'"),
}


def figures(connection: Connection) -> list[tuple[Any, ...]]:
    """Every row of the marts."""
    return [
        tuple(row)
        for name in ("turns", "conversation_totals", "daily_totals", "user_totals", "delivery_totals")
        for row in connection.execute(text(f"SELECT * FROM highlevel.{name} ORDER BY 1, 2, 3"))  # noqa: S608 - constants
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_made_in_any_way_is_counted(transact: RetryingTransaction, change: str) -> None:
    transact(load(FIRST))
    transact(load(message("THREAD3", conversationId="CNV3", messageType="TYPE_EMAIL")))
    transact(load(email("LATER", "THREAD3", minutes=5000)))
    marts.work_out_all(transact)
    before = transact(figures)
    transact(CHANGES[change])
    marts.work_out_all(transact)
    assert transact(figures) != before
    assert marts.rebuild(transact, "LOC1") == set()


@pytest.mark.parametrize("zone", ["of a location", "by default"])
def test_a_stored_zone_that_the_server_no_longer_knows_fails_no_view(
    transact: RetryingTransaction, engine: Engine, zone: str
) -> None:
    transact(load(FIRST))
    transact(execute("INSERT INTO highlevel.time_zones (time_zone) VALUES ('Mars/Base')"))
    transact(
        execute(
            ZONE.replace("Asia/Tokyo", "Mars/Base")
            if zone == "of a location"
            else "UPDATE highlevel.settings SET default_time_zone = 'Mars/Base'"
        )
    )
    with engine.connect() as connection:
        for view in ("messages_flat", "local_days", "calls", "emails_flat"):
            connection.execute(text(f"SELECT * FROM highlevel.{view}")).all()  # noqa: S608 - constants
        zones = connection.execute(text("SELECT DISTINCT local_time_zone FROM highlevel.messages_flat")).scalars().all()
        query = "SELECT local_time_zone, is_refused FROM highlevel.location_time_zones"
        assert connection.execute(text(query)).one() == ("UTC", zone == "of a location")
    assert zones == ["UTC"]
    marts.work_out_all(transact)
    assert transact(counted) == 4


def test_an_email_that_is_deleted_upstream_is_counted(transact: RetryingTransaction) -> None:
    transact(load(FIRST, email("MAIL", "THREAD", minutes=45)))
    marts.work_out_all(transact)
    transact(deleted("MAIL", Email))
    marts.work_out_all(transact)
    assert marts.rebuild(transact, "LOC1") == set()


def test_equal_content_is_counted_once_and_written_once(transact: RetryingTransaction, engine: Engine) -> None:
    transact(load(FIRST))
    marts.work_out_all(transact)
    transact(load(message("ASK", later=1)))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM etl.mart_changes")).scalar_one() == 0


def test_messages_that_change_while_they_are_counted_are_counted_again(
    transact: RetryingTransaction, engine: Engine
) -> None:
    transact(load(FIRST))
    with engine.begin() as working:
        marts.work_out(working, wait=True)
        # Loaders do not wait for the process that counts.
        transact(load(message("ANOTHER", minutes=20)))
    assert transact(counted) == 4
    marts.work_out_all(transact)
    assert transact(counted) == 5
    assert marts.rebuild(transact, "LOC1") == set()


def counted(connection: Connection) -> int:
    """How many messages the first conversation has, as the job worked it out."""
    query = "SELECT messages FROM highlevel.conversation_totals WHERE conversation_id = 'CNV1'"
    number: int = connection.execute(text(query)).scalar_one()
    return number


def test_what_was_noted_often_hides_nothing_that_was_noted_after_it(
    transact: RetryingTransaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marts, "CHANGES", 2)
    for status in ("read", "failed", "delivered"):
        transact(load(message("ASK", status=status)))
    transact(load(message("OTHER", conversationId="CNV2")))
    assert not transact(partial(marts.work_out, wait=True)).is_last
    assert transact(mart_tables.as_of) is None


def test_one_at_a_time_works_them_out(transact: RetryingTransaction, engine: Engine) -> None:
    transact(load(FIRST))
    with engine.begin() as working:
        marts.work_out(working, wait=True)
        assert transact(partial(marts.work_out, wait=False)) == marts.Step(0, is_last=True)


def test_work_that_is_not_committed_is_done_by_the_next(transact: RetryingTransaction, engine: Engine) -> None:
    transact(load(FIRST))
    with engine.connect() as killed:
        marts.work_out(killed, wait=True)
    assert transact(mart_tables.as_of) is None
    marts.work_out_all(transact)
    assert transact(mart_tables.as_of) is not None
    assert marts.rebuild(transact, "LOC1") == set()


def test_a_message_of_tomorrow_counts_tomorrow(transact: RetryingTransaction) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    transact(load(FIRST, message("AHEAD", dateAdded=ahead, conversationId="CNV9")))
    marts.work_out_all(transact)
    ahead_of_us = "SELECT count(*) FROM highlevel.conversation_totals WHERE conversation_id = 'CNV9'"
    assert transact(lambda connection: connection.execute(text(ahead_of_us)).scalar_one()) == 0
    for table, column in (("highlevel.messages", "date_added"), ("etl.mart_changes", "happened_at")):
        # Without a time zone: Citus sends the nodes nothing that depends on the session's.
        before = f"timezone('UTC', timezone('UTC', {column}) - interval '2 days')"
        passes = f"UPDATE {table} SET {column} = {before} WHERE {column} > now()"  # noqa: S608
        passes += " AND location_id = 'LOC1'" if table.startswith("highlevel") else ""
        transact(execute(passes))
    marts.work_out_all(transact)
    assert transact(lambda connection: connection.execute(text(ahead_of_us)).scalar_one()) == 1


def test_a_message_of_the_next_day_counts_when_the_zone_changes(transact: RetryingTransaction) -> None:
    hours = range(1, 24)
    ahead = [message(f"M{n}", dateAdded=(datetime.now(UTC) + timedelta(hours=n)).isoformat()) for n in hours]
    transact(load(FIRST, *ahead))
    marts.work_out_all(transact)
    transact(execute(ZONE.replace("Asia/Tokyo", "Asia/Karachi")))
    marts.work_out_all(transact)
    days = "SELECT sum(messages) FROM highlevel.daily_totals WHERE location_id = 'LOC1'"
    assert transact(lambda connection: connection.execute(text(days)).scalar_one()) == 5 + len(hours)


def test_a_thread_counts_again_whose_email_another_thread_names(transact: RetryingTransaction) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    transact(load(FIRST, email("MAIL", "THREAD", dateAdded=ahead, conversationId="CNV2")))
    marts.work_out_all(transact)
    assert transact(counted) == 3
    names = {"email": {"messageIds": ["MAIL"]}}
    transact(load(message("THREAD9", conversationId="CNV2", messageType="TYPE_EMAIL", meta=names)))
    marts.work_out_all(transact)
    assert transact(counted) == 4
    assert marts.rebuild(transact, "LOC1") == set()


def test_rows_that_somebody_changed_are_found_and_put_right(job: Job, etl: Command, engine: Engine) -> None:
    with engine.begin() as connection:
        loader.load(connection, FIRST)
        work_out_noted(connection)
    assert outcome(etl("db", "rebuild-marts")) == (0, "the marts agree with the messages\n")
    job.execute("UPDATE highlevel.turns SET answered_at = now() WHERE location_id = 'LOC1'")
    job.execute("DELETE FROM highlevel.daily_totals WHERE location_id = 'LOC1'")
    done = etl("db", "rebuild-marts")
    assert (1, "the marts differed\n") == outcome(done)
    assert "highlevel.daily_totals: 1 differed" in done.stderr
    assert outcome(etl("db", "rebuild-marts"))[0] == 0


def outcome(done: Any) -> tuple[int, str]:
    return done.returncode, done.stdout


def test_what_the_jobs_load_is_in_the_views_when_they_end(job: Job, etl: Command) -> None:
    job.enqueue(*job.ids[:40])
    done = etl("run")
    assert done.returncode == 0, done.stderr
    assert "marts: " in done.stdout
    assert job.value("SELECT sum(messages) FROM highlevel.daily_messages") > 30
    assert job.value("SELECT bool_and(as_of IS NOT NULL) FROM highlevel.conversations") is True
    assert outcome(etl("db", "rebuild-marts")) == (0, "the marts agree with the messages\n")


def test_an_upgrade_notes_what_there_is_and_says_so(job: Job, etl: Command, engine: Engine) -> None:
    with engine.connect() as connection:
        schema.downgrade(connection, "0018")
    job.execute(
        "INSERT INTO highlevel.messages (location_id, message_id, conversation_id, message_type, direction, "
        "date_added, fetched_at) VALUES ('LOC1', 'OLD', 'CNV1', 'TYPE_SMS', 'inbound', '2026-03-10 12:00Z', now())"
    )
    assert "still has to count 1 change" in etl("db", "upgrade").stdout
    assert "marts: not filled yet, 1 change not counted yet" in etl("status").stdout
    assert etl("run", "marts").returncode == 0
    assert job.value("SELECT waiting_since FROM highlevel.conversations") == NOON
    assert "marts: as of " in etl("status").stdout


def test_a_run_that_stays_ends_after_its_seconds(job: Job, engine: Engine) -> None:
    clock = Clock()

    class Hasty(Display):
        """Lets the time be over after the first transaction."""

        def progress(self, _counts: RunCounts) -> None:
            clock.advance(3600)

    spec = RunSpec(JobEntry(name="marts", kind="marts"), RunLimits(follow=True, max_seconds=3600.0), Hasty())
    report = marts.MartsRun(engine, spec, clock).run()
    assert (report.outcome, job.value("SELECT outcome FROM etl.runs")) == ("max_seconds", "max_seconds")


def test_an_upgrade_counts_the_calls_of_days_that_were_counted_before(job: Job, etl: Command, engine: Engine) -> None:
    with engine.begin() as connection:
        loader.load(connection, FIRST)
        work_out_noted(connection)
    with engine.connect() as connection:
        schema.downgrade(connection, "0032")
        schema.upgrade(connection)
    assert "not counted yet. Run: etl run marts" in etl("report", "--out", "page.html").stderr
    assert etl("run", "marts").returncode == 0
    query = "SELECT answered_calls, answered_seconds FROM highlevel.daily_messages WHERE channel = 'Call'"
    assert job.rows(query) == [(1, 9)]


def test_an_email_without_a_thread_is_counted_again_after_the_way_back(
    transact: RetryingTransaction, engine: Engine
) -> None:
    transact(load(FIRST, email("LONE", "", minutes=45, conversationId="CNV2")))
    marts.work_out_all(transact)
    before = transact(figures)
    with engine.connect() as connection:
        schema.downgrade(connection, "0034")
        schema.upgrade(connection)
    marts.work_out_all(transact)
    assert transact(figures) == before


def test_the_doctor_says_when_nobody_works_them_out(job: Job, etl: Command) -> None:
    job.execute("INSERT INTO etl.mart_changes (location_id, noted_at) VALUES ('LOC1', now() - interval '1 hour')")
    done = etl("doctor", "--offline")
    assert "FAIL  marts: not filled yet, 1 change not counted yet, the oldest 60 min old" in done.stdout
    assert "Run the job marts each minute" in done.stdout
    etl("run", "marts")
    assert "ok    marts: as of " in etl("doctor", "--offline").stdout
