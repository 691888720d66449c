"""Every statement on ``etl.forgotten``, ``etl.erased`` and ``etl.pruned``: what must not return. Never commits.

Guarantee: once :func:`add` is committed, every transaction that calls :func:`suppressed` or :func:`suppression` sees
it, and those that called before have ended. So nothing of the contact is written after that.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, text, true
from sqlalchemy.dialects.postgresql import insert

from etl.database.conditions import in_array
from etl.models import Forgotten, Pruned

LOCK_SECONDS = 0.2
"""How long others wait behind :func:`lock` while it waits: less than the receiver's patience."""
MESSAGES = "messages"

Key = tuple[str, str]
"""A location, and the id of a contact, a message, an email or a conversation there."""


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
        return true() if self.location_id is None else in_array(column, {self.location_id, ""})


@dataclass(frozen=True, slots=True)
class Suppression:
    """What must not be written, among some ids."""

    now: datetime
    """The time by Postgres, the same throughout a transaction."""
    before: datetime | None
    """Messages that were created before this were deleted for good; None: none were, by their age."""
    keys: frozenset[Key]
    """Those of the ids that were erased with a contact."""


# The lock on rows is there for the one on the table that comes with it: :func:`lock` waits until this transaction has
# written what it then writes. A dump of the database takes no such lock.
ERASED = """
    SELECT location_id, contact_id AS id FROM (
        SELECT * FROM etl.forgotten WHERE contact_id = ANY(CAST(:ids AS text[])) FOR KEY SHARE) AS f
    UNION ALL
    SELECT e.location_id, given.id FROM unnest(CAST(:ids AS text[])) AS given (id)
    JOIN etl.erased AS e ON e.digest = sha256(convert_to(given.id, 'UTF8'))
"""
SUPPRESSED = text(ERASED)
SUPPRESSION = text(f"""
    SELECT now() AS now, p.before, gone.location_id, gone.id
    FROM (SELECT) AS once
    LEFT JOIN etl.pruned AS p ON p.table_name = '{MESSAGES}'
    LEFT JOIN ({ERASED}) AS gone ON true
""")  # noqa: S608 - constants


def suppression(connection: Connection, ids: Collection[str]) -> Suppression:
    """Return what must not be written, among these ids of contacts, messages, emails and conversations."""
    rows = connection.execute(SUPPRESSION, {"ids": list(ids)}).all()
    keys = frozenset((row.location_id, row.id) for row in rows if row.id is not None)
    return Suppression(rows[0].now, rows[0].before, keys)


def suppressed(connection: Connection, ids: Collection[str]) -> set[Key]:
    """Those of the ids of contacts, messages, emails and conversations that were erased with a contact."""
    return {(row.location_id, row.id) for row in connection.execute(SUPPRESSED, {"ids": list(ids)})}


def covers(
    keys: Collection[Key],
    location_id: str,
    *,
    contact_id: str | None,
    conversation_id: str | None,
    ids: Iterable[str | None],
) -> bool:
    """Whether erased ``keys`` tell that a thing, with ``ids`` of its own, is of an erased contact. Asks nothing.

    Another contact's message in the same conversation is that one's. An empty ``location_id`` stands for any.
    """
    named = {contact_id or conversation_id, *ids}
    return any(id_ in named and location_id in ("", owner) for owner, id_ in keys)


def locations_of(connection: Connection, contact_id: str) -> list[str]:
    """Return the locations at which a contact was forgotten."""
    query = select(Forgotten.location_id).where(Forgotten.contact_id == contact_id)
    return sorted(connection.execute(query).scalars())


def lock(connection: Connection) -> None:
    """Wait until those have ended who have asked what is erased, for a short time only; no other asks until the commit.

    Raises:
        sqlalchemy.exc.OperationalError: they have not; try again.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}"))
    connection.execute(text("LOCK TABLE etl.forgotten IN EXCLUSIVE MODE"))


REMEMBER = text("""
    INSERT INTO etl.erased (digest, location_id, contact_digest)
    SELECT sha256(convert_to(id, 'UTF8')), :location_id, sha256(convert_to(:contact_id, 'UTF8'))
    FROM unnest(CAST(:ids AS text[])) AS given (id) ON CONFLICT DO NOTHING
""")


def add(connection: Connection, contact_id: str, ids: Collection[str], *, location_id: str) -> None:
    """Note that a contact is forgotten, and what belongs to it; safe to repeat, after :func:`lock`."""
    statement = insert(Forgotten).values(contact_id=contact_id, location_id=location_id)
    connection.execute(statement.on_conflict_do_nothing())
    connection.execute(REMEMBER, {"contact_id": contact_id, "location_id": location_id, "ids": list(ids)})


def set_floor(connection: Connection, before: datetime | None) -> None:
    """Note how far messages are deleted from now on; None: all may be loaded again."""
    if before is None:
        connection.execute(delete(Pruned).where(Pruned.table_name == MESSAGES))
        return
    statement = insert(Pruned).values(table_name=MESSAGES, before=before)
    new = {"before": statement.excluded.before, "pruned_at": func.now()}
    connection.execute(statement.on_conflict_do_update(index_elements=[Pruned.table_name], set_=new))
