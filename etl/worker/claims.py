"""Takes due items that may be fetched now: joins the queue, the limits and the pauses. Nothing here commits.

Locations are visited in rounds, a page at a time, and each gets an equal share of what is wanted. So a location with a
million items holds up nobody, and one without allowance, or paused, is passed over with its items untouched.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

from sqlalchemy import Connection

from etl.state import limits, locations, message_queue
from etl.state.allowance import Allowance
from etl.state.message_queue import Item
from etl.tokens.routing import LocationTokens
from etl.worker.leases import LEASE_SECONDS, USAGE_SECONDS
from etl.worker.pipeline import Claimed
from etl.worker.unserved import Unserved

PAGE = 64
"""Locations looked at in one transaction."""


POLL_SECONDS = 2.0
"""How often an idle loop looks by itself: scheduled items come due without a notification."""
SHORT_POLL_SECONDS = 0.05
"""The same while only other workers know when an allowance comes back."""
LONGEST_WAIT = 60.0
"""Seconds that a location is waited for which a 429 blocks; then its items are left to the next run."""

OUTCOMES = {
    "not_connected": "paused",
    "paused": "paused",
    "no_token": "paused",
    "unanswered": "paused",
    "nothing_found": "paused",
    "daily_budget": "budget",
    "limit_too_low": "rate_limited",
    "rate_limited": "rate_limited",
}
"""How a run ends that leaves items for this cause; the first that applies."""


def resolve_tokens(
    connection: Connection, tokens: LocationTokens, names: Sequence[str]
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the location whose token serves each of these, and by cause those that cannot be served now."""
    served: dict[str, str] = {}
    stopped: dict[str, list[str]] = {}
    tokens.look(connection, names)
    paused = locations.paused(connection, [*names, *filter(None, map(tokens.token_location_id, names)), ""])
    for name in names:
        by = tokens.token_location_id(name)
        cause = _stop_cause(connection, tokens, by, paused)
        if by is None or cause is not None:
            stopped.setdefault(cause or "not_connected", []).append(name)
        else:
            served[name] = by
    return served, stopped


def _stop_cause(
    connection: Connection, tokens: LocationTokens, by: str | None, paused: dict[str, str | None]
) -> str | None:
    """Why nothing can be fetched with that location's token; None when it can. Another token lifts a pause."""
    if by is None:
        return "not_connected"
    if by in paused:
        # A pause by hand names no token.
        if paused[by] is None or paused[by] == tokens.fingerprint(by):
            return "paused"
        locations.unpause(connection, location_id=by)
        del paused[by]
    return tokens.unavailable_reason(by)


