"""Kind ``transcription``: the transcript of a call. Pure.

Documented as one object that is clearly one sentence, so a list of them is read as well: HighLevel docs, "Get
transcription by message id".
"""

from collections.abc import Mapping
from typing import Any

from etl.api.client import Answer, Call, segment
from etl.errors import ItemError, NotFoundError
from etl.kinds.kind import Origin
from etl.models import Transcript
from etl.models.record import Record
from etl.transform.values import id_of, integer_of, storable, text_of


def extract(call: Call, message_id: str, location_id: str) -> Answer:
    """GET /conversations/locations/{locationId}/messages/{messageId}/transcription.

    Raises:
        NotFoundError: there is no transcript, or not yet.
        ItemError: another subclass that says what to do.
    """
    path = f"/conversations/locations/{segment(location_id)}/messages/{segment(message_id)}/transcription"
    try:
        answer = call.get(path)
    except ItemError as error:
        raise absent_for(error) from error
    if not answer.payload:
        raise NotFoundError("not_found", "there is no transcript")
    return answer


def absent_for(error: ItemError) -> ItemError:
    """Return NotFoundError for a refusal that means "no audio", else the refusal.

    A call without audio was seen to answer 422 (docs, "Get recording by message id"), a recording of an account without
    a phone 500 "Internal server error" (public documentation of a client).
    """
    is_odd = error.cause == "http_500" and b"Internal server error" in (error.payload or b"")
    if is_odd or error.cause in ("http_400", "http_422"):
        return NotFoundError("not_found", "there is none, or not yet")
    return error


def transform(payload: Any, origin: Origin) -> list[Record]:
    """Normalize a transcript: its sentences in the order of time, and the whole text.

    Raises:
        TransformError: it belongs to no location.
    """
    sentences = [each for each in (payload if isinstance(payload, list) else [payload]) if isinstance(each, Mapping)]
    sentences.sort(key=_place)
    lines = [line for each in sentences if (line := text_of(each.get("transcript"))[0])]
    row = {
        "location_id": id_of("locationId", origin.location_id),
        "message_id": origin.id,
        "transcript": "\n".join(lines),
        "sentences": storable([dict(each) for each in sentences]),
        "fetched_at": origin.fetched_at,
    }
    return [Record(Transcript, row)]


def _place(sentence: Mapping[str, Any]) -> tuple[int, int]:
    start, index = (integer_of(sentence.get(name))[0] or 0 for name in ("startTime", "sentenceIndex"))
    return start, index
