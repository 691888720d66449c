"""Takes due items that may be fetched now: joins the queue, the limits and the pauses. Nothing here commits.

Locations are visited in rounds, a page at a time, and each gets an equal share of the claim. So a location with a
million items does not delay the others. A location that is paused or has no allowance is skipped, and its items stay
unchanged.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from sqlalchemy import Connection

from etl.kinds import Kind
from etl.state import limits, message_queue
from etl.state.allowance import Allowance
from etl.state.message_queue import Item
from etl.state.outcomes import RunOutcome, SkipCause
from etl.state.windows import Why
from etl.tokens.routing import LocationTokens, Token
from etl.worker.leases import LEASE_SECONDS, USAGE_SECONDS
from etl.worker.pipeline import Claimed
from etl.worker.run import WindowFilter
from etl.worker.unserved import Unserved
from etl.worker.verdicts import Verdicts

PAGE = 64
"""Locations looked at in one transaction."""

POLL_SECONDS = 2.0
"""How often an idle loop looks by itself: scheduled items come due without a notification."""
SHORT_POLL_SECONDS = 0.05
"""The same while only other workers know when an allowance comes back."""
HELD_SECONDS = 1.0
"""How often it looks for what others walk."""
OTHERS = Allowance(0, None, SkipCause.RATE)
"""That of a location for which another worker is claiming."""
KEPT_FOR_LIVE_WORK = 0.5
"""Share of an allowance that the loading of history and comparing leave for live work."""
LONGEST_WAIT = 60.0
"""Seconds that a location is waited for which a 429 blocks; then its items are left to the next run."""


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

    def passes_soon(self) -> bool:
        """Whether a cause ends by itself soon."""
        is_soon = any(SkipCause(cause).passes_soon for cause in self.skipped)
        return is_soon or (SkipCause.RATE_LIMITED in self.skipped and (self.wait or 0.0) <= LONGEST_WAIT)

    def pause(self) -> float:
        """Seconds to leave the queue alone."""
        if SkipCause.RENEWING in self.skipped:
            return SHORT_POLL_SECONDS
        if SkipCause.RATE in self.skipped:
            return min(self.wait, POLL_SECONDS) if self.wait is not None else SHORT_POLL_SECONDS
        return POLL_SECONDS


@dataclass(slots=True)
class Round:
    """How far a worker has come on its way over the locations. Each claim says where the next one goes on."""

    after: str | None = None
    """The location that was passed last; None: the first one is next."""
    has_claimed: bool = False
    skipped: dict[str, set[str]] = field(default_factory=dict)
    """As in :class:`NothingClaimed`."""
    wait: float | None = None
    took_suspect: bool = False
    """Whether the last claim took a suspect, which must be processed alone. Others come before the next one."""

    def copy(self) -> "Round":
        """Return a round of its own."""
        return replace(self, skipped={cause: set(names) for cause, names in self.skipped.items()})

    def note(self, cause: str, names: Collection[str], *, wait: float | None = None) -> None:
        """Note locations that were not claimed, and after how many seconds they may be."""
        if names:
            self.skipped.setdefault(cause, set()).update(names)
            self.wait = min((each for each in (self.wait, wait) if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What was claimed at one page of locations."""

    round: Round
    """Hand it in with the next claim."""
    items: list[Claimed]
    nothing: NothingClaimed | None = None
    """At the end of a round without any item: why."""
    passed_suspect: bool = False
    """Whether a suspect was skipped, because other items are claimed or because it is their turn."""


