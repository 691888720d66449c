"""The one way to HighLevel's host: sends each request once, reads its answer within bounds, and tells why it failed.

It never retries or sleeps. Secrets that were sent never stand in what it says.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.util import Timeout

from etl.api.connections import Adapter, DiedIdleError

CONNECT_TIMEOUT = 5.0
"""Seconds to connect, for each address that the host's name has."""
MAX_HOPS = 5
"""Redirects that are followed for one answer."""

IN_WORDS = {
    "NameResolutionError": "the name of the host is not known",
    "NewConnectionError": "nobody listens at that address",
    "ConnectTimeoutError": "the host does not answer",
    "SSLError": "TLS fails: the certificate is not valid, or the port speaks plain HTTP",
    "ReadTimeoutError": "it took too long",
    "ReadTimeout": "it took too long",
}
"""What requests and urllib3 call the reasons why there was no answer."""


class NoAnswerError(Exception):
    """There was no complete answer; ``reason`` is the kind of failure, without any of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LostRequestError(NoAnswerError):
    """There was none for a reason that says nothing about HighLevel, nor about what was asked for: ask again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may cost."""

    total_seconds: float
    """Seconds for the whole answer, its headers too, however steadily its bytes drip."""
    max_bytes: int
    """Bytes of the unpacked body."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of whatever status. Its body holds customers' words or secrets, so it is not in the repr."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    is_whole: bool
    """False when the body was larger than its bound and was cut there."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is still on its way, and is never held whole here."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes] = field(repr=False)
    """The unpacked body. Raises NoAnswerError when it breaks off."""
    url: str = field(repr=False)
    """What was asked for. A redirect's address may hold a signature, so it is a secret."""

    @property
    def target(self) -> str | None:
        """The URL that it redirects to; None when it is no redirect."""
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
        """Keep up to ``pool_size`` connections: requests' default of 10 throttles more threads than that."""
        self._base_url = base_url.rstrip("/")
        # Proxies and certificate bundles are read from the environment once, not for each request.
        self._environment = _environment(self._base_url)
        self._adapter = Adapter(pool_connections=4, pool_maxsize=pool_size, max_retries=0)
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": user_agent}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._adapter.close()

    def send(self, method: str, path: str, *, bounds: Bounds, **request: Any) -> Response:
        """Send one request as :meth:`open` does, and read its answer.

        Raises:
            NoAnswerError: there was no complete answer.
        """
        with self.open(method, path, bounds=bounds, **request) as stream:
            return stream.read(bounds.max_bytes)

    def open(
        self, method: str, path: str, *, bounds: Bounds, headers: Mapping[str, str] = {}, **content: Any
    ) -> AbstractContextManager[Stream]:
        """Send one request and leave the answer's body to the caller; what it does not read is not sent.

        ``content`` is ``params``, ``data`` or ``json``, as requests takes them.

        Raises:
            NoAnswerError: there was no answer.
        """
        return self._open(method, self._base_url + path, self._environment, bounds, headers, content)

    @contextmanager
    def follow(self, redirect: Stream, *, bounds: Bounds, headers: Mapping[str, str] = {}) -> Iterator[Stream]:
        """Open what an answer redirects to, with only these headers: the token is for HighLevel alone.

        HighLevel names the host, so it is trusted with the request; over HTTPS, unless HighLevel was not asked so.

        Raises:
            NoAnswerError: there was no answer of status 200.
        """
        deadline = time.monotonic() + bounds.total_seconds
        for _ in range(MAX_HOPS):
            target = redirect.target or ""
            if urlsplit(target).scheme not in ("https", urlsplit(redirect.url).scheme):
                raise NoAnswerError("it was redirected from https to something else")
            left = replace(bounds, total_seconds=deadline - time.monotonic())
            with self._open("GET", target, _environment(target), left, headers, {}) as stream:
                if stream.status == 200:
                    yield stream
                    return
                if stream.target is None:
                    host = urlsplit(target).hostname
                    raise NoAnswerError(f"it was redirected to {host}, which answered {stream.status}")
                redirect = stream
        raise NoAnswerError("it was redirected too often")

    def end_within(self, seconds: float) -> None:
        """End every GET, also those that come, within so many seconds from now.

        Anything else goes on: the answer to a POST may hold a token that comes only once.
        """
        self._adapter.latest = min(self._adapter.latest, time.monotonic() + seconds)

    @contextmanager
    def _open(
        self,
        method: str,
        url: str,
        environment: Mapping[str, Any],
        bounds: Bounds,
        headers: Mapping[str, str],
        content: Mapping[str, Any],
    ) -> Iterator[Stream]:
        try:
            request = requests.PreparedRequest()
            request.prepare(method, url, {**self._headers, **headers}, **content)
            timeout = Timeout(connect=CONNECT_TIMEOUT, total=bounds.total_seconds)
            response = self._adapter.send(request, stream=True, timeout=timeout, **environment)  # type: ignore[arg-type] # requests takes it, its stubs do not
        except DiedIdleError:
            # What broke this connection broke the other idle ones as well.
            self._adapter.close()
            raise LostRequestError("a connection had died while it was idle") from None
        except (requests.RequestException, ValueError) as error:
            raise self._no_answer(method, error) from None
        with response:
            yield Stream(response.status_code, response.headers, self._chunks(method, response), url)

    def _chunks(self, method: str, response: requests.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_content(64 * 1024)
        except (requests.RequestException, ValueError) as error:
            raise self._no_answer(method, error) from None

    def _no_answer(self, method: str, error: Exception) -> NoAnswerError:
        """Return the error without its text and its chain, which may hold the request.

        requests lets a bare ValueError through when an answer names an impossible host.
        """
        if method == "GET" and time.monotonic() >= self._adapter.latest:
            return LostRequestError("it was not awaited any longer")
        return NoAnswerError(_kind_of(error))


def _environment(url: str) -> dict[str, Any]:
    """Proxies and certificates as the environment says; neither ~/.netrc nor a cookie is ever sent."""
    found = requests.Session().merge_environment_settings(url, {}, None, None, None)
    return {"proxies": found["proxies"], "verify": True if found["verify"] is None else found["verify"]}


def _kind_of(error: Exception) -> str:
    """Return what failed, in words where a person can act on it: requests calls most of it ConnectionError."""
    first = error.args[0] if error.args else None
    cause = getattr(first, "reason", None) or error
    return IN_WORDS.get(type(cause).__name__) or IN_WORDS.get(type(first).__name__) or type(error).__name__


def redacted(body: bytes, secrets: Sequence[str]) -> bytes:
    """Return a body fit for a dead letter: with none of the secrets that were sent."""
    for secret in secrets:
        body = body.replace(secret.encode(), b"[secret]")
    return body


def reason_of(body: bytes, secrets: Sequence[str]) -> str | None:
    """Return what an error answer says, on one short line without the secrets; None when it is not the API's JSON.

    ``message`` is a text or a list, or nested in ``error``; the token endpoint says ``error_description`` (HighLevel
    docs, common schemas and apps/oauth.json).
    """
    try:
        answer = json.loads(body)
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
