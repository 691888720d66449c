"""Finds and deletes rows of ``highlevel`` for good. Nothing here commits; every statement names the location.

Locks a message before its child rows, like the loader.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, union

from etl.database.conditions import in_array
from etl.models import (
    Attachment,
    Base,
    Contact,
    Email,
    EmailAttachment,
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
    """Return the locations that have messages, emails or contacts. Reads the indexes of their keys."""
    query = union(*(select(model.location_id) for model in (Message, Email, Contact)))
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
        (EmailAttachment, contact_rows.email_ids),
    ]:
        column = model.email_id if model is EmailAttachment else model.message_id
        query = select(func.count()).select_from(model).where(model.location_id == location_id, in_array(column, ids))
        rows[model.__tablename__] = connection.execute(query).scalar_one()
    return rows


def erase_messages(connection: Connection, message_ids: Collection[str], *, location_id: str) -> Counter[str]:
    """Delete messages and their child rows; return how many rows, by table."""
    of_messages = Message.location_id == location_id, in_array(Message.message_id, message_ids)
    connection.execute(select(Message.message_id).where(*of_messages).order_by(Message.message_id).with_for_update())
    rows = Counter(
        {model.__tablename__: _delete(connection, model, location_id, message_ids) for model in CHILD_TABLES}
    )
    threads = select(Email.email_id).where(Email.location_id == location_id, in_array(Email.message_id, message_ids))
    rows += erase_emails(connection, set(connection.execute(threads).scalars()), location_id=location_id)
    rows["messages"] = _delete_counted(connection, Message, of_messages)
    return rows


def _delete_counted(connection: Connection, model: Any, condition: Iterable[ColumnElement[bool]]) -> int:
    """Delete messages or emails, and note what is to be counted anew without them."""
    shown = model.location_id, model.message_id, model.conversation_id, model.date_added
    deleted = connection.execute(delete(model).where(*condition).returning(*shown)).all()
    mart_changes.note(connection, [Change(*row) for row in deleted])
    return len(deleted)


def _delete(connection: Connection, model: Any, location_id: str, message_ids: Collection[str]) -> int:
    statement = delete(model).where(model.location_id == location_id, in_array(model.message_id, message_ids))
    return connection.execute(statement).rowcount


def erase_emails(connection: Connection, email_ids: Collection[str], *, location_id: str) -> Counter[str]:
    """Delete emails and their files; return how many rows, by table."""
    if not email_ids:
        return Counter()
    of_emails = Email.location_id == location_id, in_array(Email.email_id, email_ids)
    connection.execute(select(Email.email_id).where(*of_emails).order_by(Email.email_id).with_for_update())
    files = delete(EmailAttachment).where(
        EmailAttachment.location_id == location_id, in_array(EmailAttachment.email_id, email_ids)
    )
    removed = connection.execute(files).rowcount
    return Counter(email_attachments=removed, emails=_delete_counted(connection, Email, of_emails))


def erase_contact(connection: Connection, contact_id: str, *, location_id: str) -> Counter[str]:
    """Delete a contact's own row."""
    return Counter(contacts=connection.execute(delete(Contact).where(*_is_contact(contact_id, location_id))).rowcount)


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


def old_status_changes(connection: Connection, before: datetime, *, location_id: str) -> int:
    """Return how many status changes were seen before that time."""
    query = select(func.count()).select_from(StatusChange).where(*_is_old_change(before, location_id))
    return connection.execute(query).scalar_one()


def erase_status_changes(connection: Connection, before: datetime, *, location_id: str, limit: int) -> int:
    """Delete some status changes seen before that time, in order of their messages; return how many."""
    of_location = _is_old_change(before, location_id)
    query = (
        select(StatusChange.message_id).where(*of_location).distinct().order_by(StatusChange.message_id).limit(limit)
    )
    ids = list(connection.execute(query).scalars())
    if not ids:
        return 0
    statement = delete(StatusChange).where(*of_location, in_array(StatusChange.message_id, ids))
    return connection.execute(statement).rowcount


def _is_old_change(before: datetime, location_id: str) -> Iterable[ColumnElement[bool]]:
    return StatusChange.location_id == location_id, StatusChange.seen_at < before


TABLES: tuple[type[Base], ...] = (Message, *CHILD_TABLES, Email, EmailAttachment, Contact)
"""The tables erased here; a test checks that no table with a contact's words is missing."""
