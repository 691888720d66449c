import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.receive import public_keys, signature, webhook
from etl.receive.policy import Policy, admit
from etl.receive.signature import Keys, WebhookRefusedError
from etl.receive.webhook import Event
from etl.sandbox.keys import SandboxKeys

BODY = b'{"type":"InboundMessage","locationId":"LOC1","messageId":"MSG1"}'
NOW = datetime(2026, 2, 3, 12, tzinfo=UTC)


def refusal(call: Callable[[], object]) -> tuple[int, str]:
    """Status and reason with which something is refused."""
    with pytest.raises(WebhookRefusedError) as caught:
        call()
    return caught.value.status, caught.value.reason


def known(*pairs: SandboxKeys) -> Keys:
    """The public keys of some pairs."""
    return public_keys.read(
        ",".join(str(each.ed25519_public_pem) for each in pairs), ",".join(str(each.rsa_public_pem) for each in pairs)
    )


def check(headers: dict[str, str], keys: Keys, body: bytes = BODY) -> None:
    """Verify as the receiver does; refuses or returns."""
    newer = [headers["X-GHL-Signature"]] if "X-GHL-Signature" in headers else []
    older = [headers["X-WH-Signature"]] if "X-WH-Signature" in headers else []
    signature.verify(body, signature.signature_of(newer, older), keys)


def parse(**payload: Any) -> Event:
    return webhook.parse(json.dumps(payload).encode())


@pytest.mark.parametrize("scheme", ["ed25519", "rsa", "both"])
def test_a_genuine_signature_is_taken(keys: SandboxKeys, scheme: Any) -> None:
    check(keys.sign(BODY, scheme), known(keys))


@pytest.mark.parametrize("scheme", ["ed25519", "rsa"])
def test_while_keys_change_each_of_them_may_sign(keys: SandboxKeys, other_keys: SandboxKeys, scheme: Any) -> None:
    for signer in (keys, other_keys):
        check(signer.sign(BODY, scheme), known(keys, other_keys))


@pytest.mark.parametrize("scheme", ["ed25519", "rsa", "both"])
def test_a_signature_of_another_key_is_refused(keys: SandboxKeys, other_keys: SandboxKeys, scheme: Any) -> None:
    assert (401, "signature_wrong") == refusal(lambda: check(other_keys.sign(BODY, scheme), known(keys)))


@pytest.mark.parametrize("scheme", ["ed25519", "rsa"])
@pytest.mark.parametrize("tampered", [BODY + b" ", BODY.replace(b"MSG1", b"MSG2"), b"", BODY.upper()])
def test_a_body_changed_in_any_way_is_refused(keys: SandboxKeys, scheme: Any, tampered: bytes) -> None:
    assert (401, "signature_wrong") == refusal(lambda: check(keys.sign(BODY, scheme), known(keys), tampered))


def test_the_older_signature_does_not_count_beside_a_newer_one_that_is_wrong(keys: SandboxKeys) -> None:
    headers = keys.sign(BODY, "both") | {"X-GHL-Signature": keys.sign(b"other")["X-GHL-Signature"]}
    assert (401, "signature_wrong") == refusal(lambda: check(headers, known(keys)))


def test_the_newer_signature_decides_whatever_the_older_one_is(keys: SandboxKeys) -> None:
    check(keys.sign(BODY) | {"X-WH-Signature": "N/A"}, known(keys))


@pytest.mark.parametrize("newer", ["N/A", "n/a", " N/A ", "", " "])
def test_the_older_signature_counts_where_the_newer_one_says_that_there_is_none(keys: SandboxKeys, newer: str) -> None:
    check(keys.sign(BODY, "rsa") | {"X-GHL-Signature": newer}, known(keys))


def test_a_forged_older_signature_does_not_count_because_the_newer_one_says_that_there_is_none(
    keys: SandboxKeys, other_keys: SandboxKeys
) -> None:
    headers = other_keys.sign(BODY, "rsa") | {"X-GHL-Signature": "N/A"}
    assert (401, "signature_wrong") == refusal(lambda: check(headers, known(keys)))


