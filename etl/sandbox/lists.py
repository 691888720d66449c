"""The two lists of messages: of a conversation, and the export of a location. Performs no I/O and reads no clock."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from etl.sandbox.asking import Ask
from etl.sandbox.dataset import encode
from etl.sandbox.faults import Reply, refuse
from etl.sandbox.messages import MESSAGE_TYPES
from etl.sandbox.world import Row, Walk, World

CURSOR_SECONDS = 120
_TRACE = "00000000-0000-4000-8000-000000000001"
_CHANNELS = {"Call": ("call",), "SMS": ("text", "provider"), "Email": ("email",), "WhatsApp": ("whatsapp",)}

# ISO 8601 or milliseconds since 1970, which pydantic tells apart.
Moment = Annotated[datetime, AfterValidator(lambda moment: moment if moment.tzinfo else moment.replace(tzinfo=UTC))]


class _Page(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    limit: int = Field(default=20, ge=1, le=100)
    type: str | None = None
    last_message_id: str | None = None


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

    def admits(self, row: Row) -> bool:
        kind = MESSAGE_TYPES[row.message_type][1]
        if self.channel is None:
            is_wanted = kind != "email"
        elif self.channel in _CHANNELS:
            is_wanted = kind in _CHANNELS[self.channel]
        else:
            is_wanted = self.channel.upper() in row.message_type
        return (
            is_wanted
            and self.start_date <= row.added < self.end_date
            and self.conversation_id in (None, row.conversation_id)
            and self.contact_id in (None, row.contact_id)
        )


def conversation(world: World, ask: Ask) -> Reply | None:
    """``GET /conversations/{id}/messages``: newest first, nested (docs issue 54), emails without body (issue 40).

    That ``lastMessageId`` leads to older messages is not documented.
    """
    rows = [world.outline(each) for each in world.dataset.messages_of(ask.id)[::-1] if world.exists(each)]
    if not rows:
        return None
    try:
        query = _Page.model_validate(ask.query)
    except ValidationError as error:
        return _invalid(error)
    if query.type:
        # The filter spells one type in the plural (HighLevel docs, apps/conversations.json).
        rows = [row for row in rows if row.message_type in query.type.replace("COMMENTS", "COMMENT").split(",")]
    ids = [row.id for row in rows]
    if query.last_message_id is not None:
        if query.last_message_id not in ids:
            return refuse(400, "Message not found")
        rows = rows[ids.index(query.last_message_id) + 1 :]
    messages = []
    for row in rows[: query.limit]:
        message = dict(world.row(row.id) or {})
        if MESSAGE_TYPES[row.message_type][1] == "email":
            message.pop("body", None)
        messages.append(message)
    last = messages[-1]["id"] if messages else None
    page = {"lastMessageId": last, "nextPage": len(rows) > query.limit, "messages": messages}
    return Reply(200, encode({"messages": page, "traceId": _TRACE}))


def export(world: World, ask: Ask) -> Reply | None:
    """``GET /conversations/messages/export``: flat; everything but emails unless they are asked for."""
    try:
        query = _Export.model_validate(ask.query)
    except ValidationError as error:
        return _invalid(error)
    if query.cursor is None:
        walk, start = Walk(_select(world, ask.id, query), world.clock()), 0
    else:
        found = world.resume(query.cursor, CURSOR_SECONDS)
        if found is None:
            return refuse(400, "cursor expired")
        walk, start = found
    end = start + query.limit
    fault = "" if ask.fault is None else ask.fault.kind
    following = end + {"skip_rows": 1, "repeat_rows": -1}.get(fault, 0)
    answer = {
        "messages": [row for each in walk.ids[start:end] if (row := world.row(each)) is not None],
        "nextCursor": world.cursor(walk, following) if end < len(walk.ids) else None,
        "total": len(walk.ids),
        "traceId": _TRACE,
    }
    return Reply(200, encode(answer))


def _select(world: World, location_id: str, query: _Export) -> list[str]:
    rows = [row for row in world.outlines(location_id) if query.admits(row)]
    by_update = query.sort_by == "updatedAt"
    rows.sort(key=lambda row: (row.updated if by_update else row.added, row.id), reverse=query.sort_order == "desc")
    return [row.id for row in rows]


def _invalid(error: ValidationError) -> Reply:
    """422: its message is a list (HighLevel docs, common schemas)."""
    wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return refuse(422, wrong, error="Unprocessable Entity")
