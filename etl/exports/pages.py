"""Asks for one page of an export at a time, under the same limits as every other request.

Shapes: HighLevel docs, "Export messages by location": ``{"messages": […], "nextCursor": …, "total": …}``.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil
from typing import Any

from sqlalchemy import Connection, text

from etl.api.client import Answer, Call, Client
from etl.api.rate_headers import NO_HEADERS, RateHeaders
from etl.database.retrying_transaction import RetryingTransaction
from etl.errors import (
    ApiMisconfiguredError,
    EtlError,
    ItemError,
    LocationError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    SnoozedError,
    UnreachableError,
)
from etl.state import limits, limits_upkeep
from etl.state.allowance import AnsweredRequest
from etl.tokens.routing import LocationTokens
from etl.worker.claims import SHORT_POLL_SECONDS, passes_soon, resolve_tokens
from etl.worker.leases import USAGE_SECONDS
from etl.worker.loop import LAPSE_CHECK_SECONDS
from etl.worker.settlement import stop_location

PATH = "/conversations/messages/export"
FIRST_PAUSE = 1.0
"""Seconds until a page is asked for again that was not answered; doubled each time."""
LONGEST_SLEEP = 0.2
"""Seconds after which a wait looks whether it shall end."""


class HaltedError(EtlError):
    """An export cannot go on now.

    ``cause`` is one of ``etl.worker.claims.NothingClaimed``, or stopped, api_unreachable, misconfigured, refused.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(detail or cause)
        self.cause = cause
        self.detail = detail
        self.exit_code = 2 if cause in ("misconfigured", "not_connected") else 3


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """One answer. No repr: it holds customers' words."""

    location_id: str
    rows: list[dict[str, Any]]
    cursor: str | None
    """What the next page is asked for with; None: this is the last one."""
    total: int | None
    """Rows of what was asked for, as far as the API says: to be told, and relied on for nothing."""
    asked_at: datetime
    """By Postgres's clock, before the request was sent."""
    reached: datetime | None = None
    """Its walk has given everything that was created before this; None: it is not in order, so nobody knows."""
    is_default: bool = False
    """Whether items that name no location belong to this one."""

    @property
    def answered(self) -> tuple[str, ...]:
        """The locations whose items it answers."""
        return (self.location_id, "") if self.is_default else (self.location_id,)


@dataclass(frozen=True, slots=True)
class Manner:
    """How eagerly pages are asked for."""

    is_behind: bool = False
    """Leave half of the allowance to live work: ask only while that much is free."""
    patience: float | None = None
    """Seconds to wait for an allowance or a token that comes back by itself; None: as long as it takes."""
    tries: int = 1
    """How often a page is asked for that the API does not answer."""
    pauses: bool = True
    """Whether a refusal pauses the location. Where its messages are fetched one by one as well, these show that."""


@dataclass(frozen=True, slots=True)
class _Grant:
    token_location_id: str
    lease_id: int
    asked_at: datetime
    is_default: bool
    """Whether items that name no location are asked for with the same token."""


@dataclass(frozen=True, slots=True)
class _Withheld:
    cause: str
    wait: float | None


