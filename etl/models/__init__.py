r"""The tables, and nothing else: no query, no connection, no environment.

``highlevel`` is for analysts, ``etl`` for operation. Every table and column carries a comment, which Alembic turns into
``COMMENT ON``, so that ``\d+`` in psql explains the warehouse.
"""

from etl.models.base import Base
from etl.models.highlevel import (
    Attachment,
    Contact,
    ConversationTotal,
    DailyTotal,
    DeletedRow,
    DeliveryTotal,
    Email,
    EmailAttachment,
    EmailStatusChange,
    LocationProfile,
    Marts,
    Message,
    MessageType,
    Meta,
    Recording,
    StatusChange,
    TimeZone,
    Transcript,
    Turn,
    User,
    ViewSettings,
)
from etl.models.operation import (
    EVENT_OUTCOMES,
    KINDS,
    Company,
    DeadLetter,
    Erased,
    ExportWindow,
    Forgotten,
    Location,
    MartChange,
    MartZone,
    Notice,
    Pruned,
    QueueItem,
    RateLimit,
    RateUsage,
    Run,
    RunTotal,
    Sample,
    WebhookEvent,
)
