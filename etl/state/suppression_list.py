"""Every SQL statement on the suppression list: ``etl.forgotten``, ``etl.erased``, ``etl.pruned``. Never commits.

Guarantee: once :func:`add` is committed, every transaction that calls :func:`suppressed` or :func:`suppression` sees
it, and those that called before have ended. So no row of the contact is written afterwards.

Why: docs/decisions, "What was erased is remembered by its id".
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from etl.database.conditions import contains, in_array
from etl.models import Forgotten, Pruned

LOCK_SECONDS = 0.2
"""How long others wait behind :func:`lock` while it waits: less than the receiver's timeout."""
MESSAGES = "messages"

T = TypeVar("T")
Key = tuple[str, str]
"""A location, and the id of a contact, a message, an email or a conversation there."""


class Named(NamedTuple):
    """The ids in a thing that show to which contact it belongs."""

    location_id: str
    """Empty: any."""
    contact_id: str | None
    conversation_id: str | None
    ids: tuple[str | None, ...]
    """Its own."""

    def is_among(self, keys: Collection[Key]) -> bool:
        """Return whether it belongs to a contact of these erased keys.

        Another contact's message in the same conversation does not.
        """
        named = {self.contact_id or self.conversation_id, *self.ids}
        return any(id_ in named and self.location_id in ("", owner) for owner, id_ in keys)


@dataclass(frozen=True, slots=True)
class About:
    """Decides whether an event or a dead letter is about one contact."""

    location_id: str | None
    """Its location; an event without a location may belong to it, too. None: any."""
    named: frozenset[str]
    """Ids of the contact and its conversations, for which payloads are searched."""
    ids: frozenset[str]
    """The same ids, and those of its messages and emails."""

    def conditions(
        self, location: Column[str], body: Column[Any], columns: Sequence[Column[Any]]
    ) -> list[ColumnElement[bool]]:
        """Return the conditions that a row of this location names one of the ids, in its columns or in its body."""
        by_column = [in_array(column, self.ids) for column in columns]
        named = or_(*by_column, *(contains(body, id_) for id_ in self.named))
        return [named] if self.location_id is None else [in_array(location, {self.location_id, ""}), named]


@dataclass(frozen=True, slots=True)
class Suppression:
    """Which of some ids must not be written."""

    now: datetime
    """Postgres's time, constant within a transaction."""
    before: datetime | None
    """Messages created before this are never loaded, by the retention; None: no limit."""
    keys: frozenset[Key]
    """Those of the ids that were erased with a contact."""


# The row lock is taken for the table lock that comes with it: :func:`lock` waits until this transaction has
# written its rows. A dump of the database takes no such lock.
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
    """Return which of these ids of contacts, messages, emails and conversations must not be written."""
    rows = connection.execute(SUPPRESSION, {"ids": list(ids)}).all()
    keys = frozenset((row.location_id, row.id) for row in rows if row.id is not None)
    return Suppression(rows[0].now, rows[0].before, keys)


def suppressed(connection: Connection, things: Mapping[T, Named]) -> list[T]:
    """Return those of the things that belong to a contact that was erased."""
    ids = {id_ for each in things.values() for id_ in (each.contact_id, each.conversation_id, *each.ids) if id_}
    rows = connection.execute(SUPPRESSED, {"ids": list(ids)}) if ids else ()
    keys = {(row.location_id, row.id) for row in rows}
    return [thing for thing, named in things.items() if named.is_among(keys)]


def locations_of(connection: Connection, contact_id: str) -> list[str]:
    """Return the locations at which a contact was erased."""
    query = select(Forgotten.location_id).where(Forgotten.contact_id == contact_id)
    return sorted(connection.execute(query).scalars())


def lock(connection: Connection) -> None:
    """Wait briefly for transactions that read the suppression list, and keep new ones out until the commit.

    Raises:
        sqlalchemy.exc.OperationalError: they have not ended; try again.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}"))
    connection.execute(text("LOCK TABLE etl.forgotten IN EXCLUSIVE MODE"))


def add(connection: Connection, contact_id: str, ids: Collection[str], *, location_id: str) -> None:
    """Add a contact and its ids to the suppression list; safe to repeat, after :func:`lock`."""
    remember = text("""
        INSERT INTO etl.erased (digest, location_id, contact_digest)
        SELECT sha256(convert_to(id, 'UTF8')), :location_id, sha256(convert_to(:contact_id, 'UTF8'))
        FROM unnest(CAST(:ids AS text[])) AS given (id) ON CONFLICT DO NOTHING
    """)
    statement = insert(Forgotten).values(contact_id=contact_id, location_id=location_id)
    connection.execute(statement.on_conflict_do_nothing())
    connection.execute(remember, {"contact_id": contact_id, "location_id": location_id, "ids": list(ids)})


def set_floor(connection: Connection, before: datetime | None) -> None:
    """Set the creation time before which messages are not loaded; None: all may be loaded again."""
    if before is None:
        connection.execute(delete(Pruned).where(Pruned.table_name == MESSAGES))
        return
    statement = insert(Pruned).values(table_name=MESSAGES, before=before)
    new = {"before": statement.excluded.before, "pruned_at": func.now()}
    connection.execute(statement.on_conflict_do_update(index_elements=[Pruned.table_name], set_=new))
