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

from etl.database.conditions import in_array
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
from etl.state.mart_changes import Change

CHILD_TABLES: tuple[Any, ...] = (Attachment, Meta, StatusChange, Transcript, Recording)
"""Child tables of messages."""
EMAIL_CHILD_TABLES: tuple[Any, ...] = (EmailAttachment, EmailStatusChange)
AGING: dict[str, Column[datetime]] = {
    "status_changes": StatusChange.seen_at,
    "email_status_changes": EmailStatusChange.seen_at,
    "deleted_rows": DeletedRow.deleted_at,
}
"""Tables whose rows are deleted by their own age, and the column that holds their time."""
DELETED_DAYS = 90
"""Days that the ids of deleted rows are kept for those who have copies."""


@dataclass(frozen=True, slots=True)
class ContactRows:
    """A contact's rows."""

    message_ids: frozenset[str] = frozenset()
    email_ids: frozenset[str] = frozenset()
    conversation_ids: frozenset[str] = frozenset()

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
    messages = set(
        connection.execute(_of(Message, Message.message_id, contact_id, location_id, conversations)).scalars()
    )
    emails = set(connection.execute(_of(Email, Email.email_id, contact_id, location_id, conversations)).scalars())
    threads = select(Email.email_id).where(Email.location_id == location_id, in_array(Email.message_id, messages))
    emails |= set(connection.execute(threads).scalars())
    return ContactRows(frozenset(messages), frozenset(emails), frozenset(conversations))


def _of(model: Any, column: Any, contact_id: str, location_id: str, conversations: Collection[str]) -> Any:
    unnamed = and_(model.contact_id.is_(None), in_array(model.conversation_id, conversations))
    return select(column).where(model.location_id == location_id, or_(model.contact_id == contact_id, unnamed))


def has_contact(connection: Connection, contact_id: str, *, location_id: str) -> bool:
    """Return whether the contact itself was loaded."""
    query = select(exists().where(*_is_contact(contact_id, location_id)))
    return bool(connection.execute(query).scalar_one())


def audio(connection: Connection, message_ids: Collection[str], *, location_id: str) -> list[str]:
    """Return the URLs of the calls' audio."""
    query = select(Recording.url).where(
        Recording.location_id == location_id, in_array(Recording.message_id, message_ids), Recording.url.is_not(None)
    )
    return [url for url in connection.execute(query).scalars() if url is not None]


def count(connection: Connection, contact_rows: ContactRows, *, location_id: str) -> Counter[str]:
    """Return how many rows :func:`erase_messages` and :func:`erase_emails` would delete, by table."""
    rows = Counter({"messages": len(contact_rows.message_ids), "emails": len(contact_rows.email_ids)})
    for model, ids in [
        *((each, contact_rows.message_ids) for each in CHILD_TABLES),
        *((each, contact_rows.email_ids) for each in EMAIL_CHILD_TABLES),
    ]:
        column = _id_of(model)
        query = select(func.count()).select_from(model).where(model.location_id == location_id, in_array(column, ids))
        rows[model.__tablename__] = connection.execute(query).scalar_one()
    return rows


def erase_messages(connection: Connection, message_ids: Collection[str], *, location_id: str, why: str) -> Counter[str]:
    """Delete messages and their child rows; return how many rows, by table."""
    of_messages = Message.location_id == location_id, in_array(Message.message_id, message_ids)
    connection.execute(select(Message.message_id).where(*of_messages).order_by(Message.message_id).with_for_update())
    rows = Counter(
        {model.__tablename__: _delete(connection, model, location_id, message_ids) for model in CHILD_TABLES}
    )
    threads = select(Email.email_id).where(Email.location_id == location_id, in_array(Email.message_id, message_ids))
    rows += erase_emails(connection, set(connection.execute(threads).scalars()), location_id=location_id, why=why)
    rows["messages"] = _delete_counted(connection, Message, of_messages, why)
    return rows


def _delete_counted(connection: Connection, model: Any, condition: Iterable[ColumnElement[bool]], why: str) -> int:
    """Delete messages or emails; note them for those who have copies, and what is to be counted anew without them."""
    shown = model.location_id, model.message_id, model.conversation_id, model.date_added
    deleted = connection.execute(delete(model).where(*condition).returning(_id_of(model), *shown)).all()
    mart_changes.note(connection, [Change(*row) for _, *row in deleted])
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
    column: ColumnElement[str] = list(model.__table__.primary_key)[1]
    return column


def _delete(connection: Connection, model: Any, location_id: str, ids: Collection[str]) -> int:
    statement = delete(model).where(model.location_id == location_id, in_array(_id_of(model), ids))
    return connection.execute(statement).rowcount


def erase_emails(connection: Connection, email_ids: Collection[str], *, location_id: str, why: str) -> Counter[str]:
    """Delete emails and their child rows; return how many rows, by table."""
    if not email_ids:
        return Counter()
    of_emails = Email.location_id == location_id, in_array(Email.email_id, email_ids)
    connection.execute(select(Email.email_id).where(*of_emails).order_by(Email.email_id).with_for_update())
    rows = Counter(
        {model.__tablename__: _delete(connection, model, location_id, email_ids) for model in EMAIL_CHILD_TABLES}
    )
    rows["emails"] = _delete_counted(connection, Email, of_emails, why)
    return rows


def erase_contact(connection: Connection, contact_id: str, *, location_id: str) -> Counter[str]:
    """Delete a contact's own row."""
    rows = connection.execute(delete(Contact).where(*_is_contact(contact_id, location_id))).rowcount
    _note_deleted(connection, Contact, [(location_id, contact_id)] * rows, "erased")
    return Counter(contacts=rows)


def _is_contact(contact_id: str, location_id: str) -> Iterable[ColumnElement[bool]]:
    return Contact.location_id == location_id, Contact.contact_id == contact_id


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


TABLES: tuple[type[Base], ...] = (Message, *CHILD_TABLES, Email, *EMAIL_CHILD_TABLES, Contact, DeletedRow)
"""The tables erased here; a test checks that no table with a contact's words is missing."""
