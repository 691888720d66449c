from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine

from etl.cli.run import exit_code
from etl.errors import ConfigurationError, EtlError
from etl.sandbox.server import RunningSandbox
from etl.state import runs
from etl.worker.run_row import BEAT_SECONDS
from tests import servers
from tests.clock import Clock
from tests.job import Job
from tests.waiting import await_, releasing


def test_a_run_loads_what_is_due_and_exits(job: Job) -> None:
    job.enqueue(*job.ids)
    report = job.run()
    assert (report.outcome, report.counts.loaded, report.counts.dead) == ("drained", len(job.ids), 0)
    assert job.value("SELECT count(*) FROM highlevel.messages") == len(job.ids)
    assert job.value("SELECT count(*) FROM etl.message_queue") == 0


def test_a_known_message_type_is_never_drift(job: Job) -> None:
    job.enqueue(*job.ids)
    assert [entry for entry in job.run().counts.drift if entry.startswith(("messageType:", "type:"))] == []


def test_an_item_that_was_inserted_with_plain_sql_is_loaded(job: Job) -> None:
    job.execute("INSERT INTO etl.message_queue (message_id) VALUES (:id)", id=job.ids[0])
    job.run()
    assert job.rows("SELECT message_id FROM highlevel.messages") == [(job.ids[0],)]


def test_loading_everything_again_changes_nothing(job: Job) -> None:
    job.enqueue(*job.ids[:50])
    job.run()
    job.enqueue(*job.ids[:50])
    assert job.run().counts.unchanged == 50


def test_a_run_is_a_row_with_what_it_did(job: Job) -> None:
    job.enqueue(*job.ids[:30])
    job.run()
    assert job.rows("SELECT job, outcome, loaded, dead, finished_at IS NOT NULL FROM etl.runs") == [
        ("messages", "drained", 30, 0, True)
    ]


def test_runs_that_do_nothing_share_one_row(job: Job) -> None:
    job.enqueue(job.ids[0])
    job.run()
    for _ in range(3):
        job.run()
    job.execute("UPDATE etl.runs SET started_at = now() - interval '1 hour', seen_at = now() - interval '1 hour'")
    job.run()
    assert job.rows(
        "SELECT loaded, outcome, started_at > now() - interval '1 minute' FROM etl.runs ORDER BY run_id"
    ) == [
        (1, "drained", False),
        (0, "drained", True),
    ]
    job.enqueue(job.ids[1])
    job.run()
    job.run()
    assert job.rows("SELECT loaded FROM etl.runs ORDER BY run_id") == [(1,), (1,), (0,)]


def test_a_run_that_lives_keeps_its_row(engine: Engine) -> None:
    with engine.begin() as connection:
        first, second = (runs.start(connection, "messages").run_id for _ in range(2))
        runs.finish(connection, run_id=first, outcome="drained", drift=Counter(), skipped={})
        third = runs.start(connection, "messages").run_id
    assert (first != second, third) == (True, first)


def test_drift_is_counted_in_the_run(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.change(job.ids[0], sentiment="glad")
    sandbox.change(job.ids[1], sentiment="sad")
    job.enqueue(*job.ids[:3])
    job.run()
    assert job.value("SELECT drift ->> 'field:sentiment' FROM etl.runs") == "2"


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "html"}, "not_json"),
        ({"kind": "huge"}, "too_large"),
        ({"kind": "deep", "depth": 1000}, "too_deep"),
        ({"kind": "deep"}, "too_deep"),
        ({"kind": "wrong_id"}, "wrong_id"),
        ({"kind": "422"}, "http_422"),
    ],
)
def test_an_answer_that_can_never_be_loaded_is_a_dead_letter_and_the_run_goes_on(
    job: Job, sandbox: RunningSandbox, fault: dict[str, Any], cause: str
) -> None:
    sandbox.faults(ids={job.ids[0]: fault})
    job.enqueue(*job.ids[:20])
    report = job.run()
    assert (report.counts.loaded, report.counts.dead) == (19, 1)
    assert job.rows("SELECT message_id, cause, payload IS NOT NULL FROM etl.dead_letters") == [
        (job.ids[0], cause, True)
    ]


