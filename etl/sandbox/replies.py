"""Turns a decision about one request into the bytes that answer it. Performs no I/O and reads no clock."""

import gzip
from dataclasses import dataclass, field
from typing import Literal

from etl.sandbox.dataset import encode
from etl.sandbox.faults import Fault
from etl.sandbox.limits import Headers
from etl.sandbox.oauth import RefusedError

JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"
GZIP_FROM = 1024
NO_ACCESS = "The token does not have access to this location."

_LOGIN = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>"
_GATEWAY = b"<html><head><title>%d</title></head><body><center><h1>%d Error</h1></center></body></html>"


@dataclass(slots=True)
class Reply:
    """One answer; ``ending`` says whether all of it, half of it or nothing reaches the client."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)
    ending: Literal["whole", "cut", "drop"] = "whole"
    is_held: bool = False

    def all_headers(self) -> Headers:
        """The headers to send, length and type included."""
        length = (b"content-length", b"%d" % len(self.body))
        return [(b"content-type", self.content_type), length, *self.headers]

    def compress(self) -> None:
        """Use gzip if the body is worth it; the fastest level, for the server must not become the bottleneck."""
        if len(self.body) > GZIP_FROM:
            self.body = gzip.compress(self.body, compresslevel=1, mtime=0)
            self.headers = [*self.headers, (b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]


def refuse(status: int, message: str, *, error: str | None = None) -> Reply:
    """A JSON error in HighLevel's documented form."""
    answer: dict[str, object] = {"statusCode": status, "message": message}
    if error is not None:
        answer["error"] = error
    return Reply(status, encode(answer | {"traceId": "00000000-0000-4000-8000-000000000000"}))


def refused(error: RefusedError) -> Reply:
    """The answer a refusal carries."""
    return Reply(error.status, encode(error.answer | {"traceId": "00000000-0000-4000-8000-000000000000"}))


def too_many() -> Reply:
    """429. Its body is not documented; this is the form of the other errors."""
    return refuse(429, "Too Many Requests")


def spoil(reply: Reply, fault: Fault, *, message_id: str, other_id: str, status: int) -> Reply:
    """The reply after a fault; ``other_id`` is some other message, ``status`` the one a ``5xx`` shall have."""
    match fault.kind:
        case "drop" | "cut":
            reply.ending = fault.kind
        case "hold":
            reply.is_held = True
        case "malformed":
            reply.body = reply.body[: max(1, len(reply.body) * 2 // 3)]
        case "wrong_id":
            reply.body = reply.body.replace(message_id.encode(), other_id.encode())
        case "huge":
            start = b'{"message":{"id":"%s","body":"' % message_id.encode()
            reply.body = start + b"x" * max(0, fault.bytes - len(start) - 3) + b'"}}'
        case "deep":
            nest = b"[" * fault.depth + b"]" * fault.depth
            reply.body = b'{"message":{"id":"%s","nest":%s}}' % (message_id.encode(), nest)
        case _:
            return _instead(reply, fault, status)
    return reply


def _instead(reply: Reply, fault: Fault, status: int) -> Reply:
    match fault.kind:
        case "5xx":
            return _server_error(status)
        case "html":
            return Reply(200, _LOGIN, HTML)
        case "redirect":
            return Reply(302, b"", HTML, [(b"location", fault.location.encode())])
        case "429":
            refusal = too_many()
        case "401":
            refusal = refuse(401, fault.text or "Invalid JWT", error="Unauthorized")
        case "403":
            refusal = refuse(403, fault.text or NO_ACCESS, error="Forbidden")
        case _:
            refusal = refuse(fault.status, fault.text or "As configured")
    refusal.headers = reply.headers
    return refusal


def _server_error(status: int) -> Reply:
    """A 500 comes from the application as JSON; the others from the gateway before it, as a page."""
    if status == 500:
        return refuse(500, "Internal server error")
    return Reply(status, _GATEWAY % (status, status), HTML)
