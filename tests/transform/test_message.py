from datetime import UTC, datetime
from typing import Any

import pytest

from etl.errors import TransformError
from etl.transform.message import Record, to_record

FETCHED_AT = datetime(2026, 3, 1, tzinfo=UTC)

SMS = {
    "id": "MSG1",
    "type": 2,
    "messageType": "TYPE_SMS",
    "locationId": "LOC1",
    "contactId": "CON1",
    "conversationId": "CNV1",
    "dateAdded": "2026-02-03T10:11:12.345Z",
    "dateUpdated": "2026-02-03T10:12:00.000Z",
    "body": "On my way",
    "direction": "outbound",
    "status": "delivered",
    "contentType": "text/plain",
    "attachments": [],
    "source": "app",
    "userId": "USR1",
    "from": "+15550001111",
    "to": "+15550002222",
    "altId": "SM123",
    "conversationProviderId": "PRV1",
    "chatWidgetId": "WID1",
    "error": "Error 30005 - Unknown destination handset",
}


def record(**fields: Any) -> Record:
    return to_record(SMS | fields, location_id="", fetched_at=FETCHED_AT)


def test_every_documented_field_has_its_column() -> None:
    assert record().message == {
        "location_id": "LOC1",
        "message_id": "MSG1",
        "conversation_id": "CNV1",
        "contact_id": "CON1",
        "message_type": "TYPE_SMS",
        "type_code": 2,
        "direction": "outbound",
        "status": "delivered",
        "source": "app",
        "content_type": "text/plain",
        "body": "On my way",
        "sender": "+15550001111",
        "recipient": "+15550002222",
        "error": "Error 30005 - Unknown destination handset",
        "user_id": "USR1",
        "conversation_provider_id": "PRV1",
        "chat_widget_id": "WID1",
        "alt_id": "SM123",
        "date_added": datetime(2026, 2, 3, 10, 11, 12, 345000, tzinfo=UTC),
        "date_updated": datetime(2026, 2, 3, 10, 12, tzinfo=UTC),
        "extra": None,
        "fetched_at": FETCHED_AT,
    }


def test_a_known_message_is_no_drift() -> None:
    assert record().drift == ()


def test_a_message_of_nothing_but_its_keys_is_a_record() -> None:
    sparse = to_record({"id": "MSG1", "locationId": "LOC1"}, location_id="", fetched_at=FETCHED_AT)
    assert {name for name, value in sparse.message.items() if value is not None} == {
        "location_id",
        "message_id",
        "fetched_at",
    }


@pytest.mark.parametrize(
    ("message_type", "code", "expected"),
    [
        ("TYPE_SMS", 2, "TYPE_SMS"),
        ("SMS", 1, "TYPE_SMS"),
        ("CALL", None, "TYPE_CALL"),
        ("Email", None, "TYPE_EMAIL"),
        ("WhatsApp", None, "TYPE_WHATSAPP"),
        ("Live Chat", None, "TYPE_LIVE_CHAT"),
        ("FB", None, "TYPE_FACEBOOK"),
        ("IG", None, "TYPE_INSTAGRAM"),
        ("GMB", None, "TYPE_GMB"),
        ("VoiceMail", None, "TYPE_VOICEMAIL"),
        ("InternalComment", None, "TYPE_INTERNAL_COMMENT"),
        ("Custom", 22, "TYPE_CUSTOM_PROVIDER_SMS"),
        (None, 19, "TYPE_WHATSAPP"),
        (None, "19", "TYPE_WHATSAPP"),
        (None, 999, None),
        ("TYPE_TELEPATHY", 77, "TYPE_TELEPATHY"),
    ],
)
def test_the_message_type_is_always_in_the_type_form(message_type: str | None, code: Any, expected: str) -> None:
    assert record(messageType=message_type, type=code).message["message_type"] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"messageType": "TYPE_TELEPATHY"}, "messageType:TYPE_TELEPATHY"),
        ({"messageType": None, "type": 999}, "type:999"),
        ({"status": "teleported"}, "status:teleported"),
        ({"direction": "sideways"}, "direction:sideways"),
        ({"source": "carrier_pigeon"}, "source:carrier_pigeon"),
        ({"sentiment": "glad"}, "field:sentiment"),
        ({"attachments": [{"url": "https://a.example/x", "id": "A1"}]}, "field:attachments[]"),
    ],
)
def test_what_this_version_does_not_know_is_reported_as_drift(fields: dict[str, Any], expected: str) -> None:
    assert record(**fields).drift == (expected,)


def test_an_unknown_enum_value_is_kept() -> None:
    assert record(status="teleported").message["status"] == "teleported"


def test_unknown_fields_land_in_extra() -> None:
    assert record(sentiment="glad", nested={"a": [1]}).message["extra"] == {"sentiment": "glad", "nested": {"a": [1]}}


def test_the_trace_of_a_flat_answer_is_not_part_of_the_message() -> None:
    assert record(traceId="T1").message["extra"] is None


