"""The API's read endpoints: what each answers to a request that was let in. Performs no I/O and reads no clock.

Where the status for an unknown id is not known, it is 400, which "Contact not found" was seen with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from etl.sandbox import things
from etl.sandbox.dataset import Kind, encode
from etl.sandbox.faults import TRACE, Fault, Reply, refuse
from etl.sandbox.messages import channel_of
from etl.sandbox.world import Walk, World

CURSOR_SECONDS = 120
MESSAGES = "conversations/message.readonly"
_CHANNELS = {"Call": ("call",), "SMS": ("text", "provider"), "Email": ("email",), "WhatsApp": ("whatsapp",)}

# ISO 8601 or milliseconds since 1970, which pydantic tells apart.
Moment = Annotated[datetime, AfterValidator(lambda moment: moment if moment.tzinfo else moment.replace(tzinfo=UTC))]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request; ``query`` has what is in the path too."""

    id: str
    query: Mapping[str, str]
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route.

    Attributes:
        name: the beginning of the names that its faults go by; without one, the id is the name.
        path: as documented; ``{id}`` is what is asked for, else it is the location.
        scope: what a token must be allowed.
        missing: status and message when there is no such thing.
        answer: the answer, or None when there is no such thing.
    """

    name: str
    path: str
    scope: str
    missing: tuple[int, str]
    answer: Callable[[World, Ask], Reply | None]


def thing(kind: Kind, world: World, ask: Ask) -> Reply | None:
    """The payload of a thing."""
    found = world.things.get(ask.id)
    return Reply(200, encode(found.payload)) if found is not None and found.kind == kind else None


def recording(world: World, ask: Ask) -> Reply | None:
    """The bytes of a leg; ``index`` 1 is the second (public codebases)."""
    leg = {"0": 0, "1": 1}.get(ask.query.get("index", "0"), 2)
    sound = things.recording(world.messages.get(ask.id, {}), leg)
    if sound is None:
        return None
    return Reply(200, sound, b"audio/x-wav", [(b"content-disposition", b'attachment; filename="audio.wav"')])


def transcription(world: World, ask: Ask) -> Reply | None:
    """The sentences of a call."""
    sentences = things.transcription(world.messages.get(ask.id, {}))
    return None if sentences is None else Reply(200, encode(sentences))


class _Page(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    limit: int = Field(default=20, ge=1, le=100)
    type: str | None = None
    last_message_id: str | None = None


def conversation(world: World, ask: Ask) -> Reply | None:
    """Newest first, nested (docs issue 54), emails without body (docs issue 40).

    That ``lastMessageId`` leads to older messages is not documented.
    """
    known = world.dataset.conversations.get(ask.id, [])
    rows = [world.messages[each] for each in known[::-1] if each in world.messages]
    if not rows:
        return None
    try:
        query = _Page.model_validate(ask.query)
    except ValidationError as error:
        return _invalid(error)
    if query.type:
        # The filter spells one type in the plural (HighLevel docs, apps/conversations.json).
        rows = [row for row in rows if row["messageType"] in query.type.replace("COMMENTS", "COMMENT").split(",")]
    ids = [row["id"] for row in rows]
    if query.last_message_id is not None:
        if query.last_message_id not in ids:
            return refuse(400, "Message not found")
        ids = ids[ids.index(query.last_message_id) + 1 :]
    messages = []
    for message_id in ids[: query.limit]:
        row = world.row(message_id)
        if channel_of(world.messages[message_id]["messageType"]) == "email":
            row.pop("body", None)
        messages.append(row)
    last = messages[-1]["id"] if messages else None
    page = {"lastMessageId": last, "nextPage": len(ids) > query.limit, "messages": messages}
    return Reply(200, encode({"messages": page, "traceId": TRACE}))


class _Export(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    limit: int = Field(default=100, ge=10, le=500)
    cursor: str | None = None
    channel: Literal["Call", "SMS", "Email", "WhatsApp", "Instagram", "Facebook"] | None = None
    start_date: Moment = datetime.min.replace(tzinfo=UTC)
    end_date: Moment = datetime.max.replace(tzinfo=UTC)
    conversation_id: str | None = None
    contact_id: str | None = None
    sort_by: Literal["createdAt", "updatedAt"] = "createdAt"
    sort_order: Literal["asc", "desc"] = "desc"

    def admits(self, row: Mapping[str, Any]) -> bool:
        channel = channel_of(row["messageType"])
        if self.channel is None:
            is_wanted = channel != "email"
        elif self.channel in _CHANNELS:
            is_wanted = channel in _CHANNELS[self.channel]
        else:
            is_wanted = self.channel.upper() in row["messageType"]
        return (
            is_wanted
            and self.start_date <= datetime.fromisoformat(row["dateAdded"]) < self.end_date
            and self.conversation_id in (None, row["conversationId"])
            and self.contact_id in (None, row["contactId"])
        )

    def select(self, world: World, location_id: str) -> list[str]:
        known = world.dataset.ids(location_id)
        rows = [row for each in known if (row := world.messages.get(each)) is not None and self.admits(row)]
        moment = {"createdAt": "dateAdded", "updatedAt": "dateUpdated"}[self.sort_by]
        rows.sort(key=lambda row: (datetime.fromisoformat(row[moment]), row["id"]), reverse=self.sort_order == "desc")
        return [row["id"] for row in rows]


def export(world: World, ask: Ask) -> Reply | None:
    """Flat; everything but emails unless they are asked for. A cursor dies two minutes after its last use."""
    try:
        query = _Export.model_validate(ask.query)
    except ValidationError as error:
        return _invalid(error)
    if query.cursor is None:
        walk, start = Walk(query.select(world, ask.id), world.clock()), 0
    else:
        found = world.resume(query.cursor, CURSOR_SECONDS)
        if found is None:
            return refuse(400, "cursor expired")
        walk, start = found
    end = start + query.limit
    fault = "" if ask.fault is None else ask.fault.kind
    following = end + {"skip_rows": 1, "repeat_rows": -1}.get(fault, 0)
    answer = {
        "messages": [world.row(each) for each in walk.ids[start:end] if each in world.messages],
        "nextCursor": world.cursor(walk, following) if end < len(walk.ids) else None,
        "total": len(walk.ids),
        "traceId": TRACE,
    }
    return Reply(200, encode(answer))


def _invalid(error: ValidationError) -> Reply:
    """422: its message is a list (HighLevel docs, common schemas)."""
    wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return refuse(422, wrong, error="Unprocessable Entity")


_MESSAGE = "/conversations/messages/{id}"
_CALL = "/conversations/locations/{locationId}/messages/{id}"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("export", "/conversations/messages/export", MESSAGES, (400, "Location not found"), export),
    Endpoint("", _MESSAGE, MESSAGES, (400, "Message not found"), partial(thing, "message")),
    Endpoint(
        "", "/conversations/messages/email/{id}", MESSAGES, (400, "Email message not found"), partial(thing, "email")
    ),
    Endpoint("", "/conversations/{id}/messages", MESSAGES, (400, "Conversation not found"), conversation),
    Endpoint(
        "recording", f"{_MESSAGE}/locations/{{locationId}}/recording", MESSAGES, (422, "Recording not found"), recording
    ),
    Endpoint("transcription", f"{_CALL}/transcription", MESSAGES, (404, "Transcription not found"), transcription),
    Endpoint("", "/contacts/{id}", "contacts.readonly", (400, "Contact not found"), partial(thing, "contact")),
    Endpoint("", "/users/{id}", "users.readonly", (400, "User not found"), partial(thing, "user")),
    Endpoint("", "/locations/{id}", "locations.readonly", (400, "Location not found"), partial(thing, "location")),
)
