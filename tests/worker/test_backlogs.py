import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from etl.api.client import BOUNDS
from etl.kinds import Options, all_kinds
from etl.models import Attachment, Email, Message, Meta
from etl.sandbox.config import SandboxConfig
from etl.sandbox.messages import MESSAGE_TYPES
from etl.sandbox.server import RunningSandbox
from etl.state import message_queue, windows
from etl.state.message_queue import NewItem
from etl.state.message_queue.items import SUSPECT
from etl.state.windows import Why, Window
from etl.tokens.vault import new_key
from etl.worker import backlogs
from etl.worker.backlog_spans import LEAST_ITEMS
from etl.worker.backlogs import PAUSE_SECONDS, Backlogs
from etl.worker.run import RunContext
from tests.clock import Clock
from tests.command import Command
from tests.job import Job
from tests.large import both_cursors, kill_after
from tests.tcp import Server
from tests.tokens.office import Office
from tests.waiting import await_
from tests.worker.test_claims import EveryLocation

KILLS = 4
OF_TIME = {"fetched_at", "checked_at", "created_at", "updated_at"}


def enqueue(engine: Engine, sandbox: RunningSandbox, ids: list[str], location_id: str = "") -> None:
    """Queue messages as events do, which tell when each was created."""
    named = [
        NewItem(
            "message", known, location_id, None, datetime.fromisoformat(sandbox.dataset.messages[known]["dateAdded"])
        )
        for known in ids
    ]
    with engine.begin() as connection:
        message_queue.enqueue_items(connection, named)


def exports(sandbox: RunningSandbox) -> int:
    """How many pages were asked for."""
    return sum(count for name, count in sandbox.stats()["ids"].items() if name.startswith("export/"))


def content(job: Job, ids: list[str]) -> dict[str, list[Any]]:
    """Everything that analysts see of some messages, but for times of ours and what an export does not know well."""
    found = {}
    for table in (Message.__table__, Meta.__table__, Attachment.__table__, Email.__table__):
        names = ", ".join(column.name for column in table.columns if column.name not in OF_TIME)
        query = f"SELECT {names} FROM {table} WHERE message_id = ANY(:ids) ORDER BY 1, 2, 3"  # noqa: S608 - our own
        found[str(table)] = [str(row) for row in job.rows(query, ids=ids)]
    return found


@both_cursors
def test_a_backlog_is_answered_by_a_few_pages(large_job: Job, engine: Engine, large: RunningSandbox) -> None:
    enqueue(engine, large, large_job.ids)
    report = large_job.run()
    assert (report.outcome, report.counts.loaded) == ("drained", len(large_job.ids))
    assert large_job.value("SELECT count(*) FROM highlevel.messages") == len(large_job.ids)
    assert large.stats()["requests"] <= len(large_job.ids) / 50
    assert large_job.value("SELECT loaded FROM etl.runs") == len(large_job.ids)


@both_cursors
def test_rows_of_pages_equal_rows_that_are_fetched_one_by_one(
    large_job: Job, engine: Engine, large: RunningSandbox
) -> None:
    ids = large_job.ids[:400]
    enqueue(engine, large, ids)
    large_job.run()
    # Emails are few here, and fetched one by one.
    assert large.stats()["requests"] - exports(large) < 50
    # The text of a thread is not reliable, so what an export says of it is left out: see transform.
    emails = {name for name, (_, channel, _, _) in MESSAGE_TYPES.items() if channel == "email"}
    forget = "UPDATE highlevel.messages SET body = NULL WHERE message_type = ANY(:emails)"
    large_job.execute(forget, emails=sorted(emails))
    by_pages = content(large_job, ids)
    large_job.execute("TRUNCATE highlevel.messages, highlevel.meta, highlevel.attachments, highlevel.emails")
    large_job.enqueue(*ids)
    large_job.run()
    large_job.execute(forget, emails=sorted(emails))
    assert content(large_job, ids) == by_pages


def test_a_run_killed_again_and_again_in_bulk_misses_nothing_and_loads_nothing_twice(
    large_job: Job, engine: Engine, large_etl: Command, large: RunningSandbox
) -> None:
    draw = random.Random(5)
    enqueue(engine, large, large_job.ids)

    def lapse() -> None:
        large_job.execute("UPDATE etl.message_queue SET leased_until = now() WHERE lease_id IS NOT NULL")
        large_job.execute("UPDATE etl.rate_usage SET expires_at = now()")

    for _ in range(KILLS):
        with large_etl.start("run", "messages") as process:
            kill_after(draw.randrange(1, 4), process, large)
            process.communicate()
        lapse()
    while large_job.value("SELECT count(*) FROM etl.message_queue"):
        large_etl("run", "messages")
        lapse()
    loaded = large_job.rows("SELECT message_id FROM highlevel.messages ORDER BY message_id")
    assert loaded == [(message_id,) for message_id in sorted(large_job.ids)]
    assert large_job.value("SELECT sum(loaded) FROM etl.runs") == len(large_job.ids)
    assert large_job.value("SELECT count(*) FROM etl.dead_letters") == 0


