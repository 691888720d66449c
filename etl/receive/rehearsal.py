"""Tries whether events can be stored in tables of another version. Nothing here commits."""

import uuid
from dataclasses import replace

from sqlalchemy import Connection

from etl.receive import events
from etl.receive.webhook import Event


def rehearse(connection: Connection) -> None:
    """Store events of every outcome, and one again; the caller rolls that back.

    Raises:
        DBAPIError: tables or rights are not what :func:`etl.receive.events.store` needs.
    """
    name = f"rehearsal-{uuid.uuid4()}"
    queued = Event(name, "", "queued", b"", name, name, name, message_id=name, items=(("message", name),))
    others = [replace(queued, webhook_id=f"{name}-{each}", outcome=each) for each in ("install", "uninstall")]
    stranger = replace(queued, webhook_id=f"{name}-stranger", is_vouched=False)
    for _ in range(2):
        events.store(connection, [queued, *others, stranger])