def test_drift_never_repeats_prose() -> None:
    assert record(status="call me at 7, Ann!").drift == ("status:call?me?at?7??Ann?",)


@pytest.mark.parametrize(
    "given",
    [
        "2026-02-03T10:11:12Z",
        "2026-02-03T10:11:12.000Z",
        "2026-02-03T12:11:12+02:00",
        "2026-02-03T10:11:12",
        1770113472000,
    ],
)
def test_dates_are_read_with_and_without_milliseconds_and_offset(given: Any) -> None:
    assert record(dateAdded=given).message["date_added"] == datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)


@pytest.mark.parametrize("meta", [None, {}])
def test_no_meta_makes_no_meta_row(meta: Any) -> None:
    assert record(meta=meta).meta is None


@pytest.mark.parametrize(
    "meta",
    [
        {"call": {"duration": 37, "status": "completed"}},
        {"callDuration": 37, "callStatus": "completed"},
        {"callDuration": "37", "callStatus": "completed"},
        {"call": {"duration": "37", "status": "completed"}},
    ],
)
def test_call_meta_is_read_from_the_real_and_the_documented_place(meta: dict[str, Any]) -> None:
    assert record(meta=meta).meta == {
        "location_id": "LOC1",
        "message_id": "MSG1",
        "call_duration": 37,
        "call_status": "completed",
        "extra": None,
    }


@pytest.mark.parametrize(
    "meta",
    [{"email": {"messageIds": ["EML1"]}}, {"email": {"email": {"messageIds": ["EML1"]}}}, {"ig": {"page_id": "1"}}],
)
def test_the_rest_of_meta_is_kept_as_it_came(meta: dict[str, Any]) -> None:
    row = record(meta=meta).meta
    assert row is not None
    assert row["extra"] == meta


def test_a_second_duration_that_contradicts_the_first_is_kept() -> None:
    row = record(meta={"call": {"duration": 37}, "callDuration": "38"}).meta
    assert row is not None
    assert (row["call_duration"], row["extra"]) == (37, {"callDuration": "38"})


@pytest.mark.parametrize("attachments", [None, [], [None]])
def test_no_attachments_make_no_rows(attachments: Any) -> None:
    assert record(attachments=attachments).attachments == []


def test_attachments_may_be_strings_or_objects() -> None:
    given = [
        "https://a.example/x/ticket%20one.pdf",
        {"url": "https://a.example/2", "name": "b.png", "type": "image/webp"},
    ]
    key = {"location_id": "LOC1", "message_id": "MSG1"}
    assert record(attachments=given).attachments == [
        key
        | {
            "position": 0,
            "url": "https://a.example/x/ticket%20one.pdf",
            "file_name": "ticket one.pdf",
            "media_type": "application/pdf",
        },
        key | {"position": 1, "url": "https://a.example/2", "file_name": "b.png", "media_type": "image/webp"},
    ]


def test_what_an_attachment_says_beside_its_columns_is_kept() -> None:
    given = ["https://a.example/1", {"url": "https://a.example/2", "id": "A2"}]
    assert record(attachments=given).message["extra"] == {"attachments": {"1": {"id": "A2"}}}


def test_characters_that_postgres_refuses_are_replaced() -> None:
    assert record(body="a\0b\ud800c 😀").message["body"] == "a\ufffdb\ufffdc 😀"


def test_characters_that_postgres_refuses_are_replaced_in_extra_too() -> None:
    assert record(**{"odd\0": ["\ud800"]}).message["extra"] == {"odd\ufffd": ["\ufffd"]}


def test_the_location_of_the_item_is_used_when_the_payload_has_none() -> None:
    sparse = to_record({"id": "MSG1"}, location_id="LOC9", fetched_at=FETCHED_AT)
    assert sparse.message["location_id"] == "LOC9"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": None}, "id"),
        ({"id": "a/b"}, "id"),
        ({"locationId": None}, "locationId"),
        ({"dateAdded": "yesterday"}, "dateAdded"),
        ({"dateUpdated": {}}, "dateUpdated"),
        ({"dateAdded": 10**18}, "dateAdded"),
        ({"body": {"html": "x"}}, "body"),
        ({"direction": 5}, "direction"),
        ({"type": "two"}, "type"),
        ({"type": 2**40}, "type"),
        ({"type": True}, "type"),
        ({"meta": []}, "meta"),
        ({"meta": {"call": "short"}}, "meta.call"),
        ({"meta": {"call": {"duration": "1:20"}}}, "meta.call.duration"),
        ({"attachments": "https://a.example/1"}, "attachments"),
        ({"attachments": [{"name": "a"}]}, "attachments[0].url"),
        ({"attachments": ["https://a.example/1", 7]}, "attachments[1].url"),
    ],
)
def test_what_cannot_be_understood_names_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(TransformError) as caught:
        record(**fields)
    assert caught.value.field == field


def test_an_error_never_repeats_the_value() -> None:
    with pytest.raises(TransformError) as caught:
        record(dateAdded="call Ann at 555-0199")
    assert "Ann" not in str(caught.value)
