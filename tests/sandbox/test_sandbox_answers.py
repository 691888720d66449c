from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from etl.sandbox.messages import MESSAGE_TYPES
from etl.sandbox.remote import Sandbox
from etl.sandbox.server import RunningSandbox


def ask(sandbox: RunningSandbox, message_id: str, **headers: str) -> requests.Response:
    url = f"{sandbox.url}/conversations/messages/{message_id}"
    return requests.get(url, headers={name.replace("_", "-"): text for name, text in headers.items()}, timeout=10)


def refusal(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["message"]


def first_of(sandbox: RunningSandbox, place: int = 0) -> str:
    return sandbox.dataset.ids(sandbox.location_ids[place])[0]


def test_a_message_is_answered_with_its_payload(sandbox: RunningSandbox) -> None:
    message_id = first_of(sandbox)
    assert sandbox.dataset.things[message_id].payload == sandbox.get(message_id).json()


def test_every_message_can_be_fetched(sandbox: RunningSandbox) -> None:
    ids = sandbox.dataset.ids()[: len(MESSAGE_TYPES) * 5]
    assert {200} == {sandbox.get(message_id).status_code for message_id in ids}


def test_every_answer_has_the_rate_limit_headers(sandbox: RunningSandbox) -> None:
    headers = sandbox.get(first_of(sandbox)).headers
    assert 5 == len([name for name in headers if name.lower().startswith("x-ratelimit-")])


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Bearer garbage", "Invalid JWT"),
        ("Bearer pit-unknown", "Invalid Private Integration token"),
        ("Basic cGl0", "Invalid JWT"),
    ],
)
def test_the_error_of_a_bad_token_says_what_is_wrong_with_it(
    sandbox: RunningSandbox, authorization: str, expected: str
) -> None:
    response = ask(sandbox, first_of(sandbox), Authorization=authorization, Version="2021-07-28")
    assert (401, expected) == refusal(response)


def test_no_token_is_a_bad_token(sandbox: RunningSandbox) -> None:
    assert (401, "Invalid JWT") == refusal(ask(sandbox, first_of(sandbox), Version="2021-07-28"))


def test_the_token_of_another_location_has_no_access(sandbox: RunningSandbox) -> None:
    response = sandbox.get(first_of(sandbox, 0), token=sandbox.token(sandbox.location_ids[1]))
    assert (403, "The token does not have access to this location.") == refusal(response)


def test_a_missing_version_is_refused(sandbox: RunningSandbox) -> None:
    token = sandbox.token(sandbox.location_ids[0])
    response = ask(sandbox, first_of(sandbox), Authorization=f"Bearer {token}")
    assert (401, "version header was not found.") == refusal(response)


def test_an_unknown_version_is_refused(sandbox: RunningSandbox) -> None:
    token = sandbox.token(sandbox.location_ids[0])
    response = ask(sandbox, first_of(sandbox), Authorization=f"Bearer {token}", Version="2001-01-01")
    assert (401, "version header is invalid") == refusal(response)


@pytest.mark.parametrize("version", ["2021-04-15", "2021-07-28", "2023-02-21", "v3"])
def test_every_published_version_works(sandbox: RunningSandbox, version: str) -> None:
    token = sandbox.token(sandbox.location_ids[0])
    response = ask(sandbox, first_of(sandbox), Authorization=f"Bearer {token}", Version=version)
    assert 200 == response.status_code


def test_a_revoked_token_is_refused(sandbox: RunningSandbox) -> None:
    sandbox.revoke(location_id=sandbox.location_ids[0])
    assert (401, "Invalid Private Integration token") == refusal(sandbox.get(first_of(sandbox)))


def test_revoking_one_location_leaves_the_others_alone(sandbox: RunningSandbox) -> None:
    sandbox.revoke(location_id=sandbox.location_ids[0])
    assert 200 == sandbox.get(first_of(sandbox, 1)).status_code


def test_a_refused_token_costs_no_allowance(sandbox: RunningSandbox) -> None:
    sandbox.limits(limit=1)
    for _ in range(3):
        sandbox.get(first_of(sandbox), token="garbage")
    assert 200 == sandbox.get(first_of(sandbox)).status_code


def test_an_unknown_message_is_not_found(sandbox: RunningSandbox) -> None:
    assert (400, "Message not found") == refusal(sandbox.get("nobody00000000000000"))


def test_a_long_answer_is_compressed_for_those_who_can_read_it(sandbox: RunningSandbox) -> None:
    sandbox.change(first_of(sandbox), body="long " * 1000)
    response = sandbox.get(first_of(sandbox))
    assert ("gzip", True) == (response.headers.get("Content-Encoding"), "long long" in response.text)


