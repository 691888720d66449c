import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from etl.database import roles
from etl.database.connections import open_engine
from etl.state import windows
from tests.command import Command
from tests.job import Job
from tests.login_role import login_role


@pytest.fixture
def etl(etl: Command) -> Command:
    (etl.directory / "jobs.yaml").write_text('jobs:\n  messages:\n    schedule: "* * * * *"\n')
    return etl


def found(etl: Command) -> dict[str, dict[str, str]]:
    done = etl("check", "--json")
    findings = {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert (1 if findings else 0, "") == (done.returncode, done.stderr)
    return findings


def execute(engine: Engine, *statements: str, location_id: str = "") -> None:
    with engine.begin() as connection:
        for each in statements:
            connection.execute(text(each), {"location": location_id})


def test_a_fresh_database_is_all_right(etl: Command) -> None:
    done = etl("check")
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_an_installation_that_works_is_all_right(etl: Command, job: Job) -> None:
    etl("enqueue", job.ids[0])
    assert 0 == etl("run").returncode
    assert {} == found(etl)


def test_messages_that_cannot_be_read_stop_no_webhook_and_no_other_finding(etl: Command, engine: Engine) -> None:
    execute(engine, "ALTER TABLE highlevel.messages RENAME TO away")
    (finding,) = found(etl).values()
    assert ("database", "highlevel") == (finding["name"], finding["subject"])
    assert (
        '"highlevel.messages" does not exist' in finding["says"],
        "Webhooks are still stored" in finding["costs"],
    ) == (
        True,
        True,
    )
    with engine.connect() as connection:
        assert 1 == connection.execute(text("SELECT count(*) FROM etl.samples")).scalar_one()


def test_after_a_night_on_which_everything_was_dead_all_of_it_is_reported(etl: Command, engine: Engine) -> None:
    location_id = etl.environment["HIGHLEVEL_LOCATION_ID"]
    execute(
        engine,
        """INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
            SELECT 'w' || n, now() - interval '3 days' - n * interval '20 minutes', 'InboundMessage', :location,
                   'queued', '' FROM generate_series(0, 1900) AS n""",
        """INSERT INTO etl.runs (job, host, pid, version, started_at, seen_at, finished_at, outcome)
           VALUES ('messages', 'h', 1, '1', now() - interval '2 days', now() - interval '2 days',
                   now() - interval '2 days', 'drained')""",
        """INSERT INTO etl.message_queue (message_id, location_id, scheduled_at)
            SELECT 'M' || n, :location, now() - interval '50 hours' FROM generate_series(1, 1000) AS n""",
        """INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail)
            VALUES ('message', 'D1', :location, 8, 'http_500', 'HTTP 500')""",
        location_id=location_id,
    )
    findings = found(etl)
    assert {"webhooks", "runs", "queue", "dead_letters"} == findings.keys()
    assert "1000 items of kind message wait for it" == findings["runs"]["costs"]
    lines = etl("check").stdout.splitlines()
    assert 4 == len(lines)
    assert lines[1].startswith("runs messages: the job does not run, since ")


def test_a_quiet_weekend_is_no_finding_where_every_weekend_is_quiet(etl: Command, engine: Engine) -> None:
    location_id = etl.environment["HIGHLEVEL_LOCATION_ID"]
    # One event each 10 minutes, but for the 60 hours before now and before the same time of each week.
    execute(
        engine,
        """INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
            SELECT 'w' || n, now() - n * interval '10 minutes', 'InboundMessage', :location, 'queued', ''
            FROM generate_series(0, 4300) AS n WHERE n % (7 * 144) > 360""",
        location_id=location_id,
    )
    assert {} == found(etl)
    # An hour before the end of a quiet weekend that began last week, all of it is over: some usually come.
    execute(engine, "UPDATE etl.webhook_events SET received_at = received_at - interval '5 hours'")
    assert {"webhooks"} == found(etl).keys()


def test_webhooks_that_reconcile_misses_are_reported_until_the_next_one(etl: Command, engine: Engine) -> None:
    execute(
        engine,
        """INSERT INTO etl.windows (location_id, window_id, why, since, until, finished_at, days)
           SELECT 'LOC1', 'W' || n, 'compare', now() - interval '2 days', now(), now(),
                  jsonb_build_object('2026-11-27', jsonb_build_object('lost', 2, 'exported', 9),
                                     '2026-11-28', jsonb_build_object('exported', 4))
           FROM generate_series(1, 2) AS n""",
    )
    assert "4 messages came without a webhook" == found(etl)["lost"]["says"]
    with engine.begin() as connection:
        windows.compare(connection, "LOC1", since=datetime(2026, 11, 26, tzinfo=UTC), until=datetime.now(UTC))
    assert "lost" not in found(etl)


def test_a_postgres_that_is_away_is_a_finding(etl: Command) -> None:
    done = etl("check", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert 1 == done.returncode
    assert done.stdout.startswith("database: Postgres cannot be reached: ")


def test_a_mistake_in_jobs_yaml_is_no_finding(etl: Command) -> None:
    path = etl.directory / "jobs.yaml"
    path.write_text("jobs:\n  messages:\nalarms:\n  webhooks: 2 hours\n  oldest: off\n")
    done = etl("check")
    assert 2 == done.returncode
    assert "jobs.yaml:4: alarms: webhooks: expected a length of time, e.g. 30 min, 2 h or 1 day, or off" in done.stderr
    assert "jobs.yaml:5: alarms: unknown key 'oldest'; known: webhooks, runs, oldest_due" in done.stderr


def test_an_alarm_can_be_moved_and_switched_off(etl: Command, engine: Engine) -> None:
    execute(engine, "INSERT INTO etl.message_queue (message_id, scheduled_at) VALUES ('M', now() - interval '2 h')")
    assert {"queue"} == found(etl).keys()
    path = etl.directory / "jobs.yaml"
    for value in ("3 h", "off"):
        path.write_text(f"jobs:\n  messages:\nalarms:\n  oldest_due: {value}\n  dead_letters: 5\n")
        assert {} == found(etl)


def test_audio_that_cannot_be_kept_is_reported(etl: Command) -> None:
    (etl.directory / "file").write_text("")
    (etl.directory / "jobs.yaml").write_text("jobs:\n  calls:\n    kind: recording\n    recordings_url: file/calls\n")
    assert "calls" == found(etl)["audio"]["subject"]


@pytest.fixture
def receiver_url() -> Iterator[str]:
    """The address of a receiver that says that it is not ready."""

    class Unready(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(b"disk_full\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unready)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_receiver_that_cannot_store_or_is_dead_is_reported(etl: Command, receiver_url: str) -> None:
    path = etl.directory / "jobs.yaml"
    path.write_text(f"jobs:\n  messages:\nalarms:\n  receiver: {receiver_url}/\n")
    assert "cannot store events: disk_full" == found(etl)["receiver"]["says"]
    path.write_text("jobs:\n  messages:\nalarms:\n  receiver: http://127.0.0.1:1\n")
    assert "does not answer (ConnectionError)" == found(etl)["receiver"]["says"]


def test_the_role_of_a_worker_may_check(etl: Command, engine: Engine) -> None:
    with login_role(engine, roles.grant_worker) as (_, url):
        done = etl("check", DATABASE_URL=url)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_a_transaction_that_is_open_is_reported(etl: Command, database_url: str) -> None:
    path = etl.directory / "jobs.yaml"
    path.write_text("jobs:\n  messages:\nalarms:\n  transactions: 1 min\n")
    other = open_engine(database_url)
    with other.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert {} == found(etl)
    other.dispose()
