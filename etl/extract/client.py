"""The HighLevel API: the one place that turns an HTTP outcome into a payload or an error. Endpoints: :mod:`etl.kinds`.

Sends each request once: the queue decides what happens next.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from etl.errors import (
    ApiMisconfiguredError,
    ItemError,
    LocationError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    TokenError,
    UnreachableError,
)
from etl.extract.allowance import RateHeaders
from etl.extract.transport import Bounds, NoAnswerError, Response, Transport, reason_of, redacted

BOUNDS = Bounds(read_seconds=30.0, total_seconds=60.0, max_bytes=8 * 1024 * 1024)
"""A message is a few KiB; an email with inline images may be some MiB."""
KEPT_BODY = 1024 * 1024
"""Bytes of an answer that a dead letter keeps."""
MAX_DEPTH = 100
"""Nesting of an answer's JSON; the deepest one seen has 5 levels."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A payload as received. Without a repr: it holds customers' words and the token."""

    payload: Any
    body: bytes
    token: str

    def kept(self) -> bytes:
        """What a dead letter keeps of it."""
        return kept(self.body, self.token)

    def unwrapped(self, *names: str) -> "Answer":
        """The object under the first of these names that is there, or the answer itself: both shapes are met.

        Raises:
            RefusedError: there is no object.
        """
        answer = self.payload
        inner = next((answer[name] for name in names if name in answer), answer) if isinstance(answer, dict) else answer
        if not isinstance(inner, dict):
            raise RefusedError("not_an_object", f"the answer holds no {names[0]} object", payload=self.kept())
        return replace(self, payload=inner)

    def about(self, id_: str) -> "Answer":
        """This answer.

        Raises:
            RefusedError: it is about something else than was asked for.
        """
        if self.payload.get("id") != id_:
            raise RefusedError("wrong_id", "the answer is about another id than was asked for", payload=self.kept())
        return self


class Client:
    """Reads from HighLevel; safe to share between threads."""

    def __init__(self, transport: Transport, *, api_version: str) -> None:
        self._transport = transport
        self._api_version = api_version

    def get(
        self,
        path: str,
        *,
        token: str,
        heard: Callable[[RateHeaders], None] = lambda _: None,
        params: Mapping[str, str | int] | None = None,
    ) -> Answer:
        """GET a path whose answer is JSON.

        ``heard`` is called with the limits the answer states, whatever its status, as soon as its head is there.

        Raises:
            ItemError: a subclass that says what to do; nothing else.
        """
        response = self._send(path, token=token, heard=heard, params=params)
        if not response.is_whole:
            raise RefusedError(
                "too_large", f"the answer is larger than {BOUNDS.max_bytes} bytes", payload=kept(response.body, token)
            )
        try:
            return Answer(_parse(response.body), response.body, token)
        except ItemError as error:
            error.payload = kept(response.body, token)
            raise

    def _send(
        self,
        path: str,
        *,
        token: str,
        heard: Callable[[RateHeaders], None],
        params: Mapping[str, str | int] | None,
    ) -> Response:
        if not token.isascii() or not token.isprintable():
            raise TokenError("token_refused", "the token has characters that no HTTP header can carry")
        try:
            response = self._transport.send(
                "GET",
                path,
                headers={"Authorization": f"Bearer {token}", "Version": self._api_version},
                bounds=BOUNDS,
                heard=lambda headers: heard(RateHeaders.from_headers(headers)),
                params=params,
            )
        except NoAnswerError as error:
            raise UnreachableError("no_answer", f"no complete answer ({error.reason})") from error
        if response.status != 200:
            _raise_for_status(response, token)
        return response


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One request that an item may make: the client, with the token to use and an ear for the limits."""

    client: Client
    token: str
    heard: Callable[[RateHeaders], None] = lambda _: None

    def get(self, path: str, **params: str | int) -> Answer:
        """GET a path; the parts of it that are ids are quoted with :func:`segment`.

        Raises:
            ItemError: see :meth:`Client.get`.
        """
        return self.client.get(path, token=self.token, heard=self.heard, params=params or None)


def segment(id_: str) -> str:
    """An id as one segment of a path."""
    return quote(id_, safe="")


def kept(body: bytes, token: str) -> bytes:
    """What a dead letter keeps of an answer: its beginning, without the token if the server repeated that."""
    return redacted(body, [token])[:KEPT_BODY]


def _parse(body: bytes) -> Any:
    """The body as JSON.

    A body that begins like JSON and does not parse was cut off on its way, so it is worth another try.
    """
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except (ValueError, UnicodeDecodeError):
        if not body.lstrip().startswith((b"{", b"[")):
            raise RefusedError("not_json", "the answer has status 200 but is not JSON") from None
        raise UnreachableError("broken_json", "the answer is broken JSON") from None
    if _deeper_than(parsed, MAX_DEPTH):
        raise _too_deep()
    return parsed


def _too_deep() -> RefusedError:
    return RefusedError("too_deep", f"the answer is nested deeper than {MAX_DEPTH} levels")


def _deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            child
            for parent in layer
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not layer:
            return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


LOCATION_WORDS = ("scope", "user type", "authclass", "access to this location", "location is not active")
MISCONFIGURED_WORDS = ("version header", "api version")


def _raise_for_status(response: Response, token: str) -> NoReturn:
    """Raise the one error that says what happens next.

    A 401 covers at least five faults, so its text decides, and a text nobody has seen never buries an item:
    HighLevel docs, common schemas; docs issues 213 and 258; public probes of 2026-08.
    """
    status, payload = response.status, kept(response.body, token)
    if status == 429:
        raise RateLimitedError("HTTP 429", retry_after=_retry_after(response.headers.get("Retry-After")))
    if status >= 500 or status in (408, 425):
        raise UnreachableError(f"http_{status}", f"the API answered {status}", payload=payload)
    if 300 <= status < 400:
        host = _host_of(response.headers.get("Location", ""))
        raise ApiMisconfiguredError(
            "redirected", f"the API redirects to {host or 'another path'}; check HIGHLEVEL_BASE_URL"
        )
    raise _client_error(status, reason_of(response.body, [token]), payload)


def _host_of(location: str) -> str | None:
    try:
        return urlsplit(location).hostname
    except ValueError:
        return None


def _client_error(status: int, said: str | None, payload: bytes) -> ItemError:
    """A 4xx, by its text.

    Only what is surely about this id buries it or marks it deleted. Everything else may be true of every request: it is
    retried, and eight in a row stop the run.
    """
    words = (said or "").lower()
    if any(known in words for known in MISCONFIGURED_WORDS) or (status == 404 and words.startswith("cannot get /")):
        return ApiMisconfiguredError("misconfigured", f"the API answered {status}: {said}")
    unknown = status in (404, 410) or "message not found" in words
    if "no message found" in words or (unknown and said is not None and status != 401):
        return NotFoundError("not_found", f"the API does not know this id (status {status})", payload=payload)
    if status in (401, 403) and any(known in words for known in LOCATION_WORDS):
        return LocationError("not_authorized", f"the API answered {status}: {said}")
    if status == 401:
        return TokenError("token_refused", f"the API answered 401: {said or 'no reason given'}")
    if status in (400, 422) and said is not None:
        return RefusedError(f"http_{status}", f"the API answered {status}", payload=payload)
    return UnreachableError(f"http_{status}", f"the API answered {status}", payload=payload)


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; undocumented by HighLevel, and no date was ever seen in it."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None  # noqa: PLR0124 - NaN is not itself
