from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.errors import TransformError
from etl.kinds import Options, Origin, messages
from etl.models import Attachment, Email, Meta
from etl.models.record import FollowUp, Record, Row

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


def read(
    payload: dict[str, Any],
    *,
    location_id: str = "",
    now: datetime = FETCHED_AT,
    is_partial: bool = False,
    is_exported: bool = False,
) -> Record:
    origin = Origin("MSG1", location_id, now)
    (record,) = messages.transform(payload, origin, options=Options(), is_partial=is_partial, is_exported=is_exported)
    return record


def record(**fields: Any) -> Record:
    return read(SMS | fields)


def meta_of(**fields: Any) -> Row | None:
    return next(iter(record(**fields).children[Meta]), None)


def attachments_of(**fields: Any) -> list[Row]:
    return list(record(**fields).children[Attachment])


def follow_ups(kind: str, **fields: Any) -> list[FollowUp]:
    return [each for each in record(**fields).follow_ups if each.kind == kind]


def test_every_documented_field_has_its_column() -> None:
    assert record().row == {
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
        "subject": None,
        "reply_to_message_id": None,
        "mentions": None,
        "date_added": datetime(2026, 2, 3, 10, 11, 12, 345000, tzinfo=UTC),
        "date_updated": datetime(2026, 2, 3, 10, 12, tzinfo=UTC),
        "extra": None,
        "fetched_at": FETCHED_AT,
    }


def test_a_known_message_is_no_drift() -> None:
    assert record().drift == ()


def test_a_message_of_nothing_but_its_keys_is_a_record() -> None:
    sparse = read({"id": "MSG1", "locationId": "LOC1"})
    assert {name for name, value in sparse.row.items() if value is not None} == {
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
    assert record(messageType=message_type, type=code).row["message_type"] == expected


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
    assert record(status="teleported").row["status"] == "teleported"


def test_unknown_fields_land_in_extra() -> None:
    assert record(sentiment="glad", nested={"a": [1]}).row["extra"] == {"sentiment": "glad", "nested": {"a": [1]}}


def test_the_trace_of_a_flat_answer_is_not_part_of_the_message() -> None:
    assert record(traceId="T1").row["extra"] is None


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
    assert record(dateAdded=given).row["date_added"] == datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)


