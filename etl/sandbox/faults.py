"""Decides what goes wrong with a request: shares of all requests, or named ids. Performs no I/O and reads no clock.

A plan comes from JSON (``PUT /sandbox/faults``)::

    {"latency": 0.1, "jitter": 0.05, "seed": 1,
     "shares": {"5xx": 0.02, "drop": 0.01},
     "ids": {"<message id>": {"kind": "html", "times": 2}},
     "not_found": {"<message id>": 3},
     "payloads": {"<message id>": {"any": "JSON"}}, "bodies": {"<message id>": "any text"}}

``times`` and the numbers of ``not_found`` count down; null means always. A payload or body replaces the answer; faults
still apply on top of it. The kinds of faults:

=============  ========================================================================================
``429``        too many requests, whatever the limit says
``5xx``        one of ``statuses`` (500, 502, 503, 504), as the gateway's HTML or as JSON
``401 403``    refused, with ``text`` as the message
``drop``       the connection closes before any byte
``cut``        the connection closes in the middle of the body
``malformed``  JSON that stops in the middle, complete as far as HTTP can tell
``html``       a login page with status 200
``wrong_id``   the answer of the message, under another id
``huge``       a message whose body has ``bytes`` bytes
``deep``       JSON nested ``depth`` times
``redirect``   302 to ``location``, another host
``hold``       the answer, when ``POST /sandbox/release`` says so
``status``     any other ``status``, with ``text`` as the message
=============  ========================================================================================
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from random import Random
from typing import Any

KINDS = (
    "429", "5xx", "401", "403", "drop", "cut", "malformed", "html", "wrong_id", "huge", "deep", "redirect", "hold",
    "status",
)  # fmt: skip


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong, and its measures. The meaning of each kind is in the module's docstring."""

    kind: str
    times: int | None = None
    text: str | None = None
    status: int = 418
    statuses: tuple[int, ...] = (500, 502, 503, 504)
    bytes: int = 20_000_000
    depth: int = 100_000
    location: str = "http://127.0.0.2:9/elsewhere"

    @classmethod
    def from_json(cls, value: object) -> "Fault":
        """Read ``{"kind": ..., ...}`` or just the kind.

        Raises:
            ValueError: an unknown kind or key.
        """
        settings = {"kind": value} if isinstance(value, str) else value
        if not isinstance(settings, Mapping):
            raise ValueError(f"a fault is a kind or an object, not {value!r}")  # noqa: TRY004 - a wrong request
        unknown = set(settings) - {item.name for item in fields(cls)}
        if unknown or settings.get("kind") not in KINDS:
            raise ValueError(f"unknown fault or key in {dict(settings)!r}; kinds are {', '.join(KINDS)}")
        return cls(**settings)


@dataclass(slots=True)
class FaultPlan:
    """Everything that shall go wrong. Choosing counts down, so a plan is used by one server only."""

    latency: float = 0.0
    jitter: float = 0.0
    seed: int = 1
    shares: dict[str, float] = field(default_factory=dict)
    ids: dict[str, Fault] = field(default_factory=dict)
    not_found: dict[str, int | None] = field(default_factory=dict)
    payloads: dict[str, Any] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    _random: Random = field(default_factory=Random, repr=False)

    def __post_init__(self) -> None:
        wrong = [kind for kind, share in self.shares.items() if kind not in KINDS or not 0 <= share <= 1]
        if wrong or sum(self.shares.values()) > 1 or self.latency < 0 or self.jitter < 0:
            raise ValueError(f"latency and jitter are seconds, shares lie between 0 and 1 for the kinds {KINDS}")
        self._random = Random(self.seed)  # noqa: S311 - reproducible on purpose

    @classmethod
    def from_json(cls, value: object) -> "FaultPlan":
        """Read the JSON form; keys left out have their defaults.

        Raises:
            ValueError: something that is not understood.
        """
        if not isinstance(value, Mapping):
            raise ValueError("a plan of faults is a JSON object")  # noqa: TRY004 - a wrong request
        settings = dict(value)
        unknown = set(settings) - {item.name for item in fields(cls) if not item.name.startswith("_")}
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
        settings["ids"] = {key: Fault.from_json(fault) for key, fault in settings.get("ids", {}).items()}
        return cls(**settings)

    def to_json(self) -> dict[str, Any]:
        """The plan as it stands, with what is left of each count."""
        plan = asdict(self)
        del plan["_random"]
        return plan

    def delay(self) -> float:
        """Seconds to wait before answering."""
        return self.latency + self._random.random() * self.jitter if self.jitter else self.latency

    def choose(self, message_id: str) -> Fault | None:
        """What goes wrong with this request; a fault of the id goes before those of all requests."""
        named = self.ids.get(message_id) if self.ids else None
        if named is not None and named.times != 0:
            if named.times is not None:
                named.times -= 1
            return named
        if not self.shares:
            return None
        chance = self._random.random()
        for kind, share in self.shares.items():
            if chance < share:
                return Fault(kind)
            chance -= share
        return None

    def is_missing(self, message_id: str) -> bool:
        """Whether this request is told that there is no such message."""
        if message_id not in self.not_found:
            return False
        left = self.not_found[message_id]
        if left is None:
            return True
        if left > 0:
            self.not_found[message_id] = left - 1
        return left > 0

    def any_status(self, fault: Fault) -> int:
        """One of the statuses of a ``5xx`` fault."""
        return self._random.choice(fault.statuses)