def test_a_payload_that_cannot_be_understood_is_a_dead_letter_that_holds_it(job: Job, sandbox: RunningSandbox) -> None:
    body = f'{{"id": "{job.ids[0]}", "locationId": "LOC1", "dateAdded": "soon"}}'
    sandbox.faults(ids={job.ids[0]: {"kind": "answer", "text": body}})
    job.enqueue(job.ids[0])
    job.run()
    assert job.rows("SELECT cause, detail, payload FROM etl.dead_letters") == [
        ("transform", "dateAdded: expected a date", body.encode())
    ]


def test_a_transform_that_fails_unforeseen_leaves_a_dead_letter_that_holds_the_answer(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("etl.kinds.messages._row", fail)
    job.enqueue(job.ids[0])
    job.run(max_attempts=1)
    ((cause, payload),) = job.rows("SELECT cause, payload FROM etl.dead_letters")
    assert (cause, job.ids[0].encode() in payload) == ("internal", True)


@pytest.mark.parametrize("answer", ["", "null", "{}", '{"message": null}'])
def test_an_empty_answer_is_asked_for_again_as_an_unknown_id_is(job: Job, sandbox: RunningSandbox, answer: str) -> None:
    sandbox.faults(ids={job.ids[0]: {"kind": "answer", "text": answer, "times": 1}})
    job.enqueue(job.ids[0])
    assert job.run().counts.retried == 1
    job.make_due()
    assert job.run().counts.loaded == 1


@pytest.mark.parametrize("fault", [{"kind": "5xx"}, {"kind": "drop"}, {"kind": "cut"}, {"kind": "malformed"}])
def test_an_answer_that_may_come_later_is_retried(job: Job, sandbox: RunningSandbox, fault: dict[str, Any]) -> None:
    sandbox.faults(ids={job.ids[0]: fault | {"times": 1}})
    job.enqueue(job.ids[0])  # alone: a request that is lost on a connection in use is no answer that fails
    assert job.run().counts.retried == 1
    assert job.rows("SELECT attempt, scheduled_at > now() FROM etl.message_queue") == [(1, True)]
    job.execute("UPDATE etl.message_queue SET scheduled_at = now()")
    assert job.run().counts.loaded == 1


def test_the_last_attempt_makes_a_dead_letter(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: "503"})
    job.enqueue(job.ids[0])
    assert job.run(max_attempts=1).counts.dead == 1
    assert job.rows("SELECT attempt, cause FROM etl.dead_letters") == [(1, "http_503")]


def test_a_429_spends_no_attempt(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.limits(limit=100, interval=0.2)
    sandbox.faults(ids={job.ids[0]: {"kind": "429", "times": 1}})
    job.enqueue(job.ids[0])
    report = job.run(max_attempts=1)
    assert (report.counts.loaded, report.counts.snoozed, report.counts.dead) == (1, 1, 0)


def test_an_unknown_id_is_asked_for_again_before_it_dies(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: {"kind": "missing", "times": 1}})
    job.enqueue(job.ids[0])
    assert job.run().counts.retried == 1
    job.execute("UPDATE etl.message_queue SET scheduled_at = now()")
    assert job.run().counts.loaded == 1


def test_an_id_that_stays_unknown_is_a_dead_letter(job: Job) -> None:
    job.enqueue("nobody-knows-this-id")
    for _ in range(4):
        job.run()
        job.execute("UPDATE etl.message_queue SET scheduled_at = now()")
    assert job.rows("SELECT message_id, cause, attempt FROM etl.dead_letters") == [
        ("nobody-knows-this-id", "not_found", 4)
    ]


def test_a_known_message_that_is_gone_upstream_is_marked_deleted(job: Job, sandbox: RunningSandbox) -> None:
    job.enqueue(job.ids[0])
    job.run()
    sandbox.delete(job.ids[0])
    job.enqueue(job.ids[0])
    report = job.run(max_attempts=1)
    assert (report.counts.deleted, report.counts.dead) == (1, 0)
    assert job.value("SELECT deleted_at IS NOT NULL FROM highlevel.messages") is True