def passes_soon(causes: Collection[str], wait: float | None) -> bool:
    """Whether a cause for skipping locations ends by itself soon; ``wait`` as in :class:`NothingClaimed`."""
    is_soon = "rate" in causes or "renewing" in causes
    return is_soon or ("rate_limited" in causes and (wait or 0.0) <= LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class NothingClaimed:
    """A whole round over all locations found nothing to claim."""

    skipped: dict[str, set[str]]
    """Locations with due items that were not claimed, by cause: paused, not_connected, renewing, no_token, unanswered,
    rate, rate_limited, daily_budget, limit_too_low. Of nothing_found, the items are due later."""
    wait: float | None
    """Seconds until an allowance may come back; None when unknown."""

    def outcome(self) -> str:
        """How a run ends that leaves what is skipped; as in ``etl.runs.outcome``."""
        return next((outcome for cause, outcome in OUTCOMES.items() if cause in self.skipped), "drained")

    def pause(self) -> float:
        """Seconds to leave the queue alone."""
        if "renewing" in self.skipped:
            return SHORT_POLL_SECONDS
        if "rate" in self.skipped:
            return min(self.wait, POLL_SECONDS) if self.wait is not None else SHORT_POLL_SECONDS
        return POLL_SECONDS


class Claims:
    """One worker's rounds over the locations of one kind of item."""

    def __init__(self, *, kind: str, tokens: LocationTokens, requests: int = 1) -> None:
        """Claim items of ``kind``, each of which may need so many ``requests``."""
        self._kind = kind
        self._requests = requests
        self._tokens = tokens
        self._after: str | None = None
        self._found = False
        self._withheld: dict[str, set[str]] = {}
        self._wait: float | None = None
        self._unserved = Unserved()
        self.took_suspect = False
        """Whether the last claim took a suspect, which must stay alone in hand."""
        self.has_suspects = False
        """Whether it passed over one."""

    def claim(
        self,
        connection: Connection,
        want: int,
        *,
        is_alone: bool = True,
        room: Callable[[str], int | None] = lambda _: None,
    ) -> list[Claimed] | NothingClaimed:
        """Claim up to ``want`` due items of the next page of locations; or, if ``is_alone``, one suspect.

        Suspects and others take turns, so that many suspects do not hold up the others, nor the others them.

        ``room`` tells how many items may be claimed for a location's token; None: as many as it may send.

        Returns the items, none when only this page has nothing; or, at the end of a round in which there was nothing at
        all, why.
        """
        page = self._page(connection)
        due = message_queue.due_locations(connection, page, kind=self._kind)
        served, stopped = resolve_tokens(connection, self._tokens, list(due))
        for cause, names in stopped.items():
            self._note(cause, names)
            self._unserved.add(cause, names)
        rooms = {by: room(by) for by in served.values()}
        self._note("unanswered", [name for name, by in served.items() if rooms[by] == 0])
        served = {name: by for name, by in served.items() if rooms[by] != 0}
        allowed = limits.allowances(connection, sorted(set(served.values())), each=self._requests)
        quotas = _share(
            want,
            served,
            {by: min(each.requests // self._requests, rooms[by] or want) for by, each in allowed.items()},
        )
        suspects = [name for name in quotas if due[name]]
        items = self._take(connection, quotas, suspects if is_alone else [])
        self.has_suspects = bool(suspects) and not self.took_suspect
        since = time.monotonic()
        claimed = [Claimed(item, served[item.location_id], since) for item in items]
        granted = [(each.token_location_id, each.item.lease_id) for each in claimed] * self._requests
        limits.spend(connection, granted, seconds=USAGE_SECONDS)
        self._note_rates([name for name in served if name not in quotas], served, allowed)
        self._note("rate", suspects if self.has_suspects else [])
        self._found = self._found or bool(claimed)
        if self.took_suspect:
            return claimed
        return self._turn(page, list(quotas), is_full=sum(quotas.values()) >= want) or claimed

    def _take(self, connection: Connection, quotas: Mapping[str, int], suspects: Sequence[str]) -> list[Item]:
        """Claim one suspect of these locations, but after a suspect first the others."""
        ask = partial(message_queue.claim, connection, kind=self._kind, lease_seconds=LEASE_SECONDS)
        items = ask(quotas=quotas) if quotas and (self.took_suspect or not suspects) else []
        self.took_suspect = False
        if suspects and not items:
            items = ask(quotas={suspects[0]: 1}, suspects=True)
            self.took_suspect = bool(items)
        return items

    def _page(self, connection: Connection) -> list[str]:
        self._unserved.refresh(connection)
        page = self._beyond(connection, self._after)
        if page or self._after is None or not self._found:
            return page
        # The last page ended exactly at the last location: what follows is the first one.
        self._begin_round()
        return self._beyond(connection, None)

    def _beyond(self, connection: Connection, after: str | None) -> list[str]:
        """Return the next locations, without those that are known to be served by nobody."""
        causes = self._unserved.causes
        limit = PAGE + len(causes)
        names = message_queue.waiting_locations(connection, kind=self._kind, after=after, limit=limit)
        for name in causes.keys() & names:
            self._note(causes[name], [name])
        return [name for name in names if name not in causes][:PAGE]

    def _note_rates(self, short: list[str], served: Mapping[str, str], allowed: Mapping[str, Allowance]) -> None:
        """Note the locations that got no quota, and when they may get one."""
        for name in short:
            allowance = allowed.get(served[name])
            self._note(allowance.cause if allowance else "rate", [name])
            if allowance and allowance.wait is not None:
                self._wait = min(self._wait or allowance.wait, allowance.wait)

    def _turn(self, page: list[str], quotas: list[str], *, is_full: bool) -> NothingClaimed | None:
        """Move on: behind the last location that got a quota when they ran out, else behind the page.

        At the end of a round without any item, says why.
        """
        if is_full and quotas and (len(page) >= PAGE or quotas[-1] != page[-1]):
            self._after = quotas[-1]
            return None
        if len(page) >= PAGE:
            self._after = page[-1]
            return None
        idle = None if self._found else NothingClaimed(self._withheld, self._wait)
        self._begin_round()
        return idle

    def _begin_round(self) -> None:
        self._after = None
        self._found = False
        self._withheld = {}
        self._wait = None

    def _note(self, cause: str, names: list[str]) -> None:
        if names:
            self._withheld.setdefault(cause, set()).update(names)


def _share(want: int, served: Mapping[str, str], allowed: Mapping[str, int]) -> dict[str, int]:
    """Equal quotas for the locations that have an allowance, in their order; locations may share one."""
    left = dict(allowed)
    able = [name for name in served if left.get(served[name], 0) > 0]
    quotas: dict[str, int] = {}
    for name in able:
        quota = min(ceil(want / len(able)), left[served[name]], want - sum(quotas.values()))
        if quota > 0:
            quotas[name] = quota
            left[served[name]] -= quota
    return quotas
