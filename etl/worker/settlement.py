"""Writes what came of a batch of items, all in the caller's transaction: rows, queue, dead letters, limits, pauses."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from etl import locations, message_queue
from etl.errors import ItemError, LocationError, NotFoundError, RateLimitedError, RefusedError, RetriableError
from etl.extract import throttle
from etl.load import messages
from etl.message_queue import Item, Letter, PutBack
from etl.pipeline import Claimed, Outcome
from etl.runs import Tally
from etl.worker.outage import is_improper
from etl.worker.retry import next_delay

JITTER = 2.0
"""Seconds: bound of the random wait added to a 429's."""

Uniform = Callable[[float, float], float]


def verdict(error: ItemError, item: Item, *, max_attempts: int, outage: bool, uniform: Uniform) -> PutBack | Letter:
    """What becomes of an item that failed; pure.

    Only what may be the item's own fault spends an attempt. During an outage of the API, no failure that looks like
    one does.
    """
    own_fault = isinstance(error, (RetriableError, NotFoundError, RefusedError))
    if not own_fault or (outage and is_improper(error)):
        return PutBack(item, 0.0, error.cause, spent=False)
    delay = next_delay(
        error,
        attempt=item.attempt,
        max_attempts=max_attempts,
        uniform=uniform,
        previous_cause=item.cause,
    )
    if delay is None:
        return Letter(item, error.cause, error.detail, error.payload)
    return PutBack(item, delay, error.cause)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How outcomes are settled; ``fingerprint`` tells a location's token from the next one."""

    max_attempts: int
    fingerprint: Callable[[str], str]
    uniform: Uniform = random.uniform

    def apply(
        self, connection: Connection, outcomes: Sequence[Outcome], unsent: Sequence[Claimed], *, outage: bool
    ) -> Tally:
        """Settle outcomes, and give back as they were the items that were claimed and never begun.

        Items whose lease was lost are somebody else's: they are neither written nor counted. ``outage`` says that the
        API is away.
        """
        held = message_queue.complete(
            connection,
            [each.claimed.item for each in outcomes if each.record is not None],
            others=[each.claimed.item for each in outcomes if each.record is None] + [each.item for each in unsent],
        )
        outcomes = [each for each in outcomes if each.claimed.item in held]
        unsent = [each for each in unsent if each.item in held]
        tally = Tally()
        _report_requests(connection, outcomes, unsent)
        _load(connection, outcomes, tally)
        put_back = [PutBack(each.item, 0.0, spent=False) for each in unsent]
        letters: list[Letter] = []
        for outcome in outcomes:
            if outcome.error is None:
                continue
            decided = verdict(
                outcome.error,
                outcome.claimed.item,
                max_attempts=self.max_attempts,
                outage=outage,
                uniform=self.uniform,
            )
            if isinstance(decided, PutBack):
                put_back.append(decided)
            else:
                letters.append(decided)
        letters = _without_deleted(connection, outcomes, letters, tally)
        _return(connection, put_back, tally)
        tally.dead = len(message_queue.bury(connection, letters))
        self._stop_locations(connection, outcomes)
        return tally

    def _stop_locations(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """A 429 blocks its location for a while, a refusal of the location pauses it."""
        for outcome in outcomes:
            by = outcome.claimed.served_by
            if isinstance(outcome.error, RateLimitedError):
                throttle.block(connection, by, seconds=outcome.error.retry_after, jitter=self.uniform(0.0, JITTER))
            elif isinstance(outcome.error, LocationError):
                locations.pause(
                    connection,
                    by,
                    cause=outcome.error.cause,
                    detail=outcome.error.detail,
                    token=outcome.error.fingerprint or self.fingerprint(by),
                )


def _report_requests(connection: Connection, outcomes: Sequence[Outcome], unsent: Sequence[Claimed]) -> None:
    now = time.monotonic()
    answers = [
        throttle.Answer(
            outcome.claimed.served_by,
            outcome.claimed.item.lease_id,
            now - outcome.answered_at,
            outcome.headers,
            proper=outcome.error is None,
        )
        for outcome in outcomes
    ]
    throttle.settle(connection, answers, [(each.served_by, each.item.lease_id) for each in unsent])


def _load(connection: Connection, outcomes: Sequence[Outcome], tally: Tally) -> None:
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    loaded = messages.upsert(connection, records)
    tally.loaded = len(records)
    tally.unchanged = loaded.unchanged
    tally.drift.update(entry for record in records for entry in record.drift)


def _without_deleted(
    connection: Connection, outcomes: Sequence[Outcome], letters: list[Letter], tally: Tally
) -> list[Letter]:
    """Settle what the API no longer knows but the tables do: such a message was deleted, which is no failure."""
    missing = {
        outcome.claimed.item: outcome.claimed.item.location_id or outcome.claimed.served_by
        for outcome in outcomes
        if isinstance(outcome.error, NotFoundError)
    }
    deleted = [
        letter.item
        for letter in letters
        if letter.item in missing
        and messages.mark_deleted(connection, letter.item.message_id, location_id=missing[letter.item])
    ]
    held = message_queue.complete(connection, deleted)
    tally.deleted = len(held)
    tally.loaded += len(held)
    return [letter for letter in letters if letter.item not in deleted]


def _return(connection: Connection, put_back: Sequence[PutBack], tally: Tally) -> None:
    held = message_queue.put_back(connection, put_back)
    for each in put_back:
        if each.item.message_id in held and each.cause is not None:
            if each.spent:
                tally.retried += 1
            else:
                tally.snoozed += 1
