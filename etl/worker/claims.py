"""Takes due items that may be fetched now: joins the queue, the limits and the pauses. Nothing here commits.

Locations are visited in rounds, a page at a time, and each gets an equal share of what is wanted. So a location with a
million items holds up nobody, and one without allowance, or paused, is passed over with its items untouched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

from sqlalchemy import Connection

from etl import locations, message_queue
from etl.extract import throttle
from etl.pipeline import Claimed
from etl.worker.leases import LEASE_SECONDS, USAGE_SECONDS

PAGE = 64
"""Locations looked at in one transaction."""


class Tokens(Protocol):
    """Says who serves a location."""

    def look(self, connection: Connection, names: Sequence[str]) -> None:
        """Learn about these locations, about which the other methods are asked next."""

    def token_location_id(self, location_id: str) -> str | None:
        """The location whose token and allowance an item of ``location_id`` uses; None when nobody serves it."""

    def unavailable_reason(self, location_id: str) -> str | None:
        """Why that location's token cannot be used right now: renewing, no_token; None when it can."""

    def fingerprint(self, location_id: str) -> str:
        """Tells that location's token from another one."""


@dataclass(slots=True)
class Taken:
    """The result of one look at the queue."""

    claimed: list[Claimed] = field(default_factory=list)
    idle: bool = False
    """A whole round over all locations found nothing to take."""
    held: dict[str, set[str]] = field(default_factory=dict)
    """When idle: locations with due items that were not taken, by cause: paused, not_connected, renewing, no_token,
    rate, rate_limited, daily_budget."""
    wait: float | None = None
    """When idle: seconds until an allowance may come back; None when unknown."""


class Claims:
    """One worker's rounds over the locations of one kind of item."""

    def __init__(self, *, kind: str, tokens: Tokens, lease_seconds: float = LEASE_SECONDS) -> None:
        self._kind = kind
        self._tokens = tokens
        self._lease_seconds = lease_seconds
        self._after: str | None = None
        self._found = False
        self._held: dict[str, set[str]] = {}
        self._wait: float | None = None

    def take(self, connection: Connection, want: int) -> Taken:
        """Claim up to ``want`` due items of the next page of locations."""
        page = self._page(connection)
        served = self._served(connection, page)
        allowed = throttle.allowances(connection, sorted(set(served.values())))
        lots = _share(want, served, {name: allowance.requests for name, allowance in allowed.items()})
        items = (
            message_queue.claim(connection, kind=self._kind, lots=lots, lease_seconds=self._lease_seconds)
            if lots
            else []
        )
        claimed = [Claimed(item, served[item.location_id]) for item in items]
        throttle.spend(connection, ((each.served_by, each.item.lease_id) for each in claimed), seconds=USAGE_SECONDS)
        short = [name for name in served if name not in lots]
        if len(items) < want:
            self._note_rates(connection, short, served, allowed)
        self._found = self._found or bool(claimed)
        taken = Taken(claimed)
        self._turn(page, lots, taken, full=len(items) >= want)
        return taken

    def _page(self, connection: Connection) -> list[str]:
        page = message_queue.waiting_locations(connection, kind=self._kind, after=self._after, most=PAGE)
        if page or self._after is None or not self._found:
            return page
        # The last page ended exactly at the last location: what follows is the first one.
        self._begin_round()
        return message_queue.waiting_locations(connection, kind=self._kind, after=None, most=PAGE)

    def _served(self, connection: Connection, page: list[str]) -> dict[str, str]:
        """Who serves each location of the page that can be served; notes the others."""
        served: dict[str, str] = {}
        self._tokens.look(connection, page)
        paused = locations.paused(connection, [*page, *filter(None, map(self._tokens.token_location_id, page)), ""])
        stopped: dict[str, list[str]] = {}
        for name in page:
            by = self._tokens.token_location_id(name)
            cause = self._stops(connection, by, paused)
            if by is None or cause is not None:
                stopped.setdefault(cause or "not_connected", []).append(name)
            else:
                served[name] = by
        for cause, names in stopped.items():
            self._note(cause, message_queue.due_locations(connection, names, kind=self._kind))
        return served

    def _stops(self, connection: Connection, by: str | None, paused: dict[str, str | None]) -> str | None:
        """Why nothing can be fetched with that location's token; None when it can. Another token lifts a pause."""
        if by is None:
            return "not_connected"
        if by in paused:
            # A pause by hand names no token.
            if paused[by] is None or paused[by] == self._tokens.fingerprint(by):
                return "paused"
            locations.lift(connection, location_id=by)
            del paused[by]
        return self._tokens.unavailable_reason(by)

    def _note_rates(
        self,
        connection: Connection,
        short: list[str],
        served: Mapping[str, str],
        allowed: Mapping[str, throttle.Allowance],
    ) -> None:
        """Note the locations that have due items but no allowance, and when they get some."""
        for name in message_queue.due_locations(connection, short, kind=self._kind):
            allowance = allowed.get(served[name])
            self._note(allowance.cause if allowance else "rate", [name])
            if allowance and allowance.wait is not None:
                self._wait = min(self._wait or allowance.wait, allowance.wait)

    def _turn(self, page: list[str], lots: dict[str, int], taken: Taken, *, full: bool) -> None:
        """Move on: behind the last location that got a lot when the lots ran out, else behind the page."""
        if full and lots and (len(page) >= PAGE or next(reversed(lots)) != page[-1]):
            self._after = next(reversed(lots))
        elif len(page) >= PAGE:
            self._after = page[-1]
        else:
            if not self._found:
                taken.idle, taken.held, taken.wait = True, self._held, self._wait
            self._begin_round()

    def _begin_round(self) -> None:
        self._after = None
        self._found = False
        self._held = {}
        self._wait = None

    def _note(self, cause: str, names: list[str]) -> None:
        if names:
            self._held.setdefault(cause, set()).update(names)


def _share(want: int, served: Mapping[str, str], allowed: Mapping[str, int]) -> dict[str, int]:
    """Equal lots for the locations that have an allowance, in their order; locations may share one."""
    left = dict(allowed)
    able = [name for name in served if left.get(served[name], 0) > 0]
    lots: dict[str, int] = {}
    for name in able:
        lot = min(ceil(want / len(able)), left[served[name]], want - sum(lots.values()))
        if lot > 0:
            lots[name] = lot
            left[served[name]] -= lot
    return lots
