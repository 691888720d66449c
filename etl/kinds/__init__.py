"""Kinds of items, one module each: the request to HighLevel, and the rows and further items in its answer.

To add a kind: a module here with ``kind(options)``, its name in :data:`KINDS` and in ``etl.models.KINDS``, its tables
in ``etl/models/highlevel.py``, a migration, and an entry in jobs.yaml.
"""

from collections.abc import Callable, Collection

from etl.kinds import (
    contacts,
    conversations,
    emails,
    locations,
    messages,
    recordings,
    transcriptions,
    users,
    window_pages,
)
from etl.kinds.kind import Kind, NotFoundPolicy, Options, Origin
from etl.models import Base

KINDS: dict[str, Callable[[Options], Kind]] = {
    "message": messages.kind,
    "email": emails.kind,
    "conversation": conversations.kind,
    "recording": recordings.kind,
    "transcription": transcriptions.kind,
    "contact": contacts.kind,
    "user": users.kind,
    "location": locations.kind,
    "window": window_pages.kind,
}


def tables(names: Collection[str]) -> dict[str, type[Base] | None]:
    """Return the table of each of these kinds."""
    return {name: KINDS[name](Options()).table for name in names}
