"""Reads what the sessions of Postgres do now."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that has begun and not ended."""

    pid: int
    role: str
    program: str
    since: datetime


def open_transactions(connection: Connection) -> list[OpenTransaction]:
    """Return the oldest ones; of other roles, only one with the rights of pg_monitor sees them."""
    query = text("""
        SELECT pid, usename AS role, coalesce(application_name, '') AS program, xact_start AS since
        FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND xact_start IS NOT NULL
          AND pid <> pg_backend_pid()
        ORDER BY xact_start LIMIT 5
    """)
    return [OpenTransaction(**row) for row in connection.execute(query).mappings()]
