"""Newer wins, in whatever order answers about a message arrive."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from etl.kinds import Options, Origin, messages
from etl.load import loader
from etl.models.record import Record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FUTURE = "2099-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Said:
    """One answer about a message: when it was fetched and changed, in seconds, and what it says."""

    fetched: int
    changed: int | None = None
    status: str = "sent"
    files: tuple[str, ...] = ()
    seconds: int | None = None

    def record(self, message_id: str, *, is_partial: bool = False) -> Record:
        payload: dict[str, Any] = {
            "id": message_id,
            "locationId": "LOC1",
            "messageType": "TYPE_SMS",
            "body": "hi",
            "status": self.status,
            "attachments": list(self.files),
        }
        if self.seconds is not None:
            payload["meta"] = {"call": {"duration": self.seconds}}
        if self.changed is not None:
            payload["dateUpdated"] = (NOON + timedelta(seconds=self.changed)).isoformat()
        origin = Origin(message_id, "LOC1", NOON + timedelta(seconds=self.fetched))
        (record,) = messages.transform(payload, origin, options=Options(), is_partial=is_partial)
        return record

    @property
    def shown(self) -> tuple[str, tuple[str, ...], int | None]:
        return self.status, self.files, self.seconds


SHOWN = """
    SELECT message_id, status, call_duration, date_updated,
           (SELECT array_agg(url ORDER BY position) FROM highlevel.attachments AS a
            WHERE a.location_id = m.location_id AND a.message_id = m.message_id) AS files
    FROM highlevel.messages AS m LEFT JOIN highlevel.meta USING (location_id, message_id)
"""


@dataclass(frozen=True)
class Shown:
    """The rows of a message."""

    content: tuple[str, tuple[str, ...], int | None]
    changed: datetime | None


def shown(engine: Engine) -> dict[str, Shown]:
    with engine.connect() as connection:
        return {
            row.message_id: Shown((row.status, tuple(row.files or ()), row.call_duration), row.date_updated)
            for row in connection.execute(text(SHOWN))
        }


def empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE highlevel.messages, highlevel.attachments, highlevel.meta"))


def load(engine: Engine, *records: Record) -> None:
    with engine.begin() as connection:
        loader.load(connection, records)


def in_every_order(engine: Engine, said: list[Said]) -> list[Shown]:
    """The rows of a message after its answers came in each possible order, one at a time."""
    empty(engine)
    orders = {f"MSG{place}": order for place, order in enumerate(permutations(said))}
    for turn in range(len(said)):
        load(engine, *(order[turn].record(id_) for id_, order in orders.items()))
    return list(shown(engine).values())


def newer(one: Said, other: Said) -> Said:
    """The rule: by the API's own clock where both tell it, else by when they were fetched."""
    if one.changed is not None and other.changed is not None and one.changed != other.changed:
        return max(one, other, key=lambda each: each.changed or 0)
    return max(one, other, key=lambda each: each.fetched)


contents = st.builds(
    Said,
    fetched=st.just(0),
    status=st.sampled_from(("sent", "delivered", "read")),
    files=st.sampled_from(((), ("https://a.example/1",), ("https://a.example/1", "https://a.example/2"))),
    seconds=st.sampled_from((None, 3, 4)),
)
four = st.lists(contents, min_size=4, max_size=4, unique=True)
dates = st.lists(st.integers(-9, 9), min_size=4, max_size=4)


