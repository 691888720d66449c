"""Describes a kind of item; data only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from etl.api.client import Answer, Call
from etl.errors import TransformError
from etl.models import Base
from etl.models.record import FollowUp, Record

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Origin:
    """The context that a transform needs in addition to the payload."""

    id: str
    """The id requested."""
    location_id: str
    """The location of a thing whose payload names none."""
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of kinds in jobs.yaml."""

    status_checks: tuple[float, ...] = (3600.0, DAY, 7 * DAY)
    """Seconds after it was created at which a message whose status is not final is fetched again."""
    media_checks: tuple[float, ...] = (15.0, 120.0, 3600.0)
    """Seconds after it was created at which a message whose media may be late is fetched again."""
    recordings_url: str | None = None
    """Where the audio of calls is kept: a folder or an fsspec URL; None: it is not kept."""


@dataclass(frozen=True, slots=True)
class NotFoundPolicy:
    """How to treat an id that the API does not know."""

    delays: tuple[float, ...] = (2.0, 8.0, 30.0)
    """Seconds between requests: right after a webhook the API may not have it yet. After the last one it is final."""
    is_failure: bool = True
    """Whether an item that stays unknown becomes a dead letter; else it is removed silently."""
    is_usual: bool = False
    """Whether most ids have no such thing, so that many absences in a row are normal."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item."""

    name: str
    table: type[Base] | None
    """The table of the thing itself, keyed by its location and its id; None: none."""
    extract: Callable[[Call, str, str], Answer]
    """Fetch an id of a location from the API. Raises ItemError."""
    transform: Callable[[Any, Origin], list[Record]]
    """Turn a payload into records; pure. Raises TransformError; PartlyReadError where the rest is loaded."""
    not_found: NotFoundPolicy = NotFoundPolicy()
    requests: int = 1
    """Requests granted with each item: ``extract`` may send so many, and unsent ones are given back."""
    most_requests: int = 0
    """How many are granted where the location's allowance is large enough; 0: not more than that."""
    named_in_messages_as: str | None = None
    """The column of messages that names it; if HighLevel no longer has it, these messages are fetched again."""


class PartlyReadError(TransformError):
    """Some rows of a list cannot be read; ``field`` names the first.

    Attributes:
        records: what the others became; they are loaded all the same.
        follow_ups: those that can be asked for by themselves.
        is_lossy: whether some cannot: then the list becomes a dead letter, which holds them.
    """

    def __init__(
        self, unread: Sequence[str], *, records: list[Record], follow_ups: tuple[FollowUp, ...], is_lossy: bool
    ) -> None:
        super().__init__(unread[0], f"cannot be read ({len(unread)} of the list)")
        self.records = records
        self.follow_ups = follow_ups
        self.is_lossy = is_lossy
