"""The API's read endpoints: what each answers to a request that was let in. Performs no I/O and reads no clock."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from etl.sandbox.faults import Fault, Reply
from etl.sandbox.world import World

MESSAGES = "conversations/message.readonly"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route.

    Attributes:
        name: the beginning of the names that its faults go by; without one, the id is the name.
        path: as documented; ``{id}`` is what is asked for.
        scope: what a token must be allowed.
        missing: status and message when there is no such thing.
        answer: the answer, or None when there is no such thing.
    """

    name: str
    path: str
    scope: str
    missing: tuple[int, str]
    answer: Callable[[World, "Ask"], "Reply | None"]


@dataclass(slots=True)
class Ask:
    """One request; ``location_id`` is whose token it came with, once that is known."""

    endpoint: Endpoint
    id: str
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    location_id: str = ""
    fault: Fault | None = None

    @property
    def name(self) -> str:
        """What faults and statistics know it by."""
        return f"{self.endpoint.name}/{self.id}" if self.endpoint.name else self.id


def ask_for(path: str, query: bytes) -> Ask | None:
    """What a GET asks for; None when there is no such route."""
    if path.startswith(_HOT) and "/" not in (name := path[len(_HOT) :]) and name != "export":
        return Ask(MESSAGE, name)
    for pattern, endpoint in _ROUTES:
        if found := pattern.fullmatch(path):
            return Ask(endpoint, found["id"], found.groupdict(), dict(parse_qsl(query.decode())))
    return None


def _message(world: World, ask: Ask) -> Reply | None:
    body = world.answer(ask.id) if ask.id in world.dataset else None
    return None if body is None else Reply(200, body)


# The status for an unknown message is not known; 400 is the only documented one that fits, and "Contact not found" was
# seen with it.
MESSAGE = Endpoint("", "/conversations/messages/{id}", MESSAGES, (400, "Message not found"), _message)
ENDPOINTS: tuple[Endpoint, ...] = (MESSAGE,)

_HOT = "/conversations/messages/"
_ROUTES = [(re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", each.path)), each) for each in ENDPOINTS]
