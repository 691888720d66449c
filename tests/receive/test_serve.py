"""The receiver as a process, spoken to over real HTTP."""

import json
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.sandbox.keys import SandboxKeys
from tests.command import Command
from tests.receive.receiver import Launch, Receiver, Warehouse
from tests.waiting import await_

SECRET = {"X-Webhook-Secret": "a secret of thirty-two characters"}
MEBIBYTE = 1024 * 1024


def connected(receiver: Receiver, sent: bytes) -> socket.socket:
    """A client that has sent something."""
    client = socket.create_connection(("127.0.0.1", receiver.port), timeout=20)
    client.sendall(sent)
    return client


def request(method: bytes, path: bytes, headers: dict[str, str], body: bytes) -> bytes:
    """One HTTP request on the wire."""
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body)]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join([*lines, b"", body])


def status_of(answer: bytes) -> int | None:
    """The status of an answer on the wire; None without one."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def test_an_event_is_kept_byte_for_byte(
    receiver: Receiver, warehouse: Warehouse, keys: SandboxKeys, unique: str
) -> None:
    body = f'{{ "webhookId":"{unique}", "type":"InboundMessage","messageId":"M","body":"\\u00e9 \\u0000" }}\n'.encode()
    status = receiver.post(body, keys.sign(body)).status_code
    kept = warehouse.rows("SELECT body FROM etl.webhook_events WHERE webhook_id = :id", id=unique)
    assert (200, [(body,)]) == (status, kept)


def test_the_message_of_an_event_is_queued(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    status = receiver.say(type="InboundMessage", locationId=unique, messageId=f"M{unique}")
    assert (200, [("message", f"M{unique}")]) == (status, warehouse.queued(unique))


def test_an_email_queues_its_message_and_itself(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    status = receiver.say(
        type="InboundMessage",
        messageType="Email",
        locationId=unique,
        emailMessageId=f"E{unique}",
        threadId=f"T{unique}",
    )
    assert (200, [("email", f"E{unique}"), ("message", f"T{unique}")]) == (status, warehouse.queued(unique))


def test_an_event_signed_the_older_way_is_queued(
    receiver: Receiver, warehouse: Warehouse, keys: SandboxKeys, unique: str
) -> None:
    body = json.dumps({"type": "InboundMessage", "locationId": unique, "messageId": unique}).encode()
    status = receiver.post(body, keys.sign(body, "rsa")).status_code
    assert (200, [("message", unique)]) == (status, warehouse.queued(unique))


def test_an_event_that_says_to_have_no_newer_signature_is_queued_for_its_older_one(
    receiver: Receiver, warehouse: Warehouse, keys: SandboxKeys, unique: str
) -> None:
    body = json.dumps({"type": "InboundMessage", "locationId": unique, "messageId": unique}).encode()
    status = receiver.post(body, keys.sign(body, "rsa") | {"X-GHL-Signature": "N/A"}).status_code
    assert (200, [("message", unique)]) == (status, warehouse.queued(unique))


@pytest.mark.parametrize("named", [True, False])
def test_a_redelivery_is_acknowledged_and_queues_nothing(
    receiver: Receiver,
    warehouse: Warehouse,
    unique: str,
    named: bool,  # noqa: FBT001 - a parameter
) -> None:
    event = {"type": "InboundMessage", "locationId": unique, "messageId": unique}
    event |= {"webhookId": unique} if named else {}
    first = receiver.say(**event)
    warehouse.execute("DELETE FROM etl.message_queue WHERE location_id = :id", id=unique)
    again = receiver.say(**event)
    assert (200, 200, []) == (first, again, warehouse.queued(unique))


def test_two_events_of_one_webhook_id_with_different_bodies_are_two_events(
    receiver: Receiver, warehouse: Warehouse, unique: str
) -> None:
    one, other = (
        {"type": "InboundMessage", "locationId": unique, "webhookId": unique, "messageId": f"{unique}-{number}"}
        for number in range(2)
    )
    assert [200] * 4 == [receiver.say(**event) for event in (one, other, other, one)]
    assert [("message", f"{unique}-0"), ("message", f"{unique}-1")] == warehouse.queued(unique)
    assert 2 == len(warehouse.rows("SELECT FROM etl.webhook_events WHERE location_id = :id", id=unique))
    assert ["queued"] == warehouse.outcomes(unique)


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        ("queued", {"type": "OutboundMessage", "messageId": "M"}),
        ("no_id", {"type": "InboundMessage", "messageType": "SMS", "body": "Hi"}),
        ("bad_id", {"type": "InboundMessage", "messageId": "../users"}),
        ("queued", {"type": "ConversationUnreadUpdate", "id": "C", "unreadCount": 2}),
        ("ignored", {"type": "ConversationUnreadUpdate", "unreadCount": 2}),
        ("ignored", {"type": "ContactDelete", "id": "C"}),
        ("ignored", {"type": "NeverHeardOf"}),
        ("ignored", {}),
        ("ignored", {"type": "INSTALL", "appId": "ANY", "locationId": "L"}),
    ],
)
def test_every_event_is_acknowledged_and_kept(
    receiver: Receiver, warehouse: Warehouse, unique: str, outcome: str, event: dict[str, Any]
) -> None:
    status = receiver.say(**event, webhookId=unique)
    assert (200, [outcome]) == (status, warehouse.outcomes(unique))


def test_an_event_that_names_nothing_queues_nothing(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    receiver.say(type="InboundMessage", locationId=unique, body="Hi")
    assert [] == warehouse.queued(unique)


def test_an_sms_without_an_id_queues_its_conversation(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    receiver.say(type="InboundMessage", messageType="SMS", locationId=unique, conversationId=unique, body="Hi")
    assert [("conversation", unique)] == warehouse.queued(unique)


def test_an_unread_conversation_is_queued(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    receiver.say(type="ConversationUnreadUpdate", locationId=unique, id=unique, contactId=f"C{unique}", unreadCount=2)
    assert [("conversation", unique)] == warehouse.queued(unique)


def test_a_deleted_contact_is_queued_only_where_a_job_takes_contacts(
    receiver: Receiver, launch: Launch, warehouse: Warehouse, unique: str, tmp_path: Path
) -> None:
    event = {"type": "ContactDelete", "locationId": unique, "id": unique}
    assert (200, []) == (receiver.say(**event, webhookId=f"1{unique}"), warehouse.queued(unique))
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text("jobs:\n  contacts:\n    kind: contact\n")
    with launch(warehouse.url, ETL_JOBS=str(jobs)) as other:
        other.say(**event, webhookId=f"2{unique}")
    assert [("contact", unique)] == warehouse.queued(unique)


def test_a_mistake_in_a_worker_s_job_keeps_no_webhook_away(
    launch: Launch, warehouse: Warehouse, tmp_path: Path, unique: str
) -> None:
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text("jobs:\n  messages:\n    conurrency: 8\n")
    with launch(warehouse.url, ETL_JOBS=str(jobs)) as other:
        assert 200 == other.say(type="ContactDelete", id=unique, locationId=unique)
        assert "jobs_file_not_read" in other.log
        assert "jobs.yaml:3: job 'messages': unknown" in other.log
    assert [("contact", unique)] == warehouse.queued(unique)


def test_many_items_of_one_event_after_another_are_all_queued(
    receiver: Receiver, warehouse: Warehouse, unique: str
) -> None:
    for number in range(20):
        receiver.say(type="InboundMessage", locationId=unique, messageId=f"{unique}-{number}")
    assert 20 == len(warehouse.queued(unique))


BODY = b'{"type":"InboundMessage","messageId":"forged","locationId":"forged"}'


def test_an_event_of_another_app_is_refused(picky: Receiver) -> None:
    assert 401 == picky.say(type="InboundMessage", locationId="LOC1", messageId="M", appId="APP2")


def test_an_event_that_names_no_app_queues_only_what_is_of_a_location_that_we_know(
    launch: Launch, warehouse: Warehouse, unique: str
) -> None:
    warehouse.execute("INSERT INTO etl.locations (location_id) VALUES (:id)", id=f"{unique}known")
    with launch(warehouse.url, WEBHOOK_APP_ID="APP1", HIGHLEVEL_LOCATION_ID=f"{unique}home") as receiver:
        for place in ("known", "home", "foreign"):
            name = unique + place
            assert 200 == receiver.say(type="InboundMessage", locationId=name, messageId=name, webhookId=name)
    queued = [place for place in ("known", "home", "foreign") if warehouse.queued(unique + place)]
    assert ["known", "home"] == queued
    assert ["ignored"] == warehouse.outcomes(f"{unique}foreign")


def test_an_event_of_an_odd_app_is_refused(picky: Receiver, warehouse: Warehouse, unique: str) -> None:
    said = picky.say(type="InboundMessage", locationId="LOC1", messageId="M", appId=["APP1"], webhookId=unique)
    assert (401, []) == (said, warehouse.outcomes(unique))


OPEN = "Webhooks of every app and location are accepted"


def test_a_receiver_that_takes_everything_says_what_that_means(
    receiver: Receiver, picky: Receiver, launch: Launch, warehouse: Warehouse
) -> None:
    with launch(warehouse.url, HIGHLEVEL_CLIENT_ID="APP1-more") as of_app:
        assert (True, False, False) == (OPEN in receiver.log, OPEN in picky.log, OPEN in of_app.log)


def test_an_event_of_a_location_not_listed_is_acknowledged_but_not_kept(
    picky: Receiver, warehouse: Warehouse, unique: str
) -> None:
    status = picky.say(type="InboundMessage", locationId="LOC9", messageId="M", webhookId=unique)
    assert (200, []) == (status, warehouse.outcomes(unique))


def test_an_installation_of_our_app_adds_its_location(picky: Receiver, warehouse: Warehouse) -> None:
    status = picky.say(type="INSTALL", appId="APP1", locationId="LOC1", companyId="COM1")
    added = warehouse.rows("SELECT company_id, retired_at FROM etl.locations WHERE location_id = 'LOC1'")
    assert (200, [("COM1", None)]) == (status, added)


def test_the_end_of_an_installation_retires_its_location(picky: Receiver, warehouse: Warehouse) -> None:
    picky.say(type="INSTALL", appId="APP1", locationId="LOC2", companyId="COM1")
    picky.say(type="UNINSTALL", appId="APP1", locationId="LOC2")
    retired = warehouse.rows("SELECT retired_at IS NOT NULL FROM etl.locations WHERE location_id = 'LOC2'")
    assert [(True,)] == retired


def test_the_end_of_an_installation_that_comes_after_a_newer_installation_changes_nothing(
    launch: Launch, warehouse: Warehouse, unique: str
) -> None:
    retired = "SELECT retired_at IS NOT NULL FROM etl.locations WHERE location_id = :id"
    states = []
    event = {"appId": "APP1", "locationId": unique, "companyId": "COM9"}
    with launch(warehouse.url, WEBHOOK_APP_ID="APP1") as receiver:
        for type_, timestamp in [
            ("INSTALL", "2026-02-03T10:00:00.000Z"),
            ("INSTALL", "2026-02-03T12:00:00.000Z"),
            ("UNINSTALL", "2026-02-03T11:00:00.000Z"),
            ("UNINSTALL", "2026-02-03T13:00:00.000Z"),
            ("INSTALL", "2026-02-03T12:30:00.000Z"),
            ("INSTALL", "2026-02-03T14:00:00.000Z"),
        ]:
            assert 200 == receiver.say(type=type_, timestamp=timestamp, **event)
            states += warehouse.rows(retired, id=unique)
    assert [(False,), (False,), (False,), (True,), (True,), (False,)] == states


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, b"{", {}),
        (400, b"", {}),
        (400, b"[]", {}),
        (413, b" " * (8 * MEBIBYTE + 1), {}),
        (200, b"{}" + b" " * (8 * MEBIBYTE - 2), {}),
        (200, b"{}", {"Content-Type": "application/json; charset=utf-8"}),
        (200, b"{}", {"Content-Type": "text/plain"}),
        (200, b"{}", {"Content-Type": ""}),
        (400, b"type=InboundMessage", {"Content-Type": "application/x-www-form-urlencoded"}),
    ],
)
def test_signed_bytes_get_the_status_they_deserve(
    receiver: Receiver, keys: SandboxKeys, status: int, body: bytes, headers: dict[str, str]
) -> None:
    assert status == receiver.post(body, keys.sign(body) | headers).status_code


def test_a_body_of_unknown_length_is_refused_once_it_is_too_large(receiver: Receiver, keys: SandboxKeys) -> None:
    chunk = b"80000\r\n" + b" " * 0x80000 + b"\r\n"
    sent = b"POST /webhooks/highlevel HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-GHL-Signature: "
    with connected(receiver, sent + keys.sign(BODY)["X-GHL-Signature"].encode() + b"\r\n\r\n" + chunk * 17) as client:
        assert 413 == status_of(client.recv(4096))


Forge = Callable[[SandboxKeys, SandboxKeys], dict[str, str]]
FORGERIES: dict[str, Forge] = {
    "unsigned": lambda _ours, _theirs: {},
    "signed by somebody else": lambda _ours, theirs: theirs.sign(BODY, "both"),
    "signed for other bytes": lambda ours, _theirs: ours.sign(BODY + b" ", "both"),
    "not available": lambda _ours, _theirs: {"X-GHL-Signature": "N/A"},
    "the weaker scheme chosen": lambda ours, theirs: ours.sign(BODY, "rsa") | theirs.sign(BODY),
    "not base64": lambda _ours, _theirs: {"X-GHL-Signature": "%%%"},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_refused_without_a_reason(
    receiver: Receiver, keys: SandboxKeys, other_keys: SandboxKeys, forgery: str
) -> None:
    answer = receiver.post(BODY, FORGERIES[forgery](keys, other_keys))
    assert (401, b"") == (answer.status_code, answer.content)


def test_no_forgery_is_stored(
    receiver: Receiver, warehouse: Warehouse, keys: SandboxKeys, other_keys: SandboxKeys
) -> None:
    before = warehouse.events()
    for headers in FORGERIES.values():
        receiver.post(BODY, headers(keys, other_keys))
    assert (before, []) == (warehouse.events(), warehouse.queued("forged"))


def test_the_log_tells_the_reason(receiver: Receiver) -> None:
    receiver.post(BODY, {"X-GHL-Signature": "N/A"})
    assert "signature_not_available" in receiver.log


def test_the_log_repeats_no_word_of_a_customer(receiver: Receiver, other_keys: SandboxKeys, unique: str) -> None:
    event = {"type": unique + "?", "body": unique, "messageId": unique + "/", "appId": unique, "contactId": unique}
    body = json.dumps(event).encode()
    receiver.say(**event)
    receiver.post(body, other_keys.sign(body) | {"User-Agent": unique, "X-WH-Signature": unique}, path=f"/{unique}")
    receiver.post(body, other_keys.sign(body) | {"User-Agent": unique})
    receiver.post(unique.encode(), SECRET, path="/webhooks/workflow")
    assert unique not in receiver.log


WORKFLOW = "/webhooks/workflow"


def test_a_workflow_queues_its_message(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    body = json.dumps({"message_id": unique, "location_id": unique}).encode()
    status = receiver.post(body, SECRET, path=WORKFLOW).status_code
    assert (200, [("message", unique)]) == (status, warehouse.queued(unique))


def test_a_workflows_custom_data_may_name_the_message(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    body = json.dumps({"contact_id": "C", "location": {"id": unique}, "customData": {"message_id": unique}}).encode()
    status = receiver.post(body, SECRET, path=WORKFLOW).status_code
    assert (200, [("message", unique)]) == (status, warehouse.queued(unique))


def test_a_workflow_may_post_a_form(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    body = f"message_id=+{unique}+&location_id={unique}".encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status = receiver.post(body, SECRET | form, path=WORKFLOW).status_code
    assert (200, [("message", unique)]) == (status, warehouse.queued(unique))


def test_a_date_that_no_time_zone_can_show_does_no_harm(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    for number, date in enumerate(("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00")):
        event = {"type": "InboundMessage", "locationId": unique, "messageId": f"{unique}{number}", "dateAdded": date}
        assert 200 == receiver.say(**event)
    dated = warehouse.rows("SELECT dated_at FROM etl.message_queue WHERE location_id = :id", id=unique)
    assert [(None,), (None,)] == dated


def test_a_second_post_of_a_workflow_is_no_redelivery(receiver: Receiver, warehouse: Warehouse, unique: str) -> None:
    body = json.dumps({"message_id": unique, "location_id": unique}).encode()
    receiver.post(body, SECRET, path=WORKFLOW)
    warehouse.execute("DELETE FROM etl.message_queue WHERE location_id = :id", id=unique)
    receiver.post(body, SECRET, path=WORKFLOW)
    assert [("message", unique)] == warehouse.queued(unique)


def test_a_workflow_may_send_the_secret_as_a_bearer(receiver: Receiver, unique: str) -> None:
    headers = {"Authorization": f"Bearer {SECRET['X-Webhook-Secret']}"}
    assert 200 == receiver.post(f'{{"message_id":"{unique}"}}'.encode(), headers, path=WORKFLOW).status_code


@pytest.mark.parametrize("secret", ["", "wrong", "a secret of thirty-two characterS", "\xe9"])
def test_a_workflow_with_another_secret_is_refused(
    receiver: Receiver, warehouse: Warehouse, unique: str, secret: str
) -> None:
    body = json.dumps({"message_id": unique, "location_id": unique}).encode()
    status = receiver.post(body, {"X-Webhook-Secret": secret}, path=WORKFLOW).status_code
    assert (401, []) == (status, warehouse.queued(unique))


def test_a_signature_is_no_secret(receiver: Receiver, keys: SandboxKeys) -> None:
    assert 401 == receiver.post(BODY, keys.sign(BODY), path=WORKFLOW).status_code


def test_the_secret_is_no_signature(receiver: Receiver) -> None:
    assert 401 == receiver.post(BODY, SECRET).status_code


def test_a_workflow_that_names_no_message_is_malformed(receiver: Receiver) -> None:
    assert 400 == receiver.post(b"{}", SECRET, path=WORKFLOW).status_code


def test_without_a_secret_there_is_no_endpoint_for_workflows(picky: Receiver) -> None:
    assert 404 == picky.post(b'{"message_id":"M"}', SECRET, path=WORKFLOW).status_code


@pytest.mark.parametrize(("path", "text"), [("/healthz", "alive\n"), ("/readyz", "ready\n")])
def test_a_receiver_tells_that_it_is_well(receiver: Receiver, path: str, text: str) -> None:
    answer = receiver.get(path)
    assert (200, text) == (answer.status_code, answer.text)


def test_it_counts_what_became_of_events(receiver: Receiver, unique: str) -> None:
    before = metric(receiver, 'etl_webhook_events_total{outcome="ignored"}')
    receiver.say(type="NeverHeardOf", webhookId=unique)
    assert before + 1 == metric(receiver, 'etl_webhook_events_total{outcome="ignored"}')


def test_it_counts_what_it_refuses(receiver: Receiver) -> None:
    receiver.post(BODY)
    before = metric(receiver, 'etl_webhook_refused_total{reason="unsigned",status="401"}')
    receiver.post(BODY)
    assert before + 1 == metric(receiver, 'etl_webhook_refused_total{reason="unsigned",status="401"}')


def metric(receiver: Receiver, name: str) -> float:
    """The value of a counter; 0 before it first counts."""
    lines = receiver.get("/metrics").text.splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name + " ")), 0.0)


@pytest.mark.parametrize("path", ["/healthz", "/webhooks/highlevel", "/no/such/page"])
def test_every_answer_has_the_headers_that_protect_and_none_that_boasts(receiver: Receiver, path: str) -> None:
    headers = receiver.get(path).headers
    assert ("nosniff", "no-store", "no-referrer", True, False) == (
        headers["X-Content-Type-Options"],
        headers["Cache-Control"],
        headers["Referrer-Policy"],
        "default-src 'none'" in headers["Content-Security-Policy"],
        "Server" in headers or "X-Powered-By" in headers,
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [(b"GET", b"/webhooks/highlevel", 405), (b"PUT", b"/webhooks/highlevel", 405), (b"POST", b"/", 404)],
)
def test_what_is_not_there_is_said_to_be_so(receiver: Receiver, method: bytes, path: bytes, status: int) -> None:
    with connected(receiver, request(method, path, {}, b"")) as client:
        assert status == status_of(client.recv(4096))


@pytest.mark.parametrize("path", ["/webhooks/highlevel/", "/webhooks/workflow/"])
def test_a_slash_at_the_end_of_an_address_does_no_harm(
    receiver: Receiver, warehouse: Warehouse, keys: SandboxKeys, unique: str, path: str
) -> None:
    body = json.dumps({"messageId": unique, "locationId": unique}).encode()
    answer = receiver.post(body, keys.sign(body) | SECRET, path=path)
    assert (200, [("message", unique)]) == (answer.status_code, warehouse.queued(unique))


def test_requests_for_an_address_that_is_not_there_are_counted(receiver: Receiver, unique: str) -> None:
    name = 'etl_webhook_refused_total{reason="unknown_path",status="404"}'
    before = metric(receiver, name)
    statuses = [receiver.post(b"{}", path=f"/{unique}").status_code, receiver.get(f"/webhooks/{unique}").status_code]
    assert ([404, 404], before + 2) == (statuses, metric(receiver, name))
    assert unique not in receiver.get("/metrics").text


def test_what_tells_about_a_receiver_can_have_a_port_of_its_own(launch: Launch, warehouse: Warehouse) -> None:
    with launch(warehouse.url, metrics_port=0) as receiver:
        found = re.search(r"/readyz and /metrics on (http://[\d.]+:\d+)", receiver.greeting)
        assert found is not None
        private = found.group(1)
        paths = ("/healthz", "/readyz", "/metrics")
        assert [200, 404, 404] == [receiver.get(path).status_code for path in paths]
        assert [200, 200, 200] == [requests.get(private + path, timeout=10).status_code for path in paths]
        assert 404 == requests.post(f"{private}/webhooks/highlevel", data=b"{}", timeout=10).status_code
        assert 200 == receiver.say(webhookId="public")
        assert "etl_webhook_events_total" in requests.get(f"{private}/metrics", timeout=10).text


def test_a_header_without_an_end_is_refused(receiver: Receiver) -> None:
    with connected(receiver, b"POST /webhooks/highlevel HTTP/1.1\r\nX-Long: " + b"x" * 20_000) as client:
        assert 400 == status_of(client.recv(4096))


@pytest.mark.parametrize("share", [0.001, 0.5, 1.0])
def test_a_request_that_arrives_with_some_of_the_next_is_answered_and_so_is_the_next(
    receiver: Receiver, keys: SandboxKeys, unique: str, share: float
) -> None:
    body = json.dumps({"webhookId": unique}).encode() + b" " * 60_000
    sent = request(b"POST", b"/webhooks/highlevel", keys.sign(body), body)
    some = int(len(sent) * share)
    with connected(receiver, sent + sent[:some]) as client:
        first = answers(client, 1)
        client.sendall(sent[some:])
        both = answers(client, 2, first)
    assert [200, 200] == [status_of(b"HTTP/1.1 " + each) for each in both.split(b"HTTP/1.1 ")[1:]]


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except OSError:
        return False
    return True


def answers(client: socket.socket, count: int, received: bytes = b"") -> bytes:
    """So many answers on the wire, which have no bodies; fewer when the receiver hangs up."""
    while received.count(b"\r\n\r\n") < count and (some := client.recv(4096)):
        received += some
    return received


def test_without_postgres_an_event_is_asked_for_again(launch: Launch) -> None:
    with launch("postgresql://nobody@127.0.0.1:1/nothing") as receiver:
        body = json.dumps({"messageId": "M"}).encode()
        answer = receiver.post(body, receiver.keys.sign(body), tries=1)
        assert 429 == answer.status_code
        assert int(answer.headers["Retry-After"]) > 0
        assert (503, "database_unavailable\n") == (receiver.get("/readyz").status_code, receiver.get("/readyz").text)


def test_a_database_never_migrated_is_refused_at_once(etl: Command, empty_database_url: str) -> None:
    done = etl("serve", "--port", "0", DATABASE_URL=empty_database_url)
    assert (True, True) == (done.returncode != 0, "etl db upgrade" in done.stderr)


def test_a_locked_table_makes_senders_come_again_until_it_is_free(
    receiver: Receiver, warehouse: Warehouse, unique: str
) -> None:
    with warehouse.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("LOCK TABLE etl.webhook_events")
        assert 429 == receiver.say_once(webhookId=unique)
    await_(lambda: receiver.say_once(webhookId=unique) == 200)


def test_when_stopped_it_answers_what_has_begun(launch: Launch, warehouse: Warehouse, unique: str) -> None:
    body = json.dumps({"webhookId": unique, "messageId": "M"}).encode()
    with launch(warehouse.url) as receiver:
        sent = request(b"POST", b"/webhooks/highlevel", receiver.keys.sign(body), body)
        with connected(receiver, sent[:-1]) as client:
            receiver.get("/healthz")
            receiver.process.send_signal(signal.SIGTERM)
            await_(lambda: not accepts(receiver.port))
            client.sendall(sent[-1:])
            answer = client.recv(4096)
        assert (200, 0, ["queued"]) == (status_of(answer), receiver.stop(), warehouse.outcomes(unique))


NAMES = st.sampled_from(["X-GHL-Signature", "X-WH-Signature", "Content-Type", "Expect", "X-Webhook-Secret", "Upgrade"])
WORDS = st.sampled_from(["N/A", "", "application/json", "100-continue", SECRET["X-Webhook-Secret"], "h2c"]) | st.text(
    st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=40
)
PATHS = st.sampled_from([b"/webhooks/highlevel", b"/webhooks/workflow", b"/readyz", b"*", b"http://a/", b"/%00?a=\xff"])
REQUESTS = st.builds(
    request,
    st.sampled_from([b"POST", b"GET", b"HEAD", b"OPTIONS", b"CONNECT", b"FOO"]),
    PATHS,
    st.dictionaries(NAMES, WORDS, max_size=3),
    st.binary(max_size=200) | st.just(b'{"message_id":"a/b"}'),
)
REFUSALS = {None, 400, 401, 404, 405, 408, 413, 415, 431}
FUZZ = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(sent=REQUESTS | st.binary(max_size=300).map(lambda junk: b"POST /webhooks/highlevel HTTP/1.1\r\n" + junk))
def test_no_bytes_but_signed_ones_are_acknowledged_or_break_it(
    receiver: Receiver, warehouse: Warehouse, sent: bytes
) -> None:
    before = warehouse.events()
    with connected(receiver, sent) as client:
        client.shutdown(socket.SHUT_WR)
        try:
            answer = client.recv(4096)
        except ConnectionResetError:
            answer = b""
    allowed = REFUSALS | ({200} if b" /readyz " in sent else set()) | ({100} if b"100-continue" in sent else set())
    assert (True, before) == (status_of(answer) in allowed, warehouse.events())


FIELDS = ["type", "messageId", "emailMessageId", "threadId", "webhookId", "locationId", "conversationId", "appId"]
VALUES = (
    st.none() | st.integers() | st.text() | st.sampled_from(["INSTALL", "InboundMessage", "\0", "\ud800", "a" * 129])
)


@FUZZ
@given(event=st.dictionaries(st.sampled_from(FIELDS), VALUES | st.lists(VALUES, max_size=2)))
def test_every_signed_object_is_acknowledged(receiver: Receiver, picky: Receiver, event: dict[str, Any]) -> None:
    assert (200, True) == (receiver.say(**event), picky.say(**event) in {200, 401})