def test_one_poisonous_row_dies_alone(job: Job) -> None:
    job.execute(f"ALTER TABLE highlevel.messages ADD CHECK (message_id <> '{job.ids[7]}')")
    job.enqueue(*job.ids[:60])
    report = job.run()
    assert (report.counts.loaded, report.counts.dead) == (59, 1)
    assert job.rows("SELECT message_id, cause, detail, length(payload) > 0 FROM etl.dead_letters") == [
        (job.ids[7], "load", "Postgres refuses the rows (23514)", True)
    ]


@pytest.mark.parametrize("fault", [{"kind": "401", "text": "Invalid JWT"}, {"kind": "403"}])
def test_a_refused_token_pauses_its_location_and_keeps_every_item(
    job: Job, sandbox: RunningSandbox, fault: dict[str, Any]
) -> None:
    fault = {"kind": "403", "text": "The token does not have access to this location."} | fault
    sandbox.faults(ids=dict.fromkeys(job.ids[:40], fault))
    job.enqueue(*job.ids[:40])
    report = job.run()
    assert report.outcome == "paused"
    assert job.rows("SELECT count(*), max(attempt), count(lease_id) FROM etl.message_queue") == [(40, 0, 0)]
    assert job.rows("SELECT location_id, paused_at IS NOT NULL FROM etl.locations") == [(job.location_id, True)]


def test_a_paused_location_is_not_asked_again(job: Job, sandbox: RunningSandbox) -> None:
    job.enqueue(*job.ids[:40])
    job.run(token="pit-revoked")
    asked = sandbox.stats()["requests"]
    assert job.run(token="pit-revoked").outcome == "paused"
    assert sandbox.stats()["requests"] == asked


def test_another_token_lifts_the_pause(job: Job) -> None:
    job.enqueue(*job.ids[:40])
    job.run(token="pit-revoked")
    assert job.run().counts.loaded == 40


def test_an_item_of_a_location_without_token_waits(job: Job) -> None:
    job.enqueue("MSG1", location_id="never-connected")
    job.enqueue(job.ids[0])
    report = job.run()
    assert (report.outcome, report.counts.loaded, report.skipped) == (
        "paused",
        1,
        {"not_connected": {"never-connected"}},
    )


def test_an_outage_of_the_api_ends_the_run_and_buries_nothing(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"5xx": 1.0})
    job.enqueue(*job.ids[:100])
    report = job.run(max_attempts=1)
    assert (report.outcome, report.counts.dead) == ("api_unreachable", 0)
    sandbox.faults()
    job.execute("UPDATE etl.message_queue SET scheduled_at = now()")
    assert job.run().counts.loaded == 100


def test_a_page_instead_of_every_answer_is_an_outage_too(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"html": 1.0})
    job.enqueue(*job.ids[:100])
    report = job.run()
    assert (report.outcome, report.counts.dead) == ("api_unreachable", 0)


def test_a_follower_goes_on_when_an_outage_is_over(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"5xx": 1.0})
    job.enqueue(*job.ids[:30])
    loop = job.loop(follow=True)
    thread = Thread(target=loop.run)
    thread.start()
    try:
        await_(lambda: sandbox.stats()["requests"] > 0)
        sandbox.faults()
        await_(lambda: bool(job.value("SELECT count(*) FROM highlevel.messages")))
    finally:
        loop.stop()
        thread.join()
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0


def test_a_run_with_few_items_says_that_nothing_was_answered(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"5xx": 1.0})
    job.enqueue(*job.ids[:3])
    assert job.run().outcome == "api_unreachable"


@pytest.mark.parametrize("locations", [63, 64, 65])
def test_a_run_ends_however_many_locations_wait(job: Job, locations: int) -> None:
    for number in range(locations):
        job.enqueue(f"MSG{number}", location_id=f"LOC{number:03d}")
    assert job.run().outcome == "paused"


def test_a_late_worker_does_not_mark_a_message_deleted(job: Job, sandbox: RunningSandbox) -> None:
    job.enqueue(job.ids[0])
    job.run()
    sandbox.delete(job.ids[0])
    sandbox.faults(ids={job.ids[0]: {"kind": "hold", "times": 1}})
    job.enqueue(job.ids[0])
    thread = Thread(target=job.run, kwargs={"max_attempts": 1})
    thread.start()
    sandbox.wait_for(held=1)
    # Somebody else completes it meanwhile.
    job.execute("DELETE FROM etl.message_queue")
    sandbox.release()
    thread.join()
    assert job.value("SELECT deleted_at FROM highlevel.messages") is None


