"""Finds and deletes rows of ``highlevel`` for good. Nothing here commits; every statement names the location.

Locks a message before its child rows, like the loader.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, delete, exists, func, or_, select, union
from sqlalchemy.dialects.postgresql import insert

from etl.database.conditions import count_of, in_array
from etl.models import (
    Attachment,
    Base,
    Contact,
    DeletedRow,
    Email,
    EmailAttachment,
    EmailStatusChange,
    Message,
    Meta,
    Recording,
    StatusChange,
    Transcript,
)
from etl.state import mart_changes

CHILDREN: dict[Any, tuple[Any, ...]] = {
    Message: (Attachment, Meta, StatusChange, Transcript, Recording),
    Email: (EmailAttachment, EmailStatusChange),
}
"""The tables whose rows belong to messages, and to emails."""
AGING: dict[str, Column[datetime]] = {
    each.table.name: each for each in (StatusChange.seen_at, EmailStatusChange.seen_at, DeletedRow.deleted_at)
}
"""Tables whose rows are deleted by their own age, and the column that holds their time."""
DELETED_DAYS = 90
"""Days that the ids of deleted rows are kept for those who have copies."""


@dataclass(frozen=True, slots=True)
class ContactRows:
    """A contact's rows."""

    message_ids: frozenset[str]
    email_ids: frozenset[str]
    conversation_ids: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        """Return all ids."""
        return self.message_ids | self.email_ids | self.conversation_ids


def location_ids(connection: Connection) -> list[str]:
    """Return the locations that have messages, emails or contacts, or had some. Reads the indexes of their keys."""
    query = union(*(select(model.location_id) for model in (Message, Email, Contact, DeletedRow)))
    return sorted(connection.execute(query).scalars())


def find_contact_rows(connection: Connection, contact_id: str, *, location_id: str) -> ContactRows:
    """Find a contact's rows, with messages of its conversations that name no contact and emails of its messages."""
    conversations: set[str] = set()
    for model in (Message, Email):
        query = select(model.conversation_id).where(
            model.location_id == location_id, model.contact_id == contact_id, model.conversation_id.is_not(None)
        )
        conversations |= {id_ for id_ in connection.execute(query.distinct()).scalars() if id_ is not None}
    found = {model: _of(connection, model, contact_id, location_id, conversations) for model in CHILDREN}
    emails = found[Email] | _in_threads(connection, found[Message], location_id)
    return ContactRows(found[Message], emails, frozenset(conversations))


def _of(
    connection: Connection, model: Any, contact_id: str, location_id: str, conversations: Collection[str]
) -> frozenset[str]:
    unnamed = and_(model.contact_id.is_(None), in_array(model.conversation_id, conversations))
    own = model.location_id == location_id, or_(model.contact_id == contact_id, unnamed)
    return frozenset(connection.execute(select(_id_of(model)).where(*own)).scalars())


def _in_threads(connection: Connection, message_ids: Collection[str], location_id: str) -> frozenset[str]:
    """Return the emails whose threads these messages are."""
    query = select(Email.email_id).where(Email.location_id == location_id, in_array(Email.message_id, message_ids))
    return frozenset(connection.execute(query).scalars())


def has_contact(connection: Connection, contact_id: str, *, location_id: str) -> bool:
    """Return whether the contact itself was loaded."""
    query = select(exists().where(*_these(Contact, [contact_id], location_id)))
    return bool(connection.execute(query).scalar_one())


def audio(connection: Connection, message_ids: Collection[str], *, location_id: str) -> list[str]:
    """Return the URLs of the calls' audio."""
    query = select(Recording.url).where(*_these(Recording, message_ids, location_id), Recording.url.is_not(None))
    return [url for url in connection.execute(query).scalars() if url is not None]


def count(connection: Connection, contact_rows: ContactRows, *, location_id: str) -> Counter[str]:
    """Return how many rows :func:`erase_messages` and :func:`erase_emails` would delete, by table."""
    rows = Counter({"messages": len(contact_rows.message_ids), "emails": len(contact_rows.email_ids)})
    for parent, ids in ((Message, contact_rows.message_ids), (Email, contact_rows.email_ids)):
        for model in CHILDREN[parent]:
            query = count_of(model, _these(model, ids, location_id))
            rows[model.__tablename__] = connection.execute(query).scalar_one()
    return rows


def erase_messages(connection: Connection, ids: Collection[str], *, location_id: str, why: str) -> Counter[str]:
    """Delete messages with their child rows, and of threads their emails; return how many rows, by table."""
    return _erase(connection, Message, ids, location_id, why)


