"""What a payload becomes: data only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etl.models.base import Base

Row = dict[str, Any]
"""A row of a table, by the names of its columns."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """An item that a record asks for; queued only where a job takes its kind."""

    kind: str
    id: str
    location_id: str
    delay: float = 0.0
    """Seconds until it is due."""
    max_age: float | None = None
    """Not queued when what it would fetch was fetched within so many seconds; None: when it ever was."""
    force: bool = False
    """Whether to queue it even if the tables have it, because it may have changed in HighLevel."""
    conversation_id: str | None = None
    """The conversation it is part of, where that is known."""


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """One thing normalized: its row, rows below it, items it asks for. No repr: it holds customers' words."""

    table: type[Base]
    row: Row
    children: Mapping[type[Base], Sequence[Row]] = field(default_factory=dict)
    """Rows whose keys begin with this row's: all there are, of each table named here."""
    named: Mapping[type[Base], Sequence[Row]] = field(default_factory=dict)
    """Rows of things that this one only names: their other columns stay as they are."""
    follow_ups: tuple[FollowUp, ...] = ()
    drift: tuple[str, ...] = ()
    """What this version does not know, e.g. ``field:foo`` or ``status:teleported``."""
    is_partial: bool = False
    """Whether the answer may lack what the API knows of the thing: then a column that it leaves out stays as it is."""