@pytest.mark.skipif(bool(servers.CITUS), reason="Citus takes no triggers on tables that are distributed")
@pytest.mark.parametrize("sqlstate", ["26000", "XX000"])
def test_an_error_of_postgres_that_is_not_about_the_data_buries_nothing(job: Job, sqlstate: str) -> None:
    job.execute("CREATE SEQUENCE public.tries")
    job.execute(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('public.tries') < 3 THEN RAISE EXCEPTION 'x' USING ERRCODE = '{sqlstate}'; END IF; "
        "RETURN NEW; END $$"
    )
    job.execute("CREATE TRIGGER fail BEFORE INSERT ON highlevel.messages FOR EACH ROW EXECUTE FUNCTION public.fail()")
    job.enqueue(*job.ids[:20])
    report = job.run()
    assert (report.counts.loaded, report.counts.dead) == (20, 0)


@pytest.mark.parametrize("sqlstate", ["08006", "42501"])
def test_a_run_that_an_error_ends_is_over_at_once(
    job: Job, engine: Engine, monkeypatch: pytest.MonkeyPatch, sqlstate: str
) -> None:
    monkeypatch.setattr("etl.worker.loop.PATIENCE", 0.0)
    job.execute(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'a node is away' USING ERRCODE = '{sqlstate}'; END $$"
    )
    job.execute("CREATE TRIGGER fail BEFORE DELETE ON etl.message_queue EXECUTE FUNCTION public.fail()")
    job.enqueue(*job.ids[:2])
    with pytest.raises(EtlError, match="a node is away"):
        job.run()
    assert job.rows("SELECT finished_at IS NULL, outcome FROM etl.runs") == [(False, None)]
    with engine.connect() as connection:
        (run,) = runs.latest(connection, 1)
        assert (runs.state_of(run), runs.endings(connection)) == ("lost", [("messages", "lost", 1)])
    job.execute("UPDATE etl.runs SET started_at = now() - interval '2 days'")
    with engine.connect() as connection:
        assert runs.endings(connection) == [("messages", "lost", 1)]
    job.execute("DROP TRIGGER fail ON etl.message_queue")
    assert job.run().is_news
    assert job.rows("SELECT outcome FROM etl.runs ORDER BY run_id") == [(None,), ("drained",)]


def test_a_redirect_stops_the_run_and_keeps_every_item(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"redirect": 1.0})
    job.enqueue(*job.ids[:40])
    assert job.run().outcome == "misconfigured"
    assert job.rows("SELECT count(*), max(attempt), count(lease_id) FROM etl.message_queue") == [(40, 0, 0)]


def test_a_limit_is_kept_exactly(job: Job) -> None:
    job.enqueue(*job.ids[:50])
    report = job.run(limit=33)
    assert (report.outcome, report.counts.loaded) == ("limit", 33)
    assert job.rows("SELECT count(*), max(attempt), count(lease_id) FROM etl.message_queue") == [(17, 0, 0)]


def test_a_run_ends_after_its_seconds_and_gives_the_rest_back(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"hold": 1.0})
    job.enqueue(*job.ids[:200])
    clock = Clock()
    loop = job.loop(max_seconds=3600, concurrency=2, clock=clock)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(loop.run)
        sandbox.wait_for(held=2)
        clock.advance(3600)
        with releasing(sandbox):
            report = run.result()
    loaded = report.counts.loaded
    assert (report.outcome, loaded >= 2) == ("max_seconds", True)
    # The threads may have begun some more before the loop took the rest from them.
    assert job.rows("SELECT count(*), coalesce(max(attempt), 0), count(lease_id) FROM etl.message_queue") == [
        (200 - loaded, 0, 0)
    ]


def test_a_follower_loads_what_is_queued_while_it_waits(job: Job) -> None:
    def loaded(count: int) -> bool:
        return bool(job.value("SELECT count(*) FROM highlevel.messages") == count)

    loop = job.loop(follow=True)
    thread = Thread(target=loop.run)
    thread.start()
    try:
        for count in (1, 2, 3):
            job.enqueue(job.ids[count])
            await_(partial(loaded, count))
    finally:
        loop.stop()
        thread.join()
    assert job.value("SELECT outcome FROM etl.runs") == "stopped"


