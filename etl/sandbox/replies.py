"""Answers to a request: data, or the reason why there is none. Performs no I/O."""

import gzip
import json
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

Headers = list[tuple[bytes, bytes]]

JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"
TRACE = "00000000-0000-4000-8000-000000000000"
_GZIP_FROM = 1024
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def encode(payload: object) -> bytes:
    """JSON as a Node.js server writes it: no spaces, text unescaped."""
    return _ENCODER.encode(payload).encode()


@dataclass(slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)

    def all_headers(self) -> Headers:
        """Return the headers to send, length and type included."""
        length = (b"content-length", b"%d" % len(self.body))
        return [(b"content-type", self.content_type), length, *self.headers]

    def compress(self) -> None:
        """Use gzip if the body is worth it; the fastest level, for the server must not become the bottleneck."""
        if len(self.body) > _GZIP_FROM and self.content_type == JSON:
            self.body = gzip.compress(self.body, compresslevel=1, mtime=0)
            self.headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]


class RefusedError(Exception):
    """A request is refused: with this status, and ``answer`` as JSON.

    Without an ``answer`` it has the form of the documented errors (HighLevel docs, common schemas). That of a 429
    is not documented.
    """

    def __init__(self, status: int, message: str | list[str], answer: dict[str, Any] | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.answer: dict[str, Any] = answer or {
            "statusCode": status,
            "message": message,
            "error": responses.get(status, ""),
        }

    def reply(self) -> Reply:
        """Return the answer that says so."""
        return Reply(self.status, encode(self.answer | {"traceId": TRACE}))
