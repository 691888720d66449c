"""The two lists of messages: of a conversation, and the export of a location. Performs no I/O and reads no clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from etl.sandbox.asking import Ask
from etl.sandbox.dataset import encode
from etl.sandbox.faults import Reply, refuse
from etl.sandbox.messages import MESSAGE_TYPES
from etl.sandbox.world import Row, Walk, World

CURSOR_SECONDS = 120
_TRACE = "00000000-0000-4000-8000-000000000001"

CHANNELS: Mapping[str, Callable[[str], bool]] = {
    "Call": lambda name: MESSAGE_TYPES[name][1] == "call",
    "SMS": lambda name: MESSAGE_TYPES[name][1] in ("text", "provider"),
    "Email": lambda name: MESSAGE_TYPES[name][1] == "email",
    "WhatsApp": lambda name: MESSAGE_TYPES[name][1] == "whatsapp",
    "Instagram": lambda name: "INSTAGRAM" in name,
    "Facebook": lambda name: "FACEBOOK" in name,
}


class InvalidError(Exception):
    """A parameter is out of range; carries the sentence that says so."""


def conversation(world: World, ask: Ask) -> Reply | None:
    """``GET /conversations/{id}/messages``: newest first, nested (docs issue 54), emails without body (issue 40).

    That ``lastMessageId`` leads to older messages is not documented.
    """
    ids = [each for each in world.dataset.messages_of(ask.id)[::-1] if world.exists(each)]
    if not ids:
        return None
    try:
        limit = _whole_number(ask.query, "limit", least=1, most=100, default=20)
    except InvalidError as error:
        return _invalid(error)
    # The filter spells one type in the plural (HighLevel docs, apps/conversations.json).
    wanted = ask.query.get("type", "").replace("COMMENTS", "COMMENT")
    if wanted:
        ids = [each for each in ids if world.outline(each).message_type in wanted.split(",")]
    last = ask.query.get("lastMessageId")
    if last is not None:
        if last not in ids:
            return refuse(400, "Message not found")
        ids = ids[ids.index(last) + 1 :]
    rows = [world.row(each) or {} for each in ids[:limit]]
    rows = [_without_body(row) if world.outline(row["id"]).is_email else row for row in rows]
    page = {"lastMessageId": rows[-1]["id"] if rows else None, "nextPage": len(ids) > limit, "messages": rows}
    return Reply(200, encode({"messages": page, "traceId": _TRACE}))


def export(world: World, ask: Ask) -> Reply | None:
    """``GET /conversations/messages/export``: flat; everything but emails unless they are asked for."""
    try:
        limit = _whole_number(ask.query, "limit", least=10, most=500, default=100)
        if "cursor" in ask.query:
            found = world.resume(ask.query["cursor"], CURSOR_SECONDS)
            if found is None:
                return refuse(400, "cursor expired")
            walk, start = found
        else:
            walk, start = Walk(_select(world, ask), world.clock()), 0
    except InvalidError as error:
        return _invalid(error)
    rows = [world.row(each) for each in walk.ids[start : start + limit]]
    following = start + len(rows)
    more = following < len(walk.ids)
    if ask.fault is not None:
        following += {"skip_rows": 1, "repeat_rows": -1}.get(ask.fault.kind, 0)
    answer = {
        "messages": [row for row in rows if row is not None],
        "nextCursor": world.cursor(walk, following) if more else None,
        "total": len(walk.ids),
        "traceId": _TRACE,
    }
    return Reply(200, encode(answer))


@dataclass(frozen=True, slots=True)
class _Wish:
    """Which rows an export shall have."""

    channel: str | None
    start: float
    end: float
    conversation_id: str | None
    contact_id: str | None

    def admits(self, row: Row) -> bool:
        if self.channel is None:
            if row.is_email:
                return False
        elif not CHANNELS[self.channel](row.message_type):
            return False
        return (
            self.start <= row.added < self.end
            and self.conversation_id in (None, row.conversation_id)
            and self.contact_id in (None, row.contact_id)
        )


def _select(world: World, ask: Ask) -> list[str]:
    query = ask.query
    wish = _Wish(
        channel=_one_of(query, "channel", (*CHANNELS, None)),
        start=_moment(query, "startDate", float("-inf")),
        end=_moment(query, "endDate", float("inf")),
        conversation_id=query.get("conversationId"),
        contact_id=query.get("contactId"),
    )
    by_update = _one_of(query, "sortBy", (None, "createdAt", "updatedAt")) == "updatedAt"
    newest_first = _one_of(query, "sortOrder", (None, "desc", "asc")) != "asc"
    rows = [row for row in world.outlines(ask.id) if wish.admits(row)]
    rows.sort(key=lambda row: (row.updated if by_update else row.added, row.id), reverse=newest_first)
    return [row.id for row in rows]


def _one_of(query: Mapping[str, str], name: str, values: tuple[str | None, ...]) -> str | None:
    value = query.get(name)
    if value not in values:
        raise InvalidError(f"{name} must be one of the following values: {', '.join(filter(None, values))}")
    return value


def _moment(query: Mapping[str, str], name: str, default: float) -> float:
    """Milliseconds since 1970, given as such or in ISO 8601."""
    text = query.get(name)
    if text is None:
        return default
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"{name} must be a valid date") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000


def _whole_number(query: Mapping[str, str], name: str, *, least: int, most: int, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdigit() or int(text) < least:
        raise InvalidError(f"{name} must not be less than {least}")
    if int(text) > most:
        raise InvalidError(f"{name} must not be greater than {most}")
    return int(text)


def _invalid(error: InvalidError) -> Reply:
    """422: its message is a list (HighLevel docs, common schemas)."""
    return refuse(422, [str(error)], error="Unprocessable Entity")


def _without_body(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "body"}