def test_a_short_answer_is_not_compressed(sandbox: RunningSandbox) -> None:
    assert "Content-Encoding" not in sandbox.get(first_of(sandbox)).headers


def test_nothing_is_compressed_for_those_who_cannot_read_it(sandbox: RunningSandbox) -> None:
    sandbox.change(first_of(sandbox), body="long " * 1000)
    token = sandbox.token(sandbox.location_ids[0])
    headers = {"Authorization": f"Bearer {token}", "Version": "v3", "Accept_Encoding": "identity"}
    assert "Content-Encoding" not in ask(sandbox, first_of(sandbox), **headers).headers


def inner(sandbox: RunningSandbox, message_id: str) -> dict[str, object]:
    payload = sandbox.get(message_id).json()
    message: dict[str, object] = payload.get("message", payload)
    return message


@pytest.mark.parametrize("shape", ["seen", "documented"])
def test_a_message_can_change_in_either_shape(sandbox: RunningSandbox, shape: str) -> None:
    things = sandbox.dataset.things
    known = next(each for each in sandbox.dataset.messages if ("message" in things[each].payload) == (shape == "seen"))
    sandbox.change(known, status="read")
    assert "read" == inner(sandbox, known)["status"]


def test_changing_one_field_leaves_the_others_alone(sandbox: RunningSandbox) -> None:
    before = inner(sandbox, first_of(sandbox))
    sandbox.change(first_of(sandbox), status="read")
    assert before | {"status": "read"} == inner(sandbox, first_of(sandbox))


def test_a_field_can_be_removed(sandbox: RunningSandbox) -> None:
    sandbox.change(first_of(sandbox), status=None)
    assert "status" not in inner(sandbox, first_of(sandbox))


def test_a_deleted_message_is_gone(sandbox: RunningSandbox) -> None:
    sandbox.delete(first_of(sandbox))
    assert 400 == sandbox.get(first_of(sandbox)).status_code


def test_changing_an_unknown_message_fails(sandbox: RunningSandbox) -> None:
    with pytest.raises(requests.HTTPError, match="404"):
        sandbox.change("nobody", status="read")


def test_a_reset_undoes_everything(sandbox: RunningSandbox) -> None:
    sandbox.delete(first_of(sandbox))
    sandbox.revoke(location_id=sandbox.location_ids[0])
    sandbox.limits(limit=1)
    sandbox.faults(shares={"html": 1})
    sandbox.reset()
    assert sandbox.dataset.things[first_of(sandbox)].payload == sandbox.get(first_of(sandbox)).json()


def test_the_index_names_locations_and_working_tokens(sandbox: RunningSandbox) -> None:
    place = requests.get(f"{sandbox.url}/sandbox", timeout=10).json()["locations"][1]
    assert 200 == sandbox.get(place["message_ids"][0], token=place["token"]).status_code


def test_the_index_names_something_of_each_kind(sandbox: RunningSandbox) -> None:
    place = requests.get(f"{sandbox.url}/sandbox", timeout=10).json()["locations"][0]
    paths = [
        f"/conversations/{place['conversation_ids'][0]}/messages",
        f"/conversations/messages/email/{place['email_ids'][0]}",
        f"/contacts/{place['contact_ids'][0]}",
        f"/users/{place['user_ids'][0]}",
    ]
    assert [200] * 4 == [sandbox.ask(path).status_code for path in paths]


def test_the_index_lists_every_route(sandbox: RunningSandbox) -> None:
    routes = requests.get(f"{sandbox.url}/sandbox", timeout=10).json()["routes"]
    assert {"/contacts/{id}", "/conversations/messages/{id}", "/oauth/token"} <= set(routes)


def test_requests_are_counted_by_status_location_and_id(sandbox: RunningSandbox) -> None:
    message_id = first_of(sandbox)
    for token in (None, None, "garbage"):
        sandbox.get(message_id, token=token)
    stats = sandbox.stats()
    expected = ({"200": 2, "401": 1}, {sandbox.location_ids[0]: 2, "unauthorized": 1}, {message_id: 3})
    assert expected == (stats["statuses"], stats["locations"], stats["ids"])


def test_concurrent_requests_are_counted(sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"hold": 1.0})
    same, other = first_of(sandbox, 0), first_of(sandbox, 1)
    with ThreadPoolExecutor(3) as pool, Sandbox(sandbox.url, sandbox.config) as control:
        answers = pool.map(sandbox.get, [same, same, other])
        control.wait_for(held=3)
        control.release()
        list(answers)
    assert 2 == sandbox.stats()["max_concurrent_same_id"]


def test_requests_after_one_another_are_not_concurrent(sandbox: RunningSandbox) -> None:
    for _ in range(3):
        sandbox.get(first_of(sandbox))
    assert 1 == sandbox.stats()["max_concurrent_same_id"]