@pytest.mark.parametrize("meta", [None, {}])
def test_no_meta_makes_no_meta_row(meta: Any) -> None:
    assert meta_of(meta=meta) is None


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
    assert meta_of(meta=meta) == {
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
    row = meta_of(meta=meta)
    assert row is not None
    assert row["extra"] == meta


def test_a_second_duration_that_contradicts_the_first_is_kept() -> None:
    row = meta_of(meta={"call": {"duration": 37}, "callDuration": "38"})
    assert row is not None
    assert (row["call_duration"], row["extra"]) == (37, {"callDuration": "38"})


@pytest.mark.parametrize("attachments", [None, [], [None]])
def test_no_attachments_make_no_rows(attachments: Any) -> None:
    assert attachments_of(attachments=attachments) == []


def test_attachments_may_be_strings_or_objects() -> None:
    given = [
        "https://a.example/x/ticket%20one.pdf",
        {"url": "https://a.example/2", "name": "b.png", "type": "image/webp"},
    ]
    key = {"location_id": "LOC1", "message_id": "MSG1"}
    assert attachments_of(attachments=given) == [
        key
        | {
            "position": 0,
            "url": "https://a.example/x/ticket%20one.pdf",
            "file_name": "ticket one.pdf",
            "media_type": "application/pdf",
        },
        key | {"position": 1, "url": "https://a.example/2", "file_name": "b.png", "media_type": "image/webp"},
    ]


@pytest.mark.parametrize(
    ("url", "name", "media_type"),
    [
        ("https://a.example/o/location%2FL%2Fchat%2Fquote%20final.pdf?alt=media", "quote final.pdf", "application/pdf"),
        ("https://a.example/a%2520b.png#c", "a%20b.png", "image/png"),
        ("https://a.example/x/", None, None),
        ("https://a.example/x%2F", None, None),
        ("https://[a/x.pdf", None, None),
        ("https://a.example/photo", "photo", None),
    ],
)
def test_a_file_has_the_name_that_its_url_ends_with(url: str, name: str | None, media_type: str | None) -> None:
    (row,) = attachments_of(attachments=[url])
    assert (row["file_name"], row["media_type"]) == (name, media_type)


@pytest.mark.parametrize("name", ["/[x.pdf", "//x.pdf", "data:,x.pdf", "a?b.pdf", "a#b.pdf", "é.pdf"])
def test_any_name_of_a_file_has_the_type_of_its_ending(name: str) -> None:
    (row,) = attachments_of(attachments=[{"url": "https://a.example/1", "name": name}])
    assert (row["file_name"], row["media_type"]) == (name, "application/pdf")


def test_what_an_attachment_says_beside_its_columns_is_kept() -> None:
    given = ["https://a.example/1", {"url": "https://a.example/2", "id": "A2"}]
    assert record(attachments=given).row["extra"] == {"attachments": {"1": {"id": "A2"}}}


def test_characters_that_postgres_refuses_are_replaced() -> None:
    assert record(body="a\0b\ud800c 😀").row["body"] == "a\ufffdb\ufffdc 😀"


def test_characters_that_postgres_refuses_are_replaced_in_extra_too() -> None:
    assert record(**{"odd\0": ["\ud800"]}).row["extra"] == {"odd\ufffd": ["\ufffd"]}


def test_the_location_of_the_item_is_used_when_the_payload_has_none() -> None:
    sparse = read({"id": "MSG1"}, location_id="LOC9")
    assert sparse.row["location_id"] == "LOC9"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": None}, "id"),
        ({"id": "a/b"}, "id"),
        ({"locationId": None}, "locationId"),
        ({"dateAdded": "yesterday"}, "dateAdded"),
        ({"dateAdded": {}}, "dateAdded"),
        ({"dateAdded": 10**18}, "dateAdded"),
    ],
)
def test_only_an_id_or_a_date_that_cannot_be_read_is_an_error(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(TransformError) as caught:
        record(**fields)
    assert caught.value.field == field


def test_an_empty_text_is_none() -> None:
    names = ("conversationId", "contactId", "userId", "body", "status", "messageType", "contentType", "dateUpdated")
    empty = record(**dict.fromkeys(names, "")).row
    columns = ("conversation_id", "contact_id", "user_id", "body", "status", "content_type", "date_updated")
    assert {column: empty[column] for column in columns} == dict.fromkeys(columns)
    assert empty["extra"] is None


def test_an_error_never_repeats_the_value() -> None:
    with pytest.raises(TransformError) as caught:
        record(dateAdded="call Ann at 555-0199")
    assert "Ann" not in str(caught.value)


ODD = [
    ({"to": ["a@x.example", "b@x.example"]}, "to", "recipient", "a@x.example, b@x.example"),
    ({"to": [{"phone": "1"}]}, "to", "recipient", None),
    ({"from": 15550001111}, "from", "sender", "15550001111"),
    ({"error": {"code": 30005, "message": "Unknown handset"}}, "error", "error", "Unknown handset"),
    ({"error": {"code": 30005}}, "error", "error", None),
    ({"body": {"html": "x"}}, "body", "body", None),
    ({"direction": 5}, "direction", "direction", "5"),
    ({"dateUpdated": {}}, "dateUpdated", "date_updated", None),
    ({"dateUpdated": "soon"}, "dateUpdated", "date_updated", None),
    ({"dateUpdated": "9999-12-31T23:59:59Z"}, "dateUpdated", "date_updated", None),
    ({"dateAdded": "0001-01-01T00:00:00Z"}, "dateAdded", "date_added", None),
    ({"dateAdded": "9999-12-31T23:59:59-12:00"}, "dateAdded", "date_added", None),
    ({"type": 2**40}, "type", "type_code", None),
    ({"type": True}, "type", "type_code", None),
    ({"type": "TYPE_SMS"}, "type", "type_code", None),
    ({"type": "TYPE_EMAIL", "messageType": None}, "type", "message_type", "TYPE_EMAIL"),
    ({"meta": []}, "meta", "message_id", "MSG1"),
    ({"attachments": {}}, "attachments", "message_id", "MSG1"),
    ({"mentions": 7}, "mentions", "mentions", ["7"]),
]


@pytest.mark.parametrize(("fields", "column", "expected"), [(fields, *rest) for fields, _, *rest in ODD])
def test_a_value_of_an_unexpected_kind_is_read_where_it_is_obvious(
    fields: dict[str, Any], column: str, expected: Any
) -> None:
    assert record(**fields).row[column] == expected


@pytest.mark.parametrize(("fields", "name"), [each[:2] for each in ODD])
def test_a_value_of_an_unexpected_kind_is_kept_as_it_came(fields: dict[str, Any], name: str) -> None:
    assert record(**fields).row["extra"] == {name: fields[name]}


@pytest.mark.parametrize(("fields", "name"), [each[:2] for each in ODD])
def test_a_value_of_an_unexpected_kind_is_drift(fields: dict[str, Any], name: str) -> None:
    assert f"kind:{name}" in record(**fields).drift


@pytest.mark.parametrize("attachments", [{"url": "https://a.example/1"}, "https://a.example/1"])
def test_one_file_outside_a_list_is_a_file(attachments: Any) -> None:
    assert [row["url"] for row in attachments_of(attachments=attachments)] == ["https://a.example/1"]


def test_a_file_may_be_named_by_href() -> None:
    assert [row["url"] for row in attachments_of(attachments=[{"href": "https://a.example/1"}])] == [
        "https://a.example/1"
    ]


@pytest.mark.parametrize("attachments", [[""], [{}], [7], [{"name": "a"}]])
def test_what_names_no_file_makes_no_row(attachments: Any) -> None:
    assert attachments_of(attachments=attachments) == []


@pytest.mark.parametrize("entry", [7, {"name": "a"}])
def test_an_entry_that_names_no_file_is_kept(entry: Any) -> None:
    assert record(attachments=["https://a.example/1", entry]).row["extra"] == {"attachments": {"1": entry}}


@pytest.mark.parametrize(
    ("duration", "seconds"), [("00:02:13", 133), ("2:13", 133), ("1:00:00", 3600), (12.6, 13), ("12", 12), (None, None)]
)
def test_the_length_of_a_call_is_read_in_every_form_seen(duration: Any, seconds: int | None) -> None:
    row = meta_of(meta={"call": {"duration": duration, "status": "completed"}})
    assert row is not None
    assert row["call_duration"] == seconds


@pytest.mark.parametrize("duration", ["00:02:13", "soon", [1]])
def test_an_unusual_length_of_a_call_is_kept_in_the_meta_row(duration: Any) -> None:
    row = meta_of(meta={"call": {"duration": duration}})
    assert row is not None
    assert row["extra"] == {"callDuration": duration}


def test_length_and_outcome_at_the_top_make_a_meta_row_too() -> None:
    row = meta_of(callDuration=37, callStatus="completed")
    assert row == {
        "location_id": "LOC1",
        "message_id": "MSG1",
        "call_duration": 37,
        "call_status": "completed",
        "extra": None,
    }


def test_an_unknown_outcome_of_a_call_is_drift() -> None:
    assert record(meta={"call": {"status": "teleported"}}).drift == ("callStatus:teleported",)


def test_subject_reply_and_mentions_have_columns() -> None:
    row = record(subject="Order", replyToMessageId="MSG0", mentions=["USR2"]).row
    assert (row["subject"], row["reply_to_message_id"], row["mentions"]) == ("Order", "MSG0", ["USR2"])


@pytest.mark.parametrize(
    "meta", [{"email": {"messageIds": ["EML1", "EML2"]}}, {"email": {"email": {"messageIds": ["EML1", "EML2"]}}}]
)
def test_a_thread_names_its_emails_in_order(meta: Any) -> None:
    named = record(messageType="TYPE_EMAIL", meta=meta).named[Email]
    assert [(row["email_id"], row["message_id"], row["position"]) for row in named] == [
        ("EML1", "MSG1", 0),
        ("EML2", "MSG1", 1),
    ]


def test_a_thread_asks_for_its_emails() -> None:
    asked = follow_ups("email", meta={"email": {"messageIds": ["EML1", "EML2"]}})
    assert [each.id for each in asked] == ["EML1", "EML2"]


@pytest.mark.parametrize("ids", ["EML1", [7], ["a/b"], {}, None])
def test_what_names_no_email_asks_for_none(ids: Any) -> None:
    assert follow_ups("email", meta={"email": {"messageIds": ids}}) == []


def test_names_are_asked_for_when_older_than_a_day() -> None:
    asked = {each.kind: (each.id, each.max_age) for each in record(status="delivered").follow_ups}
    assert asked == {"contact": ("CON1", 86_400), "user": ("USR1", 86_400), "location": ("LOC1", 86_400)}


CALL = {"messageType": "TYPE_CALL", "type": 1, "status": "completed"}


@pytest.mark.parametrize("kind", ["recording", "transcription"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"meta": {"call": {"duration": 37, "status": "completed"}}}, ["MSG1"]),
        ({"meta": {"call": {"duration": None, "status": "completed"}}}, ["MSG1"]),
        ({"meta": {"call": {"duration": 0, "status": "no-answer"}}}, []),
        ({"status": "voicemail"}, ["MSG1"]),
        ({"status": "no-answer"}, []),
        ({"messageType": "TYPE_SMS", "type": 2}, []),
    ],
)
def test_a_call_that_was_answered_asks_for_its_audio(kind: str, fields: dict[str, Any], expected: list[str]) -> None:
    assert [each.id for each in follow_ups(kind, **(CALL | fields))] == expected


