"""Writes what belongs to a call: its recording and its transcription. Performs no I/O."""

import io
import wave
from collections.abc import Mapping
from random import Random
from typing import Any

SENTENCES = (
    "Hello, how can I help you?",
    "I would like to move my appointment.",
    "Does Thursday at nine suit you?",
    "Yes, that is fine. Thank you.",
    "¿Puede repetir la dirección, por favor?",
    "Goodbye.",
)
SPOKEN_FROM = 60
"""Seconds that a call lasts at least to have a transcription."""


def recording(message: Mapping[str, Any], leg: int) -> bytes | None:
    """A tenth of a second of noise; every third recorded call, by its length, has a second leg (1)."""
    seconds = _seconds(message)
    if not seconds or leg not in (0, 1) or (leg == 1 and seconds % 3):
        return None
    noise = Random(f"{message['id']} {leg}")  # noqa: S311 - reproducible on purpose
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(noise.randbytes(800))
    return file.getvalue()


def transcription(message: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """One object a sentence; documented as one object alone, clearly of one sentence (docs, get-message-transcription).

    ``startTime`` and ``endTime`` are milliseconds.
    """
    seconds = _seconds(message)
    if seconds < SPOKEN_FROM:
        return None
    draw = Random(message["id"])  # noqa: S311 - reproducible on purpose
    step = seconds * 1000 // len(SENTENCES)
    return [
        {
            "mediaChannel": 1 + place % 2,
            "sentenceIndex": place,
            "startTime": place * step,
            "endTime": place * step + step - 200,
            "transcript": sentence,
            "confidence": round(draw.uniform(0.6, 0.99), 3),
        }
        for place, sentence in enumerate(SENTENCES)
    ]


def _seconds(message: Mapping[str, Any]) -> int:
    return int(message.get("meta", {}).get("call", {}).get("duration", 0))
