"""A data set that is a pure function of its arguments: the same seed gives the same bytes. Performs no I/O."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Any, Literal
from uuid import UUID

from etl.sandbox import things
from etl.sandbox.messages import MESSAGE_TYPES, Talk, announce, channel_of, compose, documented, iso
from etl.sandbox.oauth import APP_ID
from etl.sandbox.replies import TRACE

Kind = Literal["message", "email", "conversation", "contact", "user", "location"]

NEWEST = 1_793_491_200_000  # 2026-11-01T00:00:00Z, milliseconds: fixed, so that no clock changes the data
DAY = 86_400_000
SPAN_DAYS = 150
DOCUMENTED_SHARE = 0.15
"""The share of messages and emails that are answered in the documented shape, and not in the one that was seen.

https://github.com/GoHighLevel/highlevel-api-docs/issues/258
"""
NAMES = ("Ann", "Ben", "Dmitri", "Elif", "Femi", "Kenji", "Lucía", "Siobhán", "Wei", "Zoë")
BUSINESSES = ("Harbour Street Dental", "Millers Garage", "Studio Lumen Hair", "Paws & Claws Vets")
_WRAPPERS = {"message": "message", "email": "emailMessage", "contact": "contact", "location": "location"}
_TYPES = tuple(MESSAGE_TYPES)
_WEIGHTS = tuple(accumulate(weight for _, _, weight, _ in MESSAGE_TYPES.values()))


@dataclass(frozen=True, slots=True)
class Thing:
    """Anything that has an id.

    Attributes:
        content: what a ``GET`` of it answers, as real answers have it; of a conversation, its ``messageIds``, oldest
            first.
        is_documented: a message or email that is answered in the documented shape instead.
    """

    kind: Kind
    location_id: str
    content: dict[str, Any]
    is_documented: bool = False

    @property
    def row(self) -> dict[str, Any]:
        """Return the thing as lists have it: without envelope."""
        return documented(self.content) if self.is_documented and self.kind == "message" else self.content

    @property
    def payload(self) -> dict[str, Any]:
        """Return the whole answer to a ``GET`` of it."""
        wrapper = None if self.is_documented else _WRAPPERS.get(self.kind)
        return self.row if wrapper is None else {wrapper: self.row, "traceId": TRACE}


class Dataset:
    """Conversations of small businesses.

    Every documented message type occurs as soon as there are 42 messages. Messages are shared out evenly: location
    n holds every n-th conversation, and the ids of a location are in the order they were sent within a conversation.

    Attributes:
        things: everything by its id.
        messages: the content of each message by its id.

    Args:
        newest: no message is younger, in milliseconds since 1970.
    """

    def __init__(self, seed: int = 1, locations: int = 3, messages: int = 1000, *, newest: int = NEWEST) -> None:
        self._seed = seed
        self._newest = newest
        self.company_id = self._id("company", 0)
        self.location_ids = tuple(self._id("location", n) for n in range(locations))
        self.things: dict[str, Thing] = {}
        self.messages: dict[str, dict[str, Any]] = {}
        self._ids: dict[tuple[Kind, str], list[str]] = {}
        for number, location_id in enumerate(self.location_ids):
            name = BUSINESSES[number % len(BUSINESSES)]
            self._add(location_id, "location", location_id, things.location(location_id, self.company_id, name, number))
            user_id = self._id("user", number)
            self._add(user_id, "user", location_id, things.user(user_id, location_id, self._draw("user", number)))
        lengths = self._draw("lengths", 0)
        # A regular trickle of every type, rare ones included, so that even a small data set holds all of them.
        self._every = max(1, min(20, messages // len(MESSAGE_TYPES)))
        conversations = 0
        while len(self.messages) < messages:
            length = lengths.choice((1, 2, 2, 3, 4, 6, 8, 12, 20))  # skewed: most are short
            self._write_conversation(conversations, min(length, messages - len(self.messages)))
            conversations += 1

    def ids(self, location_id: str | None = None) -> Sequence[str]:
        """Return all message ids, or those of one location."""
        return list(self.messages) if location_id is None else self.ids_of("message", location_id)

    def ids_of(self, kind: Kind, location_id: str) -> Sequence[str]:
        """Return the ids of everything of a kind in a location."""
        return self._ids.get((kind, location_id), [])

    def recording(self, message_id: str, leg: int) -> bytes | None:
        """Return a WAV file of a call's first (0) or second (1) leg; None where there is none."""
        return things.recording(self.messages[message_id], leg)

    def transcription(self, message_id: str) -> list[dict[str, Any]] | None:
        """Return the sentences of a call; None where there are none."""
        return things.transcription(self.messages[message_id])

    def event(self, message_id: str, *, edition: int = 0) -> dict[str, Any]:
        """Return the webhook event HighLevel posts for a message; every edition has a webhookId of its own.

        Raises:
            KeyError: no such message.
        """
        name = f"webhook {edition} {message_id}".encode()
        webhook_id = str(UUID(bytes=blake2b(name, digest_size=16).digest(), version=4))
        return announce(self.messages[message_id], {"appId": APP_ID, "versionId": APP_ID, "webhookId": webhook_id})

    def _write_conversation(self, number: int, length: int) -> None:
        draw = self._draw("conversation", number)
        place = number % len(self.location_ids)
        location_id = self.location_ids[place]
        conversation_id, contact_id = self._id("conversation", number), self._id("contact", number)
        talk = Talk(
            ids={"locationId": location_id, "contactId": contact_id, "conversationId": conversation_id},
            user_id=self._id("user", place),
            name=draw.choice(NAMES),
            phone=f"+1555{draw.randrange(10**7):07d}",
        )
        begun = self._newest - draw.randrange(8 * DAY, SPAN_DAYS * DAY)
        pace = draw.choice((DAY // 480, DAY // 24, DAY // 4))
        self._add(contact_id, "contact", location_id, things.contact(talk, iso(begun - draw.randrange(DAY)), draw))
        first = len(self.messages)
        ids = [
            self._write_message(first + n, talk, begun + n * pace + draw.randrange(pace), draw) for n in range(length)
        ]
        self._add(conversation_id, "conversation", location_id, {"messageIds": ids})

    def _write_message(self, index: int, talk: Talk, at: int, draw: Random) -> str:
        turn, rest = divmod(index, self._every)
        rare = rest == self._every - 1
        message_type = _TYPES[turn % len(_TYPES)] if rare else draw.choices(_TYPES, cum_weights=_WEIGHTS)[0]
        message_id, location_id = self._id("message", index), talk.ids["locationId"]
        message = self.messages[message_id] = compose(message_id, message_type, talk, at, draw)
        if channel_of(message_type) == "email":
            email_ids = [self._id(f"email {n}", index) for n in range(draw.choice((1, 1, 2, 3, 5)))]
            message["meta"]["email"]["messageIds"] = email_ids
            for email in things.thread(message, talk, email_ids, draw):
                self._add(email["id"], "email", location_id, email, is_documented=draw.random() < DOCUMENTED_SHARE)
        is_documented = draw.random() < DOCUMENTED_SHARE
        self._add(message_id, "message", location_id, message, is_documented=is_documented)
        return message_id

    def _add(
        self, known_id: str, kind: Kind, location_id: str, content: dict[str, Any], *, is_documented: bool = False
    ) -> None:
        self.things[known_id] = Thing(kind, location_id, content, is_documented)
        self._ids.setdefault((kind, location_id), []).append(known_id)

    def _draw(self, purpose: str, number: int) -> Random:
        return Random(f"{self._seed} {purpose} {number}")  # noqa: S311 - reproducible on purpose

    def _id(self, purpose: str, number: int) -> str:
        """Twenty letters and digits, like every id of HighLevel; 15 bytes are exactly 20 base-64 digits."""
        digest = blake2b(b"%d %s %d" % (self._seed, purpose.encode(), number), digest_size=15).digest()
        return b64encode(digest, b"Zz").decode("ascii")


def newest_for(end: datetime, *, seed: int, locations: int, messages: int) -> int:
    """Return the ``newest`` with which the last message of these data is of ``end``: all dates move alike."""
    dates = Dataset(seed, locations, messages).messages.values()
    last = datetime.fromisoformat(max(str(each["dateAdded"]) for each in dates))
    return NEWEST + round((end - last).total_seconds() * 1000)
