"""The HighLevel API: one method an endpoint, and one place that turns an HTTP outcome into a payload or an error.

Sends each request once. It never retries, sleeps or follows a redirect: the queue decides what happens next.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connectionpool import ConnectionPool

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
from etl.extract.throttle import RateHeaders

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
"""Seconds without a byte."""
TOTAL_TIMEOUT = 60.0
"""Seconds for one answer, however steadily its bytes drip."""

MAX_BODY = 8 * 1024 * 1024
"""Bytes of one unpacked answer. A message is a few KiB; an email with inline images may be some MiB."""
KEPT_BODY = 1024 * 1024
"""Bytes of an answer that a dead letter keeps."""
MAX_DEPTH = 100
"""Nesting of an answer's JSON; the deepest one seen has 5 levels."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A payload as received. Without a repr of its content: it holds customers' words."""

    payload: dict[str, Any]
    body: bytes


class Client:
    """Fetches from one HighLevel host; safe to share between threads.

    ``heard`` is called with the limits each answer states, whatever its status, as soon as its head is there.
    """

    def __init__(self, *, base_url: str, api_version: str, pool_size: int, user_agent: str) -> None:
        self._base_url = base_url.rstrip("/")
        # Proxies and certificate bundles are read from the environment once, not for each request; and neither
        # ~/.netrc nor a cookie is ever sent.
        settings = requests.Session().merge_environment_settings(self._base_url, {}, None, None, None)
        self._proxies = settings["proxies"]
        self._verify = True if settings["verify"] is None else settings["verify"]
        # The default pool of 10 connections throttles more threads than that.
        self._adapter = _OneHost(pool_connections=1, pool_maxsize=pool_size, max_retries=0)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Connection": "keep-alive",
            "User-Agent": user_agent,
            "Version": api_version,
        }

    def close(self) -> None:
        """Close the pooled connections."""
        self._adapter.close()

    def get_message(
        self, message_id: str, *, token: str, heard: Callable[[RateHeaders], None] = lambda _: None
    ) -> Answer:
        """GET /conversations/messages/{id}: the message, unwrapped.

        Documented flat, answered as ``{"message": {…}, "traceId": …}``: GoHighLevel/highlevel-api-docs issue 258.

        Raises:
            ItemError: a subclass that says what to do; nothing else.
        """
        body = self._get(f"/conversations/messages/{quote(message_id, safe='')}", token=token, heard=heard)
        answer = _parse(body)
        payload = answer.get("message", answer) if isinstance(answer, dict) else answer
        if not isinstance(payload, dict):
            raise RefusedError("not_an_object", "the answer holds no message object", payload=body)
        if payload.get("id") != message_id:
            raise RefusedError("wrong_id", "the answer is about another message than was asked for", payload=body)
        return Answer(payload, body)

    def _get(self, path: str, *, token: str, heard: Callable[[RateHeaders], None]) -> bytes:
        if not token.isascii() or not token.isprintable():
            raise TokenError("token_refused", "the token has characters that no HTTP header can carry")
        started = time.monotonic()
        try:
            with self._adapter.send(
                self._prepare(self._base_url + path, token),
                stream=True,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                verify=self._verify,
                proxies=self._proxies,
            ) as response:
                heard(RateHeaders.from_headers(response.headers))
                body, whole = _read(response, deadline=started + TOTAL_TIMEOUT)
        except (requests.RequestException, ValueError) as error:
            # Their texts hold the URL at most; the class alone says enough. requests lets a bare ValueError through
            # when a redirect that it does not even follow names an impossible host.
            raise UnreachableError("no_answer", f"no complete answer ({type(error).__name__})") from error
        # A server that repeats the token in its answer must carry it neither into a log nor into a dead letter.
        body = body.replace(token.encode(), b"[token]")
        if response.status_code != 200:
            _raise_for_status(response, body)
        if not whole:
            raise RefusedError("too_large", f"the answer is larger than {MAX_BODY} bytes", payload=body[:KEPT_BODY])
        return body

    def _prepare(self, url: str, token: str) -> requests.PreparedRequest:
        request = requests.PreparedRequest()
        request.method = "GET"
        request.url = url
        request.headers = CaseInsensitiveDict(self._headers | {"Authorization": f"Bearer {token}"})
        request.body = None
        return request


class _OneHost(HTTPAdapter):
    """requests' own transport without the layers of a session, which cost more than the request itself.

    Sending through a session merges settings, prepares cookies and looks up the pool anew for every request. There is
    one host here, nothing to merge, and no cookie to keep.
    """

    _pool: ConnectionPool | None = None

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,  # noqa: FBT001 - requests' signature
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> ConnectionPool:
        """The host's pool, looked up once."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        return self._pool


def _read(response: requests.Response, *, deadline: float) -> tuple[bytes, bool]:
    """The unpacked body, and whether that was all of it."""
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_content(64 * 1024):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            return b"".join(chunks), False
        if time.monotonic() > deadline:
            raise requests.ReadTimeout
    return b"".join(chunks), True


def _not_json(body: bytes) -> RefusedError:
    return RefusedError("not_json", "the answer has status 200 but is not JSON", payload=body[:KEPT_BODY])


def _parse(body: bytes) -> Any:
    """The body as JSON.

    A body that begins like JSON and does not parse was cut off on its way, so it is worth another try.
    """
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep(body) from None
    except (ValueError, UnicodeDecodeError):
        if not body.lstrip().startswith((b"{", b"[")):
            raise _not_json(body) from None
        raise UnreachableError("broken_json", "the answer is broken JSON", payload=body[:KEPT_BODY]) from None
    if _deeper_than(parsed, MAX_DEPTH):
        raise _too_deep(body)
    return parsed


def _too_deep(body: bytes) -> RefusedError:
    return RefusedError("too_deep", f"the answer is nested deeper than {MAX_DEPTH} levels", payload=body[:KEPT_BODY])


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


def _raise_for_status(response: requests.Response, body: bytes) -> NoReturn:
    """Raise the one error that says what happens next.

    A 401 covers at least five faults, so its text decides, and a text nobody has seen never buries an item:
    HighLevel docs, common schemas; docs issues 213 and 258; public probes of 2026-08.
    """
    status = response.status_code
    if status == 429:
        raise RateLimitedError("HTTP 429", retry_after=_retry_after(response.headers.get("Retry-After")))
    if status >= 500 or status in (408, 425):
        raise UnreachableError(f"http_{status}", f"the API answered {status}", payload=body[:KEPT_BODY])
    if 300 <= status < 400:
        host = _host_of(response.headers.get("Location", ""))
        raise ApiMisconfiguredError(
            "redirected", f"the API redirects to {host or 'another path'}; check HIGHLEVEL_BASE_URL"
        )
    raise _client_error(status, _message_of(body), body[:KEPT_BODY])


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


def _message_of(body: bytes) -> str | None:
    """What an error answer says: ``message`` as text or list, or nested in ``error``; cut to one short line.

    None when it is not the API's JSON, but some proxy's page.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    error, said = answer.get("error"), answer.get("message")
    if said is None and isinstance(error, dict):
        said = error.get("message")
    said = said or error or "no reason given"
    if isinstance(said, list):
        said = "; ".join(str(each) for each in said)
    line = " ".join(str(said).split())[:200]
    return "".join(character for character in line if character.isprintable())


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; undocumented by HighLevel, and no date was ever seen in it."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None  # noqa: PLR0124 - NaN is not itself
