"""What each role of Postgres may do, as values; :mod:`roles` grants it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from etl.database.connections import SETTINGS

SCHEMAS = ("highlevel", "etl")


@dataclass(frozen=True, slots=True)
class Grants:
    """The rights and settings of a role; it may do nothing else."""

    schemas: tuple[str, ...]
    settings: Mapping[str, str]
    whole: Mapping[str, str] = field(default_factory=dict)
    """Rights on every table of a schema."""
    later: bool = False
    """Whether it has them on those of later migrations, too."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Those that it has not on single tables."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Rights on single tables and columns."""
    sequences: tuple[str, ...] = ()
    transforms: bool = False
    """Whether it may write a schema of its own, and make temporary tables."""


SHORT = {"idle_in_transaction_session_timeout": "1min", "lock_timeout": "5s"}
"""Timeouts, so that a role does not hold up vacuum, migrations or other programs for long."""
OURS = {name: SETTINGS[name] for name in ("search_path", "TimeZone")}
"""Settings of our sessions, which behind a pooler would otherwise be set in each transaction."""

READER = Grants(
    schemas=SCHEMAS,
    whole={"highlevel": "SELECT"},
    later=True,
    # etl report and etl dbt-sources look whether the views are those of their version.
    tables={"etl.alembic_version": "SELECT"},
    # An analyst's query ends by itself.
    # The views are wide: to compile a month of one takes fifty times as long as to read it.
    settings={
        "search_path": "highlevel",
        "default_transaction_read_only": "on",
        "statement_timeout": "5min",
        "jit": "off",
        **SHORT,
    },
)

TRANSFORMER = Grants(
    schemas=("highlevel",),
    whole={"highlevel": "SELECT"},
    later=True,
    transforms=True,
    # To build a table may take long. It waits for those who read the table that it replaces.
    settings={"search_path": "highlevel", "statement_timeout": "1h", "jit": "off", **SHORT, "lock_timeout": "1min"},
)

NARROWED = Grants(
    schemas=(), settings={name: value for name, value in READER.settings.items() if name != "search_path"}
)
"""A reader of views of its own; :mod:`narrowed` makes them."""

READ_WRITE = "SELECT, INSERT, UPDATE"
LOCKED = "UPDATE (forgotten_at)"
"""This column is never changed: Postgres requires such a right for locking rows."""
WORKER = Grants(
    schemas=SCHEMAS,
    whole={"highlevel": READ_WRITE, "etl": READ_WRITE},
    tables={
        # Files and details that the newest answer no longer has; never a message.
        "highlevel.attachments": "DELETE",
        "highlevel.meta": "DELETE",
        "highlevel.email_attachments": "DELETE",
        "highlevel.recordings": "DELETE",
        # Rows that are counted anew.
        "highlevel.turns": "DELETE",
        "highlevel.conversation_totals": "DELETE",
        "highlevel.daily_totals": "DELETE",
        "highlevel.user_totals": "DELETE",
        "highlevel.delivery_totals": "DELETE",
        "etl.mart_changes": "DELETE",
        "etl.message_queue": "DELETE",
        "etl.dead_letters": "DELETE",
        "etl.rate_usage": "DELETE",
        "etl.windows": "DELETE",
        "etl.forgotten": LOCKED,
        "etl.notices": "DELETE",
        "etl.samples": "DELETE",
        # Times and locations of events, for etl check.
        "etl.webhook_events": "SELECT (location_id, received_at)",
    },
    # Existing tables that a run never needs.
    withheld={
        "highlevel.message_types": "INSERT, UPDATE",
        "highlevel.deleted_rows": "INSERT, UPDATE",
        "highlevel.opening_hours": "INSERT, UPDATE",
        "etl.alembic_version": "INSERT, UPDATE",
        "etl.webhook_events": READ_WRITE,
        "etl.forgotten": "INSERT, UPDATE",
        "etl.erased": "INSERT, UPDATE",
        "etl.pruned": "INSERT, UPDATE",
    },
    sequences=("etl.lease_id_seq",),
    settings={**OURS, "statement_timeout": "5min", **SHORT},
)

RECEIVER = Grants(
    schemas=("etl",),
    tables={
        # It sees which events are here, not what is in them.
        "etl.webhook_events": "INSERT, SELECT (webhook_id, digest)",
        # Ids and times, nothing that a customer wrote.
        "etl.message_queue": READ_WRITE,
        # An installation or removal of the app; tokens are in other columns.
        "etl.locations": "INSERT (location_id, company_id, app_id, name, app_changed_at), SELECT (location_id, "
        "company_id, token_source, token_issued_at, paused_token, app_changed_at, retired_at), "
        "UPDATE (company_id, app_id, name, paused_at, pause_cause, pause_detail, paused_token, token_refused_at, "
        "app_changed_at, retired_at, updated_at)",
        "etl.companies": "INSERT (company_id, app_id, name, app_changed_at), "
        "SELECT (company_id, token_issued_at, app_changed_at, retired_at), "
        "UPDATE (app_id, name, app_changed_at, retired_at, updated_at)",
        "etl.forgotten": f"SELECT, {LOCKED}",
        "etl.erased": "SELECT",
        "etl.alembic_version": "SELECT",
    },
    # Those of etl serve itself, which a pooler may not pass on.
    settings={**OURS, **SHORT, "statement_timeout": "1s", "lock_timeout": "300ms", "synchronous_commit": "on"},
)
