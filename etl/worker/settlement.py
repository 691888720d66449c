"""Writes the outcomes of a batch in the caller's transaction: rows, queue, dead letters, limits, pauses."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection

from etl.errors import (
    ItemError,
    LocationError,
    NotFoundError,
    NothingFoundError,
    RateLimitedError,
    RefusedError,
    RetriableError,
    UngrantedError,
)
from etl.kinds import Kind
from etl.load import loader, suppression
from etl.load.suppression import Received
from etl.models.record import FollowUp
from etl.state import limits, locations, message_queue
from etl.state.allowance import AnsweredRequest
from etl.state.message_queue import DeadLetter, Item, PutBack
from etl.state.runs import RunCounts
from etl.tokens.routing import Token
from etl.worker import follow_ups
from etl.worker.pipeline import Claimed, Outcome
from etl.worker.retry import next_delay
from etl.worker.run import RunContext

JITTER = 2.0
"""Seconds: bound of the random wait added to a 429's."""
UNGRANTED_SECONDS = 86_400.0
"""How long an item waits if the token may not read it."""

LOOKED_UP = "looked_up"
"""The cause of a message that waits while its conversation is fetched."""
LOOK_UP_CAUSES = ("not_found", "wrong_id", "http_400")
"""Refusals that a message may get although it exists under another id; seen for an email that had been sent (public
probe of 2026-11).
"""
LOOK_UP_SECONDS = 60.0
LATELY = timedelta(seconds=10 * LOOK_UP_SECONDS)
"""How long ago a conversation may have been fetched, if a message is looked for in it."""