class Exports:
    """The export endpoint; safe to share between threads."""

    def __init__(
        self, *, client: Client, tokens: LocationTokens, transact: RetryingTransaction, manner: Manner
    ) -> None:
        self.tokens = tokens
        self._client = client
        self._transact = transact
        self._manner = manner
        self._next_tidying = 0.0
        self.looking = threading.Lock()
        """Held while tokens are looked at, which one thread at a time may do."""

    def page(self, location_id: str, *, stopping: Callable[[], bool], **query: str | int) -> Page:
        """Ask for a page until it is answered.

        Raises:
            RefusedError: the API refuses what is asked for: a cursor that died, a page that is too large.
            HaltedError: it cannot be asked now, or does not answer.
        """
        tries = 0
        while True:
            granted = self._grant(location_id, stopping)
            try:
                answer = self._ask(granted, location_id, query)
                return _page_of(answer, location_id, granted)
            except SnoozedError:
                sleep(SHORT_POLL_SECONDS, stopping)
            except RateLimitedError as error:
                if self._manner.patience is not None:
                    raise HaltedError("rate_limited") from error
            except (UnreachableError, RefusedError) as error:
                tries += 1
                if isinstance(error, RefusedError) and error.cause != "not_json":
                    raise
                if tries >= self._manner.tries:
                    raise HaltedError("api_unreachable", error.detail) from error
                sleep(FIRST_PAUSE * 2 ** (tries - 1), stopping)

    def _ask(self, granted: _Grant, location_id: str, query: dict[str, str | int]) -> Answer:
        """Send one request, and report it with what follows from a failure."""
        token, by = "", granted.token_location_id
        call: Call | None = None
        answer: Answer | None = None
        failure: ItemError | None = None
        try:
            token = self.tokens.token_of(by)
            call = Call(self._client, token)
            answer = call.get(PATH, locationId=location_id, **query)
        except LocationError as error:
            failure = self.tokens.refused(by, token, error)
        except ItemError as error:
            failure = error
        answered_at = time.monotonic()
        headers = call.headers if call else NO_HEADERS
        self._transact(lambda connection: self._settle(connection, granted, answered_at, headers, failure))
        if failure is not None:
            raise _meaning(failure, location_id) from failure
        assert answer is not None  # noqa: S101 - for the type checker
        return answer

    def _settle(
        self,
        connection: Connection,
        granted: _Grant,
        answered_at: float,
        headers: RateHeaders,
        failure: ItemError | None,
    ) -> None:
        by = granted.token_location_id
        age = time.monotonic() - answered_at
        limits.settle(connection, [AnsweredRequest(by, granted.lease_id, age, headers, is_proper=failure is None)])
        if not isinstance(failure, LocationError) or self._manner.pauses:
            stop_location(connection, by, failure, fingerprint=self.tokens.fingerprint)

    def _grant(self, location_id: str, stopping: Callable[[], bool]) -> _Grant:
        """Wait until a request may be sent."""
        began = time.monotonic()
        while True:
            if stopping():
                raise HaltedError("stopped")
            with self.looking:
                given = self._transact(partial(self._take, location_id=location_id))
            if isinstance(given, _Grant):
                return given
            waited, patience = time.monotonic() - began, self._manner.patience
            if not passes_soon([given.cause], given.wait) or (patience is not None and waited >= patience):
                raise HaltedError(given.cause)
            sleep(SHORT_POLL_SECONDS if given.wait is None else given.wait, stopping)

    def _take(self, connection: Connection, *, location_id: str) -> _Grant | _Withheld:
        if time.monotonic() >= self._next_tidying:
            self._next_tidying = time.monotonic() + LAPSE_CHECK_SECONDS
            limits_upkeep.tidy(connection, under_way=USAGE_SECONDS)
        served, stopped = resolve_tokens(connection, self.tokens, [location_id])
        if location_id not in served:
            return _Withheld(next(iter(stopped)), None)
        by = served[location_id]
        allowance = limits.allowances(connection, [by]).get(by)
        if allowance is None:
            return _Withheld("rate", None)
        if allowance.requests < (max(ceil(allowance.most / 2), 1) if self._manner.is_behind else 1):
            return _Withheld(allowance.cause, allowance.wait)
        is_default = self.tokens.token_location_id("") == by
        granted = _Grant(by, **connection.execute(GRANT).mappings().one(), is_default=is_default)
        limits.spend(connection, [(by, granted.lease_id)], seconds=USAGE_SECONDS)
        return granted


GRANT = text("SELECT nextval('etl.lease_id_seq') AS lease_id, clock_timestamp() AS asked_at")


def sleep(seconds: float, stopping: Callable[[], bool]) -> None:
    """Wait, but not when it shall end."""
    deadline = time.monotonic() + seconds
    while not stopping() and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, LONGEST_SLEEP))


def _meaning(failure: ItemError, location_id: str) -> Exception:
    """Return what the failure of one request means for the walk."""
    if isinstance(failure, ApiMisconfiguredError):
        return HaltedError("misconfigured", failure.detail)
    if isinstance(failure, LocationError):
        return HaltedError("refused", f"Messages of location {location_id} cannot be read: {failure.detail}")
    if isinstance(failure, NotFoundError):
        return RefusedError(failure.cause, "the API does not know this export")
    return failure


def _page_of(answer: Answer, location_id: str, granted: _Grant) -> Page:
    payload = answer.payload
    rows = payload.get("messages") if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        raise UnreachableError("not_a_list", "the answer holds no list of messages")
    total = payload.get("total")
    return Page(
        location_id=location_id,
        # What is no object is no message either; whoever loads the page keeps it as what it is.
        rows=[row if isinstance(row, dict) else {"row": row} for row in rows],
        cursor=_cursor_of(payload.get("nextCursor")),
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
        asked_at=granted.asked_at,
        is_default=granted.is_default,
    )


def _cursor_of(given: Any) -> str | None:
    """Return what to send for the next page; what cannot be sent must not pass for the end."""
    if given is None or given is False or given == "":
        return None
    if isinstance(given, str) or type(given) is int:
        return str(given)
    raise UnreachableError("odd_cursor", "the answer's nextCursor is neither a text nor a number")
