"""Every SQL statement on ``etl.notices``: the findings that were sent. Nothing here commits."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from etl.models import Notice

KEY = Notice.name, Notice.subject
LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('etl.notices', 0))")


@dataclass(frozen=True, slots=True)
class SentNotice:
    """One finding that was sent and is not over."""

    name: str
    subject: str
    began_at: datetime
    told_at: datetime


def lock(connection: Connection) -> bool:
    """Become the only sender until the transaction ends; return False when another process is."""
    return bool(connection.execute(LOCK).scalar_one())


def sent(connection: Connection) -> list[SentNotice]:
    """Return the findings that were sent and are not over."""
    rows = connection.execute(select(Notice.name, Notice.subject, Notice.began_at, Notice.told_at).order_by(*KEY))
    return [SentNotice(*row) for row in rows]


def note(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Note that these findings were sent now."""
    rows = [{"name": name, "subject": subject} for name, subject in keys]
    if rows:
        statement = insert(Notice).values(rows)
        connection.execute(statement.on_conflict_do_update(index_elements=KEY, set_={"told_at": func.now()}))


def drop(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Note that these findings are over."""
    connection.execute(delete(Notice).where(tuple_(*KEY).in_(list(keys))))
