import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from etl.api.client import KEPT_BODY, Answer, Call, Client
from etl.api.rate_headers import RateHeaders
from etl.api.transport import Transport
from etl.errors import (
    ApiMisconfiguredError,
    ForeignError,
    ItemError,
    LocationError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    TokenError,
    UnreachableError,
)
from etl.kinds import messages
from etl.sandbox.server import RunningSandbox


@contextmanager
def client_at(url: str) -> Iterator[Client]:
    with Transport(base_url=url, pool_size=2, user_agent="tests") as transport:
        yield Client(transport, api_version="2021-07-28")


@pytest.fixture
def client(sandbox: RunningSandbox) -> Iterator[Client]:
    with client_at(sandbox.url) as client:
        yield client


@pytest.fixture
def message_id(sandbox: RunningSandbox) -> str:
    return next(iter(sandbox.dataset.ids(sandbox.location_ids[0])))


@pytest.fixture
def token(sandbox: RunningSandbox) -> str:
    return sandbox.token(sandbox.location_ids[0])


def test_a_wrapped_answer_is_unwrapped(client: Client, sandbox: RunningSandbox, message_id: str, token: str) -> None:
    payload = {"message": {"id": message_id, "body": "hi"}, "traceId": "T"}
    sandbox.faults(ids={message_id: {"kind": "answer", "payload": payload}})
    assert messages.extract(Call(client, token), message_id).payload == {"id": message_id, "body": "hi"}


def test_a_flat_answer_is_taken_as_it_is(client: Client, sandbox: RunningSandbox, message_id: str, token: str) -> None:
    sandbox.faults(ids={message_id: {"kind": "answer", "payload": {"id": message_id, "body": "hi"}}})
    assert messages.extract(Call(client, token), message_id).payload == {"id": message_id, "body": "hi"}


def test_the_body_is_kept_byte_for_byte(client: Client, sandbox: RunningSandbox, message_id: str, token: str) -> None:
    sandbox.faults(ids={message_id: {"kind": "answer", "text": f'{{"id": "{message_id}",   "b":1}}'}})
    assert messages.extract(Call(client, token), message_id).body == f'{{"id": "{message_id}",   "b":1}}'.encode()


def test_the_limits_of_every_answer_are_heard(
    client: Client, sandbox: RunningSandbox, message_id: str, token: str
) -> None:
    sandbox.limits(limit=25, interval=10, daily=10_000)
    call = Call(client, token)
    messages.extract(call, message_id)
    assert call.headers == RateHeaders(25, 10_000, 24, 10_000, 9_999)


class Answering:
    """Asks a server that answers as the test says, and returns the error."""

    def __init__(self) -> None:
        self.path = ""
        self._answer: tuple[int, str, dict[str, str]] = (200, "", {})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.path = self.path
                status, body, headers = outer._answer
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __call__(
        self, status: int, body: str, *, headers: dict[str, str] | None = None, message_id: str = "MSG1"
    ) -> ItemError:
        self._answer = (status, body, headers or {})
        url = f"http://127.0.0.1:{self._server.server_port}"
        with client_at(url) as client:
            return failure(client, message_id, "token")

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def answering() -> Iterator[Answering]:
    answering = Answering()
    yield answering
    answering.close()


def failure(client: Client, message_id: str, token: str) -> ItemError:
    with pytest.raises(ItemError) as caught:
        messages.extract(Call(client, token), message_id)
    return caught.value


def fault(sandbox: RunningSandbox, message_id: str, **fault: Any) -> None:
    sandbox.faults(ids={message_id: fault})


@pytest.mark.parametrize(
    ("broken", "error", "cause"),
    [
        ({"kind": "502"}, UnreachableError, "http_502"),
        ({"kind": "drop"}, UnreachableError, "no_answer"),
        ({"kind": "cut"}, UnreachableError, "no_answer"),
        ({"kind": "malformed"}, UnreachableError, "broken_json"),
        ({"kind": "html"}, RefusedError, "not_json"),
        ({"kind": "wrong_id"}, RefusedError, "wrong_id"),
        ({"kind": "deep"}, RefusedError, "too_deep"),
        ({"kind": "redirect"}, ApiMisconfiguredError, "redirected"),
        ({"kind": "404"}, NotFoundError, "not_found"),
        ({"kind": "429"}, RateLimitedError, "rate_limited"),
    ],
)
def test_every_outcome_is_one_error_that_says_what_next(
    client: Client, sandbox: RunningSandbox, message_id: str, token: str, broken: Any, error: type, cause: str
) -> None:
    fault(sandbox, message_id, **broken)
    raised = failure(client, message_id, token)
    assert (type(raised), raised.cause) == (error, cause)


