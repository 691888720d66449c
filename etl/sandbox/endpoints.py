"""The API's read endpoints: what each answers to a request that was let in. Performs no I/O and reads no clock.

Lists of messages are in :mod:`etl.sandbox.lists`. Where the status for an unknown id is not known, it is 400, which
"Contact not found" was seen with.
"""

import re
from functools import partial
from urllib.parse import parse_qsl

from etl.sandbox.asking import Ask, Endpoint
from etl.sandbox.dataset import Kind, encode
from etl.sandbox.faults import Reply
from etl.sandbox.lists import conversation, export
from etl.sandbox.world import World

MESSAGES = "conversations/message.readonly"


def ask_for(path: str, query: bytes) -> Ask | None:
    """What a GET asks for; None when there is no such route."""
    if path.startswith(_HOT) and "/" not in (name := path[len(_HOT) :]) and name != "export":
        return Ask(MESSAGE, name)
    for pattern, endpoint in _ROUTES:
        if found := pattern.fullmatch(path):
            asked = dict(parse_qsl(query.decode())) | found.groupdict()
            return Ask(endpoint, asked.get("id", asked.get("locationId", "")), asked)
    return None


def _thing(kind: Kind, world: World, ask: Ask) -> Reply | None:
    body = world.answer(ask.id) if world.dataset.kind_of(ask.id) == kind else None
    return None if body is None else Reply(200, body)


def _recording(world: World, ask: Ask) -> Reply | None:
    """The bytes of a leg; ``index`` 1 is the second (public codebases)."""
    leg = {"0": 0, "1": 1}.get(ask.query.get("index", "0"), 2)
    sound = world.dataset.recording(ask.id, leg) if world.exists(ask.id) else None
    if sound is None:
        return None
    return Reply(200, sound, b"audio/x-wav", [(b"content-disposition", b'attachment; filename="audio.wav"')])


def _transcription(world: World, ask: Ask) -> Reply | None:
    sentences = world.dataset.transcription(ask.id) if world.exists(ask.id) else None
    return None if sentences is None else Reply(200, encode(sentences))


MESSAGE = Endpoint("", "/conversations/messages/{id}", MESSAGES, (400, "Message not found"), partial(_thing, "message"))
ENDPOINTS: tuple[Endpoint, ...] = (
    MESSAGE,
    Endpoint(
        "", "/conversations/messages/email/{id}", MESSAGES, (400, "Email message not found"), partial(_thing, "email")
    ),
    Endpoint("export", "/conversations/messages/export", MESSAGES, (400, "Location not found"), export),
    Endpoint("", "/conversations/{id}/messages", MESSAGES, (400, "Conversation not found"), conversation),
    Endpoint(
        "recording",
        "/conversations/messages/{id}/locations/{locationId}/recording",
        MESSAGES,
        (422, "Recording not found"),
        _recording,
    ),
    Endpoint(
        "transcription",
        "/conversations/locations/{locationId}/messages/{id}/transcription",
        MESSAGES,
        (404, "Transcription not found"),
        _transcription,
    ),
    Endpoint("", "/contacts/{id}", "contacts.readonly", (400, "Contact not found"), partial(_thing, "contact")),
    Endpoint("", "/users/{id}", "users.readonly", (400, "User not found"), partial(_thing, "user")),
    Endpoint("", "/locations/{id}", "locations.readonly", (400, "Location not found"), partial(_thing, "location")),
)

_HOT = "/conversations/messages/"
_ROUTES = [(re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", each.path)), each) for each in ENDPOINTS[1:]]
