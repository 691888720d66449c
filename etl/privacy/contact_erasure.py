"""Erases one contact from every table and prevents its return. Safe to repeat at any point.

The order matters. The suppression list comes first, with hashes of the contact's ids: from then on no loader and no
receiver writes anything of the contact. Messages come after everything that is found through them, so that a repetition
still finds the rest. The contact's own row and the marts come last.

Weakness: audio that is being fetched at that very moment may be left as a file without a row.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from etl.errors import ConfigurationError
from etl.load import erasure
from etl.load.erasure import ContactRows
from etl.privacy.message_erasure import AUDIO, BATCH, ROWS, MessageErasure, batches
from etl.state import dead_letters, mart_changes, message_queue, suppression_list, webhook_events
from etl.state.dead_letters import LetterFilter
from etl.state.suppression_list import About
from etl.state.webhook_events import EventFilter
from etl.worker import marts

PAUSE_SECONDS = 0.2
"""Seconds between tries at rows that another transaction has locked."""
NAMES = ("contact", "user", "location")
"""Kinds whose ids belong to people and locations."""


@dataclass(frozen=True, slots=True)
class ContactErasure:
    """Erases a contact."""

    erasing: MessageErasure
    contact_id: str

    def find(self, *, location_id: str | None = None) -> dict[str, Counter[str]]:
        """Return how many rows of the contact each location has, by table; empty when there is no data.

        Raises:
            ConfigurationError: the data that names the contact names no location.
        """
        return self.erasing.transact(lambda connection: self._find(connection, location_id))

    def _find(self, connection: Connection, location_id: str | None) -> dict[str, Counter[str]]:
        anywhere = About(None, frozenset((self.contact_id,)), frozenset())
        letters = dead_letters.find(connection, LetterFilter(about=anywhere))
        named = webhook_events.location_ids(connection, EventFilter(about=anywhere))
        named |= {each.location_id for each in letters}
        stored = (each for each in erasure.location_ids(connection) if self._is_at(connection, each))
        location_ids = {*suppression_list.locations_of(connection, self.contact_id), *named, *stored} - {""}
        if not location_ids and "" in named:
            if location_id is None:
                raise ConfigurationError(
                    f"The data of the contact {self.contact_id} names no location. Name it yourself: --location"
                )
            location_ids = {location_id}
        return {each: self._count(connection, each) for each in sorted(location_ids) if location_id in (None, each)}

    def _is_at(self, connection: Connection, location_id: str) -> bool:
        traces = erasure.find_contact_rows(connection, self.contact_id, location_id=location_id)
        return bool(traces.ids) or erasure.has_contact(connection, self.contact_id, location_id=location_id)

    def _count(self, connection: Connection, location_id: str) -> Counter[str]:
        traces = erasure.find_contact_rows(connection, self.contact_id, location_id=location_id)
        about = self._about(connection, traces, location_id)
        rows = erasure.count(connection, traces, location_id=location_id)
        rows[AUDIO] = len(erasure.audio(connection, traces.message_ids, location_id=location_id))
        rows["contacts"] = int(erasure.has_contact(connection, self.contact_id, location_id=location_id))
        rows["message_queue"] = message_queue.count(connection, about.ids, location_id=location_id)
        rows["dead_letters"] = dead_letters.count(connection, LetterFilter(about=about))
        rows["webhook_events"] = webhook_events.count(connection, EventFilter(about=about))
        return +rows

    def _about(self, connection: Connection, traces: ContactRows, location_id: str) -> About:
        """Return the contact's ids, with messages, emails and conversations that only events and dead letters name."""
        named = traces.conversation_ids | {self.contact_id}
        about = About(location_id, named, traces.ids | {self.contact_id})
        letters = dead_letters.find(connection, LetterFilter(about=about))
        received = {each.message_id for each in letters if each.kind not in NAMES}
        for event in webhook_events.find(connection, EventFilter(about=about)):
            received |= {id_ for id_ in (event.message_id, event.email_id, event.conversation_id) if id_}
        return replace(about, ids=about.ids | received)

    def run(self, location_id: str) -> Counter[str]:
        """Erase the contact at a location; return how many rows, by table.

        Raises:
            EtlError: audio cannot be removed, or Postgres is away. Repeat it then.
        """
        transact = self.erasing.transact
        traces_of = partial(erasure.find_contact_rows, contact_id=self.contact_id, location_id=location_id)
        about = transact(lambda connection: self._about(connection, traces_of(connection), location_id))
        traces = transact(lambda connection: self._remember(connection, about.ids, location_id))
        about = replace(about, named=about.named | traces.conversation_ids, ids=about.ids | traces.ids)
        rows = Counter(message_queue=transact(partial(message_queue.erase, ids=about.ids, location_id=location_id)))
        letters, events = LetterFilter(about=about), EventFilter(about=about)
        rows["dead_letters"] = self._drain(
            partial(dead_letters.purge, which=letters, limit=ROWS), partial(dead_letters.count, which=letters)
        )
        rows["webhook_events"] = self._drain(
            partial(webhook_events.purge, which=events, limit=ROWS), partial(webhook_events.count, which=events)
        )
        for ids in batches(sorted(traces.email_ids), BATCH):
            rows += transact(partial(erasure.erase_emails, ids=ids, location_id=location_id, why="erased"))
        rows += self.erasing.messages(traces.message_ids, location_id=location_id, why="erased")
        rows += transact(lambda connection: erasure.erase_contact(connection, self.contact_id, location_id=location_id))
        transact(lambda connection: mart_changes.erase(connection, traces.ids, location_id=location_id))
        marts.work_out_all(transact)
        self.erasing.old_rows("deleted_rows", erasure.DELETED_DAYS, location_id=location_id)
        return +rows

    def _remember(self, connection: Connection, ids: Collection[str], location_id: str) -> ContactRows:
        """Add the contact to the suppression list; return its rows, to which no loader adds any more."""
        suppression_list.lock(connection)
        traces = erasure.find_contact_rows(connection, self.contact_id, location_id=location_id)
        belonging = traces.ids.union(ids) - {self.contact_id}
        suppression_list.add(connection, self.contact_id, belonging, location_id=location_id)
        return traces

    def _drain(self, purge: Callable[[Connection], int], count: Callable[[Connection], int]) -> int:
        """Delete until nothing is left; rows that another transaction has locked are deleted later."""
        deleted = self.erasing.until_none(purge)
        while self.erasing.transact(count):
            time.sleep(PAUSE_SECONDS)
            deleted += self.erasing.until_none(purge)
        return deleted
