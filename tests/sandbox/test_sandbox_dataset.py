from datetime import UTC, datetime
from typing import Any

import pytest

from etl.sandbox.dataset import Dataset, newest_for
from etl.sandbox.messages import MESSAGE_TYPES
from etl.sandbox.replies import encode

DATA = Dataset(messages=2000)
MESSAGES = list(DATA.messages.values())
PAYLOADS = [DATA.things[message_id].payload for message_id in DATA.ids()]
DOCUMENTED = [payload for payload in PAYLOADS if "message" not in payload]


def of_type(name: str) -> list[dict[str, Any]]:
    return [message for message in MESSAGES if message["messageType"] == name]


def test_the_same_seed_gives_the_same_bytes() -> None:
    again = Dataset(messages=2000)
    assert encode([each.payload for each in DATA.things.values()]) == encode(
        [each.payload for each in again.things.values()]
    )


def test_the_ids_of_a_seed_never_change() -> None:
    assert ["ubzFi8ZMpImlcPvoJ99j", "q4lhlyAKdrZGuYmGBS8M"] == list(Dataset(1).ids()[:2])


def test_another_seed_gives_other_ids() -> None:
    assert set() == set(Dataset(1).ids()) & set(Dataset(2).ids())


def test_ids_look_like_those_of_highlevel() -> None:
    assert [] == [known for known in DATA.ids() if not (len(known) == 20 and known.isalnum() and known.isascii())]


def test_every_id_is_unique() -> None:
    assert 2000 == len(set(DATA.ids()))


def test_every_message_belongs_to_exactly_one_location() -> None:
    assert sorted(DATA.ids()) == sorted(known for place in DATA.location_ids for known in DATA.ids(place))


def test_a_message_names_the_location_that_holds_it() -> None:
    assert [DATA.things[known].location_id for known in DATA.ids()] == [message["locationId"] for message in MESSAGES]


def test_a_conversation_has_one_contact() -> None:
    pairs = {(message["conversationId"], message["contactId"]) for message in MESSAGES}
    assert len(pairs) == len({conversation for conversation, _ in pairs})


@pytest.mark.parametrize("messages", [42, 100, 1000])
def test_every_documented_type_occurs_even_in_a_small_set(messages: int) -> None:
    data = Dataset(messages=messages)
    found = {each["messageType"] for each in data.messages.values()}
    assert set(MESSAGE_TYPES) == found


def test_there_are_as_many_types_as_the_documentation_lists() -> None:
    assert 42 == len(MESSAGE_TYPES)


def test_most_messages_are_texts() -> None:
    assert 0.4 < len(of_type("TYPE_SMS")) / 2000 < 0.7


def test_both_directions_occur() -> None:
    assert {"inbound", "outbound"} == {message["direction"] for message in MESSAGES}


def test_a_call_has_no_body_no_content_type_and_no_attachments() -> None:
    assert set() == {key for call in of_type("TYPE_CALL") for key in call} & {"body", "contentType", "attachments"}


def test_calls_are_completed_or_voicemail() -> None:
    assert {"completed", "voicemail"} == {call["status"] for call in of_type("TYPE_CALL")}


def test_a_call_has_its_duration_in_seconds_as_a_number() -> None:
    assert {int} == {type(call["meta"]["call"]["duration"]) for call in of_type("TYPE_CALL")}


def test_an_inbound_call_names_no_user() -> None:
    assert [] == [call for call in of_type("TYPE_CALL") if call["direction"] == "inbound" and "userId" in call]


def test_whatsapp_media_has_an_empty_body_and_no_attachments_key() -> None:
    assert {True} == {(message["body"] == "") == ("attachments" not in message) for message in of_type("TYPE_WHATSAPP")}


def test_some_whatsapp_messages_are_media() -> None:
    assert {True, False} == {"attachments" in message for message in of_type("TYPE_WHATSAPP")}


def test_an_email_lists_its_emails() -> None:
    assert {1, 2, 3, 5} == {len(message["meta"]["email"]["messageIds"]) for message in of_type("TYPE_EMAIL")}


