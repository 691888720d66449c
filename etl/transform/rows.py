"""The rows that records consist of, column by column; a test compares them with the tables."""

from datetime import datetime
from typing import Any, TypedDict


class MessageRow(TypedDict):
    """A row of highlevel.messages."""

    location_id: str
    message_id: str
    conversation_id: str | None
    contact_id: str | None
    message_type: str | None
    type_code: int | None
    direction: str | None
    status: str | None
    source: str | None
    content_type: str | None
    body: str | None
    sender: str | None
    recipient: str | None
    error: str | None
    user_id: str | None
    conversation_provider_id: str | None
    chat_widget_id: str | None
    alt_id: str | None
    date_added: datetime | None
    date_updated: datetime | None
    extra: dict[str, Any] | None
    fetched_at: datetime


class AttachmentRow(TypedDict):
    """A row of highlevel.attachments."""

    location_id: str
    message_id: str
    position: int
    url: str
    file_name: str | None
    media_type: str | None


class MetaRow(TypedDict):
    """A row of highlevel.meta."""

    location_id: str
    message_id: str
    call_duration: int | None
    call_status: str | None
    extra: dict[str, Any] | None
