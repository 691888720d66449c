"""Every statement that reads or returns dead letters; burying is the queue's. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from etl import message_queue
from etl.message_queue import NewItem


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One row of etl.dead_letters, without its payload."""

    kind: str
    message_id: str
    location_id: str
    attempt: int
    cause: str
    detail: str
    died_at: datetime
    retried_at: datetime | None
    payload_bytes: int


CHOSEN = """
    (CAST(:message_ids AS text[]) IS NULL OR message_id = ANY(CAST(:message_ids AS text[])))
    AND (CAST(:cause AS text) IS NULL OR cause = :cause)
    AND (CAST(:kind AS text) IS NULL OR kind = :kind)"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters; None chooses all."""

    message_ids: Sequence[str] | None = None
    cause: str | None = None
    kind: str | None = None

    def parameters(self) -> dict[str, object]:
        """The choice as SQL parameters."""
        ids = None if self.message_ids is None else list(self.message_ids)
        return {"message_ids": ids, "cause": self.cause, "kind": self.kind}


LIST = text(f"""
    SELECT kind, message_id, location_id, attempt, cause, detail, died_at, retried_at,
           coalesce(length(payload), 0) AS payload_bytes
    FROM etl.dead_letters WHERE {CHOSEN} ORDER BY died_at DESC, message_id LIMIT :most
""")  # noqa: S608 - no value is put into the text


def find(connection: Connection, choice: Choice, *, most: int | None = None) -> list[DeadLetter]:
    """The newest chosen letters."""
    return [DeadLetter(*row) for row in connection.execute(LIST, choice.parameters() | {"most": most})]


PAYLOAD = text("SELECT payload FROM etl.dead_letters WHERE kind = :kind AND message_id = :message_id")


def payload(connection: Connection, letter: DeadLetter) -> bytes | None:
    """What was received for it. Holds customers' words."""
    parameters = {"kind": letter.kind, "message_id": letter.message_id}
    found: bytes | None = connection.execute(PAYLOAD, parameters).scalar_one_or_none()
    return found


CHOSEN_ITEMS = text(f"SELECT kind, message_id, location_id FROM etl.dead_letters WHERE {CHOSEN}")  # noqa: S608 - no value

MARK_RETRIED = text("""
    WITH chosen AS (
        SELECT d.kind, d.message_id
        FROM etl.dead_letters AS d
        JOIN unnest(CAST(:kinds AS text[]), CAST(:message_ids AS text[])) AS queued (kind, message_id)
        ON d.kind = queued.kind AND d.message_id = queued.message_id
        ORDER BY d.kind, d.message_id FOR UPDATE OF d
    )
    UPDATE etl.dead_letters AS d SET retried_at = now() FROM chosen
    WHERE d.kind = chosen.kind AND d.message_id = chosen.message_id
""")


def retry(connection: Connection, choice: Choice) -> int:
    """Queue the chosen letters' items again; returns how many. The letters stay until their items are loaded.

    First the queue, then the letters: the order in which a settling worker locks them.
    """
    items = [NewItem(*row) for row in connection.execute(CHOSEN_ITEMS, choice.parameters())]
    message_queue.enqueue_items(connection, items)
    connection.execute(
        MARK_RETRIED, {"kinds": [item.kind for item in items], "message_ids": [item.message_id for item in items]}
    )
    return len(items)


# A letter that somebody is about to settle or retry is passed over.
PURGE = text(f"""
    WITH chosen AS (
        SELECT kind, message_id FROM etl.dead_letters
        WHERE {CHOSEN} AND (CAST(:days AS float8) IS NULL OR died_at < now() - make_interval(secs => :days * 86400))
        ORDER BY kind, message_id FOR UPDATE SKIP LOCKED
    )
    DELETE FROM etl.dead_letters AS d USING chosen
    WHERE d.kind = chosen.kind AND d.message_id = chosen.message_id
""")  # noqa: S608 - no value is put into the text


def purge(connection: Connection, choice: Choice, *, older_than_days: float | None = None) -> int:
    """Delete the chosen letters for good; returns how many."""
    return connection.execute(PURGE, choice.parameters() | {"days": older_than_days}).rowcount


CAUSES = text("SELECT cause, count(*) AS letters FROM etl.dead_letters GROUP BY cause ORDER BY count(*) DESC, cause")


def causes(connection: Connection) -> dict[str, int]:
    """How many letters there are, by cause."""
    return {row.cause: row.letters for row in connection.execute(CAUSES)}
