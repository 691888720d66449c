"""Queues the follow-ups of loaded records that are not fetched yet. Nothing here commits."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from etl.ids import is_fetchable
from etl.load import loader
from etl.models import Base
from etl.models.record import FollowUp
from etl.state import message_queue
from etl.state.message_queue import NewItem


def queue(connection: Connection, follow_ups: Sequence[FollowUp], tables: Mapping[str, type[Base] | None]) -> None:
    """Queue the follow-ups whose kind some job takes, and that were not fetched yet, or too long ago.

    ``tables`` has the kinds that some job takes, each with its table.
    """
    message_queue.follow_up(
        connection,
        [
            NewItem(each.kind, each.id, each.location_id, each.conversation_id, delay=each.delay)
            for each in _wanted(connection, follow_ups, tables)
        ],
    )


def _wanted(
    connection: Connection, follow_ups: Sequence[FollowUp], tables: Mapping[str, type[Base] | None]
) -> list[FollowUp]:
    """Return one follow-up an item, the earliest."""
    found: dict[tuple[str, str, str], FollowUp] = {}
    by_kind: dict[str, list[FollowUp]] = {}
    for each in follow_ups:
        # An odd id in a column must not prevent the message from being loaded.
        if each.kind in tables and is_fetchable(each.id):
            by_kind.setdefault(each.kind, []).append(each)
    for kind, of_kind in by_kind.items():
        table = tables[kind]
        keys = {(each.location_id, each.id) for each in of_kind if not each.force}
        ages = loader.ages(connection, table, keys) if table is not None and keys else {}
        for each in of_kind:
            if each.force or _is_due(ages.get((each.location_id, each.id)), each.max_age):
                key = (kind, each.location_id, each.id)
                if key not in found or each.delay < found[key].delay:
                    found[key] = each
    return list(found.values())


def _is_due(age: timedelta | None, max_age: float | None) -> bool:
    return age is None or (max_age is not None and age > timedelta(seconds=max_age))