def test_without_keys_of_the_older_scheme_it_is_refused(keys: SandboxKeys) -> None:
    only_new = Keys(known(keys).ed25519, [])
    assert (401, "signature_wrong") == refusal(lambda: check(keys.sign(BODY, "rsa"), only_new))


def test_no_signature_is_refused() -> None:
    assert (401, "unsigned") == refusal(lambda: signature.signature_of([], []))


def test_two_signatures_of_one_kind_are_refused(keys: SandboxKeys) -> None:
    one = keys.sign(BODY)["X-GHL-Signature"]
    assert (401, "signature_ambiguous") == refusal(lambda: signature.signature_of([one, one], []))


@pytest.mark.parametrize("value", ["N/A", "n/a", " N/A ", ""])
@pytest.mark.parametrize("older", [False, True])
def test_a_signature_not_available_is_refused(value: str, older: bool) -> None:  # noqa: FBT001 - a parameter
    newer, rsa = ([], [value]) if older else ([value], [])
    assert (401, "signature_not_available") == refusal(lambda: signature.signature_of(newer, rsa))


@pytest.mark.parametrize(
    "value",
    [
        "!" * 88,
        "é" * 88,
        "a",
        "QUJD\nQUJD",
        b64encode(bytes(63)).decode(),
        b64encode(bytes(65)).decode(),
        b64encode(bytes(64)).decode().rstrip("="),
    ],
)
def test_what_is_no_signature_is_refused(value: str) -> None:
    assert (401, "signature_malformed") == refusal(lambda: signature.signature_of([value], []))


@pytest.mark.parametrize("size", [1, 64, 255, 257, 512])
def test_an_older_signature_of_a_wrong_length_is_refused(keys: SandboxKeys, size: int) -> None:
    headers = {"X-WH-Signature": b64encode(bytes(size)).decode()}
    assert (401, "signature_wrong") == refusal(lambda: check(headers, known(keys)))


MESSAGE = {"locationId": "LOC1", "contactId": "CON1", "conversationId": "CNV1"}
EMAIL = {**MESSAGE, "messageType": "Email", "from": "Shop <shop@example.com>", "subject": "Order"}
WEBHOOK_ID = "7f2c5b1e-0000-4000-8000-000000000001"

EXAMPLES: list[tuple[str, dict[str, Any], tuple[str, str | None, str | None]]] = [
    (
        "an SMS without an id",
        {**MESSAGE, "type": "InboundMessage", "body": "Hi", "messageType": "SMS", "status": "delivered"},
        ("no_id", None, None),
    ),
    (
        "an SMS",
        {**MESSAGE, "type": "OutboundMessage", "messageType": "SMS", "messageId": "MSG1", "webhookId": WEBHOOK_ID},
        ("queued", "MSG1", None),
    ),
    (
        "a call",
        {**MESSAGE, "type": "OutboundMessage", "messageType": "CALL", "messageId": "MSG2", "callDuration": 120},
        ("queued", "MSG2", None),
    ),
    (
        "a call that went to voicemail",
        {**MESSAGE, "type": "InboundMessage", "messageType": "CALL", "messageId": "MSG3", "status": "voicemail"},
        ("queued", "MSG3", None),
    ),
    (
        "a voicemail dropped by a workflow",
        {**MESSAGE, "type": "OutboundMessage", "messageType": "VoiceMail", "messageId": "MSG4"},
        ("queued", "MSG4", None),
    ),
    (
        "an inbound email",
        {**EMAIL, "type": "InboundMessage", "emailMessageId": "EML1", "threadId": "MSG5", "to": ["a@example.com"]},
        ("queued", "MSG5", "EML1"),
    ),
    (
        "an outbound email",
        {**EMAIL, "type": "OutboundMessage", "emailMessageId": "EML2", "threadId": "MSG5", "to": "a@example.com"},
        ("queued", "MSG5", "EML2"),
    ),
    (
        "an internal comment",
        {**MESSAGE, "type": "OutboundMessage", "messageType": "InternalComment", "messageId": "MSG6"},
        ("queued", "MSG6", None),
    ),
    (
        "a message of a custom provider",
        {**MESSAGE, "type": "OutboundMessage", "messageType": "Custom", "messageTypeId": 22, "messageId": "MSG7"},
        ("queued", "MSG7", None),
    ),
    (
        "an unread update",
        {"type": "ConversationUnreadUpdate", "locationId": "LOC1", "id": "CNV1", "unreadCount": 2},
        ("ignored", None, None),
    ),
    (
        "statistics of an email",
        {"type": "LCEmailStats", "locationId": "LOC1", "webhookPayload": {"id": "EVT1", "message": {"headers": {}}}},
        ("ignored", None, None),
    ),
    (
        "an SMS for a provider to send",
        {"type": "SMS", "locationId": "LOC1", "messageId": "MSG8", "phone": "+15550002222", "message": "Text"},
        ("queued", "MSG8", None),
    ),
    (
        "an email for a provider to send",
        {"type": "Email", "locationId": "LOC1", "messageId": "MSG9", "emailMessageId": "EML3", "html": "<p>Hi</p>"},
        ("queued", "MSG9", "EML3"),
    ),
    (
        "an installation",
        {"type": "INSTALL", "appId": "APP1", "locationId": "LOC1", "companyId": "COM1", "trial": {"onTrial": True}},
        ("install", None, None),
    ),
    ("the end of one", {"type": "UNINSTALL", "appId": "APP1", "locationId": "LOC1"}, ("uninstall", None, None)),
]