class Claims:
    """Takes due items of one kind."""

    def __init__(
        self,
        kind: Kind,
        tokens: LocationTokens,
        clock: Callable[[], float],
        *,
        verdicts: Verdicts | None = None,
        windows: WindowFilter | None = None,
    ) -> None:
        """Ask the verdicts, if there are any, how many items may be fetched where the API does not answer."""
        self._kind = kind.name
        self._requests = kind.requests
        self._most_requests = max(kind.most_requests, kind.requests)
        self._tokens = tokens
        self._clock = clock
        self._verdicts = verdicts
        self._windows = windows
        self._unserved = Unserved(clock)

    def claim(
        self, connection: Connection, want: int, *, round_: Round, is_alone: bool = True, held: Collection[str] = ()
    ) -> Claim:
        """Claim up to ``want`` due items of the next page of locations; or, if ``is_alone``, one suspect.

        Suspects and other items take turns, so that neither delay the others. Locations that are ``held`` wait for
        something else.
        """
        # The given round stays as it is: the transaction may be repeated.
        page, round_ = self._page(connection, round_.copy())
        due = [name for name, is_suspect in page.items() if is_suspect is not None]
        tokens, stopped = self._tokens.resolve(connection, due)
        self._unserved.add(stopped)
        for cause, names in stopped.items():
            round_.note(cause, names)
        quotas, spare = self._quotas(connection, want, tokens, round_, held)
        suspects = [name for name in quotas if page[name]]
        items, round_.took_suspect = self._take(connection, quotas, suspects if is_alone else [], round_)
        claimed = self._grant(connection, items, tokens, spare)
        round_.has_claimed |= bool(claimed)
        if round_.took_suspect:
            return Claim(round_, claimed)
        round_.note(SkipCause.RATE, suspects)
        if not claimed:
            round_.note(SkipCause.RATE, self._walked_by_others(connection), wait=HELD_SECONDS)
        last = _last_passed(list(page), list(quotas), is_full=sum(quotas.values()) >= want)
        if last is not None:
            return Claim(replace(round_, after=last), claimed, passed_suspect=bool(suspects))
        nothing = None if round_.has_claimed else NothingClaimed(round_.skipped, round_.wait)
        return Claim(Round(), claimed, nothing, passed_suspect=bool(suspects))

    def _quotas(
        self, connection: Connection, want: int, tokens: Mapping[str, Token], round_: Round, held: Collection[str]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Return how many items of each location to claim, and how many requests may be granted with each token.

        Note in the round the locations that get none.
        """
        now = self._clock()
        users = {name: each.location_id for name, each in tokens.items()}
        rooms = {by: self._verdicts.room(by, now=now) if self._verdicts else None for by in users.values()}
        round_.note(SkipCause.UNANSWERED, [name for name, by in users.items() if rooms[by] == 0])
        round_.note(SkipCause.RATE, [name for name, by in users.items() if by in held], wait=HELD_SECONDS)
        users = {name: by for name, by in users.items() if rooms[by] != 0 and by not in held}
        allowed = limits.allowances(connection, sorted(set(users.values())), each=self._requests)
        spare = {by: self._spare(each) for by, each in allowed.items()}
        quotas = _share(want, users, {by: min(spare[by] // self._requests, rooms[by] or want) for by in spare})
        for name, by in users.items():
            if name not in quotas:
                allowance = allowed.get(by, OTHERS)
                round_.note(allowance.cause, [name], wait=allowance.wait)
        return quotas, spare

    def _walked_by_others(self, connection: Connection) -> Collection[str]:
        """Return locations where others walk windows, which may leave windows to walk."""
        if self._windows is None:
            return ()
        walked = message_queue.locations_of(connection, self._kind, prefix=self._windows.why, claimed=True)
        return walked.intersection(self._windows.location_ids)

    def _grant(
        self, connection: Connection, items: Sequence[Item], tokens: Mapping[str, Token], spare: Mapping[str, int]
    ) -> list[Claimed]:
        """Grant requests for claimed items: an equal share of what may be spared, but no fewer than each needs."""
        since = self._clock()
        shares = Counter(tokens[item.location_id].location_id for item in items)
        most = {by: min(self._most_requests, max(spare[by] // count, self._requests)) for by, count in shares.items()}
        claimed = [Claimed(item, token := tokens[item.location_id], since, most[token.location_id]) for item in items]
        granted = [(each.token_location_id, each.item.lease_id) for each in claimed for _ in range(each.granted)]
        limits.spend(connection, granted, seconds=USAGE_SECONDS)
        return claimed

    def _spare(self, allowance: Allowance) -> int:
        """Return how many requests may be granted: history and comparing leave some for live work."""
        if self._windows is None or self._windows.why is Why.BACKLOG:
            return allowance.requests
        return allowance.requests - min(
            int(allowance.most * KEPT_FOR_LIVE_WORK), max(allowance.most - self._requests, 0)
        )

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

    def _page(self, connection: Connection, round_: Round) -> tuple[dict[str, bool | None], Round]:
        """Return the next locations, as :meth:`_beyond`, and the round that they are part of."""
        self._unserved.refresh(connection)
        page, unserved = self._beyond(connection, round_.after)
        if not page and round_.after is not None and round_.has_claimed:
            # The last page ended exactly at the last location: what follows is the first one.
            round_ = Round(took_suspect=round_.took_suspect)
            page, unserved = self._beyond(connection, None)
        for cause, names in unserved.items():
            round_.note(cause, names)
        return page, round_

    def _beyond(self, connection: Connection, after: str | None) -> tuple[dict[str, bool | None], dict[str, list[str]]]:
        """Return the next locations that may be served, and, by cause, those that are known not to be served.

        With each, whether its next due item is a suspect; None: nothing is due.
        """
        causes = self._unserved.causes
        if self._windows is None:
            names = message_queue.waiting_locations(connection, kind=self._kind, after=after, most=PAGE, skipped=causes)
        else:
            own = sorted(name for name in self._windows.location_ids if after is None or name > after)
            own = own[: PAGE + len(causes)]
            names = message_queue.due_locations(connection, own, kind=self._kind) if own else {}
        unserved: dict[str, list[str]] = {}
        for name in causes.keys() & names.keys():
            unserved.setdefault(causes[name], []).append(name)
        page = [(name, is_suspect) for name, is_suspect in names.items() if name not in causes]
        return dict(page[:PAGE]), unserved


def _last_passed(page: Sequence[str], quotas: Sequence[str], *, is_full: bool) -> str | None:
    """Return the last location that got a quota when they ran out, else that of the page; None: the round is over."""
    if is_full and quotas and (len(page) >= PAGE or quotas[-1] != page[-1]):
        return quotas[-1]
    return page[-1] if len(page) >= PAGE else None


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
