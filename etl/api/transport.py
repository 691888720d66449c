"""Sends each request to HighLevel's host once, reads its answer within bounds, and says why it failed.

Never retries and never sleeps. Its errors never hold secrets that were sent.

Why: docs/decisions, "We use the adapter of requests without a session".
"""

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from json import dumps, loads
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit

from requests import RequestException
from urllib3.exceptions import HTTPError

from etl.api.answers import HttpAnswer
from etl.api.connections import Adapter, DiedIdleError

MAX_HOPS = 5
"""Most redirects that are followed for one answer."""

BROKE = "the connection broke"
IN_WORDS = {
    "NameResolutionError": "the name of the host is not known",
    "NewConnectionError": "nobody listens at that address",
    "ConnectTimeoutError": "the host does not answer",
    "SSLError": "TLS fails: the certificate is not valid, or the port speaks plain HTTP",
    "ReadTimeoutError": "it took too long",
    "TimeoutError": "it took too long",
    "ProtocolError": BROKE,
    zlib.error.__name__: "its body is not compressed as its headers say",
}
"""The reason for each error of a connection."""
FAILURES = (OSError, HTTPException, HTTPError, ValueError, zlib.error)
"""What sending a request and reading its answer raise; those of requests are OSErrors."""


class NoAnswerError(Exception):
    """No complete answer came; ``reason`` names the kind of failure and holds nothing of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LostRequestError(NoAnswerError):
    """The request was lost for a reason unrelated to HighLevel and to the item: send it again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one answer."""

    total_seconds: float
    """Seconds for the whole answer with its headers, however slowly its bytes come."""
    max_bytes: int
    """Bytes of the decompressed body."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of any status. Its repr leaves out the body, which holds customers' words or secrets."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    is_whole: bool
    """False when the body was larger than its bound and was cut there."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is read in chunks and never held whole."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes] = field(repr=False)
    """The decompressed body. Raises NoAnswerError when it breaks off."""
    url: str = field(repr=False)
    """The URL requested. A redirect's URL may hold a signature, so it is a secret."""

    @property
    def target(self) -> str | None:
        """Return the URL that it redirects to; None when it is no redirect."""
        location = self.headers.get("Location")
        if self.status not in (301, 302, 303, 307, 308) or not location:
            return None
        try:
            url = urljoin(self.url, location)
            return url if urlsplit(url).hostname else None
        except ValueError:
            return None

    @property
    def is_elsewhere(self) -> bool:
        """Whether it redirects to another host."""
        return self.target is not None and urlsplit(self.target).netloc != urlsplit(self.url).netloc

    def read(self, max_bytes: int) -> Response:
        """Read the rest of the body, at most ``max_bytes`` and a chunk. Raises NoAnswerError when it breaks off."""
        body = bytearray()
        for chunk in self.chunks:
            body += chunk
            if len(body) > max_bytes:
                return Response(self.status, self.headers, bytes(body), is_whole=False)
        return Response(self.status, self.headers, bytes(body), is_whole=True)