@pytest.mark.parametrize(("payload", "expected"), [each[1:] for each in EXAMPLES], ids=[each[0] for each in EXAMPLES])
def test_each_event_names_its_items(payload: dict[str, Any], expected: tuple[str, str | None, str | None]) -> None:
    event = parse(**payload)
    assert expected == (event.outcome, event.message_id, event.email_id)


def test_an_event_says_where_it_happened() -> None:
    event = parse(type="INSTALL", appId="APP1", locationId="LOC1", companyId="COM1", conversationId="CNV1")
    assert ("INSTALL", "APP1", "LOC1", "COM1", "CNV1") == (
        event.type,
        event.app_id,
        event.location_id,
        event.company_id,
        event.conversation_id,
    )


def test_the_end_of_an_agencys_installation_names_no_location() -> None:
    event = parse(type="UNINSTALL", companyId="COM1", appId="APP1")
    assert ("", "COM1") == (event.location_id, event.company_id)


INSIDE = {"type": "InboundMessage", "messageId": "MSG1"}


@pytest.mark.parametrize("data", [INSIDE, json.dumps(INSIDE), f" {json.dumps(INSIDE)}\n"])
def test_an_event_inside_data_is_read_too(data: object) -> None:
    event = parse(data=data, locationId="LOC1")
    assert ("queued", "MSG1", "LOC1") == (event.outcome, event.message_id, event.location_id)


@pytest.mark.parametrize("data", ["{", "words", "[]", "7", "[" * 100_000, '{"a":' * 100_000, 7, None, []])
def test_data_that_holds_no_event_is_left_alone(data: object) -> None:
    assert "MSG1" == parse(type="InboundMessage", messageId="MSG1", data=data).message_id


@pytest.mark.parametrize("nothing", ["", " ", "null", "undefined", " Null ", "NULL", None])
def test_a_word_for_nothing_is_no_id(nothing: object) -> None:
    event = parse(
        type="InboundMessage",
        messageType="Email",
        messageId="MSG1",
        threadId=nothing,
        emailMessageId=nothing,
        locationId=nothing,
        conversationId=nothing,
        companyId=nothing,
        contactId=nothing,
    )
    assert ("queued", "MSG1", "", None) == (event.outcome, event.message_id, event.location_id, event.conversation_id)


def test_a_message_whose_id_is_a_word_for_nothing_is_looked_for_in_its_conversation() -> None:
    event = parse(type="InboundMessage", messageId="undefined", conversationId="CNV1")
    assert ("no_id", (("conversation", "CNV1"),)) == (event.outcome, event.items)


def test_blanks_around_ids_are_dropped() -> None:
    event = parse(type="InboundMessage", messageId=" MSG1\n", locationId="\tLOC1 ", conversationId=" CNV1")
    assert ("MSG1", "LOC1", "CNV1") == (event.message_id, event.location_id, event.conversation_id)


