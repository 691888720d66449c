"""Answers of the views about march.sql, in addition to the questions of docs/questions.md."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from etl.database import dbt_sources, dictionary
from tests.marts import refresh


def rows(march: Connection, query: str) -> list[tuple[Any, ...]]:
    """The answer once the job marts has run."""
    refresh(march)
    return [tuple(row) for row in march.exec_driver_sql(query)]


def test_a_message_is_shown_with_all_its_names(march: Connection) -> None:
    query = (
        "SELECT location_name, contact_name, user_name, channel, sent_by, attachment_count, local_time::text "
        "FROM highlevel.messages_flat WHERE message_id = 'M03'"
    )
    expected = ("Harbour Dental", "Ann Lee", "Sam Fox", "SMS", "human", 1, "2026-03-02 10:30:00")
    assert [expected] == rows(march, query)


def test_fetched_emails_stand_in_for_their_thread(march: Connection) -> None:
    query = (
        "SELECT email_id, status, subject, recipient, attachment_count FROM highlevel.messages_flat "
        "WHERE message_id = 'M16' ORDER BY email_id"
    )
    expected = [
        ("E1", "opened", "Spring", "cleo@example.com, bob@example.com", 0),
        ("E2", "delivered", "Re: Spring", "shop@example.com", 1),
    ]
    assert expected == rows(march, query)


def test_a_thread_without_fetched_emails_has_a_row_of_its_own(march: Connection) -> None:
    march.execute(text("UPDATE highlevel.emails SET fetched_at = NULL"))
    query = "SELECT email_id, status FROM highlevel.messages_flat WHERE message_id = 'M16'"
    assert [(None, "sent")] == rows(march, query)


def test_no_column_that_dbt_tests_for_nulls_has_any_although_an_email_names_no_thread(march: Connection) -> None:
    march.execute(text("UPDATE highlevel.emails SET message_id = NULL, direction = 'inbound' WHERE email_id = 'E1'"))
    march.execute(text("INSERT INTO etl.mart_changes (location_id) SELECT DISTINCT location_id FROM highlevel.emails"))
    refresh(march)
    sources = dbt_sources.sources("highlevel", dictionary.read(march, "highlevel"), hours={})
    tested = [
        (table["name"], column["name"])
        for table in sources["sources"][0]["tables"]
        for column in table["columns"]
        if "not_null" in column.get("data_tests", ())
    ]
    nulls = [
        (table, column)
        for table, column in tested
        if march.exec_driver_sql(f"SELECT count(*) FROM highlevel.{table} WHERE {column} IS NULL").scalar_one()  # noqa: S608
    ]
    assert march.exec_driver_sql("SELECT count(*) FROM highlevel.turns WHERE message_id IS NULL").scalar_one() == 1
    assert nulls == []
    assert {("calls", "message_id"), ("emails_flat", "email_id"), ("messages", "message_id")} <= set(tested)


def test_emails_flat_has_what_only_emails_have(march: Connection) -> None:
    query = "SELECT email_id, position, contact_name, body FROM highlevel.emails_flat ORDER BY email_id"
    assert [("E1", 0, "Cleo Diaz", "words"), ("E2", 1, "Cleo Diaz", "<p>words</p>")] == rows(march, query)


def test_a_call_is_shown_with_its_outcome_audio_and_text(march: Connection) -> None:
    query = (
        "SELECT message_id, call_outcome, call_duration, user_name, has_recording, recording_url, has_transcript "
        "FROM highlevel.calls ORDER BY message_id"
    )
    expected = [
        ("M12", "missed", None, None, False, None, False),
        ("M13", "answered", 120, "Sam Fox", True, "s3://audio/M13-0.wav", True),
        ("M14", "voicemail", None, None, True, None, False),
        ("M15", "answered", 300, "Sam Fox", False, None, False),
    ]
    assert expected == rows(march, query)


def test_internal_messages_and_activities_are_shown_but_never_counted(march: Connection) -> None:
    query = "SELECT message_id FROM highlevel.messages_flat WHERE NOT with_contact ORDER BY message_id"
    assert [("M04",), ("M24",)] == rows(march, query)
    counted = "SELECT sum(messages) FROM highlevel.{} WHERE location_id = 'LOC1'"
    assert [(22,)] == rows(march, counted.format("daily_messages"))
    assert [(22,)] == rows(march, counted.format("conversations"))


def test_an_automatic_reply_answers_but_a_person_is_still_awaited(march: Connection) -> None:
    march.execute(text("DELETE FROM highlevel.messages WHERE message_id IN ('M03', 'M05', 'M06', 'M07', 'M08')"))
    query = (
        "SELECT waiting_since, waiting_for_human_since FROM highlevel.conversations "
        "WHERE location_id = 'LOC1' AND conversation_id = 'CNV1'"
    )
    assert [(None, datetime(2026, 3, 2, 9, tzinfo=UTC))] == rows(march, query)


def test_a_failed_message_is_no_answer(march: Connection) -> None:
    query = (
        "SELECT answer_message_id, response_seconds, user_name FROM highlevel.response_times "
        "WHERE location_id = 'LOC1' AND message_id = 'M05'"
    )
    assert [("M08", 3600.0, "Kim Ray")] == rows(march, query)


def test_messages_in_a_row_are_one_turn(march: Connection) -> None:
    query = "SELECT message_id FROM highlevel.response_times WHERE location_id = 'LOC1' ORDER BY date_added"
    assert [("M01",), ("M05",), ("M09",), ("M12",), ("M14",), ("M16",), ("M11",), ("M22",)] == rows(march, query)


def test_a_voicemail_is_answered_by_the_call_that_got_through(march: Connection) -> None:
    query = (
        "SELECT answered_by, answer_message_id, human_response_seconds, user_name FROM highlevel.response_times "
        "WHERE location_id = 'LOC1' AND message_id = 'M14'"
    )
    assert [("contact", "M15", 64800.0, "Sam Fox")] == rows(march, query)


def test_delivery_adds_up(march: Connection) -> None:
    march.execute(text("UPDATE highlevel.messages SET status = 'opt_out' WHERE message_id = 'M17'"))
    query = "SELECT sum(messages), sum(waiting), sum(sent), sum(failed), sum(other) FROM highlevel.delivery"
    assert [(11, 1, 7, 2, 1)] == rows(march, query)


def test_a_location_without_a_time_zone_has_the_default_one(march: Connection) -> None:
    query = "SELECT local_day FROM highlevel.daily_messages WHERE location_id = 'LOC2'"
    assert [(date(2026, 3, 3),)] == rows(march, query)
    march.execute(text("UPDATE highlevel.settings SET default_time_zone = 'Europe/Madrid'"))
    assert [(date(2026, 3, 4),)] == rows(march, query)


def test_a_time_zone_that_does_not_exist_falls_back_and_is_seen(march: Connection) -> None:
    query = "SELECT location_id, time_zone, local_time_zone FROM highlevel.location_time_zones WHERE is_refused"
    assert [("LOC3", "Nowhere/Land", "UTC")] == rows(march, query)
    assert [(1,)] == rows(march, "SELECT sum(messages) FROM highlevel.daily_messages WHERE location_id = 'LOC3'")


def test_a_default_time_zone_that_does_not_exist_is_refused(march: Connection) -> None:
    with pytest.raises(IntegrityError, match="time_zones"):
        march.execute(text("UPDATE highlevel.settings SET default_time_zone = 'Europe/Madird'"))


def test_without_any_setting_days_are_in_utc(march: Connection) -> None:
    march.execute(text("DELETE FROM highlevel.settings"))
    query = "SELECT local_time_zone FROM highlevel.messages_flat WHERE message_id IN ('N01', 'M01') ORDER BY message_id"
    assert [("Europe/Madrid",), ("UTC",)] == rows(march, query)


def test_a_day_on_which_clocks_change_is_an_hour_shorter(march: Connection) -> None:
    query = (
        "SELECT extract(epoch FROM ends_at - starts_at) / 3600 FROM highlevel.local_days "
        "WHERE location_id = 'LOC1' AND local_day BETWEEN '2026-03-28' AND '2026-03-30' ORDER BY local_day"
    )
    assert [(24,), (23,), (24,)] == rows(march, query)


# Clocks change at midnight in Santiago, Havana and Beirut, by half an hour on Lord Howe Island; Samoa skipped a day.
ZONES = (
    "UTC",
    "Europe/Madrid",
    "America/Santiago",
    "America/Havana",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)


@pytest.mark.parametrize("zone", ZONES)
def test_every_message_belongs_to_the_day_of_its_local_time(march: Connection, zone: str) -> None:
    march.execute(text("UPDATE highlevel.settings SET default_time_zone = :zone"), {"zone": zone})
    march.execute(
        text(
            "INSERT INTO highlevel.messages (location_id, message_id, message_type, direction, date_added, fetched_at) "
            "SELECT 'YEAR', 'Y' || n, 'TYPE_SMS', 'inbound', '2010-12-31 00:10Z'::timestamptz + n * interval '7h', "
            "now() FROM generate_series(0, 1400) AS n"
        )
    )
    by_day = "SELECT local_day, sum(messages) FROM highlevel.daily_messages WHERE location_id = 'YEAR' GROUP BY 1"
    by_time = "SELECT local_day, count(*) FROM highlevel.messages_flat WHERE location_id = 'YEAR' GROUP BY 1"
    assert [] == rows(march, f"({by_day} EXCEPT {by_time}) UNION ALL ({by_time} EXCEPT {by_day})")
