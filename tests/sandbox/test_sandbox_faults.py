import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from etl.sandbox.faults import NAMED, FaultPlan
from etl.sandbox.remote import Sandbox
from etl.sandbox.replies import encode
from etl.sandbox.server import RunningSandbox


@pytest.fixture
def message_id(sandbox: RunningSandbox) -> str:
    return next(known for known in sandbox.dataset.ids() if len(encode(sandbox.dataset.things[known].payload)) < 1000)


def spoiled(sandbox: RunningSandbox, message_id: str, **fault: Any) -> requests.Response:
    sandbox.faults(ids={message_id: fault})
    return sandbox.get(message_id)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "429"}, 429),
        ({"kind": "500"}, 500),
        ({"kind": "503"}, 503),
        ({"kind": "401"}, 401),
        ({"kind": "403"}, 403),
        ({"kind": "html"}, 200),
        ({"kind": "redirect"}, 302),
        ({"kind": "422"}, 422),
    ],
)
def test_a_fault_has_its_status(sandbox: RunningSandbox, message_id: str, fault: dict[str, Any], status: int) -> None:
    assert status == spoiled(sandbox, message_id, **fault).status_code


def test_any_error_of_a_server_is_one_of_four(sandbox: RunningSandbox, message_id: str) -> None:
    sandbox.faults(ids={message_id: "5xx"})
    assert {500, 502, 503, 504} == {sandbox.get(message_id).status_code for _ in range(60)}


def test_an_error_of_the_gateway_is_a_page(sandbox: RunningSandbox, message_id: str) -> None:
    assert "text/html; charset=utf-8" == spoiled(sandbox, message_id, kind="503").headers["Content-Type"]


def test_a_connection_can_be_dropped_before_any_byte(sandbox: RunningSandbox, message_id: str) -> None:
    with pytest.raises(requests.ConnectionError, match="aborted"):
        spoiled(sandbox, message_id, kind="drop")


def test_a_connection_can_be_cut_in_the_middle_of_the_body(sandbox: RunningSandbox, message_id: str) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        spoiled(sandbox, message_id, kind="cut")


def test_a_dropped_connection_is_counted_as_such(sandbox: RunningSandbox, message_id: str) -> None:
    with pytest.raises(requests.ConnectionError):
        spoiled(sandbox, message_id, kind="drop")
    assert {"dropped": 1} == sandbox.stats()["statuses"]


def test_json_can_stop_in_the_middle(sandbox: RunningSandbox, message_id: str) -> None:
    with pytest.raises(requests.JSONDecodeError):
        spoiled(sandbox, message_id, kind="malformed").json()


def test_an_answer_can_be_a_page(sandbox: RunningSandbox, message_id: str) -> None:
    assert "text/html; charset=utf-8" == spoiled(sandbox, message_id, kind="html").headers["Content-Type"]


def test_an_answer_can_belong_to_another_message(sandbox: RunningSandbox, message_id: str) -> None:
    payload = spoiled(sandbox, message_id, kind="wrong_id").json()
    answered = payload.get("message", payload)["id"]
    assert (True, False) == (answered in sandbox.dataset.messages, answered == message_id)


def test_an_answer_can_be_huge(sandbox: RunningSandbox, message_id: str) -> None:
    assert 3_000_000 == len(spoiled(sandbox, message_id, kind="huge", bytes=3_000_000).content)


def test_an_answer_can_be_nested_deeply(sandbox: RunningSandbox, message_id: str) -> None:
    with pytest.raises(RecursionError):
        json.loads(spoiled(sandbox, message_id, kind="deep", depth=100_000).content)


def test_a_refusal_can_have_any_text(sandbox: RunningSandbox, message_id: str) -> None:
    text = "The token is not authorized for this scope."
    assert text == spoiled(sandbox, message_id, kind="401", text=text).json()["message"]


def test_an_answer_can_be_held_until_released(sandbox: RunningSandbox, message_id: str) -> None:
    sandbox.faults(ids={message_id: "hold"})
    with ThreadPoolExecutor(1) as pool, Sandbox(sandbox.url, sandbox.config) as other:
        answer = pool.submit(sandbox.get, message_id)
        other.wait_for(held=1)
        assert not answer.done()
        other.release()
        assert 200 == answer.result().status_code


def test_every_answer_can_be_late(sandbox: RunningSandbox, message_id: str) -> None:
    sandbox.faults(latency=0.2)
    begun = time.monotonic()
    sandbox.get(message_id)
    assert time.monotonic() - begun >= 0.2


def test_a_fault_can_happen_a_number_of_times(sandbox: RunningSandbox, message_id: str) -> None:
    sandbox.faults(ids={message_id: {"kind": "403", "times": 2}})
    assert [403, 403, 200] == [sandbox.get(message_id).status_code for _ in range(3)]


def test_a_fault_of_one_message_leaves_the_others_alone(sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={sandbox.dataset.ids()[0]: {"kind": "403"}})
    assert 200 == sandbox.get(sandbox.dataset.ids()[1]).status_code


def test_a_message_can_be_found_only_after_a_while(sandbox: RunningSandbox, message_id: str) -> None:
    sandbox.faults(ids={message_id: {"kind": "missing", "times": 2}})
    assert [400, 400, 200] == [sandbox.get(message_id).status_code for _ in range(3)]


def test_a_message_can_never_be_found(sandbox: RunningSandbox, message_id: str) -> None:
    sandbox.faults(ids={message_id: {"kind": "missing", "times": None}})
    assert [400, 400, 400] == [sandbox.get(message_id).status_code for _ in range(3)]


@pytest.mark.parametrize("payload", [{"message": {"id": "x", "new": [1]}}, [], None, "text", 7])
def test_an_answer_can_be_any_json(sandbox: RunningSandbox, message_id: str, payload: object) -> None:
    sandbox.faults(ids={message_id: {"kind": "answer", "payload": payload}})
    assert payload == sandbox.get(message_id).json()


def test_an_answer_can_be_any_text(sandbox: RunningSandbox, message_id: str) -> None:
    sandbox.faults(ids={message_id: {"kind": "answer", "text": '{"message": NaN'}})
    assert '{"message": NaN' == sandbox.get(message_id).text


def test_a_payload_can_be_given_for_an_id_that_is_not_in_the_data(sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={"new": {"kind": "answer", "payload": {"id": "new"}}})
    assert {"id": "new"} == sandbox.get("new").json()


@pytest.mark.parametrize("kind", [*NAMED, "401"])
def test_a_share_of_all_requests_is_spoiled(kind: str) -> None:
    plan = FaultPlan(shares={kind: 0.2})
    spoiled_requests = sum(plan.choose(str(number)).kind == kind for number in range(5000))
    assert 900 < spoiled_requests < 1100


def test_shares_add_up() -> None:
    plan = FaultPlan(shares={"drop": 0.5, "html": 0.5})
    assert {"drop", "html"} == {plan.choose(str(number)).kind for number in range(200)}


@pytest.mark.parametrize(
    "plan",
    [
        {"shares": {"drop": 1.5}},
        {"shares": {"drop": 0.6, "cut": 0.6}},
        {"shares": {"flood": 0.1}},
        {"ids": {"x": {"kind": "flood"}}},
        {"ids": {"x": "200"}},
        {"ids": {"x": {"kind": "drop", "often": True}}},
        {"latency": -1},
        {"colour": "red"},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(sandbox: RunningSandbox, plan: dict[str, Any]) -> None:
    assert 400 == requests.put(f"{sandbox.url}/sandbox/faults", json=plan, timeout=10).status_code
