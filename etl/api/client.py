"""The HighLevel API: the one place that turns an HTTP outcome into a payload or an error. Endpoints: :mod:`etl.kinds`.

Sends each request once: the queue decides what happens next.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import quote

from etl.api import refusals
from etl.api.rate_headers import NO_HEADERS, RateHeaders
from etl.api.transport import Bounds, LostRequestError, NoAnswerError, Response, Stream, Transport
from etl.errors import ItemError, NotFoundError, RefusedError, SnoozedError, TokenError, UnreachableError
from etl.ids import problem_of

BOUNDS = Bounds(total_seconds=60.0, max_bytes=8 * 1024 * 1024)
"""A message is a few KiB; an email with inline images may be some MiB."""
AUDIO_BOUNDS = Bounds(total_seconds=900.0, max_bytes=1024 * 1024 * 1024)
"""The audio of a call is 10 to 50 MB (HighLevel docs, "Get recording by message id"; public codebases)."""
AUDIO_HEADERS = {"Accept": "audio/*, */*;q=0.5", "Accept-Encoding": "identity"}
"""Compressed audio is no smaller, and its answer has no Content-Length."""
KEPT_BODY = 1024 * 1024
"""Most bytes of an answer that a dead letter keeps."""
MAX_DEPTH = 100
"""Deepest nesting of an answer's JSON that is read; the deepest one seen has 5 levels."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A payload as received. Without a repr: it holds customers' words."""

    payload: Any
    body: bytes = b""
    """Without the token, if the server repeated that."""

    def kept(self) -> bytes:
        """Return the part of this answer that a dead letter keeps."""
        return self.body[:KEPT_BODY]

    def unwrapped(self, *names: str) -> "Answer":
        """Return the object under the first of these names that exists, else the answer itself: both shapes occur.

        Raises:
            NotFoundError: the answer is empty: the thing does not exist, or not yet.
            RefusedError: the answer holds no object.
        """
        answer = self.payload
        inner = next((answer[name] for name in names if name in answer), answer) if isinstance(answer, dict) else answer
        if inner is None or (isinstance(inner, dict) and not inner.keys() - {"traceId"}):
            raise NotFoundError("not_found", "the answer is empty", payload=self.kept())
        if not isinstance(inner, dict):
            raise RefusedError("not_an_object", f"the answer holds no {names[0]} object", payload=self.kept())
        return replace(self, payload=inner)

    def about(self, id_: str) -> "Answer":
        """Return this answer unchanged.

        Raises:
            RefusedError: the answer is about another id.
        """
        if self.payload.get("id") != id_:
            raise RefusedError("wrong_id", "the answer is about another id than was asked for", payload=self.kept())
        return self


@dataclass(frozen=True, slots=True)
class Client:
    """The HighLevel API; safe to share between threads. Each request is part of a :class:`Call`."""

    transport: Transport
    api_version: str


class Call:
    """The requests that an item may make: sends them with its token, and remembers what the answers say about limits.

    Attributes:
        sent: how many requests were sent; never more than were granted.
        statuses: the statuses of the answers that came.
        headers: the limits that the last answer stated, whatever its status.
    """

    def __init__(
        self, client: Client, token: str, *, granted: int = 1, now: Callable[[], datetime] | None = None
    ) -> None:
        """Grant so many requests; ``now`` returns the time by Postgres."""
        self._client = client
        self.now = now or (lambda: datetime.now(UTC))  # noqa: TID251 - for callers that compare no times
        self._token = token
        self._granted = granted
        self.sent = 0
        self.statuses: list[int] = []
        self.headers = NO_HEADERS

    @property
    def left(self) -> int:
        """How many requests may still be sent."""
        return self._granted - self.sent

    def get(self, path: str, **params: str | int) -> Answer:
        """GET a path whose answer is JSON; the parts of it that are ids are quoted with :func:`segment`.

        Raises:
            ItemError: a subclass that says what to do; nothing else.
        """
        with self._open(path, params, BOUNDS) as stream:
            response = stream.read(BOUNDS.max_bytes)
        try:
            return Answer(_parse(response), self._redacted(response.body))
        except ItemError as error:
            error.payload = self.kept(response.body)
            raise

    def open_audio(self, path: str, **params: str | int) -> AbstractContextManager[Stream]:
        """GET a path whose answer is audio, possibly redirected to another host. The caller may leave it unread.

        Raises:
            ItemError: a subclass that says what to do, also when the stream breaks off while it is read.
        """
        return self._open(path, params, AUDIO_BOUNDS, AUDIO_HEADERS, follows=True)

    def kept(self, body: bytes) -> bytes:
        """Return the part of a body that a dead letter keeps."""
        return self._redacted(body)[:KEPT_BODY]

    def _redacted(self, body: bytes) -> bytes:
        return body.replace(self._token.encode(), b"[secret]")

    @contextmanager
    def _open(
        self,
        path: str,
        params: Mapping[str, str | int],
        bounds: Bounds,
        own: Mapping[str, str] = {},
        *,
        follows: bool = False,
    ) -> Iterator[Stream]:
        if not self._token.isascii() or not self._token.isprintable():
            raise TokenError("token_refused", "the token has characters that no HTTP header can carry")
        if self.sent == self._granted:
            raise RuntimeError("a kind asks more often than its number of requests says")
        self.sent += 1
        headers = {"Authorization": f"Bearer {self._token}", "Version": self._client.api_version, **own}
        transport = self._client.transport
        try:
            with transport.open("GET", path, headers=headers, bounds=bounds, params=params) as stream:
                # Now, because the rest of the answer may never come.
                self.headers = RateHeaders.from_headers(stream.headers)
                self.statuses.append(stream.status)
                if stream.status == 200:
                    yield stream
                    return
                refused = stream.read(BOUNDS.max_bytes)
                if not (follows and stream.is_elsewhere):
                    error = refusals.error_of(refused, self._token)
                    error.payload = self.kept(refused.body)
                    raise error
            with transport.follow(stream, headers=own, bounds=bounds) as found:
                yield found
        except NoAnswerError as error:
            # A request that was lost counts as sent; only a new claim grants another.
            kind = SnoozedError if isinstance(error, LostRequestError) else UnreachableError
            raise kind("no_answer", f"no complete answer ({error.reason})") from error


def segment(id_: str) -> str:
    """Return an id as one segment of the path of a URL or file.

    Raises:
        RefusedError: the id would leave that path, or is no id.
    """
    problem = problem_of(id_)
    if problem is not None:
        raise RefusedError("bad_id", problem)
    return quote(id_, safe="")


def _parse(response: Response) -> Any:
    """Return an answer's JSON; None when it is empty.

    A body that begins like JSON and does not parse was cut off on its way, so the item is retried.
    """
    body = response.body
    if not response.is_whole:
        raise RefusedError("too_large", f"the answer is larger than {BOUNDS.max_bytes} bytes")
    if not body.strip():
        return None
    try:
        parsed = DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
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


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""One for all answers: ``json.loads`` with ``parse_constant`` makes one for each."""
