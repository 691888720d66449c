from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from etl.kinds import Options, Origin, emails, messages, users
from etl.load import loader
from etl.models import Base, Email, Message, User
from etl.models.record import FollowUp, Record
from etl.worker import follow_ups

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Warehouse:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, *, fetched_at: datetime = NOON, is_partial: bool = False, **fields: Any) -> bool:
        """Load a message; whether that changed something."""
        payload = {"id": "MSG1", "locationId": "LOC1", "messageType": "TYPE_SMS"} | fields
        origin = Origin("MSG1", "", fetched_at)
        return self.load_records(messages.transform(payload, origin, options=Options(), is_partial=is_partial))

    def load_email(self, *, fetched_at: datetime = NOON, **fields: Any) -> bool:
        """Load an email; whether that changed something."""
        payload = {"id": "EML1", "locationId": "LOC1", "threadId": "MSG1"} | fields
        return self.load_records(emails.transform(payload, Origin("EML1", "", fetched_at), options=Options()))

    def load_records(self, records: list[Record]) -> bool:
        """Load records; whether that changed something."""
        with self._engine.begin() as connection:
            return loader.load(connection, records).has_written(records)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def delete(self, message_id: str, location_id: str, table: type[Base] = Message) -> bool:
        with self._engine.begin() as connection:
            return loader.mark_deleted(connection, table, message_id, location_id=location_id)


@pytest.fixture
def warehouse(engine: Engine) -> Warehouse:
    return Warehouse(engine)


def test_a_new_message_is_written(warehouse: Warehouse) -> None:
    assert warehouse.load() is True


WHOLE: dict[str, Any] = {
    "body": "hi",
    "attachments": ["https://a.example/1"],
    "meta": {"call": {"duration": 3}},
    "odd": [1, 2],
}


def test_the_same_payload_again_moves_only_when_it_was_checked(warehouse: Warehouse) -> None:
    warehouse.load(**WHOLE)
    ((before, checked),) = warehouse.rows("SELECT to_jsonb(m) - 'checked_at', checked_at FROM highlevel.messages AS m")
    assert warehouse.load(fetched_at=NOON + timedelta(hours=1), **WHOLE) is False
    after = warehouse.rows("SELECT to_jsonb(m) - 'checked_at', checked_at FROM highlevel.messages AS m")
    assert (checked, after) == (NOON, [(before, NOON + timedelta(hours=1))])


def test_the_same_payload_again_from_a_list_writes_nothing(warehouse: Warehouse) -> None:
    warehouse.load(**WHOLE)
    before = warehouse.rows("SELECT xmin, ctid, * FROM highlevel.messages")
    assert warehouse.load(is_partial=True, fetched_at=NOON + timedelta(hours=1), **WHOLE) is False
    assert before == warehouse.rows("SELECT xmin, ctid, * FROM highlevel.messages")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param({}, {"attachments": ["https://a.example/1"]}, id="a late file"),
        pytest.param({"attachments": ["u", "v"]}, {"attachments": ["u"]}, id="a file that went"),
        pytest.param({}, {"meta": {"call": {"duration": 3}}}, id="late details"),
        pytest.param({"meta": {"call": {"duration": 3}}}, {"meta": {"call": {"duration": 4}}}, id="other details"),
        pytest.param({"meta": {"call": {"duration": 3}}}, {}, id="details that went"),
        pytest.param({"status": "sent"}, {"status": "read"}, id="a change of status"),
    ],
)
@pytest.mark.parametrize("later", [timedelta(), timedelta(hours=1)])
def test_what_changes_below_a_message_moves_its_updated_at(
    warehouse: Warehouse, first: dict[str, Any], then: dict[str, Any], later: timedelta
) -> None:
    times = "SELECT updated_at, fetched_at, checked_at FROM highlevel.messages"
    warehouse.load(**first)
    ((before, *_),) = warehouse.rows(times)
    assert warehouse.load(fetched_at=NOON + later, **then) is True
    ((after, fetched, checked),) = warehouse.rows(times)
    assert (after > before, fetched, checked) == (True, NOON + later, NOON + later)
    warehouse.load(fetched_at=NOON + timedelta(hours=2), **then)
    assert warehouse.rows(times) == [(after, fetched, NOON + timedelta(hours=2))]