@pytest.mark.parametrize(
    "date", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", 10**400, "soon", True, {}]
)
def test_a_date_that_not_every_time_zone_can_show_is_none(date: object) -> None:
    event = parse(**SMS, dateAdded=date, timestamp=date)
    assert ("queued", None, None) == (event.outcome, event.dated_at, event.sent_at)


def test_an_event_is_known_by_its_webhook_id() -> None:
    assert WEBHOOK_ID == parse(webhookId=WEBHOOK_ID).webhook_id


@pytest.mark.parametrize(
    "webhook_id", [None, 7, "", "with space", "é", "x" * 129, "a\nb", ["a"], "sha256:0", "workflow:0"]
)
def test_without_a_proper_webhook_id_an_event_is_known_by_its_bytes(webhook_id: Any) -> None:
    first, again, other = (parse(webhookId=webhook_id, n=number).webhook_id for number in (1, 1, 2))
    assert (True, True, "sha256:") == (first == again, first != other, first[:7])


@pytest.mark.parametrize("message_id", ["../users", "a/b", "..", "x" * 129, "a b", "é", 7, {"id": "a"}, ["a"]])
def test_an_id_that_cannot_be_asked_for_is_not_queued(message_id: Any) -> None:
    event = parse(type="InboundMessage", messageId=message_id)
    assert ("bad_id", None) == (event.outcome, event.message_id)


def test_an_email_whose_thread_cannot_be_asked_for_is_queued_alone() -> None:
    event = parse(type="InboundMessage", messageType="Email", emailMessageId="EML1", threadId="a/b")
    assert ("queued", None, "EML1") == (event.outcome, event.message_id, event.email_id)


def test_a_name_that_looks_like_none_is_dropped() -> None:
    assert "" == parse(type="<b>Hello, Ann</b>").type


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{'a':1}", b"[" * 100_000, b'{"a":' + b"1" * 5000 + b"}"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert (400, "not_json") == refusal(lambda: webhook.parse(body))


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"true"])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    assert (400, "not_an_object") == refusal(lambda: webhook.parse(body))


def test_customers_words_are_not_in_the_repr_of_an_event() -> None:
    assert "Hello" not in repr(parse(type="InboundMessage", body="Hello"))


def admitted(policy: Policy, **payload: Any) -> str:
    """The outcome of an event under a policy."""
    return admit(parse(**payload), policy, now=NOW).outcome


SMS = {"type": "InboundMessage", "messageId": "MSG1", "locationId": "LOC1"}


def test_an_event_of_our_app_is_taken() -> None:
    assert "queued" == admitted(Policy(app_id="APP1"), **SMS, appId="APP1")


def test_an_event_of_another_app_is_refused() -> None:
    assert (401, "wrong_app") == refusal(lambda: admitted(Policy(app_id="APP1"), **SMS, appId="APP2"))


def vouched(policy: Policy, **payload: Any) -> bool:
    """Whether an event is taken wherever it comes from."""
    return admit(parse(**payload), policy, now=NOW).is_surely_ours


@pytest.mark.parametrize("app", [7, True, ["APP1"], {"id": "APP1"}, "app1", "APP1x", "?"])
def test_an_event_of_an_odd_app_is_refused(app: object) -> None:
    assert (401, "wrong_app") == refusal(lambda: admitted(Policy(app_id="APP1"), **SMS, appId=app))


@pytest.mark.parametrize("app", [{}, {"appId": None}, {"appId": ""}, {"appId": " "}, {"appId": "null"}])
def test_an_event_that_names_no_app_is_taken_only_of_a_location_that_we_know(app: dict[str, Any]) -> None:
    event = SMS | app
    assert (False, True, True, False) == (
        vouched(Policy(app_id="APP1"), **event),
        vouched(Policy(app_id="APP1", home="LOC1"), **event),
        vouched(Policy(app_id="APP1", locations={"LOC1"}), **event),
        vouched(Policy(app_id="APP1", home="LOC2"), **event),
    )


def test_an_event_that_names_neither_app_nor_location_is_nobodys() -> None:
    assert not vouched(Policy(app_id="APP1"), type="InboundMessage", messageId="MSG1")


def test_where_our_app_is_not_known_every_event_is_taken() -> None:
    assert vouched(Policy(), **SMS)


