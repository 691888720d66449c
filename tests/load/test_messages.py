from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from etl.load import messages
from etl.load.messages import Loaded
from etl.transform.message import to_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Warehouse:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, *, fetched_at: datetime = NOON, **fields: Any) -> Loaded:
        payload = {"id": "MSG1", "locationId": "LOC1", "messageType": "TYPE_SMS"} | fields
        with self._engine.begin() as connection:
            return messages.load(connection, [to_record(payload, location_id="", fetched_at=fetched_at)])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def delete(self, message_id: str, location_id: str) -> bool:
        with self._engine.begin() as connection:
            return messages.mark_deleted(connection, message_id, location_id=location_id)


@pytest.fixture
def warehouse(engine: Engine) -> Warehouse:
    return Warehouse(engine)


def test_a_new_message_is_written(warehouse: Warehouse) -> None:
    assert warehouse.load() == Loaded(written=1, unchanged=0)


def test_loading_the_same_payload_again_writes_nothing(warehouse: Warehouse) -> None:
    fields: dict[str, Any] = {
        "body": "hi",
        "attachments": ["https://a.example/1"],
        "meta": {"call": {"duration": 3}},
        "odd": [1, 2],
    }
    warehouse.load(**fields)
    before = warehouse.rows("SELECT xmin, ctid, * FROM highlevel.messages")
    assert warehouse.load(fetched_at=NOON + timedelta(hours=1), **fields) == Loaded(written=0, unchanged=1)
    assert before == warehouse.rows("SELECT xmin, ctid, * FROM highlevel.messages")


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
    assert older == Loaded(written=0, unchanged=1)
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
    assert warehouse.load(meta=None, fetched_at=NOON + timedelta(seconds=1)) == Loaded(written=1, unchanged=0)
    assert warehouse.rows("SELECT * FROM highlevel.meta") == []


def test_a_change_of_only_the_attachments_counts_as_written(warehouse: Warehouse) -> None:
    warehouse.load(attachments=["https://a.example/1"])
    changed = warehouse.load(attachments=["https://a.example/9"], fetched_at=NOON + timedelta(seconds=1))
    assert changed == Loaded(written=1, unchanged=0)


def test_the_same_id_at_two_locations_is_two_messages(warehouse: Warehouse) -> None:
    warehouse.load(locationId="LOC1")
    warehouse.load(locationId="LOC2")
    assert warehouse.rows("SELECT location_id FROM highlevel.messages ORDER BY 1") == [("LOC1",), ("LOC2",)]


def test_a_deleted_message_is_marked_and_keeps_its_content(warehouse: Warehouse) -> None:
    warehouse.load(body="hi")
    assert warehouse.delete("MSG1", "LOC1") is True
    assert warehouse.rows("SELECT body, deleted_at IS NOT NULL FROM highlevel.messages") == [("hi", True)]


def test_marking_twice_keeps_the_first_time(warehouse: Warehouse) -> None:
    warehouse.load()
    warehouse.delete("MSG1", "LOC1")
    before = warehouse.rows("SELECT deleted_at FROM highlevel.messages")
    warehouse.delete("MSG1", "LOC1")
    assert before == warehouse.rows("SELECT deleted_at FROM highlevel.messages")


def test_a_message_is_found_for_marking_without_its_location(warehouse: Warehouse) -> None:
    warehouse.load()
    assert warehouse.delete("MSG1", "") is True


def test_an_unknown_message_cannot_be_marked(warehouse: Warehouse) -> None:
    warehouse.load()
    assert warehouse.delete("MSG1", "LOC2") is False


def test_a_message_that_comes_back_is_no_longer_deleted(warehouse: Warehouse) -> None:
    warehouse.load(body="hi")
    warehouse.delete("MSG1", "LOC1")
    warehouse.load(body="hi", fetched_at=NOON + timedelta(seconds=1))
    assert warehouse.rows("SELECT deleted_at FROM highlevel.messages") == [(None,)]