def test_a_file_of_an_email_that_changes_moves_its_updated_at(warehouse: Warehouse) -> None:
    updated = "SELECT updated_at, email_id FROM highlevel.emails"
    warehouse.load_email(attachments=["u"])
    before = warehouse.rows(updated)
    warehouse.load_email(attachments=["v"], fetched_at=NOON + timedelta(hours=1))
    assert warehouse.rows(updated) > before


def test_a_file_tells_when_it_came_and_when_it_changed(warehouse: Warehouse) -> None:
    times = "SELECT created_at, updated_at FROM highlevel.attachments ORDER BY position"
    warehouse.load(attachments=["u", "v"])
    (kept, replaced) = warehouse.rows(times)
    warehouse.load(attachments=["u", "w"], fetched_at=NOON + timedelta(hours=1))
    ((*still,), (created, updated)) = warehouse.rows(times)
    assert (tuple(still), created, updated > replaced[1]) == (kept, replaced[0], True)


def test_an_answer_older_than_the_last_check_is_older(warehouse: Warehouse) -> None:
    warehouse.load(status="sent")
    warehouse.load(status="sent", fetched_at=NOON + timedelta(hours=2))
    assert warehouse.load(status="pending", fetched_at=NOON + timedelta(hours=1)) is False
    assert warehouse.rows("SELECT status FROM highlevel.messages") == [("sent",)]


def test_a_changed_message_is_updated_in_place(warehouse: Warehouse) -> None:
    warehouse.load(status="pending")
    warehouse.load(status="delivered", fetched_at=NOON + timedelta(seconds=1))
    assert warehouse.rows("SELECT status FROM highlevel.messages") == [("delivered",)]


def test_created_at_stays_and_updated_at_moves_when_a_row_changes(warehouse: Warehouse) -> None:
    warehouse.load(status="pending")
    ((created, updated),) = warehouse.rows("SELECT created_at, updated_at FROM highlevel.messages")
    warehouse.load(status="delivered", fetched_at=NOON + timedelta(seconds=1))
    ((created_after, updated_after),) = warehouse.rows("SELECT created_at, updated_at FROM highlevel.messages")
    assert (created_after == created, updated_after > updated) == (True, True)


def test_a_payload_that_the_api_updated_earlier_never_overwrites_a_later_one(warehouse: Warehouse) -> None:
    warehouse.load(status="delivered", dateUpdated="2026-02-03T10:00:02Z")
    older = warehouse.load(
        status="pending", dateUpdated="2026-02-03T10:00:01Z", attachments=["u"], fetched_at=NOON + timedelta(hours=1)
    )
    assert older is False
    assert warehouse.rows("SELECT status FROM highlevel.messages") == [("delivered",)]
    assert warehouse.rows("SELECT * FROM highlevel.attachments") == []


def test_without_an_update_date_the_payload_that_was_fetched_later_wins(warehouse: Warehouse) -> None:
    warehouse.load(status="delivered")
    warehouse.load(status="pending", fetched_at=NOON - timedelta(seconds=1))
    assert warehouse.rows("SELECT status FROM highlevel.messages") == [("delivered",)]


def test_a_later_update_date_wins_whenever_it_was_fetched(warehouse: Warehouse) -> None:
    warehouse.load(status="pending", dateUpdated="2026-02-03T10:00:01Z")
    warehouse.load(status="delivered", dateUpdated="2026-02-03T10:00:02Z", fetched_at=NOON - timedelta(seconds=1))
    assert warehouse.rows("SELECT status FROM highlevel.messages") == [("delivered",)]


def test_attachments_that_disappeared_upstream_disappear_here(warehouse: Warehouse) -> None:
    warehouse.load(attachments=["https://a.example/1", "https://a.example/2", "https://a.example/3"])
    warehouse.load(attachments=["https://a.example/2"], fetched_at=NOON + timedelta(seconds=1))
    assert warehouse.rows("SELECT position, url FROM highlevel.attachments") == [(0, "https://a.example/2")]


def test_meta_that_disappeared_upstream_disappears_here(warehouse: Warehouse) -> None:
    warehouse.load(meta={"call": {"duration": 3}})
    assert warehouse.load(meta=None, fetched_at=NOON + timedelta(seconds=1)) is True
    assert warehouse.rows("SELECT * FROM highlevel.meta") == []


def test_a_change_of_only_the_attachments_counts_as_written(warehouse: Warehouse) -> None:
    warehouse.load(attachments=["https://a.example/1"])
    changed = warehouse.load(attachments=["https://a.example/9"], fetched_at=NOON + timedelta(seconds=1))
    assert changed is True