def erase_emails(connection: Connection, ids: Collection[str], *, location_id: str, why: str) -> Counter[str]:
    """Delete emails with their child rows; return how many rows, by table."""
    return _erase(connection, Email, ids, location_id, why)


def _erase(connection: Connection, model: Any, ids: Collection[str], location_id: str, why: str) -> Counter[str]:
    if not ids:
        return Counter()
    these = _these(model, ids, location_id)
    connection.execute(select(_id_of(model)).where(*these).order_by(_id_of(model)).with_for_update())
    rows = Counter[str]()
    for child in CHILDREN[model]:
        rows[child.__tablename__] = connection.execute(delete(child).where(*_these(child, ids, location_id))).rowcount
    if model is Message:
        rows += _erase(connection, Email, _in_threads(connection, ids, location_id), location_id, why)
    rows[model.__tablename__] = _delete_counted(connection, model, these, why)
    return rows


def _delete_counted(connection: Connection, model: Any, condition: Iterable[ColumnElement[bool]], why: str) -> int:
    """Delete messages or emails; note them for copies, and have their conversations and days counted anew."""
    shown = model.location_id, model.message_id, model.conversation_id, model.date_added
    deleted = connection.execute(delete(model).where(*condition).returning(_id_of(model), *shown)).all()
    mart_changes.note(connection, [change for _, *row in deleted for change in mart_changes.of_row(*row)])
    _note_deleted(connection, model, [(row.location_id, row[0]) for row in deleted], why)
    return len(deleted)


def _note_deleted(connection: Connection, model: Any, keys: Iterable[tuple[str, str]], why: str) -> None:
    name = model.__tablename__
    rows = [{"location_id": each, "id": id_, "table_name": name, "why": why} for each, id_ in keys]
    statement = insert(DeletedRow)
    again = {name: statement.excluded[name] for name in ("deleted_at", "why")}
    statement = statement.on_conflict_do_update(constraint=DeletedRow.__table__.primary_key, set_=again)
    if rows:
        connection.execute(statement, rows)


def _id_of(model: Any) -> ColumnElement[str]:
    """Return the column of a table that comes after the location in its key: the thing that a row is about."""
    column: ColumnElement[str] = list(model.__table__.primary_key)[1]
    return column


def _these(model: Any, ids: Collection[str], location_id: str) -> tuple[ColumnElement[bool], ...]:
    return model.location_id == location_id, in_array(_id_of(model), ids)


def erase_contact(connection: Connection, contact_id: str, *, location_id: str) -> Counter[str]:
    """Delete a contact's own row."""
    rows = connection.execute(delete(Contact).where(*_these(Contact, [contact_id], location_id))).rowcount
    _note_deleted(connection, Contact, [(location_id, contact_id)] * rows, "erased")
    return Counter(contacts=rows)


def old_messages(connection: Connection, before: datetime, *, location_id: str, limit: int | None) -> list[str]:
    """Return the messages created before that time, the oldest first; of threads only those without a newer email."""
    undated = and_(Message.date_added.is_(None), Message.created_at < before)
    newer = exists().where(
        Email.location_id == location_id,
        Email.message_id == Message.message_id,
        func.coalesce(Email.date_added, Email.created_at) >= before,
    )
    query = (
        select(Message.message_id)
        .where(Message.location_id == location_id, or_(Message.date_added < before, undated), ~newer)
        .order_by(Message.date_added, Message.message_id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def count_old(connection: Connection, table: str, before: datetime, *, location_id: str) -> int:
    """Return how many rows of one of :data:`AGING` are from before that time."""
    query = select(func.count()).where(*_is_old(table, before, location_id))
    return connection.execute(query).scalar_one()


def erase_old(connection: Connection, table: str, before: datetime, *, location_id: str, limit: int) -> int:
    """Delete some rows of one of :data:`AGING`, in order of what they belong to; return how many."""
    of_location, aging = _is_old(table, before, location_id), AGING[table].table
    id_ = list(aging.primary_key)[1]
    ids = list(connection.execute(select(id_).where(*of_location).distinct().order_by(id_).limit(limit)).scalars())
    return connection.execute(delete(aging).where(*of_location, in_array(id_, ids))).rowcount if ids else 0


def _is_old(table: str, before: datetime, location_id: str) -> tuple[ColumnElement[bool], ...]:
    return AGING[table].table.c.location_id == location_id, AGING[table] < before


TABLES: tuple[type[Base], ...] = (*CHILDREN, *CHILDREN[Message], *CHILDREN[Email], Contact, DeletedRow)
"""The tables erased here; a test checks that no table with a contact's words is missing."""
