"""Every statement on ``etl.forgotten``: contacts that were erased and must not come back. Nothing here commits.

Guarantee: once :func:`remember` is committed, every transaction that asks :func:`among` knows of it, and those that
asked before are over. So nothing of the contact is written after that.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, text, true
from sqlalchemy.dialects.postgresql import insert

from etl.database import among as is_among
from etl.models import Forgotten

LOCK_SECONDS = 0.2
"""How long others wait behind :func:`remember` while it waits: less than the receiver's patience."""


@dataclass(frozen=True, slots=True)
class About:
    """What tells that an event or a dead letter is about one contact."""

    location_id: str | None
    """Its location; what names none may be of it, too. None: any."""
    named: frozenset[str]
    """Ids of the contact and its conversations: what was received is searched for them."""
    ids: frozenset[str]
    """Those, and the ids of its messages and emails."""

    def is_at(self, column: Any) -> ColumnElement[bool]:
        """Whether something is of the location, by its column."""
        return true() if self.location_id is None else is_among(column, {self.location_id, ""})


def remember(connection: Connection, contact_id: str, *, location_id: str) -> None:
    """Note that a contact is to be forgotten; safe to repeat. Call it in a transaction of its own.

    Waits until those have ended who have read the table, for a short time only.

    Raises:
        sqlalchemy.exc.OperationalError: they have not; try again.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}"))
    # Whoever has looked for tombstones keeps a lock on the table until it commits what it then writes.
    connection.execute(text("LOCK TABLE etl.forgotten IN ACCESS EXCLUSIVE MODE"))
    statement = insert(Forgotten).values(contact_id=contact_id, location_id=location_id)
    connection.execute(statement.on_conflict_do_nothing())


def among(connection: Connection, contact_ids: Collection[str]) -> set[tuple[str, str]]:
    """Those of the contacts that were forgotten: ``(location_id, contact_id)``."""
    query = select(Forgotten.location_id, Forgotten.contact_id).where(is_among(Forgotten.contact_id, contact_ids))
    return {(row.location_id, row.contact_id) for row in connection.execute(query)}


def where(connection: Connection, contact_id: str) -> list[str]:
    """The locations at which a contact was forgotten."""
    return sorted(location_id for location_id, _ in among(connection, {contact_id}))