class Transport:
    """Pooled connections to one host; safe to share between threads. A context manager, which closes them."""

    def __init__(self, *, base_url: str, pool_size: int, user_agent: str) -> None:
        """Keep up to ``pool_size`` connections."""
        self._base_url = base_url.rstrip("/")
        self._adapter = Adapter(pool_size=pool_size)
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": user_agent}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._adapter.end()

    def send(self, method: str, path: str, *, bounds: Bounds, **request: Any) -> Response:
        """Send one request as :meth:`open` does, and read its answer.

        Raises:
            NoAnswerError: there was no complete answer.
        """
        with self.open(method, path, bounds=bounds, **request) as stream:
            return stream.read(bounds.max_bytes)

    @contextmanager
    def open(
        self,
        method: str,
        target: str,
        *,
        bounds: Bounds,
        headers: Mapping[str, str] = {},
        params: Mapping[str, str | int] = {},
        data: Mapping[str, str] | None = None,
        json: object = None,
    ) -> Iterator[Stream]:
        """Send one request and leave the answer's body to the caller; the rest of the body is not transferred.

        ``target`` is a path of HighLevel's host, or a URL of any; ``data`` is sent as a form.

        Raises:
            NoAnswerError: there was no answer.
        """
        url = self._base_url + target if target.startswith("/") else target
        sent, body = {**self._headers, **headers}, None
        if data is not None:
            sent["Content-Type"], body = "application/x-www-form-urlencoded", urlencode(data)
        elif json is not None:
            sent["Content-Type"], body = "application/json", dumps(json)
        if params:
            url += f"?{urlencode(params)}"
        try:
            response = self._adapter.ask(method, url, body=body, headers=sent, seconds=bounds.total_seconds)
        except DiedIdleError:
            # What broke this connection broke the other idle ones as well.
            self._adapter.close()
            raise LostRequestError("a connection had died while it was idle") from None
        except FAILURES as error:
            raise self._no_answer(method, error) from None
        try:
            yield Stream(response.status, response.headers, self._chunks(method, response), url)
        finally:
            response.close()

    @contextmanager
    def follow(self, redirect: Stream, *, bounds: Bounds, headers: Mapping[str, str] = {}) -> Iterator[Stream]:
        """Follow an answer's redirect with only these headers: the token is for HighLevel alone.

        HighLevel named the host, so it may receive the request; over HTTPS, unless the first request was plain HTTP.

        Raises:
            NoAnswerError: there was no answer of status 200.
        """
        deadline = time.monotonic() + bounds.total_seconds
        for _ in range(MAX_HOPS):
            target = redirect.target or ""
            if urlsplit(target).scheme not in ("https", urlsplit(redirect.url).scheme):
                raise NoAnswerError("it was redirected from https to something else")
            left = replace(bounds, total_seconds=deadline - time.monotonic())
            with self.open("GET", target, bounds=left, headers=headers) as stream:
                if stream.status == 200:
                    yield stream
                    return
                if stream.target is None:
                    host = urlsplit(target).hostname
                    raise NoAnswerError(f"it was redirected to {host}, which answered {stream.status}")
                redirect = stream
        raise NoAnswerError("it was redirected too often")

    def end_within(self, seconds: float) -> None:
        """End every GET, later ones too, within so many seconds from now.

        A POST goes on: its answer may hold a token that is issued only once.
        """
        self._adapter.latest = min(self._adapter.latest, time.monotonic() + seconds)

    def _chunks(self, method: str, response: HttpAnswer) -> Iterator[bytes]:
        try:
            yield from response.chunks()
        except FAILURES as error:
            raise self._no_answer(method, error) from None

    def _no_answer(self, method: str, error: Exception) -> NoAnswerError:
        """Return a NoAnswerError without the text and the chain of the cause, which may hold the request.

        A redirect to an impossible host raises a bare ValueError.
        """
        if method == "GET" and time.monotonic() >= self._adapter.latest:
            return LostRequestError("the run stopped waiting for it")
        name = type(error).__name__
        is_of_the_line = isinstance(error, (OSError, HTTPException)) and not isinstance(error, RequestException)
        return NoAnswerError(IN_WORDS.get(name, BROKE if is_of_the_line else name))


def reason_of(body: bytes, secrets: Sequence[str]) -> str | None:
    """Return the message of an error answer on one short line without secrets; None when it is not the API's JSON.

    ``message`` is a text or a list, or nested in ``error``; the token endpoint says ``error_description`` (HighLevel
    docs, common schemas and apps/oauth.json).
    """
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    message = answer.get("error_description") or answer.get("message")
    if not message:
        message = error.get("message") if isinstance(error, dict) else error
    if isinstance(message, list):
        message = "; ".join(str(each) for each in message)
    line = " ".join(str(message or "no reason given").split())
    for secret in secrets:
        line = line.replace(secret, "[secret]")
    return "".join(character for character in line[:200] if character.isprintable())