def test_the_same_id_at_two_locations_is_two_messages(warehouse: Warehouse) -> None:
    warehouse.load(locationId="LOC1")
    warehouse.load(locationId="LOC2")
    assert warehouse.rows("SELECT location_id FROM highlevel.messages ORDER BY 1") == [("LOC1",), ("LOC2",)]


def test_a_message_belongs_where_its_answer_says_whoever_asked(warehouse: Warehouse) -> None:
    payload = {"id": "MSG1", "messageType": "TYPE_SMS"}
    asked = [
        record
        for place in ("LOC1", "LOC2")
        for said in (payload, payload | {"locationId": "LOC3"})
        for record in messages.transform(said, Origin("MSG1", place, NOON), options=Options())
    ]
    warehouse.load_records(asked)
    found = warehouse.rows("SELECT location_id FROM highlevel.messages ORDER BY 1")
    assert found == [("LOC1",), ("LOC2",), ("LOC3",)]


def test_a_user_of_two_locations_has_a_row_at_each_and_is_asked_for_at_each(
    warehouse: Warehouse, engine: Engine
) -> None:
    asked = [FollowUp("user", "USR1", place) for place in ("LOC1", "LOC2", "LOC1")]
    with engine.begin() as connection:
        follow_ups.queue(connection, asked, {"user": User})
    queued = warehouse.rows("SELECT message_id, location_id FROM etl.message_queue ORDER BY 2")
    assert queued == [("USR1", "LOC1"), ("USR1", "LOC2")]
    for place in ("LOC1", "LOC2"):
        warehouse.load_records(users.transform({"id": "USR1", "name": "Sam"}, Origin("USR1", place, NOON)))
    assert warehouse.rows("SELECT location_id, name FROM highlevel.users ORDER BY 1") == [
        ("LOC1", "Sam"),
        ("LOC2", "Sam"),
    ]


def test_a_deleted_message_is_marked_and_keeps_its_content(warehouse: Warehouse) -> None:
    warehouse.load(body="hi")
    assert warehouse.delete("MSG1", "LOC1") is True
    assert warehouse.rows("SELECT body, deleted_at IS NOT NULL FROM highlevel.messages") == [("hi", True)]


def test_marking_twice_keeps_the_first_time_and_tells_the_last(warehouse: Warehouse) -> None:
    times = "SELECT deleted_at, updated_at, checked_at FROM highlevel.messages"
    warehouse.load()
    warehouse.delete("MSG1", "LOC1")
    ((*before, first),) = warehouse.rows(times)
    warehouse.delete("MSG1", "LOC1")
    ((*after, last),) = warehouse.rows(times)
    assert (after, last > first) == (before, True)


def test_a_user_who_stays_away_is_checked_and_not_changed(warehouse: Warehouse, engine: Engine) -> None:
    times = "SELECT deleted_at, updated_at, fetched_at, checked_at FROM highlevel.users"
    news = []
    found = []
    for _ in range(2):
        with engine.begin() as connection:
            news.append(loader.mark_absent(connection, User, "USR1", location_id="LOC1"))
        found += warehouse.rows(times)
    (*before, first), (*after, last) = found
    assert (news, after, last > first) == ([True, False], before, True)


def test_a_message_is_found_for_marking_without_its_location(warehouse: Warehouse) -> None:
    warehouse.load()
    assert warehouse.delete("MSG1", "") is True


def test_an_unknown_message_cannot_be_marked(warehouse: Warehouse) -> None:
    warehouse.load()
    assert warehouse.delete("MSG1", "LOC2") is False


def test_a_message_that_comes_back_is_no_longer_deleted(warehouse: Warehouse) -> None:
    warehouse.load(body="hi")
    warehouse.delete("MSG1", "LOC1")
    warehouse.load(body="hi", fetched_at=datetime.now(UTC) + timedelta(hours=1))
    assert warehouse.rows("SELECT deleted_at FROM highlevel.messages") == [(None,)]


def test_an_answer_from_before_a_message_was_gone_does_not_bring_it_back(warehouse: Warehouse) -> None:
    warehouse.load(body="hi")
    warehouse.delete("MSG1", "LOC1")
    warehouse.load(body="changed", fetched_at=NOON + timedelta(seconds=1))
    assert warehouse.rows("SELECT body, deleted_at IS NULL FROM highlevel.messages") == [("changed", False)]