def test_a_failed_message_says_why() -> None:
    assert {True} == {"error" in message for message in MESSAGES if message.get("status") == "failed"}


def test_some_bodies_are_not_plain_ascii() -> None:
    assert any(not message.get("body", "").isascii() for message in MESSAGES)


def test_some_bodies_are_long() -> None:
    assert max(len(message.get("body", "")) for message in MESSAGES) > 2000


def test_dates_are_in_utc_with_milliseconds() -> None:
    assert {(24, "Z")} == {(len(message["dateUpdated"]), message["dateUpdated"][-1]) for message in MESSAGES}


def test_a_message_is_never_updated_before_it_is_added() -> None:
    assert [] == [message for message in MESSAGES if message["dateUpdated"] < message["dateAdded"]]


def test_the_share_in_the_documented_shape_is_about_what_was_asked_for() -> None:
    assert 0.12 < len(DOCUMENTED) / 2000 < 0.18


def test_the_documented_shape_has_all_required_keys() -> None:
    always = {"id", "type", "messageType", "locationId", "contactId", "conversationId", "dateAdded", "direction"}
    required = always | {"contentType"}
    assert [] == [payload for payload in DOCUMENTED if required - set(payload)]


def test_the_documented_shape_writes_a_calls_duration_as_text() -> None:
    calls = [payload for payload in DOCUMENTED if payload["type"] == 1]
    assert {str} == {type(call["meta"]["callDuration"]) for call in calls}


def test_the_documented_shape_nests_email_twice() -> None:
    emails = [payload for payload in DOCUMENTED if payload["type"] == 3]
    assert {list} == {type(email["meta"]["email"]["email"]["messageIds"]) for email in emails}


def test_the_documented_shape_uses_short_type_names_now_and_then() -> None:
    assert {"SMS", "TYPE_SMS"} == {payload["messageType"] for payload in DOCUMENTED if payload["type"] == 2}


def test_the_documented_shape_has_dates_without_milliseconds_now_and_then() -> None:
    assert {20, 24} == {len(payload["dateAdded"]) for payload in DOCUMENTED}


def test_an_email_event_names_the_email_and_its_thread_and_no_message() -> None:
    email = of_type("TYPE_EMAIL")[0]
    event = DATA.event(email["id"])
    expected = (email["meta"]["email"]["messageIds"][-1], email["id"], False)
    assert expected == (event["emailMessageId"], event["threadId"], "messageId" in event)


def test_every_kind_of_email_is_announced_as_an_email() -> None:
    emails = [message["id"] for message in MESSAGES if message["messageType"].endswith("_EMAIL")]
    assert {"Email"} == {DATA.event(known)["messageType"] for known in emails}


def test_any_other_event_names_its_message() -> None:
    others = [message["id"] for message in MESSAGES if not message["messageType"].endswith("_EMAIL")]
    assert others == [DATA.event(known)["messageId"] for known in others]


def test_an_event_is_inbound_or_outbound_as_its_message_is() -> None:
    kinds = {"inbound": "InboundMessage", "outbound": "OutboundMessage"}
    assert [kinds[message["direction"]] for message in MESSAGES] == [DATA.event(known)["type"] for known in DATA.ids()]


def test_every_event_has_a_webhook_id_of_its_own() -> None:
    assert 2000 == len({DATA.event(known)["webhookId"] for known in DATA.ids()})


def test_the_same_event_keeps_its_webhook_id() -> None:
    assert DATA.event(DATA.ids()[0]) == DATA.event(DATA.ids()[0])


def test_another_edition_has_another_webhook_id() -> None:
    first = DATA.ids()[0]
    assert DATA.event(first)["webhookId"] != DATA.event(first, edition=1)["webhookId"]


def test_all_dates_move_alike_so_that_the_last_message_is_of_the_day_that_is_asked_for() -> None:
    day = datetime(2027, 3, 1, tzinfo=UTC)
    moved = Dataset(messages=2000, newest=newest_for(day, seed=1, locations=3, messages=2000))
    assert "2027-03-01T00:00:00.000Z" == max(str(each["dateAdded"]) for each in moved.messages.values())
    assert list(moved.ids()) == list(DATA.ids())
