from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.config.jobs import Alarms, Job
from etl.database.connections import OpenTransaction
from etl.state.dead_letters import Tally
from etl.state.locations import CompanyOverview, Overview
from etl.state.message_queue import Depth
from etl.state.webhook_events import Rhythm
from etl.state.windows import Lost
from etl.watch.figures import Figures, Surroundings
from etl.watch.findings import Finding, due_again, findings

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JOBS = {"messages": Job(name="messages", schedule="* * * * *"), "nightly": Job(name="nightly", kind="email")}
QUIET = Figures(NOW)


def found(
    figures: Figures, alarms: Alarms | None = None, around: Surroundings | None = None, jobs: dict[str, Job] = JOBS
) -> list[Finding]:
    return findings(figures, around or Surroundings(), alarms=alarms or Alarms(), jobs=jobs)


def names(figures: Figures, **alarms: Any) -> list[tuple[str, str]]:
    return [(each.name, each.subject) for each in found(figures, Alarms(**alarms))]


def rhythm(**changed: Any) -> Rhythm:
    usual = Rhythm("LOC1", NOW - 30 * DAY, NOW - 3 * HOUR, events=100, weeks=4, fewest=3, total=20)
    return replace(usual, **changed)


def depth(**changed: Any) -> Depth:
    return replace(Depth("message", "LOC1", items=5, in_hand=1, due=4, oldest=NOW - 2 * HOUR), **changed)


def test_a_fresh_database_gives_no_finding() -> None:
    assert [] == found(QUIET)


@pytest.mark.parametrize(
    ("changed", "is_told"),
    [
        ({}, True),
        ({"last_at": NOW - HOUR}, False),
        # The weekend of a business that is quiet on weekends; one weekend of four had some.
        ({"last_at": NOW - 2 * DAY, "fewest": 0, "total": 30}, False),
        # A location of which a few come a day.
        ({"fewest": 1, "total": 9}, False),
        # Known for four days, silent for two or for three.
        ({"first_at": NOW - 4 * DAY, "last_at": NOW - 2 * DAY, "weeks": 0, "fewest": 0, "total": 0}, False),
        ({"first_at": NOW - 4 * DAY, "last_at": NOW - 3 * DAY, "weeks": 0, "fewest": 0, "total": 0}, True),
        ({"first_at": NOW - 4 * DAY, "last_at": NOW - 3 * DAY, "weeks": 0, "events": 9}, False),
    ],
)
def test_webhooks_are_missed_where_some_usually_come_at_this_time(changed: dict[str, Any], *, is_told: bool) -> None:
    assert ([("webhooks", "LOC1")] if is_told else []) == names(replace(QUIET, rhythms=[rhythm(**changed)]))


@pytest.mark.parametrize(
    ("job", "unseen", "is_told"),
    [
        ("messages", timedelta(minutes=15), False),
        ("messages", timedelta(minutes=17), True),
        # No schedule is written.
        ("nightly", timedelta(hours=23), False),
        ("nightly", timedelta(days=2), True),
    ],
)
def test_a_job_is_late_by_its_own_schedule(job: str, unseen: timedelta, *, is_told: bool) -> None:
    figures = replace(QUIET, last_seen={job: NOW - unseen, "gone from the file": NOW - 9 * DAY})
    assert ([("runs", job)] if is_told else []) == names(figures)


def test_a_schedule_is_read_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time  # noqa: PLC0415

    monkeypatch.setenv("TZ", "Europe/Madrid")
    time.tzset()
    try:
        job = Job(name="nightly", schedule="17 3 * * *")
        # The clocks went back at 3:00 on 25 October: the next 3:17 is in winter time.
        due = due_again(job, datetime(2026, 10, 24, 1, 17, 5, tzinfo=UTC))
        assert datetime(2026, 10, 25, 2, 17, tzinfo=UTC) == due
    finally:
        monkeypatch.undo()
        time.tzset()


def test_webhooks_that_the_last_reconcile_misses_are_reported() -> None:
    lost = [Lost("LOC1", NOW - DAY, 4)]
    (finding,) = found(replace(QUIET, lost=lost))
    assert ("lost", "LOC1", "4 messages came without a webhook") == (finding.name, finding.subject, finding.says)
    assert [] == names(replace(QUIET, lost=lost), lost=5)


def test_an_old_due_item_is_reported_by_kind() -> None:
    assert [("queue", "message")] == names(replace(QUIET, depth=[depth(), depth(location_id="LOC2")]))
    assert [] == names(replace(QUIET, depth=[depth(oldest=NOW - HOUR / 2), depth(due=0)]))


def test_items_that_wait_for_their_location_are_reported_once_with_it() -> None:
    paused = Overview("LOC1", paused_at=NOW - DAY, pause_cause="token_refused", token_source="private", connected=True)
    assert [("location", "LOC1")] == names(replace(QUIET, depth=[depth()], locations=[paused]))
    assert [("location", "LOC1")] == names(replace(QUIET, depth=[depth()], unserved=["LOC1"]))


