"""Takes due items that may be fetched now: joins the queue, the limits and the pauses. Nothing here commits.

Locations are visited in rounds, a page at a time, and each gets an equal share of what is wanted. So a location with a
million items holds up nobody, and one without allowance, or paused, is passed over with its items untouched.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from sqlalchemy import Connection

from etl.state import limits, locations, message_queue
from etl.state.allowance import Allowance
from etl.state.message_queue import Item
from etl.state.outcomes import RunOutcome, SkipCause
from etl.state.windows import Why
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
HELD_SECONDS = 1.0
"""How often it looks for what others walk."""
LONGEST_WAIT = 60.0
"""Seconds that a location is waited for which a 429 blocks; then its items are left to the next run."""


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
            stopped.setdefault(cause or SkipCause.NOT_CONNECTED, []).append(name)
        else:
            served[name] = by
    return served, stopped


def _stop_cause(
    connection: Connection, tokens: LocationTokens, by: str | None, paused: dict[str, str | None]
) -> str | None:
    """Why nothing can be fetched with that location's token; None when it can. Another token lifts a pause."""
    if by is None:
        return SkipCause.NOT_CONNECTED
    if by in paused:
        # A pause by hand names no token.
        if paused[by] is None or paused[by] == tokens.fingerprint(by):
            return SkipCause.PAUSED
        locations.unpause(connection, location_id=by)
        del paused[by]
    return tokens.unavailable_reason(by)