def test_an_event_of_our_app_needs_no_location_that_we_know() -> None:
    assert vouched(Policy(app_id="APP1"), **SMS, appId=" APP1 ")


@pytest.mark.parametrize("kind", ["INSTALL", "UNINSTALL"])
@pytest.mark.parametrize(("ours", "theirs"), [("APP1", None), (None, "APP1"), (None, None)])
def test_an_installation_not_known_to_be_our_apps_is_ignored(kind: str, ours: str | None, theirs: str | None) -> None:
    assert "ignored" == admitted(Policy(app_id=ours), type=kind, locationId="LOC1", appId=theirs)


def test_an_installation_of_our_app_is_taken() -> None:
    assert "install" == admitted(Policy(app_id="APP1"), type="INSTALL", locationId="LOC1", appId="APP1")


def test_an_event_of_a_location_not_allowed_is_dropped_without_an_error() -> None:
    assert (200, "location_not_allowed") == refusal(lambda: admitted(Policy(locations={"LOC2"}), **SMS))


def test_an_event_of_no_location_is_dropped_where_some_are_listed() -> None:
    policy = Policy(locations={"LOC1"})
    assert (200, "location_not_allowed") == refusal(lambda: admitted(policy, type="InboundMessage", messageId="MSG1"))


def test_an_event_of_an_allowed_location_is_taken() -> None:
    assert "queued" == admitted(Policy(locations={"LOC1"}), **SMS)


def test_the_end_of_an_agencys_installation_concerns_every_list() -> None:
    policy = Policy(app_id="APP1", locations={"LOC1"})
    assert "uninstall" == admitted(policy, type="UNINSTALL", companyId="COM1", appId="APP1")


def test_events_of_any_age_are_taken_by_default() -> None:
    assert "queued" == admitted(Policy(), **SMS, timestamp="2001-01-01T00:00:00.000Z")


@pytest.mark.parametrize("age", [-60, 0, 3600])
def test_an_event_within_the_age_limit_is_taken(age: int) -> None:
    sent = (NOW - timedelta(seconds=age)).isoformat()
    assert "queued" == admitted(Policy(max_age=3600), **SMS, timestamp=sent)


@pytest.mark.parametrize("timestamp", ["2026-02-03T10:59:59.999Z", "2026-02-03T10:59:59", 1714032441])
def test_an_event_beyond_the_age_limit_is_refused(timestamp: Any) -> None:
    assert (401, "too_old") == refusal(lambda: admitted(Policy(max_age=3600), **SMS, timestamp=timestamp))


@pytest.mark.parametrize("timestamp", [None, "yesterday", "0001-01-01T00:00:00+23:59", ""])
def test_an_event_without_a_time_is_refused_where_age_is_limited(timestamp: Any) -> None:
    assert (401, "no_timestamp") == refusal(lambda: admitted(Policy(max_age=3600), **SMS, timestamp=timestamp))


STANDARD_ACTION = {
    "contact_id": "CON1",
    "timezone": "null",
    "location": {"name": "Shop", "id": "LOC1"},
    "message": {"type": 2, "body": "Hi"},
    "customData": {"message_id": "MSG1"},
}


@pytest.mark.parametrize(
    "payload",
    [
        STANDARD_ACTION,
        {"message_id": "MSG1", "location_id": "LOC1"},
        {"messageId": "MSG1", "locationId": "LOC1"},
        {"customData": {"message_id": "MSG1", "location_id": "LOC1"}},
        {"message_id": "MSG1", "location_id": "LOC1", "customData": "none"},
        {"message_id": " MSG1 ", "location_id": "LOC1\n"},
        {"message_id": "null", "customData": {"message_id": "MSG1"}, "location_id": "undefined", "locationId": "LOC1"},
        {"message_id": "MSG1", "location_id": "null", "location": {"id": " LOC1"}},
    ],
)
def test_a_workflow_names_its_message_at_the_top_or_in_custom_data(payload: dict[str, Any]) -> None:
    event = webhook.parse_workflow(json.dumps(payload).encode(), webhook_id="workflow:1")
    assert ("queued", "MSG1", "LOC1") == (event.outcome, event.message_id, event.location_id)


