"""Decides what goes wrong with a request: shares of all requests, or named ids. Performs no I/O and reads no clock.

A plan comes from JSON (``PUT /sandbox/faults``, ``etl sandbox --faults``); docs/sandbox.md tells what the kinds do::

    {"latency": 0.1,
     "shares": {"5xx": 0.02, "drop": 0.01},
     "ids": {"<id>": {"kind": "html", "times": 2}, "recording/<message id>": "cut"}}

A thing is named by its id; its recording, transcription or a location's export by ``recording/<id>``,
``transcription/<id>``, ``export/<id>``. A fault of a plain id is a fault of those too. ``times`` counts down; null
means always; ``after`` lets so many requests pass first.
"""

import gzip
from dataclasses import dataclass, field
from random import Random, choice
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PrivateAttr, model_validator

from etl.sandbox.dataset import encode
from etl.sandbox.limits import Headers

Kind = Literal[
    "429", "5xx", "401", "403", "drop", "cut", "malformed", "html", "wrong_id", "huge", "deep", "redirect", "hold",
    "status", "missing", "answer", "skip_rows", "repeat_rows",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"
TRACE = "00000000-0000-4000-8000-000000000000"
NO_ACCESS = "The token does not have access to this location."
# The body of a 429 is not documented; this is the form of the other errors.
_REFUSALS: dict[str, tuple[int, str, str | None]] = {
    "429": (429, "Too Many Requests", None),
    "401": (401, "Invalid JWT", "Unauthorized"),
    "403": (403, NO_ACCESS, "Forbidden"),
}
_GZIP_FROM = 1024
_LOGIN = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>"
_GATEWAY = b"<html><head><title>%d</title></head><body><center><h1>%d Error</h1></center></body></html>"


class Fault(BaseModel):
    """One thing that goes wrong, and its measures."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    times: int | None = None
    after: int = 0
    text: str | None = None
    payload: Any = None
    status: int = 418
    statuses: tuple[int, ...] = (500, 502, 503, 504)
    bytes: int = 20_000_000
    held_after: int = 0
    depth: int = 100_000

    @model_validator(mode="before")
    @classmethod
    def _of_kind(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    def happens(self) -> bool:
        """Whether it spoils the request that comes now; counts down."""
        if self.after:
            self.after -= 1
            return False
        if self.times:
            self.times -= 1
            return True
        return self.times is None


class FaultPlan(BaseModel):
    """Everything that shall go wrong. Choosing counts down, so a plan is used by one server only."""

    model_config = ConfigDict(extra="forbid")

    latency: NonNegativeFloat = 0.0
    shares: dict[Kind, Annotated[float, Field(ge=0, le=1)]] = {}
    ids: dict[str, Fault] = {}
    _random: Random = PrivateAttr(default_factory=lambda: Random(1))  # noqa: S311 - reproducible on purpose

    @model_validator(mode="after")
    def _shares_are_shares(self) -> Self:
        if sum(self.shares.values()) > 1:
            raise ValueError("the shares of what goes wrong add up to more than 1")
        return self

    def choose(self, name: str) -> Fault | None:
        """What goes wrong with this request; a fault of the name goes before those of all requests."""
        named = self.ids.get(name) or self.ids.get(name.rpartition("/")[2])
        if named is not None and named.happens():
            return named
        chance = self._random.random()
        for kind, share in self.shares.items():
            if chance < share:
                return Fault(kind=kind)
            chance -= share
        return None


@dataclass(slots=True)
class Reply:
    """One answer; ``ending`` says whether all of it, half of it or nothing reaches the client."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)
    ending: Literal["whole", "cut", "drop"] = "whole"
    is_held: bool = False
    held_after: int = 0
    """Bytes that are sent before the rest is held; 0: none is."""

    def all_headers(self) -> Headers:
        """The headers to send, length and type included."""
        length = (b"content-length", b"%d" % len(self.body))
        return [(b"content-type", self.content_type), length, *self.headers]

    def compress(self) -> None:
        """Use gzip if the body is worth it; the fastest level, for the server must not become the bottleneck."""
        if len(self.body) > _GZIP_FROM and self.content_type == JSON:
            self.body = gzip.compress(self.body, compresslevel=1, mtime=0)
            self.headers = [*self.headers, (b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]


def refuse(status: int, message: str | list[str], *, error: str | None = None) -> Reply:
    """A JSON error in HighLevel's documented form."""
    answer = {"statusCode": status, "message": message} | ({"error": error} if error else {})
    return Reply(status, encode(answer | {"traceId": TRACE}))


def spoil(reply: Reply, fault: Fault, *, own_id: str, other_id: str) -> Reply:
    """The reply after a fault; ``other_id`` is that of some other message."""
    match fault.kind:
        case "drop" | "cut":
            reply.ending = fault.kind
        case "hold":
            reply.is_held = True
        case "malformed":
            reply.body = reply.body[: max(1, len(reply.body) * 2 // 3)]
        case "wrong_id":
            reply.body = reply.body.replace(own_id.encode(), other_id.encode())
        case "huge":
            reply.body += b" " * max(0, fault.bytes - len(reply.body))
            reply.held_after = fault.held_after
        case "deep":
            end = reply.body[-1:]
            key = b'"nest":' if end == b"}" else b""
            reply.body = reply.body[:-1] + b"," + key + b"[" * fault.depth + b"]" * fault.depth + end
        case "missing" | "skip_rows" | "repeat_rows":  # whoever finds the answer sees to these
            pass
        case _:
            return _instead(fault)
    return reply


def _instead(fault: Fault) -> Reply:
    match fault.kind:
        case "answer":
            return Reply(200, encode(fault.payload) if fault.text is None else fault.text.encode())
        case "5xx":
            status = choice(fault.statuses)  # noqa: S311 - no secret
            if status == 500:  # from the application, as JSON; the others from the gateway before it, as a page
                return refuse(500, "Internal server error")
            return Reply(status, _GATEWAY % (status, status), HTML)
        case "html":
            return Reply(200, _LOGIN, HTML)
        case "redirect":
            return Reply(302, b"", HTML, [(b"location", b"http://127.0.0.2:9/elsewhere")])
        case _:
            status, text, error = _REFUSALS.get(fault.kind, (fault.status, "As configured", None))
            return refuse(status, fault.text or text, error=error)
