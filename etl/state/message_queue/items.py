"""What goes into the queue and comes out of it; data only."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

SUSPECT = 2
"""Lapses of its lease after which an item may be what kills its worker: from then on it is fetched alone."""
LOST = SUSPECT + 3
"""Lapses after which it is given up on: the last three times nothing else was in hand."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """Something to be fetched."""

    kind: str
    message_id: str
    location_id: str
    conversation_id: str | None = None
    """Of a message: the conversation it is part of, where that is known."""
    dated_at: datetime | None = None
    """Of a message: when it was created, where that is known."""
    delay: float = 0.0
    """Seconds until it is due."""


@dataclass(frozen=True, slots=True)
class Item:
    """One claimed row of the queue."""

    kind: str
    message_id: str
    location_id: str
    attempt: int
    """Attempts spent, this one included; 1 at first."""
    lease_id: int
    cause: str | None
    """Why the attempt before this one failed or waited; None at first."""
    claimed_at: datetime
    """By Postgres's clock."""
    conversation_id: str | None = None
    """The conversation that it is part of, where that is known."""
    lapses: int = 0
    """How often its worker was killed, or away, since an attempt ended."""

    @property
    def is_lost(self) -> bool:
        """Whether it killed its worker too often to be tried again."""
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
    """An item that becomes a dead letter, and what the letter keeps of it."""

    item: Item
    cause: str
    detail: str
    payload: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Unasked:
    """Something received that no item can ask for. No repr: it holds customers' words."""

    kind: str
    location_id: str
    cause: str
    detail: str
    payload: bytes

    @property
    def id(self) -> str:
        """Made of what was received: the same again is the same letter."""
        return f"sha256-{hashlib.sha256(self.location_id.encode() + self.payload).hexdigest()}"
