"""Views of unusual messages, counted by hand; each test names what is unusual about its message."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text

from etl.cli.doctor import of_days
from etl.database import views
from tests.analyst.test_views import rows

Insert = Callable[..., None]
PLAIN = {
    "location_id": "LOC9",
    "conversation_id": "CNV9",
    "contact_id": "CON9",
    "message_type": "TYPE_SMS",
    "direction": "inbound",
    "status": "delivered",
    "date_added": "2026-03-10 12:00Z",
    "fetched_at": "2026-03-10 12:01Z",
}


@pytest.fixture
def message(march: Connection) -> Insert:
    """Insert a message."""
    return lambda message_id, **columns: _insert(march, "messages", PLAIN | {"message_id": message_id} | columns)


@pytest.fixture
def email(march: Connection) -> Insert:
    """Insert an email of a thread."""
    plain = {name: value for name, value in PLAIN.items() if name != "message_type"}
    return lambda email_id, thread, **columns: _insert(
        march, "emails", plain | {"email_id": email_id, "message_id": thread} | columns
    )


def _insert(march: Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    march.execute(text(f"INSERT INTO highlevel.{table} ({names}) VALUES (:{', :'.join(row)})"), row)  # noqa: S608 - constants


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message_type", "is_campaign"),
    [
        ("TYPE_CAMPAIGN_EMAIL", True),
        ("TYPE_CUSTOM_EMAIL", False),
        ("TYPE_CUSTOM_PROVIDER_EMAIL", False),
        ("TYPE_LATER_EMAIL", False),
    ],
)
def test_an_email_of_any_thread_counts_once_by_the_type_of_its_thread(
    march: Connection, message: Insert, email: Insert, message_type: str, *, is_campaign: bool
) -> None:
    message("THREAD", message_type=message_type, direction="outbound")
    email("MAIL", "THREAD", direction="outbound")
    query = (
        "SELECT email_id, message_type, channel, is_campaign, sent_by FROM highlevel.messages_flat "
        "WHERE location_id = 'LOC9'"
    )
    sender = "campaign" if is_campaign else "unknown"
    assert rows(march, query) == [("MAIL", message_type, "Email", is_campaign, sender)]
    for view in ("daily_messages", "delivery", "conversations"):
        assert rows(march, f"SELECT sum(messages) FROM highlevel.{view} WHERE location_id = 'LOC9'") == [(1,)]  # noqa: S608 - a constant


def test_a_type_that_says_activity_or_internal_answers_nothing(march: Connection, message: Insert) -> None:
    message("Q")
    message("A1", message_type="TYPE_ACTIVITY_TASK", direction="outbound", source="app", date_added=at(3, 10, 13))
    message("A2", message_type="TYPE_INTERNAL_COMMENTS", direction="outbound", source="app", date_added=at(3, 10, 14))
    query = "SELECT channel FROM highlevel.messages_flat WHERE location_id = 'LOC9' AND NOT with_contact ORDER BY 1"
    assert rows(march, query) == [("Activity",), ("Internal",)]
    turns = "SELECT answered_at FROM highlevel.response_times WHERE location_id = 'LOC9'"
    assert rows(march, turns) == [(None,)]
    waiting = "SELECT messages, waiting_for_human_since FROM highlevel.conversations WHERE location_id = 'LOC9'"
    assert rows(march, waiting) == [(1, at(3, 10))]


def test_an_answer_counts_however_late_it_comes(march: Connection, message: Insert) -> None:
    message("Q", date_added=at(1, 28))
    message("BOT", direction="outbound", source="workflow", date_added=at(2, 9))
    message("SAM", direction="outbound", source="app", date_added=at(5, 9))
    query = (
        "SELECT answer_message_id, answered_by, response_seconds, human_answered_at, human_response_seconds "
        "FROM highlevel.response_times WHERE location_id = 'LOC9'"
    )
    assert rows(march, query) == [("BOT", "workflow", 12 * 86400.0, at(5, 9), 101 * 86400.0)]


def test_a_question_that_is_asked_again_after_weeks_is_still_one_turn(march: Connection, message: Insert) -> None:
    message("Q1", date_added=at(1, 10))
    message("Q2", date_added=at(2, 20))
    message("A", direction="outbound", source="app", date_added=at(2, 21))
    message("Q3", date_added=at(4, 20))
    query = "SELECT message_id, answer_message_id FROM highlevel.response_times WHERE location_id = 'LOC9' ORDER BY 1"
    assert rows(march, query) == [("Q1", "A"), ("Q3", None)]


@pytest.mark.parametrize("month", ["2026-01-01", "2026-02-01"])
def test_a_turn_is_of_one_month_only(march: Connection, message: Insert, month: str) -> None:
    message("Q1", date_added=at(1, 10))
    message("Q2", date_added=at(2, 20))
    query = f"SELECT message_id FROM highlevel.response_times WHERE location_id = 'LOC9' AND local_month = '{month}'"  # noqa: S608 - a constant
    assert rows(march, query) == ([("Q1",)] if month == "2026-01-01" else [])


# Clocks go back to midnight there, so that its first hour comes twice.
@pytest.mark.parametrize("zone", ["Atlantic/Azores", "America/Havana", "Asia/Gaza", "Asia/Amman"])
def test_a_day_begins_at_the_first_of_two_midnights(march: Connection, zone: str) -> None:
    march.execute(text("UPDATE highlevel.settings SET default_time_zone = :zone"), {"zone": zone})
    march.execute(
        text(
            "INSERT INTO highlevel.messages (location_id, message_id, message_type, direction, date_added, fetched_at) "
            "SELECT 'YEAR', 'Y' || n, 'TYPE_SMS', 'inbound', '2018-01-01 00:10Z'::timestamptz + n * interval '30 min', "
            "now() FROM generate_series(0, 35000) AS n"
        )
    )
    by_day = "SELECT local_day, sum(messages) FROM highlevel.daily_messages WHERE location_id = 'YEAR' GROUP BY 1"
    by_time = "SELECT local_day, count(*) FROM highlevel.messages_flat WHERE location_id = 'YEAR' GROUP BY 1"
    assert rows(march, f"({by_day} EXCEPT {by_time}) UNION ALL ({by_time} EXCEPT {by_day})") == []
    gaps = (
        "SELECT count(*) FROM highlevel.local_days AS a JOIN highlevel.local_days AS b "
        "ON b.location_id = a.location_id AND b.local_day = a.local_day + 1 "
        "WHERE a.location_id = 'YEAR' AND a.ends_at <> b.starts_at"
    )
    assert rows(march, gaps) == [(0,)]
    longest = "SELECT max(ends_at - starts_at)::text FROM highlevel.local_days WHERE location_id = 'YEAR'"
    assert rows(march, longest) == [("1 day 01:00:00",)]


def test_without_a_direction_nothing_is_asked_or_answered(march: Connection, message: Insert) -> None:
    message("M", direction=None)
    query = "SELECT awaits_answer, is_answer FROM highlevel.messages_flat WHERE location_id = 'LOC9'"
    assert rows(march, query) == [(False, False)]


@pytest.mark.parametrize(("question", "answer"), [("A", "B"), ("B", "A")])
def test_of_one_instant_the_answer_comes_last(march: Connection, message: Insert, question: str, answer: str) -> None:
    message(question)
    message(answer, direction="outbound", source="app")
    turns = "SELECT message_id, answer_message_id FROM highlevel.response_times WHERE location_id = 'LOC9'"
    assert rows(march, turns) == [(question, answer)]
    waits = "SELECT waiting_since, waiting_for_human_since FROM highlevel.conversations WHERE location_id = 'LOC9'"
    assert rows(march, waits) == [(None, None)]


def test_the_emails_of_a_thread_that_was_deleted_count_no_more(
    march: Connection, message: Insert, email: Insert
) -> None:
    message("THREAD", message_type="TYPE_EMAIL", deleted_at=at(3, 11))
    email("MAIL", "THREAD")
    query = "SELECT email_id, deleted_at, awaits_answer FROM highlevel.messages_flat WHERE location_id = 'LOC9'"
    assert rows(march, query) == [("MAIL", at(3, 11), False)]
    for view in ("daily_messages", "conversations", "response_times"):
        assert rows(march, f"SELECT count(*) FROM highlevel.{view} WHERE location_id = 'LOC9'") == [(0,)]  # noqa: S608 - a constant


AI = (
    "AI Employee",
    "ai_agent",
    "AIAgent",
    "conversationAI",
    "ConversationAi",
    "my-ai",
    "chatbot",
    "Chat Bot",
    "Bot",
    "BOT",
)
NO_AI = ("mail", "Hawaii", "Thai shop", "Airtable", "AIRTABLE", "bottle", "zapier", "custom")


@pytest.mark.parametrize("source", [*AI, *NO_AI])
def test_a_source_that_names_ai_is_ai_in_any_spelling(march: Connection, message: Insert, source: str) -> None:
    message("M", direction="outbound", source=source)
    query = "SELECT sent_by FROM highlevel.messages_flat WHERE location_id = 'LOC9'"
    assert rows(march, query) == [("ai" if source in AI else "unknown",)]


@pytest.mark.parametrize("far", ["9999-12-31 00:00Z", "2100-01-01 00:00Z", "1900-01-01 00:00Z"])
def test_a_date_that_cannot_be_true_makes_no_calendar(march: Connection, message: Insert, far: str) -> None:
    message("M")
    message("FAR", date_added=far, conversation_id="CNV8")
    assert rows(march, "SELECT local_day::text FROM highlevel.local_days WHERE location_id = 'LOC9'") == [
        ("2026-03-10",)
    ]
    assert rows(march, "SELECT count(*) FROM highlevel.messages_flat WHERE location_id = 'LOC9'") == [(2,)]


def test_an_answer_that_is_dated_far_ahead_answers_nothing(march: Connection, message: Insert) -> None:
    message("M")
    message("FAR", direction="outbound", source="app", date_added="9999-12-31 00:00Z")
    turns = "SELECT answered_at FROM highlevel.response_times WHERE location_id = 'LOC9'"
    assert rows(march, turns) == [(None,)]


@pytest.mark.parametrize(("older", "today"), [("US/Eastern", "America/New_York"), ("Asia/Calcutta", "Asia/Kolkata")])
def test_an_older_name_of_a_time_zone_is_replaced_by_todays(
    march: Connection, message: Insert, older: str, today: str
) -> None:
    message("M", date_added=at(3, 10, 2))
    march.execute(
        text("INSERT INTO highlevel.locations (location_id, time_zone, fetched_at) VALUES ('LOC9', :zone, now())"),
        {"zone": older},
    )
    query = "SELECT local_time_zone, is_refused FROM highlevel.location_time_zones WHERE location_id = 'LOC9'"
    assert rows(march, query) == [(today, False)]
    same = "SELECT local_time = date_added AT TIME ZONE '{}' FROM highlevel.messages_flat WHERE location_id = 'LOC9'"
    assert rows(march, same.format(today)) == [(True,)]


def test_no_view_asks_postgres_for_a_name_that_servers_drop(march: Connection) -> None:
    query = (
        "SELECT z.time_zone FROM highlevel.time_zones AS z WHERE z.time_zone ~ '^(US|Canada|Brazil|Mexico|Chile)/' "
        "AND z.known_as IS NULL"
    )
    assert rows(march, query) == []


def test_calls_by_day_are_those_of_the_view_of_calls(march: Connection) -> None:
    outcomes = "count(*) FILTER (WHERE call_outcome = '{}')"
    columns = ", ".join(outcomes.format(each) for each in ("answered", "missed", "voicemail"))
    seconds = "coalesce(sum(call_duration) FILTER (WHERE call_outcome = 'answered'), 0)"
    of_calls = f"SELECT location_id, local_day, {columns}, {seconds} FROM highlevel.calls GROUP BY 1, 2 ORDER BY 1, 2"  # noqa: S608
    of_days = (
        "SELECT location_id, local_day, sum(answered_calls), sum(missed_calls), sum(voicemails), sum(answered_seconds) "
        "FROM highlevel.daily_messages WHERE channel = 'Call' GROUP BY 1, 2 ORDER BY 1, 2"
    )
    days = march.execute(text(of_days)).all()
    assert len(days) > 1
    assert days == march.execute(text(of_calls)).all()
    others = "SELECT count(*) FROM highlevel.daily_messages WHERE channel <> 'Call' AND answered_calls IS NOT NULL"
    assert march.execute(text(others)).scalar_one() == 0


def test_an_email_has_the_user_of_its_thread(march: Connection, message: Insert, email: Insert) -> None:
    march.execute(
        text("INSERT INTO highlevel.users (location_id, user_id, name, fetched_at) VALUES ('LOC9', 'U', 'Sam', now())")
    )
    message("THREAD", message_type="TYPE_EMAIL", direction="outbound", user_id="U")
    email("MAIL", "THREAD", direction="outbound")
    query = "SELECT user_id, user_name, sent_by FROM highlevel.messages_flat WHERE location_id = 'LOC9'"
    assert rows(march, query) == [("U", "Sam", "human")]


def test_an_email_of_which_no_thread_is_known_counts(march: Connection, email: Insert) -> None:
    email("ASKED", None)
    email("SENT", None, direction="outbound", source="app", date_added=at(3, 10, 13))
    email("AGAIN", None, date_added=at(3, 10, 14))
    turns = (
        "SELECT message_id, email_id, answer_message_id, answer_email_id, response_seconds "
        "FROM highlevel.response_times WHERE location_id = 'LOC9' ORDER BY date_added"
    )
    assert rows(march, turns) == [(None, "ASKED", None, "SENT", 3600.0), (None, "AGAIN", None, None, None)]
    talks = "SELECT messages, last_message_id, waiting_since FROM highlevel.conversations WHERE location_id = 'LOC9'"
    assert rows(march, talks) == [(3, None, at(3, 10, 14))]


def test_the_doctor_says_whose_days_are_in_utc(march: Connection) -> None:
    (check,) = of_days(views.without_zone(march))
    assert check.ok
    assert check.says.startswith("in UTC for 2 locations without a known time zone. Run the job locations")
    march.execute(text("UPDATE highlevel.locations SET time_zone = 'Asia/Tokyo' WHERE location_id = 'LOC3'"))
    march.execute(text("DELETE FROM highlevel.messages WHERE location_id = 'LOC2'"))
    assert list(of_days(views.without_zone(march))) == []
