"""Kinds of items, one module each: what to ask HighLevel for, and which rows and further items its answer becomes.

To add a kind: a module here with ``kind(options)``, its name in :data:`KINDS` and in ``etl.models.KINDS``, its tables
in ``etl/models/highlevel.py``, a migration, and an entry in jobs.yaml.
"""

from collections.abc import Callable, Collection

from etl.kinds import contacts, conversations, emails, locations, messages, recordings, transcriptions, users
from etl.kinds.kind import Absence, Kind, Options, Origin
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
}


def tables(names: Collection[str]) -> dict[str, type[Base] | None]:
    """Where each of these kinds keeps what it fetches."""
    return {name: KINDS[name](Options()).table for name in names}
