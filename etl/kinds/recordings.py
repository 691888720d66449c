"""Kind ``recording``: the audio of a call, which :mod:`etl.kinds.audio` keeps. Pure otherwise.

Shapes: HighLevel docs, "Get recording by message id", and
https://github.com/GoHighLevel/highlevel-api-docs/issues/258
The second leg is known from public codebases.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from etl.api.client import AUDIO_BOUNDS, KEPT_BODY, Answer, Call, segment
from etl.api.transport import Stream
from etl.errors import ItemError, NotFoundError, RefusedError
from etl.kinds.audio import AudioStore
from etl.kinds.kind import Origin
from etl.kinds.transcriptions import absent_for
from etl.models import Recording
from etl.models.record import Record
from etl.transform.values import id_of

LEGS = 2
"""Legs that a call may have: its own, and one after a transfer."""

EXTENSIONS = {
    "audio/x-wav": "wav",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "audio/webm": "webm",
}
"""Documented is audio/x-wav; some public code met audio/mpeg. Any other type is kept as .bin."""


def extract(call: Call, message_id: str, location_id: str, *, store: AudioStore | None) -> Answer:
    """GET /conversations/messages/{messageId}/locations/{locationId}/recording, with ``index=1`` for the second leg.

    Without a ``store`` only the head of each answer is read.

    Raises:
        NotFoundError: there is no recording, or not yet.
        ItemError: another subclass that says what to do.
    """
    path = f"/conversations/messages/{segment(message_id)}/locations/{segment(location_id)}/recording"
    legs = [_leg(call, path, f"{location_id}/{message_id}-0", store)]
    with suppress(NotFoundError):
        legs.append(_leg(call, path, f"{location_id}/{message_id}-1", store, index=1))
    return Answer(legs, json.dumps(legs).encode())


def _leg(call: Call, path: str, name: str, store: AudioStore | None, **query: int) -> dict[str, Any]:
    try:
        with call.open_audio(path, **query) as stream:
            media_type = _media_type(call, stream)
            if store is None:
                size = _length(stream)
                if size == 0:
                    raise NotFoundError("not_found", "the audio is empty")
                return {"media_type": media_type, "size_bytes": size}
            file = f"{name}.{EXTENSIONS.get(media_type or '', 'bin')}"
            kept = store.keep(stream.chunks, file, max_bytes=AUDIO_BOUNDS.max_bytes)
            return {"media_type": media_type, "size_bytes": kept.size_bytes, "sha256": kept.sha256, "url": kept.url}
    except ItemError as error:
        if query and error.cause == "http_500":
            raise  # a 500 for leg 2 is a server error, not "no second leg"
        raise absent_for(error) from error


def _media_type(call: Call, stream: Stream) -> str | None:
    """Return the type of the audio; a page or JSON is refused."""
    media_type = stream.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type.endswith("json"):
        payload = call.kept(stream.read(KEPT_BODY).body)
        raise RefusedError("not_audio", "the answer has status 200 but is not audio", payload=payload)
    return media_type or None


def _length(stream: Stream) -> int | None:
    length = stream.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None


def transform(payload: list[Mapping[str, Any]], origin: Origin) -> list[Record]:
    """Return one row a leg.

    Raises:
        TransformError: it belongs to no location.
    """
    rows = [
        {
            "location_id": id_of("locationId", origin.location_id),
            "message_id": origin.id,
            "leg": leg,
            **given,
            "fetched_at": origin.fetched_at,
        }
        for leg, given in enumerate(payload)
    ]
    return [Record(Recording, rows[0], children={Recording: rows})]
