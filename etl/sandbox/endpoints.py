"""The API's read endpoints: what each answers to a request that was let in. Performs no I/O and reads no clock.

If HighLevel's status for an unknown id is not known, it is 400, with which "Contact not found" was seen. Parameters
that are not imitated are refused, so that no client relies on them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from etl.sandbox import things
from etl.sandbox.dataset import Kind, Thing
from etl.sandbox.messages import channel_of
from etl.sandbox.replies import TRACE, RefusedError, Reply, encode
from etl.sandbox.world import Walk, World

CURSOR_SECONDS = 120
KEY_ROWS = 100
"""Rows of a page, whatever its limit, where cursors are keys: exports elsewhere do that."""
Query = Mapping[str, str]


def payload(_world: World, thing: Thing, _query: Query, _fault: str) -> Reply:
    """Return the thing itself."""
    return Reply(200, encode(thing.payload))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route.

    Attributes:
        path: as documented; ``{id}`` is what is asked for, else it is the location.
        kind: of what is asked for.
        answer: the answer, or None when there is no such thing; of the thing, the parameters, those in the path among
            them, and the kind of what goes wrong with this request.
        name: the beginning of the names that its faults go by; without one, the id is the name.
        missing: the status when there is no such thing.
    """

    path: str
    kind: Kind
    answer: Callable[[World, Thing, Query, str], Reply | None] = payload
    name: str = ""
    missing: int = 400


class _Form(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


Form = TypeVar("Form", bound=_Form)


class _Page(_Form):
    id: str
    limit: int = Field(default=20, ge=1, le=100)


class _Export(_Form):
    location_id: str
    limit: int = Field(default=100, ge=10, le=500)
    cursor: str | None = None
    channel: Literal["Email"] | None = None
    start_date: AwareDatetime = datetime.min.replace(tzinfo=UTC)
    end_date: AwareDatetime = datetime.max.replace(tzinfo=UTC)
    sort_by: Literal["createdAt"] = "createdAt"
    sort_order: Literal["asc", "desc"] = "desc"

    def begin(self, world: World) -> Walk:
        """Return an export of what there is now."""
        rows = [
            (added, each)
            for each in world.dataset.ids(self.location_id)
            if (thing := world.things.get(each))
            and (channel_of(thing.content["messageType"]) == "email") == (self.channel == "Email")
            and self.start_date <= (added := datetime.fromisoformat(thing.content["dateAdded"])) < self.end_date
        ]
        ids = [known for _, known in sorted(rows, reverse=self.sort_order == "desc")]
        return Walk(self.model_dump(exclude={"cursor"}), ids, world.clock())


def recording(_world: World, thing: Thing, query: Query, _fault: str) -> Reply | None:
    """Return the bytes of a leg; ``index`` 1 is the second (public codebases)."""
    sound = things.recording(thing.content, int(query.get("index", "0")))
    return None if sound is None else Reply(200, sound, b"audio/x-wav")


def transcription(_world: World, thing: Thing, _query: Query, _fault: str) -> Reply | None:
    """Return the sentences of a call."""
    sentences = things.transcription(thing.content)
    return None if sentences is None else Reply(200, encode(sentences))


def conversation(world: World, thing: Thing, query: Query, _fault: str) -> Reply | None:
    """Return the newest, nested, emails without body.

    https://github.com/GoHighLevel/highlevel-api-docs/issues/54
    https://github.com/GoHighLevel/highlevel-api-docs/issues/40
    """
    limit = _read(_Page, query).limit
    found = [world.things[each] for each in reversed(thing.content["messageIds"]) if each in world.things]
    if not found:
        return None
    messages = []
    for each in found[:limit]:
        is_email = channel_of(each.content["messageType"]) == "email"
        messages.append({key: value for key, value in each.row.items() if not (is_email and key == "body")})
    page = {"lastMessageId": messages[-1]["id"], "nextPage": len(found) > limit, "messages": messages}
    return Reply(200, encode({"messages": page, "traceId": TRACE}))


def export(world: World, _thing: Thing, query: Query, fault: str) -> Reply:
    """Return a page of an export: everything except emails, or only emails if they are asked for.

    A cursor dies two minutes after its last use. If it comes with another query than its own, a cursor that is a
    position counts in the result of that query, and a cursor that is a key is refused.
    """
    asked, now, is_key = _read(_Export, query), world.clock(), world.config.cursors == "key"
    if asked.cursor is None:
        walk, start = asked.begin(world), 0
    else:
        walk, start = world.cursors.get(asked.cursor, (Walk({}, [], -CURSOR_SECONDS), 0))
        if now - walk.asked_at >= CURSOR_SECONDS:
            raise RefusedError(400, "cursor expired")
        if walk.query != asked.model_dump(exclude={"cursor"}):
            if is_key:
                raise RefusedError(400, "the cursor is of another query")
            walk = asked.begin(world)
    walk.asked_at = now
    end = start + (min(asked.limit, KEY_ROWS) if is_key else asked.limit)
    cursor = None
    if end < len(walk.ids):
        cursor = token_urlsafe(16)
        world.cursors[cursor] = walk, end + {"skip_rows": 1, "repeat_rows": -1}.get(fault, 0)
    answer = {
        "messages": [world.things[each].row for each in walk.ids[start:end] if each in world.things],
        "nextCursor": cursor,
        "total": len(walk.ids),
        "traceId": TRACE,
    }
    return Reply(200, encode(answer))


def _read(form: type[Form], query: Query) -> Form:
    """Return the parameters; 422 has a list of messages (HighLevel docs, common schemas)."""
    try:
        return form.model_validate(query)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise RefusedError(422, wrong) from error


_MESSAGE = "/conversations/messages/{id}"
_CALL = "/conversations/locations/{locationId}/messages/{id}"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("/conversations/messages/export", "location", export, "export"),
    Endpoint(_MESSAGE, "message"),
    Endpoint("/conversations/messages/email/{id}", "email"),
    Endpoint("/conversations/{id}/messages", "conversation", conversation),
    Endpoint(f"{_MESSAGE}/locations/{{locationId}}/recording", "message", recording, "recording", 422),
    Endpoint(f"{_CALL}/transcription", "message", transcription, "transcription", 404),
    Endpoint("/contacts/{id}", "contact"),
    Endpoint("/users/{id}", "user"),
    Endpoint("/locations/{id}", "location"),
)
