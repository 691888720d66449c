"""What a kind of item is: data only."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from etl.api.client import Answer, Call
from etl.models import Base
from etl.models.record import Record

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Origin:
    """What a transform must know beside the payload."""

    id: str
    """What was asked for."""
    location_id: str
    """Where a thing belongs that does not say so itself."""
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Options:
    """What jobs.yaml says about kinds."""

    status_checks: tuple[float, ...] = (3600.0, DAY, 7 * DAY)
    """Seconds after it was created at which a message whose status is not final is fetched again."""
    media_checks: tuple[float, ...] = (15.0, 120.0, 3600.0)
    """Seconds after it was created at which a message whose media may be late is fetched again."""
    recordings_url: str | None = None
    """Where the audio of calls is kept: a folder or an fsspec URL; None: it is not kept."""


@dataclass(frozen=True, slots=True)
class Absence:
    """What it means that the API does not know an id."""

    delays: tuple[float, ...] = (2.0, 8.0, 30.0)
    """Seconds until it is asked for again. Right after a webhook the API may not have it yet; then it is final."""
    is_failure: bool = True
    """Whether an item that stays unknown becomes a dead letter; else it ends without a word."""
    is_usual: bool = False
    """Whether most ids have no such thing, so that many absences in a row are nothing to wonder about."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item."""

    name: str
    table: type[Base] | None
    """Where the thing itself is kept, keyed by its location and its id; None: nowhere."""
    extract: Callable[[Call, str, str], Answer]
    """Ask the API for an id of a location. Raises ItemError."""
    transform: Callable[[Any, Origin], list[Record]]
    """What the answer's payload becomes; pure. Raises TransformError; PartlyReadError where the rest is loaded."""
    absence: Absence = Absence()
    requests: int = 1
    """How often ``extract`` may ask: so many requests are granted with each item, and those not sent are given back."""
    named_in_messages_as: str | None = None
    """The column of messages that names it: when it is gone upstream, those messages are fetched again."""
