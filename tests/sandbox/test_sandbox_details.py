import io
import wave
from typing import Any

import pytest
import requests

from etl.sandbox.dataset import Dataset
from etl.sandbox.server import RunningSandbox

DATA = Dataset()
PLACE = DATA.location_ids[0]
MINE = [DATA.messages[known] for known in DATA.ids(PLACE)]


def emails(message: dict[str, Any]) -> list[str]:
    ids: list[str] = message["meta"]["email"]["messageIds"]
    return ids


def call(*, at_least: int = 60, legs: int = 2) -> str:
    """A call with a transcription and so many recorded legs."""
    for each in MINE:
        seconds = each.get("meta", {}).get("call", {}).get("duration", 0)
        if seconds >= at_least and (seconds % 3 == 0) == (legs == 2):
            return str(each["id"])
    raise AssertionError


def silent() -> str:
    return str(next(each["id"] for each in MINE if each["messageType"] == "TYPE_SMS"))


def thread() -> dict[str, Any]:
    return next(each for each in MINE if each["messageType"] == "TYPE_EMAIL" and len(emails(each)) == 3)


def email(sandbox: RunningSandbox, email_id: str) -> requests.Response:
    return sandbox.ask(f"/conversations/messages/email/{email_id}")


def inner(response: requests.Response) -> dict[str, Any]:
    payload = response.json()
    return dict(payload.get("emailMessage", payload))


def recording(sandbox: RunningSandbox, message_id: str, **query: Any) -> requests.Response:
    return sandbox.ask(f"/conversations/messages/{message_id}/locations/{PLACE}/recording", **query)


def transcription(sandbox: RunningSandbox, message_id: str) -> requests.Response:
    return sandbox.ask(f"/conversations/locations/{PLACE}/messages/{message_id}/transcription")


def test_every_email_of_a_thread_can_be_fetched_and_names_its_thread(sandbox: RunningSandbox) -> None:
    found = [inner(email(sandbox, each)) for each in emails(thread())]
    assert [(each, thread()["id"]) for each in emails(thread())] == [(each["id"], each["threadId"]) for each in found]


def test_an_email_belongs_to_the_contact_and_conversation_of_its_thread(sandbox: RunningSandbox) -> None:
    found, of = inner(email(sandbox, emails(thread())[1])), thread()
    keys = ("locationId", "contactId", "conversationId")
    assert [of[key] for key in keys] == [found[key] for key in keys]


def test_an_email_answers_the_one_before_it(sandbox: RunningSandbox) -> None:
    found = [inner(email(sandbox, each)).get("replyToMessageId") for each in emails(thread())]
    assert [None, *emails(thread())[:2]] == found


def test_emails_come_in_both_shapes() -> None:
    ids = [each for message in MINE if message["type"] == 3 for each in emails(message)]
    assert {True, False} == {"emailMessage" in DATA.things[each].payload for each in ids}


def test_the_id_of_a_thread_is_no_email(sandbox: RunningSandbox) -> None:
    assert 400 == email(sandbox, thread()["id"]).status_code


def test_the_id_of_an_email_is_no_message(sandbox: RunningSandbox) -> None:
    assert 400 == sandbox.get(emails(thread())[0]).status_code


def test_an_email_can_change(sandbox: RunningSandbox) -> None:
    sandbox.change(emails(thread())[0], status="opened")
    assert "opened" == inner(email(sandbox, emails(thread())[0]))["status"]


def test_a_recording_is_a_wav_file(sandbox: RunningSandbox) -> None:
    response = recording(sandbox, call())
    with wave.open(io.BytesIO(response.content)) as sound:
        assert 800 == sound.getnframes()
    assert "audio/x-wav" == response.headers["Content-Type"]


def test_some_calls_have_a_second_leg(sandbox: RunningSandbox) -> None:
    found = [recording(sandbox, call(legs=legs), index=1).status_code for legs in (1, 2)]
    assert [422, 200] == found


def test_a_leg_has_its_own_recording(sandbox: RunningSandbox) -> None:
    assert recording(sandbox, call()).content != recording(sandbox, call(), index=1).content


def test_a_text_has_no_recording_and_no_transcription(sandbox: RunningSandbox) -> None:
    assert (422, 404) == (recording(sandbox, silent()).status_code, transcription(sandbox, silent()).status_code)


def test_a_recording_can_be_cut(sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={f"recording/{call()}": "cut"})
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        recording(sandbox, call())
    assert 200 == sandbox.get(call()).status_code


def test_a_fault_of_a_message_is_one_of_its_recording_too(sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={call(): "403"})
    assert 403 == recording(sandbox, call()).status_code


