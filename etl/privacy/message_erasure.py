"""Erases messages in batches, the audio of calls before the rows that name it. Shared by erasure and retention."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice

from sqlalchemy import Connection

from etl.database.connections import moment_of
from etl.database.retrying_transaction import RetryingTransaction
from etl.load import erasure

BATCH = 200
"""Messages a transaction: few, because a loader of one of them waits."""
ROWS = 1000
"""Rows a transaction, of tables without children."""
AUDIO = "audio files"
"""The name under which removed audio is counted, beside the tables."""


@dataclass(frozen=True, slots=True)
class MessageErasure:
    """Erases messages of a location."""

    transact: RetryingTransaction
    remove_audio: Callable[[str], bool]
    """Removes the audio at a URL; returns False when there is none. Raises EtlError."""

    def messages(self, message_ids: Collection[str], *, location_id: str, why: str) -> Counter[str]:
        """Erase messages and their child rows; return how many rows, by table.

        Raises:
            EtlError: audio cannot be removed, or Postgres is away; batches that are done stay done.
        """
        rows: Counter[str] = Counter()
        for ids in batches(sorted(message_ids), BATCH):
            urls = self.transact(partial(erasure.audio, message_ids=ids, location_id=location_id))
            rows[AUDIO] += sum(self.remove_audio(url) for url in urls)
            rows += self.transact(partial(erasure.erase_messages, ids=ids, location_id=location_id, why=why))
        return rows

    def old_rows(self, table: str, days: float, *, location_id: str) -> int:
        """Delete the rows older than so many days of a table whose rows age by themselves; return how many."""
        return self.until_none(
            lambda connection: erasure.erase_old(
                connection, table, moment_of(connection) - timedelta(days=days), location_id=location_id, limit=ROWS
            )
        )

    def until_none(self, work: Callable[[Connection], int]) -> int:
        """Repeat a deleting transaction until it finds no more rows; return how many it deleted."""
        return sum(iter(lambda: self.transact(work), 0))


def batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the ids in batches."""
    rest = iter(ids)
    while batch := list(islice(rest, size)):
        yield batch