def test_a_body_of_many_megabytes_is_refused_and_only_its_beginning_kept(
    client: Client, sandbox: RunningSandbox, message_id: str, token: str
) -> None:
    fault(sandbox, message_id, kind="huge", bytes=20_000_000)
    raised = failure(client, message_id, token)
    assert (type(raised), raised.cause, len(raised.payload or b"")) == (RefusedError, "too_large", KEPT_BODY)


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (401, "Invalid JWT", TokenError),
        (401, "Invalid Private Integration token", TokenError),
        (401, "Invalid token: access token is invalid", TokenError),
        (401, "Something nobody has seen yet", TokenError),
        (401, "Token not found or expired", TokenError),
        (401, "The token is not authorized for this scope.", LocationError),
        (401, "Token's user type mismatch!", LocationError),
        (401, "This authClass type is not allowed to access this scope. Please reach out", LocationError),
        (401, "version header was not found.", ApiMisconfiguredError),
        (401, "version header is invalid", ApiMisconfiguredError),
        (400, "Invalid API version segment 'x' at position 0", ApiMisconfiguredError),
        (404, "Cannot GET /conversations/messages/x", ApiMisconfiguredError),
        (401, "No message found for the id: x passed in params", NotFoundError),
        (404, "Not Found", NotFoundError),
        (400, "Message not found", NotFoundError),
        (400, "Contact with id: CON1 not found", NotFoundError),
        (422, ["User with id USR1 not found"], NotFoundError),
        (404, "Message with id MSG1 not found", NotFoundError),
        (500, "Conversation with id temp not found", NotFoundError),
        (500, "Internal server error", UnreachableError),
        (502, "Message with id MSG1 not found", UnreachableError),
        (401, "Contact with id CON1 not found", TokenError),
        (403, "The token does not have access to this location.", ForeignError),
        (403, "No conversation provider found for this message", UnreachableError),
        (403, "Account suspended", UnreachableError),
        (402, "Payment required", UnreachableError),
        (400, "Location not found", RefusedError),
        (400, "We cannot get that for you", RefusedError),
        (400, "Bad Request", RefusedError),
        (422, ["id must be a string"], RefusedError),
    ],
)
def test_refusals_are_distinguished_by_their_text(answering: Answering, status: int, said: Any, error: type) -> None:
    assert type(answering(status, json.dumps({"statusCode": status, "message": said}))) is error


@pytest.mark.parametrize(
    "body", ['{"message": "Invalid JWT"}', '{"error": {"message": "Invalid JWT"}}', '{"message": ["Invalid JWT"]}']
)
def test_the_reason_is_read_wherever_it_stands(answering: Answering, body: str) -> None:
    assert answering(401, body).detail == "the API answered 401: Invalid JWT"


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422])
def test_a_gateways_page_is_about_no_id(answering: Answering, status: int) -> None:
    assert isinstance(answering(status, "<html>no</html>"), UnreachableError)


@pytest.mark.parametrize("said", ["bad \u0000 word", "bad \ud800 word"])
def test_a_reason_holds_only_what_can_be_stored_and_shown(answering: Answering, said: str) -> None:
    assert answering(401, json.dumps({"message": said})).detail == "the API answered 401: bad  word"


@pytest.mark.parametrize("location", ["http://[x", "/x\xff", "//", "http://127.0.0.2:9/"])
def test_a_redirect_to_nowhere_is_an_item_error(answering: Answering, location: str) -> None:
    error = answering(302, "", headers={"Location": location})
    assert isinstance(error, (ApiMisconfiguredError, UnreachableError))


@pytest.mark.parametrize("media_type", ["application/JSON", "text/plain", ""])
def test_json_is_json_whatever_it_is_called(answering: Answering, media_type: str) -> None:
    assert answering(200, '{"id": "another"}', headers={"Content-Type": media_type}).cause == "wrong_id"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422, 500, 503])
def test_every_refusal_keeps_what_was_received(answering: Answering, status: int) -> None:
    assert answering(status, '{"message": "no, token"}').payload == b'{"message": "no, [secret]"}'


