"""Writes what came of a batch of items, all in the caller's transaction: rows, queue, dead letters, limits, pauses."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from etl import locations, message_queue
from etl.errors import ItemError, LocationError, NotFoundError, RateLimitedError, RefusedError, RetriableError
from etl.extract import limits
from etl.extract.allowance import AnsweredRequest
from etl.load import messages
from etl.message_queue import Burial, Item, PutBack
from etl.pipeline import Claimed, Outcome
from etl.runs import Tally
from etl.worker.outage import is_improper
from etl.worker.retry import next_delay

JITTER = 2.0
"""Seconds: bound of the random wait added to a 429's."""

Uniform = Callable[[float, float], float]


def verdict(error: ItemError, item: Item, *, max_attempts: int, outage: bool, uniform: Uniform) -> PutBack | Burial:
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
        return Burial(item, error.cause, error.detail, error.payload)
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
        held = message_queue.lock(connection, [each.claimed.item for each in outcomes] + [each.item for each in unsent])
        outcomes = [each for each in outcomes if each.claimed.item in held]
        unsent = [each for each in unsent if each.item in held]
        tally = Tally()
        _report_requests(connection, outcomes, unsent)
        _load(connection, outcomes, tally)
        put_back = [PutBack(each.item, 0.0, spent=False) for each in unsent]
        burials: list[Burial] = []
        for outcome in outcomes:
            if outcome.error is None:
                continue
            item = outcome.claimed.item
            decided = verdict(outcome.error, item, max_attempts=self.max_attempts, outage=outage, uniform=self.uniform)
            if isinstance(decided, PutBack):
                put_back.append(decided)
            else:
                burials.append(decided)
        burials = _without_deleted(connection, outcomes, burials, tally)
        message_queue.put_back(connection, put_back)
        tally.retried = sum(each.spent for each in put_back)
        tally.snoozed = sum(not each.spent and each.cause is not None for each in put_back)
        tally.dead = message_queue.bury(connection, burials)
        self._stop_locations(connection, outcomes)
        return tally

    def _stop_locations(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """A 429 blocks its location for a while, a refusal of the location pauses it."""
        for outcome in outcomes:
            by = outcome.claimed.token_location_id
            if isinstance(outcome.error, RateLimitedError):
                limits.block(connection, by, seconds=outcome.error.retry_after, jitter=self.uniform(0.0, JITTER))
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
        AnsweredRequest(
            outcome.claimed.token_location_id,
            outcome.claimed.item.lease_id,
            now - outcome.answered_at,
            outcome.headers,
            is_proper=outcome.error is None,
        )
        for outcome in outcomes
    ]
    limits.settle(connection, answers, [(each.token_location_id, each.item.lease_id) for each in unsent])


def _load(connection: Connection, outcomes: Sequence[Outcome], tally: Tally) -> None:
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    message_queue.complete(connection, [outcome.claimed.item for outcome in outcomes if outcome.record is not None])
    loaded = messages.load(connection, records)
    tally.loaded = len(records)
    tally.unchanged = loaded.unchanged
    tally.drift.update(entry for record in records for entry in record.drift)


def _without_deleted(
    connection: Connection, outcomes: Sequence[Outcome], burials: list[Burial], tally: Tally
) -> list[Burial]:
    """Settle what the API no longer knows but the tables do: such a message was deleted, which is no failure."""
    missing = {
        outcome.claimed.item: outcome.claimed.item.location_id or outcome.claimed.token_location_id
        for outcome in outcomes
        if isinstance(outcome.error, NotFoundError)
    }
    deleted = [
        burial.item
        for burial in burials
        if burial.item in missing
        and messages.mark_deleted(connection, burial.item.message_id, location_id=missing[burial.item])
    ]
    tally.deleted = message_queue.complete(connection, deleted)
    tally.loaded += tally.deleted
    return [burial for burial in burials if burial.item not in deleted]