def test_an_export_that_is_refused_leaves_the_backlog_to_single_requests(
    large_job: Job, engine: Engine, large: RunningSandbox
) -> None:
    large.faults(ids={f"export/{large_job.location_id}": {"kind": "401", "text": "Invalid JWT"}})
    enqueue(engine, large, large_job.ids[:250])
    report = large_job.run()
    assert (report.outcome, report.counts.loaded) == ("drained", 250)
    assert large_job.value("SELECT count(*) FROM etl.locations WHERE paused_at IS NOT NULL") == 0


def test_a_run_with_a_limit_asks_for_no_pages(large_job: Job, engine: Engine, large: RunningSandbox) -> None:
    enqueue(engine, large, large_job.ids)
    report = large_job.run(limit=133)
    assert (report.outcome, report.counts.loaded, exports(large)) == ("limit", 133, 0)


def test_a_few_items_are_fetched_one_by_one(large_job: Job, engine: Engine, large: RunningSandbox) -> None:
    enqueue(engine, large, large_job.ids[:100])
    assert (large_job.run().counts.loaded, exports(large)) == (100, 0)


def test_items_without_a_date_are_fetched_one_by_one(large_job: Job, large: RunningSandbox) -> None:
    large_job.enqueue(*large_job.ids[:300])
    assert (large_job.run().counts.loaded, exports(large)) == (300, 0)


def test_an_old_item_does_not_keep_a_backlog_from_being_answered_by_pages(
    large_job: Job, engine: Engine, large: RunningSandbox
) -> None:
    by_date = sorted(large_job.ids, key=lambda known: str(large.dataset.messages[known]["dateAdded"]))
    enqueue(engine, large, [by_date[0], *by_date[-300:]])
    large_job.execute("UPDATE etl.message_queue SET dated_at = '2020-01-01' WHERE message_id = :id", id=by_date[0])
    report = large_job.run()
    assert (report.counts.loaded, exports(large) <= 4, large.stats()["requests"] < 60) == (301, True, True)


def test_what_the_export_does_not_have_is_fetched_one_by_one(
    large_job: Job, engine: Engine, large: RunningSandbox
) -> None:
    page: dict[str, Any] = {"messages": [], "nextCursor": None, "total": 0}
    large.faults(ids={f"export/{large_job.location_id}": {"kind": "answer", "payload": page}})
    enqueue(engine, large, large_job.ids[:250])
    assert (large_job.run().counts.loaded, exports(large) > 0) == (250, True)


@pytest.mark.parametrize("fault", ["503", "429", "html", "403"])
def test_an_export_that_fails_leaves_the_items_to_single_requests(
    large_job: Job, engine: Engine, large: RunningSandbox, fault: str
) -> None:
    text = "Forbidden resource"
    large.limits(limit=1_000_000, interval=0.2)
    large.faults(ids={f"export/{large_job.location_id}": {"kind": fault, "text": text}})
    enqueue(engine, large, large_job.ids[:250])
    report = large_job.run()
    assert (report.counts.loaded, report.counts.dead) == (250, 0)


