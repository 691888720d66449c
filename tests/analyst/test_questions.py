"""The questions of docs/questions.md, answered on march.sql; the answers were counted by hand."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from etl.database import roles, views
from etl.database.connections import open_engine
from tests.login_role import login_role

PAGE = Path("docs/questions.md").read_text(encoding="utf-8")
SECTIONS = {
    int(number): body for number, body in re.findall(r"^## (\d+)\. (.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def march_at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute)  # noqa: DTZ001 - a location's own clock has no zone


def on(day: int) -> date:
    return date(2026, 3, day)


ANSWERS: dict[int, list[list[tuple[Any, ...]]]] = {
    1: [
        [
            (on(2), "SMS", "inbound", 3),
            (on(2), "SMS", "outbound", 4),
            (on(4), "WhatsApp", "inbound", 1),
            (on(4), "WhatsApp", "outbound", 1),
            (on(5), "Call", "inbound", 2),
            (on(5), "Call", "outbound", 1),
            (on(6), "Call", "inbound", 1),
            (on(6), "Email", "inbound", 1),
            (on(6), "Email", "outbound", 1),
            (on(9), "SMS", "outbound", 2),
            (on(10), "SMS", "outbound", 1),
            (on(20), "WhatsApp", "inbound", 1),
            (on(29), "SMS", "outbound", 2),
            (on(30), "SMS", "inbound", 1),
        ]
    ],
    2: [
        [
            ("CNV1", "workflow", 120.0, 1800.0),
            ("CNV2", "human", 30600.0, 30600.0),
            ("CNV3", "human", 1200.0, 1200.0),
            ("CNV4", None, None, None),
        ],
        [("Sam Fox", 3, 1800.0), ("Kim Ray", 2, 17100.0)],
    ],
    3: [
        [
            ("CNV3", "Cleo Diaz", "Email", march_at(6, 12), march_at(6, 12)),
            ("CNV2", "Bob Roy", "WhatsApp", march_at(20, 12), march_at(20, 12)),
            ("CNV4", None, "SMS", march_at(29, 22, 30), march_at(29, 22, 30)),
        ]
    ],
    4: [[("Email", 1, 0, 1, 1, 1, 0, 0), ("SMS", 9, 1, 6, 4, 0, 2, 0), ("WhatsApp", 1, 0, 1, 1, 1, 0, 0)]],
    5: [[("inbound", 3, 1, 1, 300), ("outbound", 1, 0, 0, 120)]],
    6: [[(10, 4), (0, 2), (13, 2), (11, 1), (16, 1)]],
    7: [[("application/pdf", 2), ("image/jpeg", 2)]],
    8: [[("campaign", 3, 2), ("other", 4, 2), ("personal", 5, 3)]],
    9: [[("CON1", "Ann Lee", 7), ("CON3", "Cleo Diaz", 6), ("CON4", None, 6), ("CON2", "Bob Roy", 3)]],
    10: [
        [
            ("CON1", local(2, 11, 40), "SMS", "human"),
            ("CON2", local(4, 9), "WhatsApp", "human"),
            ("CON3", local(6, 12), "Email", "campaign"),
            ("CON4", local(29, 1, 30), "SMS", "ai"),
        ]
    ],
    11: [[("Error 30003 - Unreachable", "SMS", 1), ("Error 30005 - Unknown handset", "SMS", 1)]],
    12: [[("M23", "SMS", "failed", march_at(10, 12))]],
    13: [[("M19", "pending", march_at(10, 9, 1)), ("M20", "sent", march_at(29, 0, 31))]],
    14: [[("Harbour Dental", march_at(29, 22, 30), march_at(31, 23, 30))]],
    15: [[("CNV2", local(20, 13), timedelta(days=16, hours=4))]],
    # Two by night: the 4th and the 30th at half past midnight. Of ten from contacts one is a call that was answered.
    16: [[(9, 2)]],
    17: [[(1, 3, 31.0), (3, 1, 510.0), (4, 2, 550.0), (5, 2, None)]],
    18: [[(3, 1), (6, 2), (7, 1)]],
    19: [
        [
            ("app", 5, Decimal("41.7")),
            ("campaign", 2, Decimal("16.7")),
            ("api", 1, Decimal("8.3")),
            ("bulk_actions", 1, Decimal("8.3")),
            ("conversationAI", 1, Decimal("8.3")),
            ("workflow", 1, Decimal("8.3")),
            (None, 1, Decimal("8.3")),
        ]
    ],
    20: [
        [("human", 5), ("campaign", 3), ("ai", 1), ("api", 1), ("unknown", 1), ("workflow", 1)],
        [("Sam Fox", 3), ("Kim Ray", 2)],
    ],
}


def test_there_are_twenty_questions() -> None:
    assert list(range(1, 21)) == list(SECTIONS)


@pytest.mark.parametrize("number", SECTIONS)
def test_a_question_has_the_answer_that_was_counted_by_hand(march: Connection, number: int) -> None:
    queries = re.findall(r"```sql\n(.+?)```", SECTIONS[number], re.DOTALL)
    answers = [[tuple(row) for row in march.exec_driver_sql(query)] for query in queries]
    assert ANSWERS[number] == answers


def test_a_status_that_was_asked_for_again_is_not_out_of_date(march: Connection) -> None:
    march.exec_driver_sql(
        "UPDATE highlevel.messages SET checked_at = date_added + interval '2 days'"
        " WHERE location_id = 'LOC1' AND message_id = 'M20'"
    )
    (query,) = re.findall(r"```sql\n(.+?)```", SECTIONS[13], re.DOTALL)
    assert [row.message_id for row in march.exec_driver_sql(query)] == ["M19"]


@pytest.mark.parametrize("number", SECTIONS)
def test_a_question_asks_about_one_location(number: int) -> None:
    assert "location_id = 'LOC1'" in SECTIONS[number]


def test_a_reader_may_ask_them(march: Connection, engine: Engine) -> None:
    march.commit()
    with login_role(engine, roles.grant_reader) as (_, url):
        reader = open_engine(url)
        with reader.connect() as connection:
            for body in SECTIONS.values():
                for query in re.findall(r"```sql\n(.+?)```", body, re.DOTALL):
                    connection.exec_driver_sql(query)
        reader.dispose()


@pytest.mark.parametrize("name", ["messages_flat", "calls", "emails_flat"])
def test_the_form_for_citus_has_the_same_rows(march: Connection, name: str) -> None:
    apart = views.spread(name)
    assert "LEFT JOIN highlevel.contacts" not in apart
    assert apart.count("UNION ALL") == (name == "messages_flat")
    there = f"SELECT * FROM highlevel.{name} AS v ORDER BY v::text"  # noqa: S608
    before = march.exec_driver_sql(there).all()
    march.exec_driver_sql(apart, execution_options={"no_parameters": True})
    assert before != []
    assert march.exec_driver_sql(there).all() == before
