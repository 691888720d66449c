"""Kind ``conversation``: its newest messages, for webhooks that name no message and for late media.

Shapes: HighLevel docs, "Get messages by conversation id", and
https://github.com/GoHighLevel/highlevel-api-docs/issues/54 (nesting)
https://github.com/GoHighLevel/highlevel-api-docs/issues/212 (media only here)
"""

from collections.abc import Mapping
from typing import Any

from etl.api.client import Answer, Call, segment
from etl.errors import RefusedError, TransformError
from etl.ids import is_fetchable
from etl.kinds import messages
from etl.kinds.kind import Options, Origin, PartlyReadError
from etl.models.record import FollowUp, Record
from etl.transform.values import object_of

NEWEST = 100
"""Messages requested: the most that public code was seen to get. Backfill loads older ones."""


def extract(call: Call, conversation_id: str, _location_id: str = "") -> Answer:
    """GET /conversations/{id}/messages.

    Documented flat, answered as ``{"messages": {"messages": […]}}``:
    https://github.com/GoHighLevel/highlevel-api-docs/issues/54
    """
    answer = call.get(f"/conversations/{segment(conversation_id)}/messages", limit=NEWEST)
    payload = answer.payload
    if isinstance(payload, dict) and isinstance(payload.get("messages"), list):
        return answer
    inner = answer.unwrapped("messages")
    if not isinstance(inner.payload.get("messages"), list):
        raise RefusedError("not_a_list", "the answer holds no list of messages", payload=answer.kept())
    return inner


def transform(payload: Mapping[str, Any], origin: Origin, *, options: Options) -> list[Record]:
    """Normalize the messages of a list, which may lack fields that a message's own answer has.

    Raises:
        PartlyReadError: a row has no id, or a date that cannot be read.
    """
    records: list[Record] = []
    singly: list[FollowUp] = []
    unread: list[str] = []
    for index, given in enumerate(payload["messages"]):
        row = object_of(given)
        try:
            records += messages.transform(row, origin, options=options, is_partial=True)
        except TransformError as error:
            unread.append(f"messages[{index}].{error.field}")
            id_ = row.get("id")
            if isinstance(id_, str) and is_fetchable(id_):
                singly.append(FollowUp("message", id_, origin.location_id, force=True, conversation_id=origin.id))
    if unread:
        is_lossy = len(singly) < len(unread)
        raise PartlyReadError(unread, records=records, follow_ups=tuple(singly), is_lossy=is_lossy)
    return records
