"""Every statement on ``etl.pruned``: how far messages were deleted for good. Nothing here commits."""

from datetime import datetime

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from etl.models import Pruned

MESSAGES = "messages"


def floor(connection: Connection) -> datetime | None:
    """Messages that were created before this were deleted for good; None: none were, by their age."""
    return connection.execute(select(Pruned.before).where(Pruned.table_name == MESSAGES)).scalar_one_or_none()


def set_floor(connection: Connection, before: datetime | None) -> None:
    """Note how far messages are deleted from now on; None: all may be loaded again."""
    if before is None:
        connection.execute(delete(Pruned).where(Pruned.table_name == MESSAGES))
        return
    statement = insert(Pruned).values(table_name=MESSAGES, before=before)
    new = {"before": statement.excluded.before, "pruned_at": func.now()}
    connection.execute(statement.on_conflict_do_update(index_elements=[Pruned.table_name], set_=new))