def test_a_recording_can_be_huge(sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={call(): {"kind": "huge", "bytes": 100_000}})
    assert 100_000 == len(recording(sandbox, call()).content)


def test_recordings_and_transcriptions_can_come_later(sandbox: RunningSandbox) -> None:
    def statuses() -> list[int]:
        return [recording(sandbox, call()).status_code, transcription(sandbox, call()).status_code]

    sandbox.faults(ids={f"{kind}/{call()}": "missing" for kind in ("recording", "transcription")})
    before = statuses()
    sandbox.faults(ids={f"transcription/{call()}": "missing"})
    assert ([422, 404], [200, 404]) == (before, statuses())


def test_a_transcription_is_a_list_of_sentences_in_milliseconds(sandbox: RunningSandbox) -> None:
    sentences = transcription(sandbox, call()).json()
    keys = {"mediaChannel", "sentenceIndex", "startTime", "endTime", "transcript", "confidence"}
    assert ({frozenset(keys)}, list(range(6))) == (
        {frozenset(each) for each in sentences},
        [each["sentenceIndex"] for each in sentences],
    )


def test_a_transcription_can_be_one_object_as_documented(sandbox: RunningSandbox) -> None:
    one = (DATA.transcription(call()) or [])[0]
    sandbox.faults(ids={f"transcription/{call()}": {"kind": "answer", "payload": one}})
    assert one == transcription(sandbox, call()).json()


def test_the_location_in_the_path_must_be_the_tokens(sandbox: RunningSandbox) -> None:
    path = f"/conversations/messages/{call()}/locations/{DATA.location_ids[1]}/recording"
    assert 403 == sandbox.ask(path).status_code


def test_the_contact_of_a_message_can_be_fetched(sandbox: RunningSandbox) -> None:
    contact = sandbox.ask(f"/contacts/{MINE[0]['contactId']}").json()["contact"]
    assert (MINE[0]["contactId"], PLACE) == (contact["id"], contact["locationId"])


def test_the_phone_of_a_contact_is_that_of_its_messages(sandbox: RunningSandbox) -> None:
    text = next(each for each in MINE if each["messageType"] == "TYPE_SMS" and each["direction"] == "inbound")
    assert text["from"] == sandbox.ask(f"/contacts/{text['contactId']}").json()["contact"]["phone"]


def test_a_deleted_contact_is_not_found(sandbox: RunningSandbox) -> None:
    sandbox.delete(MINE[0]["contactId"])
    response = sandbox.ask(f"/contacts/{MINE[0]['contactId']}")
    assert (400, "Contact not found") == (response.status_code, response.json()["message"])


def test_the_user_of_a_message_can_be_fetched(sandbox: RunningSandbox) -> None:
    user_id = next(each["userId"] for each in MINE if "userId" in each)
    user = sandbox.ask(f"/users/{user_id}").json()
    assert (user_id, [PLACE]) == (user["id"], user["roles"]["locationIds"])


def test_a_location_can_be_fetched(sandbox: RunningSandbox) -> None:
    location = sandbox.ask(f"/locations/{PLACE}").json()["location"]
    assert (PLACE, "America/New_York") == (location["id"], location["timezone"])


@pytest.mark.parametrize("path", ["/locations/{}", "/users/{}", "/contacts/{}"])
def test_what_belongs_to_another_location_cannot_be_read(sandbox: RunningSandbox, path: str) -> None:
    other = DATA.location_ids[1]
    known = {"/locations/{}": other}.get(path) or DATA.ids_of("user" if "users" in path else "contact", other)[0]
    assert 403 == sandbox.ask(path.format(known)).status_code


@pytest.mark.parametrize("path", ["/locations/{}", "/users/{}", "/contacts/{}"])
def test_an_unknown_id_is_refused(sandbox: RunningSandbox, path: str) -> None:
    assert 400 == sandbox.ask(path.format("nobody00000000000000")).status_code


def test_an_id_of_another_kind_is_an_unknown_one(sandbox: RunningSandbox) -> None:
    assert 400 == sandbox.ask(f"/contacts/{MINE[0]['id']}").status_code


@pytest.mark.parametrize("path", ["/locations/{0}", "/contacts/{1}"])
def test_every_endpoint_counts_towards_the_limit(sandbox: RunningSandbox, path: str) -> None:
    sandbox.limits(limit=1)
    path = path.format(PLACE, MINE[0]["contactId"])
    assert [200, 429] == [sandbox.ask(path).status_code for _ in range(2)]


def test_a_fault_can_wait_for_some_requests_to_pass(sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={PLACE: {"kind": "503", "after": 1, "times": 1}})
    assert [200, 503, 200] == [sandbox.ask(f"/locations/{PLACE}").status_code for _ in range(3)]