def test_a_follower_with_nothing_to_do_reports_that_it_is_alive(job: Job) -> None:
    clock = Clock()
    loop = job.loop(follow=True, clock=clock)
    thread = Thread(target=loop.run)
    thread.start()
    try:
        await_(lambda: job.value("SELECT count(*) FROM etl.runs") == 1)
        job.execute("UPDATE etl.runs SET seen_at = now() - interval '1 hour'")
        clock.advance(BEAT_SECONDS)
        await_(lambda: job.value("SELECT seen_at > now() - interval '1 minute' FROM etl.runs") is True)
    finally:
        loop.stop()
        thread.join()


def test_a_follower_whose_tables_a_newer_version_migrated_puts_back_what_it_has_and_says_why(
    job: Job, sandbox: RunningSandbox
) -> None:
    clock = Clock()
    sandbox.faults(shares={"hold": 1.0})
    job.enqueue(*job.ids)
    job.execute("UPDATE etl.alembic_version SET version_num = '9999'")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(job.loop(follow=True, clock=clock).run)
        sandbox.wait_for(held=8)
        clock.advance(BEAT_SECONDS)
        with releasing(sandbox):
            report = run.result()
    assert (report.outcome, "a newer highlevel-etl migrated it" in report.detail) == ("migrated", True)
    assert exit_code(report) == 3
    assert job.value("SELECT outcome FROM etl.runs") == "migrated"
    assert job.value("SELECT count(*) FROM etl.message_queue WHERE lease_id IS NOT NULL OR attempt > 0") == 0


def test_a_worker_whose_column_a_newer_version_dropped_says_which_version_it_needs(job: Job) -> None:
    job.enqueue(*job.ids)
    loop = job.loop()
    job.execute("ALTER TABLE etl.runs DROP COLUMN version")
    job.execute("UPDATE etl.alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="a newer highlevel-etl migrated it"):
        loop.run()


def test_an_item_queued_again_while_it_is_fetched_is_fetched_once_more(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: {"kind": "hold", "times": 1}})
    job.enqueue(job.ids[0])
    thread = Thread(target=job.run)
    thread.start()
    sandbox.wait_for(held=1)
    job.enqueue(job.ids[0])
    sandbox.release()
    thread.join()
    assert sandbox.stats()["ids"] == {job.ids[0]: 2}


@pytest.mark.parametrize("workers", [2, 8])
def test_workers_at_one_queue_load_each_item_once(job: Job, sandbox: RunningSandbox, workers: int) -> None:
    job.enqueue(*job.ids)
    threads = [Thread(target=job.run, kwargs={"concurrency": 4}) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = sandbox.stats()
    assert set(stats["ids"].values()) == {1}
    assert job.value("SELECT count(*) FROM highlevel.messages") == len(job.ids)
    assert job.value("SELECT sum(loaded) FROM etl.runs") == len(job.ids)


def test_no_request_of_any_worker_exceeds_the_limit(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.limits(limit=20, interval=0.5)
    job.enqueue(*job.ids[:150])
    threads = [Thread(target=job.run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert job.value("SELECT count(*) FROM highlevel.messages") == 150
    assert sandbox.stats()["statuses"] == {"200": 150}


def test_a_clock_of_postgres_that_is_set_back_holds_up_no_request(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.limits(limit=10, interval=0.5)
    job.enqueue(*job.ids[:10])
    job.run()
    job.execute("UPDATE etl.rate_usage SET expires_at = expires_at + interval '1 hour'")
    job.enqueue(*job.ids[10:15])
    report = job.run()
    assert (report.outcome, report.counts.loaded) == ("drained", 5)


def test_a_spent_daily_budget_ends_the_run_and_keeps_the_rest(job: Job, sandbox: RunningSandbox) -> None:
    sandbox.limits(limit=100, interval=10, daily=25)
    job.enqueue(*job.ids[:40])
    report = job.run()
    assert (report.outcome, report.counts.loaded, report.counts.dead) == ("budget", 25, 0)
    assert sandbox.stats()["statuses"] == {"200": 25}
