import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from etl.sandbox.dataset import Dataset
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.oauth import CLIENT_ID
from etl.sandbox.send import Traffic, plan, send

DATA = Dataset(messages=200)


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted; answers 401 to bad signatures, otherwise the statuses given, and then 200."""

    daemon_threads = True

    def __init__(self, keys: SandboxKeys) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys = keys
        self.first_answers: list[int] = []
        self.received: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/webhooks/highlevel"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))
        genuine = is_genuine(self.server.keys, body, self.headers["X-GHL-Signature"])
        answers = self.server.first_answers
        status = 401 if not genuine else answers.pop(0) if answers else 200
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def is_genuine(keys: SandboxKeys, body: bytes, signature: str) -> bool:
    key = load_pem_public_key(keys.ed25519_public_pem.read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(b64decode(signature), body)
    except InvalidSignature:
        return False
    return True


@pytest.fixture
def receiver(keys: SandboxKeys) -> Iterator[Receiver]:
    with Receiver(keys) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def post(receiver: Receiver, **traffic: Any) -> Any:
    return send(receiver.url, dataset=DATA, keys=receiver.keys, traffic=Traffic(**{"retry_delay": 0.01} | traffic))


def test_an_ed25519_signature_verifies(keys: SandboxKeys) -> None:
    assert is_genuine(keys, b'{"a":1}', keys.sign(b'{"a":1}')["X-GHL-Signature"])


def test_an_ed25519_signature_is_of_exactly_these_bytes(keys: SandboxKeys) -> None:
    assert not is_genuine(keys, b'{"a": 1}', keys.sign(b'{"a":1}')["X-GHL-Signature"])


def test_an_rsa_signature_verifies(keys: SandboxKeys) -> None:
    key = load_pem_public_key(keys.rsa_public_pem.read_bytes())
    assert isinstance(key, RSAPublicKey)
    key.verify(b64decode(keys.sign(b"body", "rsa")["X-WH-Signature"]), b"body", PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [("ed25519", {"X-GHL-Signature"}), ("rsa", {"X-WH-Signature"}), ("both", {"X-GHL-Signature", "X-WH-Signature"})],
)
def test_a_scheme_has_its_headers(keys: SandboxKeys, scheme: Any, headers: set[str]) -> None:
    assert headers == set(keys.sign(b"body", scheme))


def test_keys_are_kept(keys: SandboxKeys) -> None:
    again = SandboxKeys.load_or_create(keys.ed25519_public_pem.parent)
    assert keys.sign(b"body", "both") == again.sign(b"body", "both")


def test_private_keys_can_be_read_by_their_owner_only(keys: SandboxKeys) -> None:
    modes = {path.stat().st_mode & 0o777 for path in keys.ed25519_public_pem.parent.glob("*private*")}
    assert {0o600} == modes


def test_a_private_key_does_not_show(keys: SandboxKeys) -> None:
    assert "PrivateKey" not in repr(keys)


def test_files_with_other_keys_are_refused(tmp_path: Path, keys: SandboxKeys) -> None:
    old = keys.ed25519_public_pem.parent / "sandbox.rsa.private.pem"
    for name in ("sandbox.ed25519.private.pem", "sandbox.rsa.private.pem"):
        (tmp_path / name).write_bytes(old.read_bytes())
    with pytest.raises(ValueError, match="another kind"):
        SandboxKeys.load_or_create(tmp_path)


def test_the_receiver_finds_its_public_keys(keys: SandboxKeys) -> None:
    paths = [Path(value) for value in keys.environment().values()]
    assert [True, True] == [path.read_text().startswith("-----BEGIN PUBLIC KEY-----") for path in paths]


def test_a_webhook_names_the_app_whose_client_the_sandbox_knows() -> None:
    assert CLIENT_ID.partition("-")[0] == DATA.event(DATA.ids()[0])["appId"]


def test_everything_sent_is_received(receiver: Receiver) -> None:
    post(receiver, count=50)
    expected = sorted(DATA.event(known)["webhookId"] for known in DATA.ids()[:50])
    assert expected == sorted(event["webhookId"] for event in receiver.received)


def test_the_report_tells_which_webhooks_were_acknowledged(receiver: Receiver) -> None:
    report = post(receiver, count=20)
    assert {DATA.event(known)["webhookId"] for known in DATA.ids()[:20]} == report.acknowledged


def test_duplicates_come_under_the_same_webhook_id(receiver: Receiver) -> None:
    post(receiver, count=10, duplicates=1.0)
    assert (20, 10) == (len(receiver.received), len({event["webhookId"] for event in receiver.received}))


def test_a_429_is_sent_again(receiver: Receiver) -> None:
    receiver.first_answers = [429, 429, 429]
    report = post(receiver, count=5)
    assert ({"429": 3, "200": 5}, 5) == (report.statuses, len(report.acknowledged))


def test_no_answer_is_sent_again(receiver: Receiver) -> None:
    receiver.first_answers = [0]
    assert {"no answer": 1, "200": 5} == post(receiver, count=5).statuses


def test_any_other_refusal_is_final(receiver: Receiver) -> None:
    receiver.first_answers = [500]
    report = post(receiver, count=5)
    assert ({"500": 1, "200": 4}, 1) == (report.statuses, len(report.unacknowledged))


def test_retries_end(receiver: Receiver) -> None:
    receiver.first_answers = [429] * 100
    report = post(receiver, count=2, retries=3)
    assert (8, 2) == (report.sent, len(report.unacknowledged))


def test_nothing_is_reported_lost_that_a_retry_delivered(receiver: Receiver) -> None:
    receiver.first_answers = [429]
    assert set() == post(receiver, count=3).unacknowledged


def test_a_forgery_is_refused_and_not_sent_again(receiver: Receiver) -> None:
    report = post(receiver, count=5, bad_signatures=1.0)
    assert ({"401": 5}, 0, set()) == (report.statuses, report.accepted_forgeries, report.unacknowledged)


def test_sending_can_be_stopped(receiver: Receiver) -> None:
    traffic = Traffic(count=100, rate=1)
    report = send(receiver.url, dataset=DATA, keys=receiver.keys, traffic=traffic, stop=lambda: True)
    assert 0 == report.sent


def test_more_webhooks_than_messages_begin_again_under_new_webhook_ids() -> None:
    planned = plan(["a", "b"], Traffic(count=5))
    assert [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)] == [(item.message_id, item.edition) for item in planned]


def test_nothing_is_out_of_order_unless_asked_for() -> None:
    ids = [str(number) for number in range(100)]
    assert ids == [item.message_id for item in plan(ids, Traffic(count=100))]


def test_the_same_seed_plans_the_same_traffic() -> None:
    traffic = Traffic(count=200, duplicates=0.3, bad_signatures=0.1)
    assert plan(DATA.ids(), traffic) == plan(DATA.ids(), traffic)