NOTHING_FOUND = "nothing_found"
"""The cause of an item that waits because the API no longer finds anything of its location."""
NOTHING_FOUND_SECONDS = (60.0, 600.0)
"""How long such an item waits: the first time, and each later time."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles outcomes."""

    kind: Kind
    max_attempts: int
    context: RunContext

    def apply(self, connection: Connection, outcomes: Sequence[Outcome], unsent: Sequence[Claimed]) -> RunCounts:
        """Settle outcomes, and give back unchanged the claimed items that were never begun.

        Items whose lease was lost belong to another worker: they are neither written nor counted.
        """
        held = self._lock_and_remove_done(connection, outcomes, unsent)
        outcomes = [each for each in outcomes if each.claimed.item in held]
        unsent = [each for each in unsent if each.item in held]
        counts = RunCounts()
        following = self._load(connection, outcomes, counts)
        ends = self._end_failed(connection, outcomes)
        put_back = [*(PutBack(each.item, 0.0, spent=False) for each in unsent), *ends.put_back]
        following += [*_looked_for(put_back), *ends.following]
        counts.deleted = self._complete(connection, ends.deleted)
        counts.loaded += counts.deleted + self._complete(connection, ends.over)
        message_queue.put_back(connection, put_back)
        counts.retried = sum(each.spent for each in put_back)
        counts.snoozed = sum(not each.spent and each.cause is not None for each in put_back)
        counts.dead = message_queue.to_dead_letter(connection, ends.letters)
        follow_ups.queue(connection, following, self.context.taken)
        # Last: from here on to the commit, no other worker claims or settles at these locations.
        report_requests(connection, outcomes, unsent, now=self.context.clock())
        for outcome in outcomes:
            stop_location(connection, outcome.claimed.token, outcome.error)
        return counts

    def _lock_and_remove_done(
        self, connection: Connection, outcomes: Sequence[Outcome], unsent: Sequence[Claimed]
    ) -> set[Item]:
        """Lock the items, remove those that are done, and return those whose lease is held."""
        done = [each.claimed.item for each in outcomes if each.error is None]
        others = [*(each.claimed.item for each in outcomes if each.error), *(each.item for each in unsent)]
        held: set[Item] = set()
        for kind in sorted({each.kind for each in (*done, *others)}):
            held |= message_queue.complete(
                connection,
                [each for each in done if each.kind == kind],
                others=[each for each in others if each.kind == kind],
                default=self.context.default_location_id,
            )
        return held

    def _complete(self, connection: Connection, items: Sequence[Item]) -> int:
        return len(message_queue.complete(connection, items, default=self.context.default_location_id))

    def _load(self, connection: Connection, outcomes: Sequence[Outcome], counts: RunCounts) -> list[FollowUp]:
        """Write the rows of items; return the follow-ups of their records."""
        done = [outcome for outcome in outcomes if outcome.error is None]
        records = [record for outcome in outcomes for record in outcome.records or ()]
        loaded = loader.load(connection, records)
        counts.loaded = len(done)
        for outcome in outcomes:
            counts.count_answers(outcome.statuses, sent=outcome.sent)
        counts.unchanged = sum(not loaded.has_written(outcome.records or ()) for outcome in done)
        counts.drift.update(entry for record in records for entry in record.drift)
        return [*loaded.follow_ups, *(each for outcome in outcomes for each in outcome.follow_ups)]

    def _verdict(self, error: ItemError, item: Item) -> PutBack | DeadLetter:
        """Return what happens to a failed item: only a failure that may be its own fault spends an attempt."""
        if isinstance(error, UngrantedError):
            return PutBack(item, UNGRANTED_SECONDS, error.cause, spent=False)
        if not isinstance(error, (RetriableError, NotFoundError, RefusedError)):
            return PutBack(item, 0.0, error.cause, spent=False)
        delay = None
        if item.cause not in (LOOKED_UP, NOTHING_FOUND) or isinstance(error, RetriableError):
            delay = next_delay(
                error,
                attempt=item.attempt,
                max_attempts=self.max_attempts,
                fraction=random.random(),  # noqa: S311 - no secret
                not_found_delays=self.kind.not_found.delays,
                previous_cause=item.cause,
            )
        if delay is not None:
            return PutBack(item, delay, error.cause)
        may_be_elsewhere = self.kind.name == "message" and item.conversation_id and error.cause in LOOK_UP_CAUSES
        if may_be_elsewhere and item.cause != LOOKED_UP and "conversation" in self.context.taken:
            return PutBack(item, LOOK_UP_SECONDS, LOOKED_UP, spent=False)
        return DeadLetter(item, error.cause, error.detail, error.payload)

    def _end_failed(self, connection: Connection, outcomes: Sequence[Outcome]) -> "_Ends":
        """Decide what happens to the items that failed."""
        ends = _Ends()
        failed: list[tuple[Claimed, ItemError, DeadLetter]] = []
        for each in outcomes:
            if each.error is not None:
                verdict = self._verdict(each.error, each.claimed.item)
                if isinstance(verdict, PutBack):
                    ends.put_back.append(verdict)
                else:
                    failed.append((each.claimed, each.error, verdict))
        self._settle_absent(connection, failed, ends)
        return ends

    def _settle_absent(
        self, connection: Connection, failed: Sequence[tuple[Claimed, ItemError, DeadLetter]], ends: "_Ends"
    ) -> None:
        """Settle items that the API does not know.

        If the tables have the thing, it was deleted in HighLevel, which is no failure. It is no failure either if most
        ids of the kind have no such thing, or if a message was found in its conversation. A thing that was erased for
        good becomes no dead letter. If the API no longer finds anything of a location, this proves nothing, and its
        items are put back.
        """
        received = {
            Received(claimed.location_id, claimed.item.message_id, letter.payload or b""): claimed.item
            for claimed, _, letter in failed
        }
        erased = {received[each] for each in suppression.suppressed(connection, received)}
        for claimed, error, letter in failed:
            item, location_id = claimed.item, claimed.location_id
            is_doubted = isinstance(error, NothingFoundError)
            is_missing = isinstance(error, NotFoundError) and not is_doubted
            if item in erased:
                ends.over.append(item)
            elif is_missing and self._mark_gone(connection, item, location_id):
                ends.deleted.append(item)
                ends.following += self._naming(connection, item, location_id)
            elif (is_missing and not self.kind.not_found.is_failure) or (
                item.cause == LOOKED_UP and self._was_found(connection, item, location_id, lately=is_doubted)
            ):
                ends.over.append(item)
            elif is_doubted:
                delay = NOTHING_FOUND_SECONDS[item.cause == NOTHING_FOUND]
                ends.put_back.append(PutBack(item, delay, NOTHING_FOUND, spent=False))
            else:
                ends.letters.append(letter)

    def _mark_gone(self, connection: Connection, item: Item, location_id: str) -> bool:
        """Set ``deleted_at`` of a thing that HighLevel no longer has; False if no row has to change."""
        table = self.kind.table
        if table is None:
            return False
        mark = loader.mark_absent if location_id and table.write_policy.is_refreshed else loader.mark_deleted
        return mark(connection, table, item.message_id, location_id=location_id)

    def _naming(self, connection: Connection, item: Item, location_id: str) -> list[FollowUp]:
        """Return the messages that name a thing; they may name another one by now."""
        column = self.kind.named_in_messages_as
        ids = loader.messages_naming(connection, column, item.message_id, location_id=location_id) if column else ()
        return [FollowUp("message", message_id, location_id, force=True) for message_id in ids]

    def _was_found(self, connection: Connection, item: Item, location_id: str, *, lately: bool) -> bool:
        """Return whether the fetched conversation holds an id: a message, or an email of a thread.

        With ``lately``, only rows count that were fetched lately.
        """
        tables = {
            table for kind, table in self.context.taken.items() if table is not None and kind in ("message", "email")
        }
        found = [loader.ages(connection, table, [(location_id, item.message_id)]) for table in tables]
        return any(not lately or age < LATELY for each in found for age in each.values())


