"""The items of the queue; data only."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

SUSPECT = 2
"""Lapses of its lease after which an item is a suspect: from then on it is fetched alone."""
LOST = SUSPECT + 3
"""Lapses after which it becomes a dead letter: the last three times it was fetched alone."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be queued."""

    kind: str
    message_id: str
    location_id: str
    conversation_id: str | None = None
    """The conversation of a message, if known."""
    dated_at: datetime | None = None
    """When a message was created, if known."""
    delay: float = 0.0
    """Seconds until it is due."""


@dataclass(frozen=True, slots=True)
class Item:
    """One claimed row of the queue."""

    kind: str
    message_id: str
    location_id: str
    attempt: int
    """Number of this attempt, from 1. A snooze gives it back."""
    lease_id: int
    cause: str | None
    """Why the previous attempt failed or waited; None at first."""
    claimed_at: datetime
    """When it was claimed, by Postgres's clock."""
    conversation_id: str | None = None
    """Its conversation, if known."""
    lapses: int = 0
    """How often its lease has lapsed since an attempt ended."""

    @property
    def is_lost(self) -> bool:
        """Return whether its lease lapsed too often for another try."""
        return self.lapses >= LOST


@dataclass(frozen=True, slots=True)
class PutBack:
    """An item that returns to the queue."""

    item: Item
    delay: float
    """Seconds until it is due again."""
    cause: str | None = None
    spent: bool = True
    """Whether the attempt counts: False is a snooze."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that becomes a dead letter, and the letter's content."""

    item: Item
    cause: str
    detail: str
    payload: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class PayloadWithoutId:
    """A received payload without an id that can be requested. No repr: it holds customers' words."""

    kind: str
    location_id: str
    cause: str
    detail: str
    payload: bytes

    @property
    def id(self) -> str:
        """Return an id derived from the payload, so that a repetition is the same dead letter."""
        return f"sha256-{hashlib.sha256(self.location_id.encode() + self.payload).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Backlog:
    """The due messages of one location that were created in one hour."""

    location_id: str
    hour: datetime
    items: int
