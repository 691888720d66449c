"""What becomes of claimed items. Each statement names their lease, and changes nothing where that is over.

A transaction that settles many items first takes :func:`lock` on all of them, in one order, so that two of them can
wait for each other but not deadlock; and it changes the queue before it changes dead letters, as others do.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from etl.database.conditions import in_array, in_rows
from etl.models import DeadLetter, QueueItem
from etl.state.message_queue.items import Burial, Item, PutBack, Unasked

WAITING = {"lease_id": None, "leased_until": None, "again": False}
"""The columns of an item that nobody has in hand."""


def _under_lease(items: Collection[Item]) -> tuple[ColumnElement[bool], ...]:
    """Return the items' rows, as far as their leases stand; items of one call are of one kind."""
    columns = QueueItem.message_id, QueueItem.location_id, QueueItem.lease_id
    return (
        # The last condition says it all; the others let Postgres find the rows in the small index of what is in hand.
        in_array(QueueItem.kind, {item.kind for item in items}),
        in_array(QueueItem.message_id, {item.message_id for item in items}),
        in_array(QueueItem.lease_id, {item.lease_id for item in items}),
        in_rows(columns, [_key(item) for item in items]),
    )


def _key(item: Item) -> tuple[str, str, int]:
    """Return what tells an item from the others of its kind and from its own earlier claims."""
    return item.message_id, item.location_id, item.lease_id


def lock(connection: Connection, items: Collection[Item]) -> set[Item]:
    """Lock items until the transaction ends; returns those whose lease stands.

    The others were claimed by somebody else meanwhile: their rows must not be written.
    """
    if not items:
        return set()
    query = (
        select(QueueItem.message_id, QueueItem.location_id, QueueItem.lease_id)
        .where(*_under_lease(items))
        .order_by(QueueItem.message_id, QueueItem.location_id)
        .with_for_update()
    )
    found = {tuple(row) for row in connection.execute(query)}
    return {item for item in items if _key(item) in found}


def complete(connection: Connection, items: Collection[Item], *, default: str = "") -> int:
    """Remove items whose rows this transaction writes, and dead letters of earlier tries; returns how many.

    An item queued again meanwhile stays, and waits anew. ``default`` is the location of items that name none: their
    dead letters may name it.
    """
    if not items:
        return 0
    completed = _end(connection, items)
    if completed:
        of_kind = in_array(DeadLetter.kind, {item.kind for item in items})
        same = {"", default}
        letter_keys = [
            (item.message_id, name)
            for item in items
            for name in (same if item.location_id in same else {item.location_id})
        ]
        letters = in_rows((DeadLetter.message_id, DeadLetter.location_id), letter_keys)
        connection.execute(delete(DeadLetter).where(of_kind, letters))
    return completed


def _end(connection: Connection, items: Collection[Item]) -> int:
    """Remove items; those queued again meanwhile wait anew, with their attempts back. Returns how many there were."""
    fresh = {**WAITING, "attempt": 0, "lapses": 0, "cause": None}
    anew = update(QueueItem).where(*_under_lease(items), QueueItem.again).values(**fresh)
    gone = delete(QueueItem).where(*_under_lease(items))
    return connection.execute(anew).rowcount + connection.execute(gone).rowcount


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
        # Its worker lived to tell how the attempt ended.
        lapses=case((bindparam("spent") > 0, 0), else_=QueueItem.lapses),
        scheduled_at=case(
            (QueueItem.again, QueueItem.scheduled_at),
            else_=func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("delay")),
        ),
    )
)


def put_back(connection: Connection, returned: Sequence[PutBack]) -> int:
    """Retry (attempt spent) or snooze (not spent) items; returns how many.

    An item queued again meanwhile is due when that asked for, with its attempts back: somebody has news of it.
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


def bury(connection: Connection, burials: Sequence[Burial]) -> int:
    """Turn items into dead letters; returns how many.

    A letter that was retried keeps the payload it had when the new failure brought none. An item queued again
    meanwhile is not buried, but waits anew.
    """
    if not burials:
        return 0
    items = [each.item for each in burials]
    query = select(QueueItem.message_id, QueueItem.location_id).where(*_under_lease(items), ~QueueItem.again)
    dying = {tuple(row) for row in connection.execute(query)}
    _end(connection, items)
    rows = [
        {
            "kind": each.item.kind,
            "message_id": each.item.message_id,
            "location_id": each.item.location_id,
            # A lost item is not begun once more.
            "attempt": each.item.attempt - each.item.is_lost,
            "cause": each.cause,
            "detail": each.detail,
            "payload": each.payload,
        }
        for each in sorted(burials, key=lambda each: _key(each.item))
        if (each.item.message_id, each.item.location_id) in dying
    ]
    if rows:
        statement = insert(DeadLetter)
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=[DeadLetter.kind, DeadLetter.message_id, DeadLetter.location_id],
            set_={
                "attempt": new.attempt,
                "cause": new.cause,
                "detail": new.detail,
                "payload": func.coalesce(new.payload, DeadLetter.payload),
                "died_at": func.now(),
                "retried_at": None,
            },
        )
        connection.execute(statement, rows)
    return len(rows)


def keep(connection: Connection, received: Sequence[Unasked]) -> int:
    """Make dead letters of what no item can ask for; returns how many are new."""
    rows = [
        {
            "kind": each.kind,
            "message_id": each.id,
            "location_id": each.location_id,
            "attempt": 0,
            "cause": each.cause,
            "detail": each.detail,
            "payload": each.payload,
        }
        for each in sorted(received, key=lambda each: each.id)
    ]
    statement = insert(DeadLetter).on_conflict_do_nothing().returning(DeadLetter.message_id)
    return len(connection.execute(statement, rows).all()) if rows else 0
