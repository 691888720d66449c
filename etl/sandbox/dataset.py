"""A data set that is a pure function of its arguments: the same seed gives the same bytes. Performs no I/O."""

import json
from array import array
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Any

from etl.sandbox.messages import MESSAGE_TYPES, Slot, compose, documented, event_of

NEWEST = 1_793_491_200_000  # 2026-11-01T00:00:00Z, milliseconds: fixed, so that no clock changes the data
DAY = 86_400_000
SPAN_DAYS = 150
NAMES = ("Ann", "Ben", "Dmitri", "Elif", "Femi", "Kenji", "Lucía", "Siobhán", "Wei", "Zoë")
BUSINESSES = ("Harbour Street Dental", "Millers Garage", "Studio Lumen Hair", "Paws & Claws Vets")
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_NAMES = tuple(MESSAGE_TYPES)
_WEIGHTS = tuple(accumulate(weight for _, _, weight, _ in MESSAGE_TYPES.values()))


class Dataset:
    """Conversations of small businesses, written on demand; only the ids are held in memory.

    Every documented message type occurs as soon as there are 42 messages. Messages are shared out evenly: location
    n holds every n-th conversation, and the ids of a location are in the order they were sent within a conversation.

    Args:
        seed: another seed, other ids and texts.
        locations: how many locations, at least 1.
        messages: how many messages over all locations, at least 1.
        documented_share: the share (0 to 1) answered in the documented, unwrapped shape; the others come as the API
            was seen to answer, ``{"message": {...}, "traceId": ...}`` (HighLevel docs issue 258).

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self, seed: int = 1, locations: int = 3, messages: int = 1000, *, documented_share: float = 0.15
    ) -> None:
        if locations < 1 or messages < 1 or not 0 <= documented_share <= 1:
            raise ValueError("a data set needs at least one location, one message and a share between 0 and 1")
        self.seed = seed
        self.documented_share = documented_share
        self.company_id = self._id("company", 0)
        self.location_ids = tuple(self._id("location", n) for n in range(locations))
        self._starts = _conversation_starts(seed, messages)
        self._every = max(1, min(20, messages // len(MESSAGE_TYPES)))
        self._ids = [self._id("message", n) for n in range(messages)]
        self._index = {message_id: n for n, message_id in enumerate(self._ids)}
        self._by_location: dict[str, list[str]] = {}
        self.answer = lru_cache(maxsize=8192)(self._encode)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._index

    def ids(self, location_id: str | None = None) -> Sequence[str]:
        """All message ids, or those of one location; none for a location that is not in the data set."""
        if location_id is None:
            return self._ids
        if not self._by_location:
            self._by_location = {known: [] for known in self.location_ids}
            for message_id in self._ids:
                self._by_location[self.location_of(message_id) or ""].append(message_id)
        return self._by_location.get(location_id, ())

    def location_of(self, message_id: str) -> str | None:
        """The location that owns a message, or None for an unknown id."""
        index = self._index.get(message_id)
        if index is None:
            return None
        return self.location_ids[self._conversation_number(index) % len(self.location_ids)]

    def name_of(self, location_id: str) -> str:
        """The business behind a location."""
        return BUSINESSES[self.location_ids.index(location_id) % len(BUSINESSES)]

    def message(self, message_id: str) -> dict[str, Any] | None:
        """One message with the keys of a real answer, whatever shape it is answered in; None for an unknown id."""
        index = self._index.get(message_id)
        return None if index is None else self._write(index)[1]

    def payload(self, message_id: str) -> dict[str, Any] | None:
        """The whole JSON answer of ``GET /conversations/messages/{id}``; None for an unknown id."""
        index = self._index.get(message_id)
        if index is None:
            return None
        _, message, draw = self._write(index)
        if draw.random() < self.documented_share:
            return documented(message, draw)
        return {"message": message, "traceId": self._uuid("trace", index)}

    def event(self, message_id: str, *, edition: int = 0) -> dict[str, Any]:
        """The webhook event HighLevel posts for a message; every edition has a webhookId of its own.

        Raises:
            KeyError: no such message.
        """
        index = self._index[message_id]
        slot, message, _ = self._write(index)
        envelope = {
            "appId": self._id("app", 0),
            "versionId": self._id("app", 0),
            "webhookId": self._uuid(f"webhook {edition}", index),
        }
        return event_of(slot, message, envelope)

    def _encode(self, message_id: str) -> bytes | None:
        payload = self.payload(message_id)
        return None if payload is None else encode(payload)

    def _write(self, index: int) -> tuple[Slot, dict[str, Any], Random]:
        """A message and what is left of its source of chance, from which shape and event go on drawing."""
        draw = self._draw("message", index)
        number = self._conversation_number(index)
        talk = self._draw("conversation", number)
        begun = NEWEST - talk.randrange(8 * DAY, SPAN_DAYS * DAY)
        pace = talk.choice((DAY // 480, DAY // 24, DAY // 4))
        message_type = self._type(index, draw)
        emails = draw.choice((1, 1, 2, 3, 5)) if MESSAGE_TYPES[message_type][1] == "email" else 0
        slot = Slot(
            id=self._ids[index],
            message_type=message_type,
            location_id=self.location_ids[number % len(self.location_ids)],
            conversation_id=self._id("conversation", number),
            contact_id=self._id("contact", number),
            user_id=self._id("user", number % len(self.location_ids)),
            name=talk.choice(NAMES),
            phone=f"+1555{talk.randrange(10**7):07d}",
            at=begun + min(index - self._starts[number], 30) * pace + draw.randrange(pace),
            email_ids=tuple(self._id(f"email {index}", n) for n in range(emails)),
        )
        return slot, compose(slot, draw), draw

    def _type(self, index: int, draw: Random) -> str:
        # A regular trickle of every type, rare ones included, so that even a small data set holds all of them.
        turn, rest = divmod(index, self._every)
        if rest == self._every - 1:
            return _NAMES[turn % len(_NAMES)]
        return draw.choices(_NAMES, cum_weights=_WEIGHTS)[0]

    def _conversation_number(self, index: int) -> int:
        return bisect_right(self._starts, index) - 1

    def _draw(self, purpose: str, number: int) -> Random:
        return Random(int.from_bytes(self._digest(purpose, number, 16)))  # noqa: S311 - reproducible on purpose

    def _id(self, purpose: str, number: int) -> str:
        """Twenty letters and digits, like every id of HighLevel; 15 bytes are exactly 20 base-64 digits."""
        return b64encode(self._digest(purpose, number, 15), b"Zz").decode("ascii")

    def _uuid(self, purpose: str, number: int) -> str:
        digits = self._digest(purpose, number, 16).hex()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def _digest(self, purpose: str, number: int, size: int) -> bytes:
        return blake2b(b"%d %s %d" % (self.seed, purpose.encode(), number), digest_size=size).digest()


def encode(payload: object) -> bytes:
    """JSON as a Node.js server writes it: no spaces, text unescaped."""
    return _ENCODER.encode(payload).encode()


def _conversation_starts(seed: int, messages: int) -> "array[int]":
    """The index of the first message of each conversation; lengths are skewed, most are short."""
    draw = Random(seed)  # noqa: S311 - reproducible on purpose
    starts = array("L")
    index = 0
    while index < messages:
        starts.append(index)
        index += draw.choice((1, 2, 2, 3, 4, 6, 8, 12, 20))
    return starts
