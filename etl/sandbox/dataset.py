"""A data set that is a pure function of its arguments: the same seed gives the same bytes. Performs no I/O."""

import json
from array import array
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Any, Literal

from etl.sandbox import calls, events, people
from etl.sandbox.emails import compose_email
from etl.sandbox.messages import MESSAGE_TYPES, Slot, Talk, compose, documented
from etl.sandbox.oauth import APP_ID

Kind = Literal["message", "email", "conversation", "contact", "user", "location"]

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
        documented_share: the share (0 to 1) of messages and emails answered in the documented, unwrapped shape; the
            others come as the API was seen to answer, ``{"message": {...}, "traceId": ...}`` (docs issue 258).
    """

    def __init__(
        self, seed: int = 1, locations: int = 3, messages: int = 1000, *, documented_share: float = 0.15
    ) -> None:
        self.seed = seed
        self.documented_share = documented_share
        self.company_id = self._id("company", 0)
        self.location_ids = tuple(self._id("location", n) for n in range(locations))
        self._starts = _conversation_starts(seed, messages)
        self._every = max(1, min(20, messages // len(MESSAGE_TYPES)))
        self._ids = [self._id("message", n) for n in range(messages)]
        self._index = {message_id: n for n, message_id in enumerate(self._ids)}
        self.answer = lru_cache(maxsize=8192)(self._encode)

    def __contains__(self, known_id: object) -> bool:
        """Whether there is such a message."""
        return known_id in self._index

    def ids(self, location_id: str | None = None) -> Sequence[str]:
        """All message ids, or those of one location; none for a location that is not in the data set."""
        return self._ids if location_id is None else self._by_location.get(location_id, ())

    def ids_of(self, kind: Kind, location_id: str) -> list[str]:
        """The ids of a location's conversations, contacts or users."""
        place, step = self.location_ids.index(location_id), len(self.location_ids)
        return [known for known, other in self._others.items() if other[0] == kind and other[1] % step == place]

    def examples(self, location_id: str) -> dict[str, str]:
        """An id of each other kind; ``call`` is a message with a recording and a transcription."""
        kinds: tuple[Kind, ...] = ("conversation", "contact", "user")
        found: dict[str, str] = {
            kind: self.ids_of(kind, location_id)[0] for kind in kinds if self.ids_of(kind, location_id)
        }
        for message_id in self.ids(location_id):
            if "email" not in found and self.thread_of(self.email_id(message_id, 0)):
                found["email"] = self.email_id(message_id, 0)
            if "call" not in found and self.transcription(message_id):
                found["call"] = message_id
            if len(found) == len(kinds) + 2:
                break
        return found

    def kind_of(self, known_id: str) -> Kind | None:
        """What an id is the id of, or None for an unknown one."""
        return self._find(known_id)[0]

    def location_of(self, known_id: str) -> str | None:
        """The location that owns a thing, or None for an unknown id."""
        kind, number = self._find(known_id)
        if kind is None:
            return None
        if kind in ("message", "email"):
            number = self._conversation_number(number)
        return self.location_ids[number % len(self.location_ids)]

    def name_of(self, location_id: str) -> str:
        """The business behind a location."""
        return BUSINESSES[self.location_ids.index(location_id) % len(BUSINESSES)]

    def message(self, message_id: str) -> dict[str, Any] | None:
        """One message with the keys of a real answer, whatever shape it is answered in; None for an unknown id."""
        index = self._index.get(message_id)
        return None if index is None else self._write(index)[1]

    def messages_of(self, conversation_id: str) -> Sequence[str]:
        """The ids of a conversation's messages, oldest first; none for an unknown id."""
        kind, number = self._find(conversation_id)
        if kind != "conversation":
            return ()
        end = self._starts[number + 1] if number + 1 < len(self._starts) else len(self._ids)
        return self._ids[self._starts[number] : end]

    def email_id(self, message_id: str, position: int) -> str:
        """The id of an email of a thread; the first is at 0, and there are 19 at most."""
        return message_id[position + 1 :] + message_id[: position + 1]

    def thread_of(self, email_id: str) -> str | None:
        """The message whose thread an email belongs to, or would belong to if it had grown so far."""
        kind, index = self._find(email_id)
        return self._ids[index] if kind == "email" else None

    def payload(self, known_id: str) -> dict[str, Any] | None:
        """The whole JSON answer of ``GET`` for a message, email, contact, user or location; None for an unknown id."""
        kind, number = self._find(known_id)
        payload: dict[str, Any] | None = None
        match kind:
            case "message":
                payload = self._message(number)
            case "email":
                payload = self._email(known_id, number)
            case "contact":
                payload = {"contact": self._contact(number), "traceId": self._uuid("contact", number)}
            case "user":
                payload = people.user(known_id, self.location_ids[number], self._draw("user", number))
            case "location":
                payload = {"location": people.location(known_id, self.company_id, self.name_of(known_id), number)}
        return payload

    def recording(self, message_id: str, leg: int) -> bytes | None:
        """A WAV file of a call's first (0) or second (1) leg; None where there is none."""
        return calls.recording(self.message(message_id) or {}, leg)

    def transcription(self, message_id: str) -> list[dict[str, Any]] | None:
        """The sentences of a call; None where there are none."""
        return calls.transcription(self.message(message_id) or {})

    def event(self, message_id: str, *, edition: int = 0, named: bool = True) -> dict[str, Any]:
        """The webhook event HighLevel posts for a message; every edition has a webhookId of its own.

        Without ``named`` it names no message, as the documentation's example of a text does not.

        Raises:
            KeyError: no such message.
        """
        slot, message, _ = self._write(self._index[message_id])
        event = events.of_message(slot, message, self._envelope(f"webhook {edition}", self._index[message_id]))
        return event if named else events.without_id(event)

    def unread_event(self, conversation_id: str) -> dict[str, Any]:
        """The event that a conversation has unread messages; it names no message."""
        number = self._others[conversation_id][1]
        return events.unread(self._talk(number), self._envelope("unread", number))

    def contact_deleted_event(self, contact_id: str) -> dict[str, Any]:
        """The event that a contact is deleted."""
        number = self._others[contact_id][1]
        return events.contact_deleted(self._contact(number), self._envelope("contact deleted", number))

    @cached_property
    def _by_location(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {known: [] for known in self.location_ids}
        for message_id in self._ids:
            found[self.location_of(message_id) or ""].append(message_id)
        return found

    @cached_property
    def _others(self) -> dict[str, tuple[Kind, int]]:
        """What is neither a message nor an email: kind and number of each id."""
        found: dict[str, tuple[Kind, int]] = {}
        for number, location_id in enumerate(self.location_ids):
            found[location_id] = "location", number
            found[self._id("user", number)] = "user", number
        for number in range(len(self._starts)):
            found[self._id("conversation", number)] = "conversation", number
            found[self._id("contact", number)] = "contact", number
        return found

    def _find(self, known_id: str) -> tuple[Kind | None, int]:
        """Kind and number; an email has the number of its thread's message."""
        index = self._index.get(known_id)
        if index is not None:
            return "message", index
        if known_id in self._others:
            return self._others[known_id]
        for turn in range(1, 20):  # an email's id is its thread's, turned: so it needs no place in memory
            index = self._index.get(known_id[-turn:] + known_id[:-turn])
            if index is not None and self._write(index)[0].email_ids:
                return "email", index
        return None, 0

    def _encode(self, known_id: str) -> bytes | None:
        payload = self.payload(known_id)
        return None if payload is None else encode(payload)

    def _write(self, index: int) -> tuple[Slot, dict[str, Any], Random]:
        """A message and what is left of its source of chance, from which its shape goes on drawing."""
        draw = self._draw("message", index)
        number = self._conversation_number(index)
        talk = self._talk(number)
        message_type = self._type(index, draw)
        emails = draw.choice((1, 1, 2, 3, 5)) if MESSAGE_TYPES[message_type][1] == "email" else 0
        slot = Slot(
            id=self._ids[index],
            message_type=message_type,
            talk=talk,
            at=talk.begun + min(index - self._starts[number], 30) * talk.pace + draw.randrange(talk.pace),
            email_ids=tuple(self.email_id(self._ids[index], n) for n in range(emails)),
        )
        return slot, compose(slot, draw), draw

    def _talk(self, number: int) -> Talk:
        draw = self._draw("conversation", number)
        place = number % len(self.location_ids)
        return Talk(
            conversation_id=self._id("conversation", number),
            location_id=self.location_ids[place],
            contact_id=self._id("contact", number),
            user_id=self._id("user", place),
            begun=NEWEST - draw.randrange(8 * DAY, SPAN_DAYS * DAY),
            pace=draw.choice((DAY // 480, DAY // 24, DAY // 4)),
            name=draw.choice(NAMES),
            phone=f"+1555{draw.randrange(10**7):07d}",
        )

    def _message(self, index: int) -> dict[str, Any]:
        _, message, draw = self._write(index)
        if draw.random() < self.documented_share:
            return documented(message, draw)
        return {"message": message, "traceId": self._uuid("trace", index)}

    def _contact(self, number: int) -> dict[str, Any]:
        return people.contact(self._talk(number), self._draw("contact", number))

    def _email(self, email_id: str, index: int) -> dict[str, Any]:
        slot, _, _ = self._write(index)
        position = next(n for n in range(19) if self.email_id(slot.id, n) == email_id)
        draw = self._draw(f"email {position}", index)
        previous = self.email_id(slot.id, position - 1) if position else None
        subject = self._draw("subject", index)
        email = compose_email(slot, email_id, previous, position, subject=subject, draw=draw)
        if draw.random() < self.documented_share:
            return email
        return {"emailMessage": email, "traceId": self._uuid(f"email {position}", index)}

    def _type(self, index: int, draw: Random) -> str:
        # A regular trickle of every type, rare ones included, so that even a small data set holds all of them.
        turn, rest = divmod(index, self._every)
        if rest == self._every - 1:
            return _NAMES[turn % len(_NAMES)]
        return draw.choices(_NAMES, cum_weights=_WEIGHTS)[0]

    def _conversation_number(self, index: int) -> int:
        return bisect_right(self._starts, index) - 1

    def _envelope(self, purpose: str, number: int) -> dict[str, str]:
        return {"appId": APP_ID, "versionId": APP_ID, "webhookId": self._uuid(purpose, number)}

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
