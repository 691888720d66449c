r"""The tables, and nothing else: no query, no connection, no environment.

``highlevel`` is for analysts, ``etl`` for operation. Every table and column carries a comment, which Alembic turns into
``COMMENT ON``, so that ``\d+`` in psql explains the warehouse.
"""

from etl.models.base import Base
from etl.models.highlevel import Attachment, Message, MessageType, Meta
from etl.models.operation import (
    EVENT_OUTCOMES,
    KINDS,
    Company,
    DeadLetter,
    Location,
    QueueItem,
    RateLimit,
    RateUsage,
    Run,
    WebhookEvent,
)

__all__ = [
    "EVENT_OUTCOMES",
    "KINDS",
    "Attachment",
    "Base",
    "Company",
    "DeadLetter",
    "Location",
    "Message",
    "MessageType",
    "Meta",
    "QueueItem",
    "RateLimit",
    "RateUsage",
    "Run",
    "WebhookEvent",
]