@pytest.mark.parametrize(
    "body",
    [
        b"message_id=MSG1&location_id=LOC1&contact_id=CON1",
        b"location_id=LOC1&message_id=+MSG1%20&contact_id=CON1&body=%7B%22",
        b"customData%5Bmessage_id%5D=MSG1&customData[location_id]=LOC1&contactId=CON1",
        b"\r\nmessage_id=&messageId=MSG1&location_id=null&locationId=LOC1&contact_id=CON1",
    ],
)
def test_a_workflow_may_post_a_form(body: bytes) -> None:
    event = webhook.parse_workflow(body, webhook_id="workflow:1")
    assert ("queued", "MSG1", "LOC1", "CON1") == (event.outcome, event.message_id, event.location_id, event.contact_id)


@pytest.mark.parametrize("body", [b"", b"words", b"{", b"\xff=", b"a=1&" * 10_000])
def test_what_is_neither_json_nor_a_form_is_refused(body: bytes) -> None:
    assert (400, "not_json") == refusal(lambda: webhook.parse_workflow(body, webhook_id="workflow:1"))


@pytest.mark.parametrize("location_id", ["", "null", "undefined", "{{location.id}}", None])
def test_a_workflow_need_not_name_a_location(location_id: str | None) -> None:
    body = json.dumps({"message_id": "MSG1", "location_id": location_id}).encode()
    assert "" == webhook.parse_workflow(body, webhook_id="workflow:1").location_id


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({}, "no_message_id"),
        ({"message_id": ""}, "no_message_id"),
        ({"message_id": "null"}, "no_message_id"),
        ({"message_id": " "}, "no_message_id"),
        ({"message_id": "{{message.id}}"}, "bad_message_id"),
        ({"message_id": "a/b"}, "bad_message_id"),
        ({"message_id": 7}, "bad_message_id"),
        ([], "not_an_object"),
    ],
)
def test_a_workflow_that_names_no_message_is_refused(payload: object, reason: str) -> None:
    body = json.dumps(payload).encode()
    assert (400, reason) == refusal(lambda: webhook.parse_workflow(body, webhook_id="workflow:1"))


@pytest.mark.parametrize(
    ("given", "reason"), [("", "secret_missing"), ("wrong", "secret_wrong"), ("é", "secret_wrong")]
)
def test_another_secret_is_refused(given: str, reason: str) -> None:
    assert (401, reason) == refusal(lambda: signature.require_secret(given, "right"))


def test_the_secret_is_taken() -> None:
    signature.require_secret("right", "right")


FIELDS = ["type", "messageId", "emailMessageId", "threadId", "webhookId", "locationId", "appId", "timestamp", "data"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4),
    max_leaves=8,
)
JSON = st.dictionaries(
    st.sampled_from([*FIELDS, "messageType", "customData", "message_id", "location"]), VALUES, max_size=6
)


@settings(deadline=None)
@given(
    body=st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | st.text().map(str.encode),
    policy=st.builds(
        Policy,
        app_id=st.none() | st.just("APP1"),
        locations=st.just(()) | st.just(("LOC1",)),
        max_age=st.none() | st.just(60.0),
    ),
)
def test_any_bytes_are_an_event_or_refused(body: bytes, policy: Policy) -> None:
    assert {"taken", 200, 400, 401} >= {
        verdict(lambda: webhook.parse(body), policy),
        verdict(lambda: webhook.parse_workflow(body, webhook_id="workflow:1"), policy),
    }


def verdict(read: Callable[[], Event], policy: Policy) -> str | int:
    """The status of a refusal; of an event, that it is taken."""
    try:
        admit(read(), policy, now=NOW)
    except WebhookRefusedError as error:
        return error.status
    return "taken"


@settings(deadline=None)
@given(newer=st.lists(st.text(), max_size=2), older=st.lists(st.text(), max_size=2), body=st.binary())
def test_any_headers_are_refused_unless_they_hold_a_signature(
    keys: SandboxKeys, newer: list[str], older: list[str], body: bytes
) -> None:
    status, _ = refusal(lambda: signature.verify(body, signature.signature_of(newer, older), known(keys)))
    assert 401 == status