ADDED = datetime(2026, 2, 3, 12, tzinfo=UTC)


def looks(age: float, *, is_partial: bool = False, is_exported: bool = False, **fields: Any) -> list[tuple[str, float]]:
    """When a message is looked at again, that is so many seconds old."""
    payload = SMS | {"dateAdded": ADDED.isoformat()} | fields
    now = ADDED + timedelta(seconds=age)
    asked = read(payload, now=now, is_partial=is_partial, is_exported=is_exported).follow_ups
    return [(each.kind, each.delay) for each in asked if each.force]


@pytest.mark.parametrize(
    ("age", "expected"), [(0, 3600), (600, 3000), (3600, 82_800), (86_000, 400), (86_400, 518_400), (604_800, None)]
)
def test_a_status_that_is_not_final_is_looked_at_again(age: float, expected: float | None) -> None:
    assert looks(age, status="sent") == ([("message", expected)] if expected is not None else [])


@pytest.mark.parametrize("status", ["delivered", "failed", "read", None])
def test_a_final_status_is_not_looked_at_again(status: str | None) -> None:
    assert looks(0, status=status) == []


def test_an_inbound_message_is_final() -> None:
    assert looks(0, status="sent", direction="inbound") == []


MEDIA: dict[str, Any] = {
    "messageType": "TYPE_WHATSAPP",
    "type": 19,
    "direction": "inbound",
    "body": "",
    "attachments": None,
}