def passes_soon(causes: Collection[str], wait: float | None) -> bool:
    """Whether a cause for skipping locations ends by itself soon; ``wait`` as in :class:`NothingClaimed`."""
    is_soon = any(SkipCause(cause).passes_soon for cause in causes)
    return is_soon or (SkipCause.RATE_LIMITED in causes and (wait or 0.0) <= LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class NothingClaimed:
    """A whole round over all locations found nothing to claim."""

    skipped: dict[str, set[str]]
    """Locations with due items that were not claimed, by :class:`SkipCause`. Of nothing_found, they are due later."""
    wait: float | None
    """Seconds until an allowance may come back; None when unknown."""

    def outcome(self) -> RunOutcome:
        """How a run ends that leaves what is skipped: for the first cause, in the order of their declaration."""
        return next((cause.outcome for cause in SkipCause if cause in self.skipped), RunOutcome.DRAINED)

    def pause(self) -> float:
        """Seconds to leave the queue alone."""
        if SkipCause.RENEWING in self.skipped:
            return SHORT_POLL_SECONDS
        if SkipCause.RATE in self.skipped:
            return min(self.wait, POLL_SECONDS) if self.wait is not None else SHORT_POLL_SECONDS
        return POLL_SECONDS


@dataclass(frozen=True, slots=True)
class Round:
    """How far a worker has come on its way over the locations. Each claim says where the next one goes on."""

    after: str | None = None
    """The location that was passed last; None: the first one is next."""
    has_claimed: bool = False
    skipped: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """As in :class:`NothingClaimed`."""
    wait: float | None = None
    took_suspect: bool = False
    """Whether the last claim took a suspect, which must stay alone in hand. Others come before the next one."""

    def noting(self, skipped: Mapping[str, Collection[str]]) -> "Round":
        """Note locations that were not claimed, by cause."""
        causes = dict(self.skipped)
        for cause, names in skipped.items():
            if names:
                causes[cause] = causes.get(cause, frozenset()) | frozenset(names)
        return replace(self, skipped=causes)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a look at one page of locations took."""

    round: Round
    """Hand it in with the next claim."""
    items: list[Claimed]
    nothing: NothingClaimed | None = None
    """At the end of a round without any item: why."""
    passed_suspect: bool = False
    """Whether a suspect was passed over, because something else was in hand or because it is the others' turn."""


@dataclass(frozen=True, slots=True)
class WindowFilter:
    """Which windows are claimed."""

    why: Why
    location_ids: Callable[[], Collection[str]]

    @property
    def is_behind(self) -> bool:
        """Whether half of the allowance stays for live work."""
        return self.why is not Why.BACKLOG


class Claims:
    """Takes due items of one kind."""

    def __init__(
        self,
        *,
        kind: str,
        tokens: LocationTokens,
        requests: int = 1,
        most_requests: int = 0,
        windows: WindowFilter | None = None,
    ) -> None:
        """Claim items of ``kind``, each of which needs so many ``requests`` and may use more."""
        self._kind = kind
        self._requests = requests
        self._most_requests = max(most_requests, requests)
        self._windows = windows
        self._tokens = tokens
        self._unserved = Unserved()

    def claim(
        self,
        connection: Connection,
        want: int,
        *,
        round_: Round,
        is_alone: bool = True,
        room: Callable[[str], int | None] = lambda _: None,
        held: Collection[str] = (),
    ) -> Claim:
        """Claim up to ``want`` due items of the next page of locations; or, if ``is_alone``, one suspect.

        Suspects and others take turns, so that many suspects do not hold up the others, nor the others them.

        ``room`` tells how many items may be claimed for a location's token; None: as many as it may send. Those
        ``held`` wait for something else.
        """
        page, round_ = self._page(connection, round_)
        due = message_queue.due_locations(connection, page, kind=self._kind)
        served, stopped = resolve_tokens(connection, self._tokens, list(due))
        self._unserved.add(stopped)
        rooms = {by: room(by) for by in served.values()}
        unanswered = [name for name, by in served.items() if rooms[by] == 0]
        waiting = [name for name, by in served.items() if by in held]
        served = {name: by for name, by in served.items() if rooms[by] != 0 and by not in held}
        allowed = limits.allowances(connection, sorted(set(served.values())), each=self._requests)
        spare = {by: self._spare(each) for by, each in allowed.items()}
        most = {by: min(spare[by] // self._requests, rooms[by] or want) for by in spare}
        quotas = _share(want, served, most)
        suspects = [name for name in quotas if due[name]]
        items, took_suspect = self._take(connection, quotas, suspects if is_alone else [], round_)
        since = time.monotonic()
        shares = Counter(served[item.location_id] for item in items)
        most = {by: min(self._most_requests, max(spare[by] // count, self._requests)) for by, count in shares.items()}
        claimed = [Claimed(item, by := served[item.location_id], since, most[by]) for item in items]
        granted = [(each.token_location_id, each.item.lease_id) for each in claimed for _ in range(each.granted)]
        limits.spend(connection, granted, seconds=USAGE_SECONDS)
        if self._windows and not items:
            # What others have in hand may leave windows to walk.
            in_hand = message_queue.locations_of(connection, self._kind, prefix=self._windows.why, claimed=True)
            waiting += in_hand.intersection(self._windows.location_ids())
        passed = [] if took_suspect else suspects
        short = {name: allowed.get(by) for name, by in served.items() if name not in quotas}
        round_ = _limited(
            round_.noting({**stopped, SkipCause.UNANSWERED: unanswered, SkipCause.RATE: [*passed, *waiting]}), short
        )
        if waiting:
            round_ = replace(round_, wait=min(round_.wait or HELD_SECONDS, HELD_SECONDS))
        round_ = replace(round_, has_claimed=round_.has_claimed or bool(claimed), took_suspect=took_suspect)
        if took_suspect:
            return Claim(round_, claimed)
        round_, nothing = _moved_on(round_, page, list(quotas), is_full=sum(quotas.values()) >= want)
        return Claim(round_, claimed, nothing, passed_suspect=bool(passed))

    def _spare(self, allowance: Allowance) -> int:
        """How many requests may be granted: behind live work only those of half of the allowance."""
        kept = min(allowance.most // 2, max(allowance.most - self._requests, 0))
        return allowance.requests - (kept if self._windows and self._windows.is_behind else 0)

    def _take(
        self, connection: Connection, quotas: Mapping[str, int], suspects: Sequence[str], round_: Round
    ) -> tuple[list[Item], bool]:
        """Claim one suspect of these locations, but after a suspect first the others; returns whether it is one."""
        prefix = self._windows.why if self._windows else ""
        ask = partial(message_queue.claim, connection, kind=self._kind, lease_seconds=LEASE_SECONDS, prefix=prefix)
        items = ask(quotas=quotas) if quotas and (round_.took_suspect or not suspects) else []
        if items or not suspects:
            return items, False
        items = ask(quotas={suspects[0]: 1}, suspects=True)
        return items, bool(items)

    def _page(self, connection: Connection, round_: Round) -> tuple[list[str], Round]:
        """Return the next locations, and the round that they are part of."""
        self._unserved.refresh(connection)
        page, unserved = self._beyond(connection, round_.after)
        if not page and round_.after is not None and round_.has_claimed:
            # The last page ended exactly at the last location: what follows is the first one.
            round_ = Round(took_suspect=round_.took_suspect)
            page, unserved = self._beyond(connection, None)
        return page, round_.noting(unserved)

    def _beyond(self, connection: Connection, after: str | None) -> tuple[list[str], dict[str, list[str]]]:
        """Return the next locations, apart from those, by cause, that are known to be served by nobody."""
        causes = self._unserved.causes
        limit = PAGE + len(causes)
        if self._windows is None:
            names = message_queue.waiting_locations(connection, kind=self._kind, after=after, limit=limit)
        else:
            names = sorted(name for name in self._windows.location_ids() if after is None or name > after)[:limit]
        unserved: dict[str, list[str]] = {}
        for name in causes.keys() & names:
            unserved.setdefault(causes[name], []).append(name)
        return [name for name in names if name not in causes][:PAGE], unserved


def _limited(round_: Round, short: Mapping[str, Allowance | None]) -> Round:
    """Note the locations whose allowance gave no quota, and when it may give one."""
    wait = round_.wait
    for name, allowance in short.items():
        round_ = round_.noting({allowance.cause if allowance else SkipCause.RATE: [name]})
        if allowance and allowance.wait is not None:
            wait = min(wait or allowance.wait, allowance.wait)
    return replace(round_, wait=wait)


def _moved_on(
    round_: Round, page: Sequence[str], quotas: Sequence[str], *, is_full: bool
) -> tuple[Round, NothingClaimed | None]:
    """Move behind the last location that got a quota when they ran out, else behind the page.

    At the end of a round, begin a new one; if there was nothing to claim, say why.
    """
    if is_full and quotas and (len(page) >= PAGE or quotas[-1] != page[-1]):
        return replace(round_, after=quotas[-1]), None
    if len(page) >= PAGE:
        return replace(round_, after=page[-1]), None
    skipped = {cause: set(names) for cause, names in round_.skipped.items()}
    return Round(), None if round_.has_claimed else NothingClaimed(skipped, round_.wait)


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
