"""What forgetting and pruning share: erases messages in batches, the audio of calls before the rows that name it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

from sqlalchemy import Connection

from etl.database.retrying_transaction import RetryingTransaction
from etl.load import erasure

BATCH = 200
"""Messages a transaction: a loader that meets one of them waits a few milliseconds."""
ROWS = 1000
"""Rows a transaction, of tables on which nothing hangs."""
AUDIO = "audio files"
"""How audio is counted, beside the tables."""


@dataclass(frozen=True, slots=True)
class MessageErasure:
    """Erases messages of a location."""

    transact: RetryingTransaction
    remove_audio: Callable[[str], bool]
    """Removes the audio at a URL; False when it was not there. Raises EtlError."""

    def messages(self, message_ids: Collection[str], *, location_id: str) -> Counter[str]:
        """Erase messages with all that hangs on them; returns how much, by table.

        Raises:
            EtlError: audio cannot be removed, or Postgres is away; batches that are done stay done.
        """
        rows: Counter[str] = Counter()
        for ids in batches(sorted(message_ids), BATCH):
            urls = self.transact(partial(erasure.audio, message_ids=ids, location_id=location_id))
            rows[AUDIO] += sum(self.remove_audio(url) for url in urls)
            rows += self.transact(partial(erasure.erase_messages, message_ids=ids, location_id=location_id))
        return rows

    def until_none(self, work: Callable[[Connection], int]) -> int:
        """Repeat a transaction that deletes some rows until it finds no more; returns how many it deleted."""
        return sum(iter(lambda: self.transact(work), 0))


def batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the ids, so many at a time."""
    rest = iter(ids)
    while batch := list(islice(rest, size)):
        yield batch