@dataclass(slots=True)
class _Ends:
    """What happens to items that failed."""

    letters: list[DeadLetter] = field(default_factory=list)
    put_back: list[PutBack] = field(default_factory=list)
    deleted: list[Item] = field(default_factory=list)
    """Deleted in HighLevel; their rows got ``deleted_at``."""
    over: list[Item] = field(default_factory=list)
    """Done without anything to load."""
    following: list[FollowUp] = field(default_factory=list)
    """Messages that name a deleted thing."""


def stop_location(connection: Connection, token: Token, error: ItemError | None) -> None:
    """Block a token's location for a while after a 429, pause it after a refusal; ignore any other outcome."""
    location_id = token.location_id
    if isinstance(error, RateLimitedError):
        jitter = random.uniform(0.0, JITTER)  # noqa: S311 - no secret
        limits.block(connection, location_id, seconds=error.retry_after, jitter=jitter)
    elif isinstance(error, LocationError):
        locations.pause(connection, location_id, cause=error.cause, detail=error.detail, token=token.fingerprint)


def report_requests(
    connection: Connection, outcomes: Sequence[Outcome], unsent: Sequence[Claimed], *, now: float
) -> None:
    """Report the requests that were sent, and give back the others of those granted with each item."""
    answers: list[AnsweredRequest] = []
    given_back = [(each.token_location_id, each.item.lease_id) for each in unsent for _ in range(each.granted)]
    for outcome in outcomes:
        by, lease_id = outcome.claimed.token_location_id, outcome.claimed.item.lease_id
        answer = AnsweredRequest(
            by, lease_id, now - outcome.answered_at, outcome.headers, is_proper=outcome.error is None
        )
        answers += [answer] * outcome.sent
        given_back += [(by, lease_id)] * (outcome.claimed.granted - outcome.sent)
    limits.record_answers(connection, answers, given_back)


def _looked_for(put_back: Sequence[PutBack]) -> list[FollowUp]:
    """Return the conversations in which refused messages are looked for."""
    return [
        FollowUp("conversation", each.item.conversation_id, each.item.location_id, force=True)
        for each in put_back
        if each.cause == LOOKED_UP and each.item.conversation_id
    ]
