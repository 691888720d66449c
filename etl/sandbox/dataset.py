"""A data set that is a pure function of its arguments: the same seed gives the same bytes. Performs no I/O."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Any, Literal
from uuid import UUID

from etl.sandbox import things
from etl.sandbox.messages import MESSAGE_TYPES, Talk, announce, channel_of, compose, documented, iso
from etl.sandbox.oauth import APP_ID

Kind = Literal["message", "email", "conversation", "contact", "user", "location"]

NEWEST = 1_793_491_200_000  # 2026-11-01T00:00:00Z, milliseconds: fixed, so that no clock changes the data
DAY = 86_400_000
SPAN_DAYS = 150
DOCUMENTED_SHARE = 0.15
"""Of messages and emails: answered in the documented shape, the others as seen (docs issue 258)."""
NAMES = ("Ann", "Ben", "Dmitri", "Elif", "Femi", "Kenji", "Lucía", "Siobhán", "Wei", "Zoë")
BUSINESSES = ("Harbour Street Dental", "Millers Garage", "Studio Lumen Hair", "Paws & Claws Vets")
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_TYPES = tuple(MESSAGE_TYPES)
_WEIGHTS = tuple(accumulate(weight for _, _, weight, _ in MESSAGE_TYPES.values()))


@dataclass(frozen=True, slots=True)
class Thing:
    """Anything that has an id; ``payload`` is the whole answer to a ``GET`` of it, ``{}`` for a conversation."""

    kind: Kind
    location_id: str
    payload: dict[str, Any]


class Dataset:
    """Conversations of small businesses.

    Every documented message type occurs as soon as there are 42 messages. Messages are shared out evenly: location
    n holds every n-th conversation, and the ids of a location are in the order they were sent within a conversation.

    Attributes:
        things: everything by its id.
        messages: each message with the keys of a real answer, whatever shape it is answered in.
        conversations: the ids of each conversation's messages, oldest first.
    """

    def __init__(self, seed: int = 1, locations: int = 3, messages: int = 1000) -> None:
        self._seed = seed
        self.company_id = self._id("company", 0)
        self.location_ids = tuple(self._id("location", n) for n in range(locations))
        self.things: dict[str, Thing] = {}
        self.messages: dict[str, dict[str, Any]] = {}
        self.conversations: dict[str, list[str]] = {}
        self._ids: dict[tuple[Kind, str], list[str]] = {}
        for number, location_id in enumerate(self.location_ids):
            location = things.location(location_id, self.company_id, self.name_of(location_id), number)
            self._add("location", location_id, location_id, {"location": location})
            user_id = self._id("user", number)
            user = things.user(user_id, location_id, self._draw("user", number))
            self._add("user", user_id, location_id, user)
        lengths = self._draw("lengths", 0)
        # A regular trickle of every type, rare ones included, so that even a small data set holds all of them.
        self._every = max(1, min(20, messages // len(MESSAGE_TYPES)))
        while len(self.messages) < messages:
            length = lengths.choice((1, 2, 2, 3, 4, 6, 8, 12, 20))  # skewed: most are short
            self._write_conversation(len(self.conversations), min(length, messages - len(self.messages)))

    def __contains__(self, known_id: object) -> bool:
        """Whether there is such a message."""
        return known_id in self.messages

    def ids(self, location_id: str | None = None) -> Sequence[str]:
        """All message ids, or those of one location; none for a location that is not in the data set."""
        return list(self.messages) if location_id is None else self.ids_of("message", location_id)

    def ids_of(self, kind: Kind, location_id: str) -> Sequence[str]:
        """The ids of everything of a kind in a location."""
        return self._ids.get((kind, location_id), [])

    def examples(self, location_id: str) -> dict[str, str]:
        """An id of each other kind; ``call`` is a message with a recording and a transcription."""
        kinds: tuple[Kind, ...] = ("conversation", "contact", "user", "email")
        found: dict[str, str] = {kind: ids[0] for kind in kinds if (ids := self.ids_of(kind, location_id))}
        call = next((each for each in self.ids(location_id) if self.transcription(each)), None)
        return found if call is None else found | {"call": call}

    def name_of(self, location_id: str) -> str:
        """The business behind a location."""
        return BUSINESSES[self.location_ids.index(location_id) % len(BUSINESSES)]

    def recording(self, message_id: str, leg: int) -> bytes | None:
        """A WAV file of a call's first (0) or second (1) leg; None where there is none."""
        return things.recording(self.messages.get(message_id, {}), leg)

    def transcription(self, message_id: str) -> list[dict[str, Any]] | None:
        """The sentences of a call; None where there are none."""
        return things.transcription(self.messages.get(message_id, {}))

    def event(self, message_id: str, *, edition: int = 0) -> dict[str, Any]:
        """The webhook event HighLevel posts for a message; every edition has a webhookId of its own.

        Raises:
            KeyError: no such message.
        """
        webhook_id = self._uuid(f"webhook {edition} {message_id}")
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
        begun = NEWEST - draw.randrange(8 * DAY, SPAN_DAYS * DAY)
        pace = draw.choice((DAY // 480, DAY // 24, DAY // 4))
        contact = things.contact(talk, iso(begun - draw.randrange(DAY)), draw)
        self._add("contact", contact_id, location_id, {"contact": contact, "traceId": self._uuid(contact_id)})
        self._add("conversation", conversation_id, location_id, {})
        first = len(self.messages)
        self.conversations[conversation_id] = [
            self._write_message(first + n, talk, begun + n * pace + draw.randrange(pace), draw) for n in range(length)
        ]

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
                is_documented = draw.random() < DOCUMENTED_SHARE
                wrapped = {"emailMessage": email, "traceId": self._uuid(email["id"])}
                self._add("email", email["id"], location_id, email if is_documented else wrapped)
        if draw.random() < DOCUMENTED_SHARE:
            payload = documented(message, draw)
        else:
            payload = {"message": message, "traceId": self._uuid(message_id)}
        self._add("message", message_id, location_id, payload)
        return message_id

    def _add(self, kind: Kind, known_id: str, location_id: str, payload: dict[str, Any]) -> None:
        self.things[known_id] = Thing(kind, location_id, payload)
        self._ids.setdefault((kind, location_id), []).append(known_id)

    def _draw(self, purpose: str, number: int) -> Random:
        return Random(f"{self._seed} {purpose} {number}")  # noqa: S311 - reproducible on purpose

    def _id(self, purpose: str, number: int) -> str:
        """Twenty letters and digits, like every id of HighLevel; 15 bytes are exactly 20 base-64 digits."""
        digest = blake2b(b"%d %s %d" % (self._seed, purpose.encode(), number), digest_size=15).digest()
        return b64encode(digest, b"Zz").decode("ascii")

    def _uuid(self, name: str) -> str:
        return str(UUID(bytes=blake2b(name.encode(), digest_size=16).digest(), version=4))


def encode(payload: object) -> bytes:
    """JSON as a Node.js server writes it: no spaces, text unescaped."""
    return _ENCODER.encode(payload).encode()