@st.composite
def some_answers(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[Said]:
    """Four answers with different content: the first ones, in order of fetching, may have no date."""
    undated = draw(st.integers(0, 4))
    return [
        Said(fetched, None if fetched < undated else changed, said.status, said.files, said.seconds)
        for fetched, (said, changed) in enumerate(zip(draw(four), draw(dates), strict=True))
    ]


@given(some_answers())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_order_of_arrival_the_newest_answer_stays(engine: Engine, said: list[Said]) -> None:
    newest = reduce(newer, said)
    changed = None if newest.changed is None else NOON + timedelta(seconds=newest.changed)
    assert set(in_every_order(engine, said)) == {Shown(newest.shown, changed)}


@given(four, st.lists(st.none() | st.integers(-9, 0), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_answers_that_come_as_they_were_fetched_lose_no_date(
    engine: Engine, said: list[Said], changed: list[int | None]
) -> None:
    empty(engine)
    answers = [
        Said(fetched, date, each.status, each.files, each.seconds)
        for fetched, (each, date) in enumerate(zip(said, changed, strict=True))
    ]
    for each in answers:
        load(engine, each.record("MSG1"))
    known = [date for date in changed if date is not None]
    (found,) = shown(engine).values()
    assert found.changed == (NOON + timedelta(seconds=max(known)) if known else None)
    # The last one that is not known to be older than one before it.
    lasting = [
        each
        for place, each in enumerate(answers)
        if each.changed is None
        or each.changed >= max((date for date in changed[:place] if date is not None), default=each.changed)
    ]
    assert found.content == lasting[-1].shown


def test_an_answer_without_a_date_takes_none_away_and_lets_no_older_one_win(engine: Engine) -> None:
    for said in (Said(0, -10, "sent"), Said(1, None, "delivered"), Said(2, -20, "pending")):
        load(engine, said.record("MSG1"))
    assert shown(engine) == {"MSG1": Shown(("delivered", (), None), NOON - timedelta(seconds=10))}


@pytest.mark.parametrize("is_partial", [False, True])
@pytest.mark.parametrize("said", [(Said(0, -1, "new"), Said(0, -2, "old")), (Said(0, -1, "new"), Said(0, None, "old"))])
def test_a_page_that_holds_a_message_twice_keeps_the_newer(
    engine: Engine, said: tuple[Said, Said], *, is_partial: bool
) -> None:
    load(engine, *(each.record("MSG1", is_partial=is_partial) for each in said))
    load(engine, *(each.record("MSG2", is_partial=is_partial) for each in reversed(said)))
    assert {each.content[0] for each in shown(engine).values()} == {"new"}


@pytest.mark.parametrize("said", [Said(5, -1, "sent", ("https://a.example/9",)), Said(5, -1, "sent", (), 9)])
def test_a_change_of_only_files_or_meta_moves_the_version(engine: Engine, said: Said) -> None:
    for each in (Said(0, -1, "sent", ("https://a.example/1",), 3), said, Said(2, -1, "sent", ("u",), 4)):
        load(engine, each.record("MSG1"))
    assert shown(engine)["MSG1"].content == said.shown
    with engine.connect() as connection:
        moved = connection.execute(text("SELECT fetched_at, updated_at > created_at FROM highlevel.messages")).one()
    assert tuple(moved) == (NOON + timedelta(seconds=5), True)


@pytest.mark.parametrize("wrong", [FUTURE, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_date_that_cannot_be_true_keeps_nothing_newer_out(engine: Engine, wrong: str) -> None:
    load(engine, Said(0, -5, "sent").record("MSG1"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE highlevel.messages SET date_updated = :wrong"), {"wrong": wrong})
    load(engine, Said(1, -1, "read").record("MSG1"))
    assert shown(engine)["MSG1"] == Shown(("read", (), None), NOON - timedelta(seconds=1))


@pytest.mark.parametrize("wrong", ["1970-01-01T00:00:00Z", FUTURE])
def test_an_answer_whose_date_cannot_be_true_is_newer_when_it_was_fetched_later(engine: Engine, wrong: str) -> None:
    load(engine, Said(0, -1, "sent").record("MSG1"))
    load(engine, replaced(Said(1, 0, "read").record("MSG1"), datetime.fromisoformat(wrong)))
    assert shown(engine)["MSG1"] == Shown(("read", (), None), NOON - timedelta(seconds=1))
    load(engine, Said(2, -2, "sent").record("MSG1"))
    assert shown(engine)["MSG1"].content[0] == "read"


def replaced(record: Record, date_updated: datetime) -> Record:
    """The same with another date, whatever the transform thinks of it."""
    record.row["date_updated"] = date_updated
    return record


def test_a_date_in_the_future_is_no_version(engine: Engine) -> None:
    ahead = datetime.now(UTC) + timedelta(days=3)
    for said in (Said(0, -5, "sent"), Said(1, 0, "delivered"), Said(2, -1, "read")):
        record = said.record("MSG1")
        load(engine, replaced(record, ahead) if said.changed == 0 else record)
    assert shown(engine)["MSG1"] == Shown(("read", (), None), NOON - timedelta(seconds=1))


def test_the_clock_of_the_api_may_be_a_little_ahead(engine: Engine) -> None:
    load(engine, replaced(Said(0, 0, "delivered").record("MSG1"), datetime.now(UTC) + timedelta(hours=1)))
    load(engine, Said(1, -1, "sent").record("MSG1"))
    assert shown(engine)["MSG1"].content[0] == "delivered"