def test_an_export_does_not_bring_back_what_the_api_said_is_gone(warehouse: Warehouse) -> None:
    warehouse.load(body="hi", dateUpdated="2026-02-03T10:00:01Z")
    warehouse.delete("MSG1", "LOC1")
    before = warehouse.rows("SELECT * FROM highlevel.messages")
    late = datetime.now(UTC) + timedelta(hours=1)
    said = {"body": "changed", "attachments": ["u"], "dateUpdated": "2026-02-03T10:00:02Z"}
    assert warehouse.load(is_partial=True, fetched_at=late, **said) is False
    assert warehouse.rows("SELECT * FROM highlevel.messages") == before
    assert warehouse.rows("SELECT * FROM highlevel.attachments") == []


def test_a_change_of_status_is_noted(warehouse: Warehouse) -> None:
    warehouse.load(status="sent")
    warehouse.load(status="delivered", dateUpdated="2026-02-03T10:00:00Z", fetched_at=NOON + timedelta(hours=1))
    noted = warehouse.rows(
        "SELECT message_id, previous_status, status, seen_at, date_updated FROM highlevel.status_changes"
    )
    updated = datetime(2026, 2, 3, 10, tzinfo=UTC)
    assert noted == [("MSG1", "sent", "delivered", NOON + timedelta(hours=1), updated)]


def test_a_change_of_an_emails_status_is_noted_but_not_its_first(warehouse: Warehouse) -> None:
    warehouse.load(**THREAD)
    for hours, status in enumerate(("sent", "sent", "opened", "clicked")):
        warehouse.load_email(status=status, fetched_at=NOON + timedelta(hours=hours))
    assert warehouse.rows("SELECT * FROM highlevel.status_changes") == []
    noted = warehouse.rows("SELECT email_id, previous_status, status, seen_at FROM highlevel.email_status_changes")
    assert noted == [
        ("EML1", "sent", "opened", NOON + timedelta(hours=2)),
        ("EML1", "opened", "clicked", NOON + timedelta(hours=3)),
    ]


@pytest.mark.parametrize("fields", [{"status": "sent", "body": "changed"}, {"status": None}])
def test_another_change_is_no_change_of_status(warehouse: Warehouse, fields: dict[str, Any]) -> None:
    warehouse.load(status="sent")
    warehouse.load(fetched_at=NOON + timedelta(hours=1), **fields)
    assert warehouse.rows("SELECT * FROM highlevel.status_changes") == []


def test_an_older_status_is_no_change(warehouse: Warehouse) -> None:
    warehouse.load(status="delivered")
    warehouse.load(status="sent", fetched_at=NOON - timedelta(hours=1))
    assert warehouse.rows("SELECT * FROM highlevel.status_changes") == []


def test_a_row_of_a_list_keeps_what_it_leaves_out(warehouse: Warehouse) -> None:
    warehouse.load(body="hi", sender="x", attachments=["https://a.example/1"], meta={"call": {"duration": 3}})
    changed = warehouse.load(is_partial=True, fetched_at=NOON + timedelta(seconds=1))
    kept = warehouse.rows(
        "SELECT body, (SELECT count(*) FROM highlevel.attachments), (SELECT count(*) FROM highlevel.meta) "
        "FROM highlevel.messages"
    )
    assert (changed, kept) == (False, [("hi", 1, 1)])


def test_a_row_of_a_list_brings_what_is_new(warehouse: Warehouse) -> None:
    warehouse.load(status="sent")
    warehouse.load(
        is_partial=True, status="delivered", attachments=["https://a.example/1"], fetched_at=NOON + timedelta(seconds=1)
    )
    assert warehouse.rows(
        "SELECT status, url FROM highlevel.messages JOIN highlevel.attachments USING (location_id, message_id)"
    ) == [("delivered", "https://a.example/1")]


def test_a_message_twice_in_a_list_is_one_row(warehouse: Warehouse) -> None:
    payload = {"id": "MSG1", "locationId": "LOC1"}
    twice = [
        record
        for _ in range(2)
        for record in messages.transform(payload, Origin("MSG1", "", NOON), options=Options(), is_partial=True)
    ]
    warehouse.load_records(twice)
    assert warehouse.rows("SELECT message_id FROM highlevel.messages") == [("MSG1",)]


