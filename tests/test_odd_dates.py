"""Dates that cannot be true, as older versions stored them, do not break counts of many messages."""

import pytest
from sqlalchemy import Engine

from etl.database import schema, views
from tests import servers
from tests.command import Command
from tests.job import Job

ODD = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2098-12-31T23:59:59Z", "9999-12-31T23:59:59Z")
FILL = """
INSERT INTO highlevel.messages (location_id, message_id, conversation_id, contact_id, user_id, message_type, direction,
                                status, date_added, date_updated, fetched_at)
SELECT :place, 'odd-' || n, 'CNV', 'CON', 'USR', 'TYPE_SMS', 'inbound', 'sent', at, at, now()
FROM unnest(CAST(:odd AS timestamptz[])) WITH ORDINALITY AS given (at, n);
INSERT INTO highlevel.messages (location_id, message_id, conversation_id, user_id, message_type, direction,
                                date_added, fetched_at)
SELECT :place, id, 'CNV', 'USR', type, 'outbound', now() - ago, now()
FROM (VALUES ('good', 'TYPE_SMS', '2 days'::interval), ('call', 'TYPE_CALL', '3 days')) AS given (id, type, ago);
INSERT INTO highlevel.emails (location_id, email_id, message_id, direction, date_added, date_updated, fetched_at)
SELECT :place, 'odd-' || n, 'good', 'outbound', at, at, now()
FROM unnest(CAST(:odd AS timestamptz[])) WITH ORDINALITY AS given (at, n);
INSERT INTO highlevel.contacts (location_id, contact_id, date_added, date_updated, fetched_at)
SELECT :place, 'odd-' || n, at, at, now() FROM unnest(CAST(:odd AS timestamptz[])) WITH ORDINALITY AS given (at, n);
INSERT INTO highlevel.status_changes (location_id, message_id, seen_at, status, date_updated)
SELECT :place, 'odd-' || n, now(), 'sent', at
FROM unnest(CAST(:odd AS timestamptz[])) WITH ORDINALITY AS given (at, n)
"""
WITH_DATES = ("messages", "emails", "contacts")
COMMANDS = [
    ("status",),
    ("status", "--json"),
    ("report", "--out", "report.html"),
    ("reconcile",),
    ("backfill", "--since", "2026-01-01"),
    ("run",),
    ("prune", "--dry-run"),
    ("dbt-sources",),
]


def fill(job: Job) -> None:
    for statement in FILL.split(";"):
        odd = {"odd": list(ODD)} if ":odd" in statement else {}
        job.execute(statement, place=job.location_id, **odd)


@pytest.fixture
def zone(request: pytest.FixtureRequest, job: Job) -> str:
    """The time zone of locations that have none."""
    zone: str = request.param
    job.execute("UPDATE highlevel.settings SET default_time_zone = :zone", zone=zone)
    return zone


ZONES = ["America/New_York", "Europe/Berlin"]


@pytest.mark.parametrize("zone", ZONES, indirect=True)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("zone")
def test_no_command_stumbles_over_them(etl: Command, job: Job, command: tuple[str, ...]) -> None:
    fill(job)
    job.execute("INSERT INTO etl.mart_changes (location_id) SELECT DISTINCT location_id FROM highlevel.messages")
    assert etl("run", "marts").returncode == 0
    done = etl(*command)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("zone", ZONES, indirect=True)
@pytest.mark.usefixtures("zone")
def test_an_upgrade_keeps_them_beside_so_that_every_view_can_be_read(etl: Command, engine: Engine, job: Job) -> None:
    with engine.connect() as connection:
        schema.downgrade(connection, "0014")
        fill(job)
        schema.upgrade(connection)
    # Tables that came since are on the coordinator alone.
    assert not servers.CITUS or etl("db", "distribute").returncode == 0
    assert etl("run", "marts").returncode == 0
    read = {name: job.rows(f"SELECT * FROM highlevel.{name}") for name in (*views.NAMES, *WITH_DATES)}  # noqa: S608
    assert [name for name, found in read.items() if not found] == ["response_times"]
    days = job.rows("SELECT min(local_day), max(local_day) FROM highlevel.local_days")
    own = "SELECT min(local_day), max(local_day) FROM highlevel.messages_flat WHERE message_id IN ('good', 'call') "
    own += "AND email_id IS NULL"
    assert days == job.rows(own)
    query = "SELECT date_added, date_updated, extra FROM highlevel.{} WHERE extra IS NOT NULL ORDER BY extra"
    kept = {table: job.rows(query.format(table)) for table in WITH_DATES}
    odd = [date.replace("Z", "+00:00") for date in ODD if not date.startswith("2098")]
    expected = [(None, None, {"dateAdded": date, "dateUpdated": date}) for date in odd]
    assert kept == dict.fromkeys(WITH_DATES, expected)
