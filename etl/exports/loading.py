"""Writes the rows of a page, and removes the waiting items that it answers, in one transaction."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from etl.api.client import KEPT_BODY
from etl.database.retrying_transaction import RetryingTransaction
from etl.errors import TransformError
from etl.exports.pages import Page
from etl.ids import is_fetchable
from etl.kinds import Options, Origin, messages
from etl.load import loader, suppression
from etl.load.suppression import Received
from etl.models import Base
from etl.models.record import Record
from etl.state import dead_letters, message_queue
from etl.state.dead_letters import BAD_ID, LetterFilter
from etl.state.message_queue import NewItem, Unasked
from etl.state.runs import RunCounts
from etl.worker import follow_ups

Note = Callable[[Connection, RunCounts], None]
"""Called in the transaction, with what it did to items."""
Entry = tuple[str, list[Record]]
"""A message and what its row became."""


@dataclass(slots=True)
class Loaded:
    """What loading pages did; counts of messages."""

    items: RunCounts = field(default_factory=RunCounts)
    """What it did to waiting items: those that were answered count as loaded."""
    written: int = 0
    """Messages that were new, or have changed."""
    singly: int = 0
    """Messages whose row cannot be loaded: they are queued, and fetched singly."""
    dead: int = 0
    """New dead letters: rows without an id that could be asked for."""

    def add(self, other: "Loaded") -> None:
        """Add what another page did."""
        self.items.add(other.items)
        self.written += other.written
        self.singly += other.singly
        self.dead += other.dead


@dataclass(frozen=True, slots=True)
class Loading:
    """How rows of pages are loaded."""

    transact: RetryingTransaction
    options: Options
    taken: Mapping[str, type[Base] | None]
    """The kinds that some job takes, and where each keeps what it fetches."""

    def load(self, page: Page, *, note: Note = lambda _connection, _tally: None) -> Loaded:
        """Load a page, and answer the waiting items that it has.

        Raises:
            DatabaseUnavailableError: Postgres does not come back in time.
        """
        entries: list[Entry] = []
        odd: list[str] = []
        named = [row for row in page.rows if is_named(row)]
        for row in named:
            id_: str = row["id"]
            try:
                origin = Origin(id_, page.location_id, page.asked_at)
                records = messages.transform(row, origin, options=self.options, is_partial=True, is_exported=True)
                entries.append((id_, records))
            except TransformError:
                odd.append(id_)
        done = self._load(page, entries, note)
        self._queue(page, odd)
        done.singly += len(odd)
        if len(named) < len(page.rows):
            done.add(self.transact(lambda connection: self._keep(connection, page, note)))
        return done

    def _keep(self, connection: Connection, page: Page, note: Note) -> Loaded:
        counts = RunCounts(dead=keep_unnamed(connection, page))
        note(connection, counts)
        return Loaded(counts, dead=counts.dead)

    def _load(self, page: Page, entries: Sequence[Entry], note: Note) -> Loaded:
        try:
            return self.transact(lambda connection: self._apply(connection, page, entries, note))
        except (DBAPIError, ValueError):
            # Some row cannot be written as it is. Halving finds it; the others are written.
            if len(entries) == 1:
                self._queue(page, [entries[0][0]])
                return Loaded(singly=1)
        half = len(entries) // 2
        done = self._load(page, entries[:half], note)
        done.add(self._load(page, entries[half:], note))
        return done

    def _apply(self, connection: Connection, page: Page, entries: Sequence[Entry], note: Note) -> Loaded:
        ids = [id_ for id_, _ in entries]
        waiting = message_queue.waiting(connection, ids, location_ids=page.answered, before=page.asked_at)
        loaded = loader.load(connection, [record for _, records in entries for record in records])
        # An export may lag behind: what the tables know better stays to be fetched.
        fresh = {id_ for id_, records in entries if not loaded.has_stale(records)}
        answered = {key for key in waiting if key[0] in fresh}
        message_queue.remove(connection, answered)
        letters = LetterFilter(message_ids=list(fresh), kind="message", location_ids=page.answered)
        dead_letters.purge(connection, letters)
        follow_ups.queue(connection, loaded.follow_ups, self.taken)
        written = {id_ for id_, records in entries if loaded.has_written(records)}
        counts = RunCounts(loaded=len(answered), unchanged=sum(id_ not in written for id_, _ in answered))
        counts.drift.update(entry for _, records in entries for record in records for entry in record.drift)
        note(connection, counts)
        return Loaded(counts, written=len(written))

    def _queue(self, page: Page, ids: Sequence[str]) -> None:
        """Have messages fetched singly: their own answer is loaded, or becomes a dead letter."""
        named = [NewItem("message", id_, page.location_id) for id_ in ids]
        self.transact(lambda connection: message_queue.follow_up(connection, named))


def is_named(row: Mapping[str, Any]) -> bool:
    """Whether a row has an id that can be asked for."""
    id_ = row.get("id")
    return isinstance(id_, str) and is_fetchable(id_)


def keep_unnamed(connection: Connection, page: Page) -> int:
    """Make dead letters of the rows of a page that have no such id; returns how many are new.

    Not of what belongs to a contact that was erased.
    """
    received = [
        Unasked("message", page.location_id, BAD_ID, "a row of an export has no id that could be asked for", payload)
        for payload in (json.dumps(row, sort_keys=True).encode()[:KEPT_BODY] for row in page.rows if not is_named(row))
    ]
    told = {Received(each.location_id, each.id, each.payload): each for each in received}
    for each in suppression.suppressed(connection, told):
        del told[each]
    return message_queue.keep(connection, list(told.values()))