THREAD: dict[str, Any] = {"messageType": "TYPE_EMAIL", "meta": {"email": {"messageIds": ["EML1", "EML2"]}}}


def test_a_thread_makes_a_row_for_each_email_that_it_names(warehouse: Warehouse) -> None:
    warehouse.load(**THREAD)
    named = warehouse.rows("SELECT email_id, message_id, position, fetched_at FROM highlevel.emails ORDER BY position")
    assert named == [("EML1", "MSG1", 0, None), ("EML2", "MSG1", 1, None)]


def test_an_email_fills_the_row_that_its_thread_made(warehouse: Warehouse) -> None:
    warehouse.load(**THREAD)
    warehouse.load_email(subject="Order")
    assert warehouse.rows("SELECT position, subject FROM highlevel.emails ORDER BY position") == [
        (0, "Order"),
        (1, None),
    ]


def test_an_email_without_content_counts_as_fetched(warehouse: Warehouse) -> None:
    warehouse.load(**THREAD)
    warehouse.load_email()
    assert warehouse.rows("SELECT email_id FROM highlevel.emails WHERE fetched_at IS NOT NULL") == [("EML1",)]


def test_the_thread_says_better_than_the_email_where_it_belongs(warehouse: Warehouse) -> None:
    warehouse.load(**THREAD)
    warehouse.load_email(threadId="MSG9")
    assert warehouse.rows("SELECT message_id FROM highlevel.emails WHERE email_id = 'EML1'") == [("MSG1",)]


def test_a_thread_that_is_loaded_again_leaves_its_emails_as_they_are(warehouse: Warehouse) -> None:
    warehouse.load(**THREAD)
    warehouse.load_email(subject="Order")
    warehouse.load(**THREAD, body="grown", fetched_at=NOON + timedelta(seconds=1))
    assert warehouse.rows("SELECT subject FROM highlevel.emails WHERE email_id = 'EML1'") == [("Order",)]


def test_files_of_emails_have_rows(warehouse: Warehouse) -> None:
    warehouse.load_email(attachments=["https://a.example/offer.pdf"])
    files = warehouse.rows("SELECT email_id, position, file_name FROM highlevel.email_attachments")
    assert files == [("EML1", 0, "offer.pdf")]


def test_a_deleted_email_is_marked(warehouse: Warehouse) -> None:
    warehouse.load_email()
    warehouse.delete("EML1", "LOC1", Email)
    assert warehouse.rows("SELECT email_id FROM highlevel.emails WHERE deleted_at IS NOT NULL") == [("EML1",)]


def test_a_misspelt_column_is_refused(engine: Engine) -> None:
    row = {"location_id": "LOC1", "message_id": "MSG1", "bodi": "hi", "fetched_at": NOON}
    with engine.connect() as connection, pytest.raises(ValueError, match="bodi"):
        loader.load(connection, [Record(Message, row)])


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """The statements that are sent to Postgres during the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def batch(*, status: str = "sent", fetched_at: datetime = NOON, **fields: Any) -> list[Record]:
    """Fifty messages of two locations."""
    return [
        record
        for place in range(50)
        for record in messages.transform(
            {"id": f"MSG{place}", "locationId": f"LOC{place % 2}", "messageType": "TYPE_SMS", "status": status}
            | fields,
            Origin(f"MSG{place}", "", fetched_at),
            options=Options(),
        )
    ]


CALL: dict[str, Any] = {"attachments": ["https://a.example/1"], "meta": {"call": {"duration": 3}}}


@pytest.mark.parametrize(
    ("first", "then", "most"),
    [
        pytest.param({}, None, 3, id="new: what was erased, the messages, what the marts work out"),
        pytest.param(CALL, None, 5, id="new, with files and details"),
        pytest.param({}, {}, 5, id="the same again: also the old statuses, whether there are files or details"),
        pytest.param(CALL, CALL | {"status": "delivered"}, 10, id="a new status: the rest is compared"),
    ],
)
def test_a_batch_takes_few_statements(
    engine: Engine, first: dict[str, Any], then: dict[str, Any] | None, most: int
) -> None:
    loads = [batch(**first)] + ([] if then is None else [batch(fetched_at=NOON + timedelta(hours=1), **then)])
    for records in loads:
        with statements(engine) as sent, engine.begin() as connection:
            loader.load(connection, records)
    assert len(sent) == most, sent