def test_a_kind_that_no_job_takes_is_reported_with_the_cure() -> None:
    (finding,) = found(replace(QUIET, depth=[depth(kind="user")]))
    assert "Add a job for that kind to jobs.yaml" == finding.fix
    assert [("queue", "user")] == names(replace(QUIET, depth=[depth(kind="user", due=0, oldest=NOW + HOUR)]))


def test_windows_wait_for_the_command_that_queued_them() -> None:
    assert [] == found(replace(QUIET, depth=[depth(kind="window")]))


def test_dead_letters_of_a_day_are_one_finding_with_their_causes() -> None:
    letters = [
        Tally("message", "not_found", letters=9, recent=2, recent_since=NOW - 2 * HOUR),
        Tally("email", "transform", letters=1, recent=1, recent_since=NOW - 3 * HOUR),
        Tally("email", "too_large", letters=4, recent=0, recent_since=None),
    ]
    (finding,) = found(replace(QUIET, letters=letters))
    assert ("3 items became dead letters: 2 not_found, 1 transform", NOW - 3 * HOUR) == (finding.says, finding.since)
    assert [] == names(replace(QUIET, letters=letters), dead_letters=4)


@pytest.mark.parametrize(
    ("location", "is_told"),
    [
        (Overview("L", token_source="app", token_issued_at=NOW - 352 * DAY), True),
        (Overview("L", token_source="app", token_issued_at=NOW - DAY, token_expires_at=NOW), False),
        (Overview("L", token_source="company", token_issued_at=NOW - 400 * DAY), False),
        (Overview("L", token_source="private", token_issued_at=NOW - 400 * DAY), False),
        (Overview("L", token_source="private", token_expires_at=NOW + DAY), True),
    ],
)
def test_a_token_that_nothing_renews_in_time_is_reported(location: Overview, *, is_told: bool) -> None:
    assert ([("token", "L")] if is_told else []) == names(replace(QUIET, locations=[location]))


def test_the_token_of_a_company_is_reported() -> None:
    company = CompanyOverview(
        "C", None, connected=True, token_issued_at=NOW - 360 * DAY, token_expires_at=NOW, retired_at=None, locations=3
    )
    assert [("token", "of company C")] == names(replace(QUIET, companies=[company]))


def test_an_allowance_that_is_nearly_used_up_is_reported() -> None:
    low = Overview("L", daily_remaining=19_999, daily_limit=200_000, heard_at=NOW)
    assert [("allowance", "L")] == names(replace(QUIET, locations=[low]))
    assert [] == names(replace(QUIET, locations=[replace(low, daily_remaining=20_000)]))
    spent = replace(low, daily_remaining=20_000, blocked_cause="daily_budget")
    assert [("allowance", "L")] == names(replace(QUIET, locations=[spent]))
    unheard = Overview("L", blocked_cause="daily_budget", blocked_until=NOW + HOUR)
    (finding,) = found(replace(QUIET, locations=[unheard]))
    assert "used up for today, HighLevel is asked again from 13:00 UTC on" == finding.says


def test_a_transaction_that_is_open_for_long_is_reported_with_what_ends_it() -> None:
    long = OpenTransaction(42, "analyst", "psql", NOW - 2 * HOUR)
    (finding,) = found(replace(QUIET, transactions=[long, replace(long, since=NOW)]))
    assert "pg_terminate_backend(42)" in finding.fix


def test_findings_outside_of_postgres_are_reported() -> None:
    around = Surroundings(disk_free=4.0, audio={"recordings": "is full"}, receiver="does not answer")
    assert ["receiver", "audio", "disk"] == [each.name for each in found(QUIET, around=around)]


def test_every_alarm_but_those_of_what_is_broken_can_be_switched_off() -> None:
    off = Alarms(**dict.fromkeys(Alarms.model_fields))
    loud = replace(
        QUIET,
        rhythms=[rhythm()],
        lost=[Lost("LOC1", NOW - DAY, 4)],
        depth=[depth()],
        last_seen={"messages": NOW - DAY},
        transactions=[OpenTransaction(1, "r", "", NOW - DAY)],
        letters=[Tally("message", "not_found", letters=1, recent=1, recent_since=NOW)],
        locations=[Overview("L", daily_remaining=0, daily_limit=9, heard_at=NOW, token_source="private")],
    )
    assert [] == found(loud, off, Surroundings(disk_free=1.0))


def test_a_finding_is_one_line_with_since_when_the_cost_and_the_cure() -> None:
    finding = Finding("runs", "messages", "the job does not run", NOW - 2 * DAY, "9 items wait for it", "etl run")
    local = f"{(NOW - 2 * DAY).astimezone():%Y-%m-%d %H:%M}"
    assert f"runs messages: the job does not run, since {local} (2 d). 9 items wait for it. etl run" == finding.line(
        NOW
    )
