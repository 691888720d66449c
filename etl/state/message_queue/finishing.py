"""Finishes claimed items, or puts them back. Each statement names their lease and changes nothing once that has ended.

A transaction that settles many items first names all of them to :func:`complete`, which locks them in one order, so
that two of them can wait for each other but not deadlock; and it changes the queue before dead letters, as others do.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, func, text, update
from sqlalchemy.dialects.postgresql import insert

from etl import models
from etl.database.conditions import in_array, in_rows
from etl.models import QueueItem
from etl.state.message_queue.items import DeadLetter, Item, PayloadWithoutId, PutBack

WAITING = {"lease_id": None, "leased_until": None, "again": False}
"""The columns of a waiting item."""


def _under_lease(items: Collection[Item]) -> tuple[ColumnElement[bool], ...]:
    """Return the rows of those items whose leases are held; items of one call are of one kind."""
    columns = QueueItem.message_id, QueueItem.location_id, QueueItem.lease_id
    return (
        # The last condition suffices; the others let Postgres use the small index of claimed items.
        in_array(QueueItem.kind, {item.kind for item in items}),
        in_array(QueueItem.message_id, {item.message_id for item in items}),
        in_array(QueueItem.lease_id, {item.lease_id for item in items}),
        in_rows(columns, [_key(item) for item in items]),
    )


def _key(item: Item) -> tuple[str, str, int]:
    """Return the key of a claim: it differs between items of a kind and between claims of one item."""
    return item.message_id, item.location_id, item.lease_id


# The rows are locked in order of their keys, like in every statement that locks many, so that two of them can wait for
# each other but not deadlock. Items queued again meanwhile or with a dead letter are rare, and only reported here.
COMPLETE = text("""
    WITH held AS (
        SELECT q.message_id, q.location_id, q.lease_id, given.is_done, q.again
        FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS given (
            message_id text, location_id text, lease_id bigint, is_done bool)
        JOIN etl.message_queue AS q USING (message_id, location_id, lease_id)
        WHERE q.kind = :kind
        ORDER BY q.message_id, q.location_id FOR UPDATE OF q
    ), gone AS (
        DELETE FROM etl.message_queue AS q USING held
        WHERE q.kind = :kind AND q.message_id = held.message_id AND q.location_id = held.location_id
          AND held.is_done AND NOT held.again
    )
    SELECT message_id, location_id, lease_id, is_done AND again AS stays, is_done AND EXISTS (
        SELECT FROM etl.dead_letters AS d WHERE d.kind = :kind AND d.message_id = held.message_id
          AND d.location_id IN (held.location_id, CASE held.location_id WHEN '' THEN :default WHEN :default THEN ''
                                                                        ELSE held.location_id END)) AS has_letter
    FROM held