def test_a_run_whose_time_is_over_awaits_no_page_that_drips(
    large_job: Job, engine: Engine, large: RunningSandbox, dripping: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.worker.loop.GRACE_SECONDS", 0.1)
    enqueue(engine, large, large_job.ids[:250])
    clock = Clock()
    loop = large_job.loop(base_url=dripping.url, max_seconds=3600, clock=clock)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(loop.run)
        await_(lambda: dripping.connections > 0)
        clock.advance(3600)
        report = run.result()
    assert (report.outcome, report.seconds < 3600 + BOUNDS.total_seconds) == ("max_seconds", True)
    assert len(large_job.queued("message")) == 250


def test_a_window_that_killed_its_workers_is_given_up_and_its_messages_are_fetched_one_by_one(
    large_job: Job, engine: Engine, large: RunningSandbox
) -> None:
    enqueue(engine, large, large_job.ids[:250], large_job.location_id)
    killer = Window(Why.BACKLOG, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    with engine.begin() as connection:
        windows.add(connection, large_job.location_id, [killer])
    large_job.execute("UPDATE etl.message_queue SET lapses = :lapses WHERE kind = 'window'", lapses=SUSPECT)
    report = large_job.run()
    assert (report.outcome, report.counts.loaded, exports(large)) == ("drained", 250, 0)
    assert large_job.queued() == large_job.rows("SELECT window_id FROM etl.windows") == []


QUEUED = "SELECT count(*) FROM etl.message_queue"


@pytest.fixture
def agency(engine: Engine) -> Iterator[Office]:
    """Connected locations of a sandbox of their own."""
    with RunningSandbox(SandboxConfig(limit=None, daily=None, messages=900)) as sandbox:
        office = Office(engine, sandbox, new_key())
        for location_id in sandbox.location_ids:
            office.connect_private(location_id)
        yield office
        office.close()


def test_while_a_page_is_on_its_way_another_location_is_served_and_its_own_messages_wait(
    agency: Office, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.kinds.window_pages.PAGE_ROWS", 50)
    sandbox, walked, other = agency.sandbox, agency.first, agency.second
    *backlog, late = sandbox.dataset.ids(walked)[:251]
    live = sandbox.dataset.ids(other)[0]
    enqueue(engine, sandbox, backlog, walked)
    sandbox.faults(ids={f"export/{walked}": {"kind": "hold", "after": 1, "times": 1}})
    loop = agency.loop(follow=True)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(loop.run)
        try:
            sandbox.wait_for(held=1)
            enqueue(engine, sandbox, [late], walked)
            enqueue(engine, sandbox, [live], other)
            await_(lambda: agency.value("SELECT count(*) FROM highlevel.messages WHERE message_id = :id", id=live) == 1)
            asked = sandbox.stats()["ids"]
            assert (sandbox.stats()["held"], asked.keys() & {late, *backlog}) == (1, set())
            sandbox.release()
            await_(lambda: agency.value(QUEUED) == 0)
        finally:
            loop.stop()
            sandbox.release()
        assert run.result().counts.loaded == len(backlog) + 2


WITNESS = """
    CREATE FUNCTION etl.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_advisory_xact_lock(7) FROM highlevel.messages WHERE location_id = '{walked}' LIMIT 1;
    RETURN NULL; END $$;
    CREATE TRIGGER wait AFTER INSERT ON highlevel.messages FOR EACH STATEMENT EXECUTE FUNCTION etl.wait();
"""
BEFORE = """
    SELECT count(*) FROM highlevel.messages WHERE location_id = :walked AND xmin::text::bigint < (
        SELECT xmin::text::bigint FROM highlevel.messages WHERE message_id = :live)
"""
"""Rows of a window that were written before another message."""


def test_an_answer_of_another_location_waits_for_no_more_than_a_slice_of_a_windows_rows(
    agency: Office, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.worker.window_rows.PAGE_ROWS", 5)
    sandbox, walked, other = agency.sandbox, agency.first, agency.second
    live = sandbox.dataset.ids(other)[0]
    agency.execute(WITNESS.format(walked=walked))
    sandbox.faults(ids={live: {"kind": "hold", "times": 1}})
    enqueue(engine, sandbox, [live], other)
    clock = Clock()
    loop = agency.loop(follow=True, clock=clock)
    with ThreadPoolExecutor(1) as pool, engine.connect() as connection:
        holder = connection.execution_options(isolation_level="AUTOCOMMIT")
        run = pool.submit(loop.run)
        try:
            sandbox.wait_for(held=1)
            holder.execute(text("SELECT pg_advisory_lock(7)"))
            enqueue(engine, sandbox, list(sandbox.dataset.ids(walked)[:300]), walked)
            clock.advance(PAUSE_SECONDS)
            await_(lambda: agency.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = 7") == 1)
            # The loop waits in the first slice, and the answer comes now.
            sandbox.release()
            await_(lambda: sandbox.stats()["held"] == 0)
            holder.execute(text("SELECT pg_advisory_unlock(7)"))
            await_(lambda: agency.value(QUEUED) == 0)
        finally:
            holder.execute(text("SELECT pg_advisory_unlock_all()"))
            loop.stop()
            sandbox.release()
        run.result()
    # One slice was being written when the answer came; a window has ten of them at least.
    assert 0 < agency.value(BEFORE, walked=walked, live=live) < LEAST_ITEMS


def test_backlogs_of_items_with_and_without_their_location_are_one(
    large_job: Job, engine: Engine, large: RunningSandbox
) -> None:
    enqueue(engine, large, large_job.ids[:150])
    enqueue(engine, large, large_job.ids[150:300], large_job.location_id)
    assert (large_job.run().counts.loaded, exports(large) > 0) == (300, True)


def test_a_look_for_backlogs_goes_on_where_the_last_one_ended(
    large_job: Job, engine: Engine, large: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlogs, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(backlogs, "LOOK_LOCATIONS", 2)
    ids = list(large.dataset.ids())
    for location_id, taken in (
        ("!1", ids[:1]),
        ("!2", ids[1:2]),
        ("!3", ids[2:3]),
        (large_job.location_id, ids[3:300]),
    ):
        enqueue(engine, large, taken, location_id)

    def look() -> bool:
        with engine.connect() as connection:  # rolled back: nothing is walked
            return looking.look(connection)

    looking = Backlogs(all_kinds(Options())["window"], EveryLocation(), RunContext(time.monotonic, "", {}))
    assert [look() for _ in range(5)] == [False, True, False, False, True]


def test_no_request_is_too_many_when_pages_and_single_requests_share_the_limit(
    large_job: Job, engine: Engine, large: RunningSandbox
) -> None:
    large.limits(limit=10, interval=0.5)
    enqueue(engine, large, large_job.ids)
    large_job.run()
    assert set(large.stats()["statuses"]) == {"200"}