@pytest.mark.parametrize(("age", "expected"), [(0, 15), (15, 105), (120, 3480)])
def test_a_message_whose_media_may_be_late_is_looked_at_again(age: float, expected: float) -> None:
    assert looks(age, **MEDIA) == [("message", expected)]


@pytest.mark.parametrize(("age", "expected"), [(3600, [("conversation", 0)]), (90_000, [])])
def test_media_that_never_came_are_looked_for_once_in_the_conversation(age: float, expected: Any) -> None:
    assert looks(age, **MEDIA) == expected


def test_media_that_a_conversation_does_not_have_either_are_given_up() -> None:
    assert looks(3600, is_partial=True, **MEDIA) == []


SEARCH = [("conversation", 0)]


@pytest.mark.parametrize(
    ("age", "body", "expected"),
    [
        (0, "", [("message", 15)]),
        (3600, "", SEARCH),
        (90_000, "", SEARCH),
        (3600, "Hi", SEARCH),
        (90_000, "Hi", []),
    ],
)
def test_media_of_a_message_that_an_export_told_of_late_are_looked_for_in_the_conversation(
    age: float, body: str, expected: Any
) -> None:
    assert looks(age, is_partial=True, is_exported=True, **(MEDIA | {"body": body})) == expected


@pytest.mark.parametrize(("ahead", "looked"), [(600, [615, 720, 4200]), (7200, []), (10**9, [])])
def test_a_message_that_is_dated_ahead_is_looked_at_a_few_times(ahead: float, looked: list[float]) -> None:
    age, seen = -ahead, []
    for _ in range(10):
        delays = [delay for kind, delay in looks(age, **MEDIA) if kind == "message"]
        if not delays:
            break
        age += delays[0]
        seen.append(age + ahead)
    assert seen == looked


@pytest.mark.parametrize(("ahead", "expected"), [(86_400, [("message", 90_000)]), (700_000, [])])
def test_a_scheduled_message_is_looked_at_after_its_time(ahead: float, expected: Any) -> None:
    assert looks(-ahead, status="scheduled") == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"attachments": ["https://a.example/1"]},
        {"messageType": "TYPE_SMS", "type": 2, "body": "Hi"},
        {"messageType": "TYPE_CALL", "type": 1},
    ],
)
def test_a_message_that_lacks_no_media_is_not_looked_at_again(fields: dict[str, Any]) -> None:
    assert looks(0, **(MEDIA | fields)) == []


def test_a_row_of_a_list_says_nothing_of_what_it_leaves_out() -> None:
    assert read(SMS | {"attachments": []}, is_partial=True).children == {}


def test_a_row_of_a_list_does_not_tell_the_text_of_an_email() -> None:
    assert read(SMS | {"messageType": "TYPE_EMAIL", "body": "quoted"}, is_partial=True).row["body"] is None