""")


def complete(
    connection: Connection, items: Collection[Item], *, others: Collection[Item] = (), default: str = ""
) -> set[Item]:
    """Remove items whose rows this transaction writes; return those whose lease is held, of ``others`` too.

    Items that are not returned were claimed by another worker: their rows must not be written. Dead letters of earlier
    tries are deleted, too. An item that was queued again meanwhile stays, and waits again.

    Args:
        connection: The caller's transaction.
        items: Finished items; all of them and the others are of one kind.
        others: Items that the transaction settles in further statements: all are locked here, in one order.
        default: The location of items that name none: their dead letters may name it.
    """
    given = {_key(item): item for item in (*items, *others)}
    if not given:
        return set()
    done = {*map(_key, items)}
    document = [
        {"message_id": key[0], "location_id": key[1], "lease_id": key[2], "is_done": key in done} for key in given
    ]
    kind = next(iter(given.values())).kind
    rows = connection.execute(COMPLETE, {"items": json.dumps(document), "kind": kind, "default": default}).all()
    held = {tuple(row[:3]): given[tuple(row[:3])] for row in rows}
    _wait_anew(connection, [held[tuple(row[:3])] for row in rows if row.stays])
    _remove_letters(connection, [held[tuple(row[:3])] for row in rows if row.has_letter], default=default)
    return set(held.values())


def _remove_letters(connection: Connection, items: Collection[Item], *, default: str) -> None:
    if items:
        same = {"", default}
        letter_keys = [
            (item.message_id, name)
            for item in items
            for name in (same if item.location_id in same else {item.location_id})
        ]
        letters = in_rows((models.DeadLetter.message_id, models.DeadLetter.location_id), letter_keys)
        connection.execute(
            delete(models.DeadLetter).where(in_array(models.DeadLetter.kind, {item.kind for item in items}), letters)
        )


def _wait_anew(connection: Connection, items: Collection[Item]) -> None:
    """Let those of the items that were queued again meanwhile wait, with all attempts."""
    if items:
        fresh = {**WAITING, "attempt": 0, "lapses": 0, "cause": None}
        connection.execute(update(QueueItem).where(*_under_lease(items), QueueItem.again).values(**fresh))


PUT_BACK = (
    update(QueueItem)
    .where(
        QueueItem.kind == bindparam("of_kind"),
        QueueItem.message_id == bindparam("id"),
        QueueItem.location_id == bindparam("owner"),
        QueueItem.lease_id == bindparam("lease"),
    )
    .values(
        **WAITING,
        cause=bindparam("why"),
        attempt=case((QueueItem.again, 0), else_=QueueItem.attempt + bindparam("spent")),
        # Its worker survived the attempt.
        lapses=case((bindparam("spent") > 0, 0), else_=QueueItem.lapses),
        scheduled_at=case(
            (QueueItem.again, QueueItem.scheduled_at),
            else_=func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("delay")),
        ),
    )
)


def put_back(connection: Connection, returned: Sequence[PutBack]) -> int:
    """Retry (attempt spent) or snooze (not spent) items; returns how many.

    An item that was queued again meanwhile is due at the newly requested time, with all its attempts.
    """
    if not returned:
        return 0
    rows = [
        {
            "of_kind": each.item.kind,
            "id": each.item.message_id,
            "owner": each.item.location_id,
            "lease": each.item.lease_id,
            "why": each.cause,
            "spent": int(each.spent),
            "delay": each.delay,
        }
        for each in returned
    ]
    return connection.execute(PUT_BACK, rows).rowcount


def to_dead_letter(connection: Connection, given_up: Sequence[DeadLetter]) -> int:
    """Turn items into dead letters; returns how many.

    A dead letter that was retried keeps its payload if the new failure has none. An item that was queued again
    meanwhile becomes no dead letter, but waits again.
    """
    if not given_up:
        return 0
    items = [each.item for each in given_up]
    dying = delete(QueueItem).where(*_under_lease(items), ~QueueItem.again)
    gone = connection.execute(dying.returning(QueueItem.message_id, QueueItem.location_id))
    keys = {tuple(row) for row in gone}
    _wait_anew(connection, items)
    rows = [
        # A lost item is not begun once more.
        _letter(
            each, each.item.kind, each.item.message_id, each.item.location_id, each.item.attempt - each.item.is_lost
        )
        for each in sorted(given_up, key=lambda each: _key(each.item))
        if (each.item.message_id, each.item.location_id) in keys
    ]
    if rows:
        statement = insert(models.DeadLetter)
        new = statement.excluded
        anew: dict[str, Any] = {name: new[name] for name in ("attempt", "cause", "detail")}
        anew |= {"payload": func.coalesce(new.payload, models.DeadLetter.payload)}
        anew |= {"died_at": func.now(), "retried_at": None}
        key = models.DeadLetter.__table__.primary_key
        connection.execute(statement.on_conflict_do_update(constraint=key, set_=anew), rows)
    return len(rows)


def keep(connection: Connection, received: Sequence[PayloadWithoutId]) -> int:
    """Make dead letters of payloads without a usable id; return how many are new."""
    in_order = sorted(received, key=lambda each: each.id)
    rows = [_letter(each, each.kind, each.id, each.location_id, 0) for each in in_order]
    statement = insert(models.DeadLetter).on_conflict_do_nothing().returning(models.DeadLetter.message_id)
    return len(connection.execute(statement, rows).all()) if rows else 0


def _letter(
    given: DeadLetter | PayloadWithoutId, kind: str, message_id: str, location_id: str, attempt: int
) -> dict[str, Any]:
    """Return the row of a dead letter."""
    key = {"kind": kind, "message_id": message_id, "location_id": location_id, "attempt": attempt}
    return key | {"cause": given.cause, "detail": given.detail, "payload": given.payload}
