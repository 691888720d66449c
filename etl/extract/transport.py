"""The one way to HighLevel's host: sends each request once, reads its answer within bounds, and tells why it failed.

It never retries, sleeps or follows a redirect. Secrets that were sent never stand in what it says.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter

CONNECT_TIMEOUT = 5.0
"""Seconds to connect."""


IN_WORDS = {
    "NameResolutionError": "the name of the host is not known",
    "NewConnectionError": "nobody listens at that address",
    "ConnectTimeoutError": "the host does not answer",
    "SSLError": "TLS fails: the certificate is not valid, or the port speaks plain HTTP",
}
"""urllib3's reasons why there was no connection."""


class NoAnswerError(Exception):
    """There was no complete answer; ``reason`` is the kind of failure, without any of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may cost."""

    read_seconds: float
    """Seconds without a byte."""
    total_seconds: float
    """Seconds for the whole answer, however steadily its bytes drip."""
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

    def read(self, max_bytes: int) -> Response:
        """The rest of the body, at most ``max_bytes`` and a chunk of it. Raises NoAnswerError when it breaks off."""
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
        # Proxies and certificate bundles are read from the environment once, not for each request; and neither
        # ~/.netrc nor a cookie is ever sent, as a session would do.
        settings = requests.Session().merge_environment_settings(self._base_url, {}, None, None, None)
        self._proxies = settings["proxies"]
        self._verify = True if settings["verify"] is None else settings["verify"]
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=pool_size, max_retries=0)
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

    @contextmanager
    def open(
        self, method: str, path: str, *, bounds: Bounds, headers: Mapping[str, str] = {}, **content: Any
    ) -> Iterator[Stream]:
        """Send one request and leave the answer's body to the caller; what it does not read is not sent.

        ``content`` is ``params``, ``data`` or ``json``, as requests takes them.

        Raises:
            NoAnswerError: there was no answer.
        """
        deadline = time.monotonic() + bounds.total_seconds
        try:
            request = requests.Request(
                method, self._base_url + path, headers={**self._headers, **headers}, **content
            ).prepare()
            response = self._adapter.send(
                request,
                stream=True,
                timeout=(CONNECT_TIMEOUT, bounds.read_seconds),
                verify=self._verify,
                proxies=self._proxies,
            )
        except (requests.RequestException, ValueError) as error:
            # Its text and its chain may hold the request, so only its class is told. requests lets a bare ValueError
            # through when an answer names an impossible host.
            raise NoAnswerError(_kind_of(error)) from None
        with response:
            yield Stream(response.status_code, response.headers, _chunks(response, deadline=deadline))


def _chunks(response: requests.Response, *, deadline: float) -> Iterator[bytes]:
    try:
        for chunk in response.iter_content(64 * 1024):
            yield chunk
            if time.monotonic() > deadline:
                raise requests.ReadTimeout
    except (requests.RequestException, ValueError) as error:
        raise NoAnswerError(_kind_of(error)) from None


def _kind_of(error: Exception) -> str:
    """What failed, in words where a person can act on it: requests calls most of it ConnectionError."""
    cause = getattr(error.args[0] if error.args else None, "reason", None) or error
    return IN_WORDS.get(type(cause).__name__, type(error).__name__)


def redacted(body: bytes, secrets: Sequence[str]) -> bytes:
    """A body fit for a dead letter: with none of the secrets that were sent."""
    for secret in secrets:
        body = body.replace(secret.encode(), b"[secret]")
    return body


def reason_of(body: bytes, secrets: Sequence[str]) -> str | None:
    """What an error answer says, on one short line, with none of the secrets; None when it is not the API's JSON.

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
    said = answer.get("error_description") or answer.get("message")
    if not said:
        said = error.get("message") if isinstance(error, dict) else error
    if isinstance(said, list):
        said = "; ".join(str(each) for each in said)
    line = " ".join(str(said or "no reason given").split())
    for secret in secrets:
        line = line.replace(secret, "[secret]")
    return "".join(character for character in line[:200] if character.isprintable())
