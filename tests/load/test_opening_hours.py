"""How much of a wait a location was open, beside a model of its own that knows time zones from Python."""

import random
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from etl.database.retrying_transaction import RetryingTransaction
from etl.load import clocks, loader
from etl.worker import marts
from tests.worker.test_marts import message, transact  # noqa: F401 - a fixture

MIDNIGHT = "24:00"
SHOP = [(day, opens, closes) for day in range(1, 6) for opens, closes in (("09:00", "13:30"), ("15:00", "18:00"))]
BAR = [(4, "20:00", "02:30"), (5, "20:00", "03:15"), (6, "18:00", "02:30"), (7, "00:30", "05:00")]
HOURS = {
    "a shop with a break": SHOP,
    "a bar until after midnight, on days that change clocks": BAR,
    "all day": [(day, "00:00", MIDNIGHT) for day in range(1, 8)],
    "an hour a week": [(3, "11:00", "12:00")],
    "spans that overlap": [(1, "08:00", "12:00"), (1, "10:00", "14:00"), (1, "11:00", "11:30"), (2, "23:00", "22:00")],
}
ZONES = ("Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago")
CHANGES = {
    "Europe/Madrid": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "Asia/Kathmandu": (date(2026, 1, 1), date(2026, 6, 1)),
    "America/Santiago": (date(2026, 4, 5), date(2026, 9, 6)),
}


def minutes_open(hours: list[tuple[int, str, str]], zone: str, around: date) -> set[int]:
    """Each minute since 1970 in the month around a day in which it is open, one by one."""

    @cache
    def moment(day: date, clock: str) -> int:
        day, clock = (day + timedelta(days=1), "00:00") if clock == MIDNIGHT else (day, clock)
        local = datetime.combine(day, time.fromisoformat(clock), ZoneInfo(zone))
        return int(local.timestamp()) // 60

    found: set[int] = set()
    for day in (around + timedelta(days=n) for n in range(-20, 20)):
        for weekday, opens, closes in hours:
            if day.isoweekday() == weekday:
                end = day if closes > opens else day + timedelta(days=1)
                found |= set(range(moment(day, opens), moment(end, closes)))
    return found


def fill(connection: Connection, hours: list[tuple[int, str, str]]) -> None:
    for weekday, opens, closes in hours:
        connection.execute(
            text("INSERT INTO highlevel.opening_hours VALUES ('LOC1', :weekday, :opens, CAST(:closes AS time))"),
            {"weekday": weekday, "opens": opens, "closes": closes},
        )


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("kind", HOURS)
def test_open_seconds_are_those_that_a_count_of_minutes_finds(engine: Engine, zone: str, kind: str) -> None:
    drawn = random.Random(f"{zone} {kind}")
    with engine.connect() as connection:
        fill(connection, HOURS[kind])
        for around in CHANGES[zone]:
            is_open = minutes_open(HOURS[kind], zone, around)
            middle = datetime.combine(around, time(12), UTC)
            for days in (0.2, 2, 9):
                asked = middle + timedelta(minutes=drawn.randint(-2000, 500))
                answered = asked + timedelta(minutes=drawn.randint(0, int(days * 1440)))
                found = clocks.open_time(connection, "LOC1", zone, [asked, answered, None])
                first, last = (int(each.timestamp()) // 60 for each in (asked, answered))
                expected = 60.0 * len(is_open & set(range(first, last)))
                assert found is not None
                assert found.seconds(asked, answered) == expected, (asked, answered)


def test_seconds_are_exact_and_an_end_is_needed() -> None:
    opens = datetime(2026, 3, 10, 9, tzinfo=UTC)
    found = clocks.OpenTime([(opens, opens + timedelta(hours=1))])
    asked = opens - timedelta(seconds=3)
    assert found.seconds(asked, opens + timedelta(microseconds=1_000_001)) == 1.000001
    assert found.seconds(asked, opens) == 0
    assert found.seconds(asked, opens + timedelta(days=9)) == 3600
    assert found.seconds(asked, None) is None


def test_turns_have_the_open_seconds_of_hours_that_are_set(engine: Engine, transact: RetryingTransaction) -> None:  # noqa: F811
    asked, night = message("ASK"), message("NIGHT", minutes=600, conversationId="CNV2")
    answers = message("ANSWER", minutes=90, direction="outbound", source="workflow")
    answers += message("HUMAN", minutes=24 * 60, direction="outbound")
    transact(lambda connection: loader.load(connection, [*asked, *night, *answers]))

    def seen() -> list[tuple[float | None, ...]]:
        marts.work_out_all(transact)
        query = "SELECT open_seconds, human_open_seconds FROM highlevel.response_times ORDER BY conversation_id"
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    assert seen() == [(None, None), (None, None)]
    transact(lambda connection: fill(connection, [(2, "09:00", "13:00"), (3, "11:00", "18:00")]))
    # Asked on a Tuesday at noon.
    assert seen() == [(3600, 7200), (None, None)]
    delete = "DELETE FROM highlevel.opening_hours WHERE location_id = 'LOC1' AND weekday = "
    transact(lambda connection: connection.execute(text(f"{delete} 2")))
    assert seen() == [(0, 3600), (None, None)]
    transact(lambda connection: connection.execute(text(f"{delete} 3")))
    assert seen() == [(None, None), (None, None)]


@pytest.mark.parametrize(
    "row",
    ["0, '09:00', '18:00'", "8, '09:00', '18:00'", "1, '09:00', '09:00'", "1, '24:00', '03:00'", "1, '09:00', NULL"],
)
def test_nonsense_is_refused(engine: Engine, row: str) -> None:
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(text(f"INSERT INTO highlevel.opening_hours VALUES ('LOC1', {row})"))  # noqa: S608