def test_a_page_that_repeats_the_token_is_kept_without_it(answering: Answering) -> None:
    assert answering(200, "<p>token</p>").payload == b"<p>[secret]</p>"


def test_a_good_answer_is_taken_as_it_is_even_where_it_holds_the_tokens_letters(
    client: Client, sandbox: RunningSandbox, message_id: str, token: str
) -> None:
    sandbox.faults(ids={message_id: {"kind": "answer", "payload": {"id": message_id, "body": f"my token is {token}"}}})
    assert messages.extract(Call(client, token), message_id).payload["body"] == f"my token is {token}"


def test_an_answer_about_another_message_is_kept_without_the_token(answering: Answering) -> None:
    assert answering(200, '{"id": "another", "body": "token"}').payload == b'{"id": "another", "body": "[secret]"}'


def test_an_error_never_repeats_the_token(client: Client, sandbox: RunningSandbox, message_id: str, token: str) -> None:
    fault(sandbox, message_id, kind="401", text=f"Invalid JWT {token}")
    assert token not in str(failure(client, message_id, token))


@pytest.mark.parametrize("odd", ["a/../../oauth?x#y", "..", "", "a\n"])
def test_an_odd_id_is_no_part_of_an_address(answering: Answering, odd: str) -> None:
    assert (answering(404, "{}", message_id=odd).cause, answering.path) == ("bad_id", "")


def test_an_id_stays_one_segment_of_the_path(answering: Answering) -> None:
    answering(404, "{}", message_id="a:b@c=d+e")
    assert answering.path == "/conversations/messages/a%3Ab%40c%3Dd%2Be"


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), ("nan", None), ("-3", 0.0), (None, None)])
def test_retry_after_is_heard_when_it_is_a_number(answering: Answering, header: str | None, seconds: float) -> None:
    error = answering(429, "{}", headers={"Retry-After": header} if header else {})
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "body", ["", " ", "null", "{}", '{"traceId": "T"}', '{"message": null}', '{"message": {}, "traceId": "T"}']
)
def test_an_answer_with_nothing_in_it_says_that_the_message_is_not_there_yet(answering: Answering, body: str) -> None:
    error = answering(200, body)
    assert (type(error), error.cause, error.payload) == (NotFoundError, "not_found", body.encode())


@pytest.mark.parametrize("body", ["[]", '"x"', '{"message": []}', "{" * 100_000])
def test_an_answer_without_a_message_object_is_an_item_error(answering: Answering, body: str) -> None:
    assert isinstance(answering(200, body), (RefusedError, UnreachableError))


@pytest.mark.parametrize("body", ['{"id": NaN}', '{"id": 1' + "0" * 5000 + "}"])
def test_numbers_that_json_does_not_have_are_broken_json(answering: Answering, body: str) -> None:
    assert answering(200, body).cause == "broken_json"


def test_a_token_that_no_header_can_carry_is_the_tokens_fault(client: Client) -> None:
    assert isinstance(failure(client, "MSG1", "é€"), TokenError)


def test_a_server_that_is_not_there_is_unreachable(token: str) -> None:
    with client_at("http://127.0.0.1:9") as client:
        assert isinstance(failure(client, "MSG1", token), UnreachableError)


def test_an_answer_has_no_repr_of_its_content() -> None:
    assert "secret" not in repr(Answer({"body": "secret"}, b"secret"))


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "٣", "9" * 30, "0", "10001", "999999999"])
def test_a_limit_header_that_is_no_sane_number_says_nothing(value: str) -> None:
    assert RateHeaders.from_headers({"X-RateLimit-Max": value}) == RateHeaders()


@pytest.mark.parametrize("value", ["0", "1", "99", "60001", "999999999"])
def test_an_interval_that_cannot_be_meant_says_nothing(value: str) -> None:
    assert RateHeaders.from_headers({"X-RateLimit-Interval-Milliseconds": value}) == RateHeaders()


@pytest.mark.parametrize(("max_requests", "interval_ms"), [(1, 100), (25, 10_000), (10_000, 60_000)])
def test_limits_that_can_be_meant_are_heard(max_requests: int, interval_ms: int) -> None:
    headers = {"X-RateLimit-Max": str(max_requests), "X-RateLimit-Interval-Milliseconds": str(interval_ms)}
    assert RateHeaders.from_headers(headers) == RateHeaders(max_requests, interval_ms)
