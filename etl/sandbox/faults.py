"""Decides what goes wrong with a request: shares of all requests, or named ids. Performs no I/O and reads no clock.

A plan comes from JSON; docs/sandbox.md has an example and explains the kinds.

A thing is named by its id; its recording, its transcription or a location's export by ``recording/<id>``,
``transcription/<id>``, ``export/<id>``. A fault of a plain id is also a fault of those. ``times`` counts down; null
means always. ``after`` lets so many requests pass first.
"""

from collections.abc import Iterable
from random import Random, choice
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PrivateAttr, model_validator

from etl.sandbox.replies import HTML, RefusedError, Reply, encode

NAMED = (
    "5xx", "drop", "cut", "hold", "missing", "answer", "malformed", "html", "redirect", "wrong_id", "huge", "deep",
    "skip_rows", "repeat_rows",
)  # fmt: skip
Kind = Annotated[str, Field(pattern=rf"^([45]\d\d|{'|'.join(NAMED)})$")]

NO_ACCESS = "The token does not have access to this location."
_TEXTS = {429: "Too Many Requests", 401: "Invalid JWT", 403: NO_ACCESS, 500: "Internal server error"}
_LOGIN = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>"
_GATEWAY = b"<html><head><title>%d</title></head><body><center><h1>%d Error</h1></center></body></html>"


class Fault(BaseModel):
    """One fault, and its measures."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    times: int | None = None
    after: int = 0
    text: str | None = None
    payload: Any = None
    bytes: int = 20_000_000
    held_after: int = 0
    depth: int = 100_000

    @model_validator(mode="before")
    @classmethod
    def _of_kind(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    def happens(self) -> bool:
        """Return whether it applies to the current request; count down."""
        if self.after:
            self.after -= 1
            return False
        if self.times:
            self.times -= 1
            return True
        return self.times is None


NOTHING = Fault.model_construct(kind="")


class FaultPlan(BaseModel):
    """A plan of faults. Choosing a fault counts down, so only one server may use a plan."""

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

    def choose(self, name: str) -> Fault:
        """Return the fault of this request; one of its name comes before those of all requests."""
        named = self.ids.get(name) or self.ids.get(name.rpartition("/")[2])
        if named is not None and named.happens():
            return named
        chance = self._random.random()
        for kind, share in self.shares.items():
            if chance < share:
                return Fault(kind=kind)
            chance -= share
        return NOTHING


def spoil(reply: Reply, fault: Fault, asked_id: str, messages: Iterable[str]) -> Reply:
    """Return the reply after a fault, which may be about another of ``messages``."""
    match fault.kind:
        case "" | "drop" | "cut" | "hold" | "missing" | "skip_rows" | "repeat_rows":
            pass  # the code that looks for the answer, or sends it, does these
        case "malformed":
            reply.body = reply.body[: max(1, len(reply.body) * 2 // 3)]
        case "wrong_id":
            other_id = next(known for known in messages if known != asked_id)
            reply.body = reply.body.replace(asked_id.encode(), other_id.encode())
        case "huge":
            reply.body = reply.body.ljust(fault.bytes)
        case _:
            return _instead(fault)
    return reply


def _instead(fault: Fault) -> Reply:
    match fault.kind:
        case "answer":
            return Reply(200, encode(fault.payload) if fault.text is None else fault.text.encode())
        case "deep":
            return Reply(200, b'{"nest":' + b"[" * fault.depth + b"]" * fault.depth + b"}")
        case "html":
            return Reply(200, _LOGIN, HTML)
        case "redirect":
            return Reply(302, b"", HTML, [(b"location", (fault.text or "http://127.0.0.2:9/elsewhere").encode())])
        case "5xx":
            status = choice((500, 502, 503, 504))  # noqa: S311 - no secret
        case number:
            status = int(number)
    if status > 500:  # from the gateway before the application, as a page
        return Reply(status, _GATEWAY % (status, status), HTML)
    return RefusedError(status, fault.text or _TEXTS.get(status, "As configured")).reply()
