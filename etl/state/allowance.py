"""Computes what a location may send, and what answers change about it; pure.

:mod:`etl.state.limits` reads what these functions take and writes what they return, under the location's lock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from etl.api.rate_headers import NO_HEADERS, RateHeaders
from etl.state.outcomes import SkipCause

GUARD = 0.05
"""Seconds that an answered request counts beyond the interval, because clocks drift apart."""

UNHEARD_LIMIT = 10
"""Most requests under way at a location whose headers stated no limit within the last hour: trial accounts allow 25 in
an interval."""

BUCKET_SECONDS = 0.1
"""Seconds: answers within the same span are stored as one entry."""

MAX_REQUESTS, INTERVAL_MS, DAILY_LIMIT = 100, 10_000, 200_000
"""The limits before a header states others, and after a while without one (HighLevel docs, OAuth "Rate Limits")."""

BELIEVED_SECONDS = 3600.0
"""How long a limit stays valid after a header stated it. Later the location starts with the defaults again."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One finished request: answered, or failed after it was sent."""

    location_id: str
    lease_id: int
    age: float
    """Seconds since the answer came."""
    headers: RateHeaders = NO_HEADERS
    is_proper: bool = True
    """Whether HighLevel itself answered: a gateway's answer has no limits."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A location's limits as they are stored."""

    max_requests: int
    """Requests in any interval."""
    interval_ms: int
    daily_limit: int
    daily_remaining: int
    blocked_cause: str | None = None
    blocked_seconds: float = 0.0
    """Seconds until it is no longer blocked; 0 or less: it is not blocked."""
    is_heard: bool = True
    """Whether a header stated them within the last hour; else they are the defaults."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Requests that count against the limit, or did a moment ago."""

    usage_id: int
    lease_id: int | None
    """The lease they were granted with; None once answered."""
    requests: int
    seconds_left: float
    """Seconds until they no longer count; negative: since then."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests a location may send now."""

    requests: int
    wait: float | None
    """Seconds until there may be more; None when it depends on an answer."""
    cause: str
    """Why there are too few: rate, rate_limited (a 429), daily_budget or limit_too_low."""
    most: int = 0
    """Requests it may send in an interval; 0 while it is blocked for longer than that."""


def allowance_of(limit: Limit, usages: Sequence[Usage], *, each: int = 1) -> Allowance:
    """Return how many requests may be sent now, for items that need up to ``each`` requests."""
    counting = [usage for usage in usages if usage.seconds_left > 0]
    if limit.blocked_seconds > 0:
        return Allowance(0, limit.blocked_seconds, limit.blocked_cause or SkipCause.RATE_LIMITED)
    wait = min((usage.seconds_left for usage in counting if usage.lease_id is None), default=None)
    if limit.daily_remaining < each:
        # A spent budget is probed with one request: the hour at which it is renewed is undocumented.
        under_way = any(usage.lease_id is not None for usage in counting)
        may_probe = limit.blocked_cause == SkipCause.DAILY_BUDGET or not limit.is_heard
        return Allowance(int(may_probe and not under_way), wait, SkipCause.DAILY_BUDGET)
    most = limit.max_requests if limit.is_heard else min(limit.max_requests, UNHEARD_LIMIT)
    used = sum(usage.requests for usage in counting)
    cause = SkipCause.RATE if most >= each else SkipCause.LIMIT_TOO_LOW
    return Allowance(max(min(most - used, limit.daily_remaining), 0), wait, cause, most)


@dataclass(frozen=True, slots=True)
class AfterAnswers:
    """The changes that answers made to one location."""

    limit: Limit
    is_heard: bool
    """Whether an answer stated the limits, or showed that the API states none."""
    budget: bool | None
    """Whether the daily budget has something left; None when no answer said."""
    under_way: dict[int, int] = field(default_factory=dict)
    """Changed entries of requests under way: requests left, by usage_id; 0 removes the entry."""
    counting: list[tuple[int, float]] = field(default_factory=list)
    """New entries: how many requests count for how many more seconds."""


def after_answers(
    limit: Limit, usages: Sequence[Usage], answers: Sequence[AnsweredRequest], unsent: Mapping[int, int]
) -> AfterAnswers:
    """Apply answers, and grants that were never sent (how many, by lease).

    An answered request counts for one interval from its answer on; an unsent one no longer counts. What the youngest
    answer states is taken as the limit. Requests that the API counted beyond ours were sent by others with the
    same token, and count for one interval from that answer on.
    """
    ended = Counter(unsent) + Counter(answer.lease_id for answer in answers)
    proper = [each for each in answers if each.is_proper or each.headers != NO_HEADERS]
    youngest = min(proper, key=lambda each: (each.headers == NO_HEADERS, each.age), default=None)
    headers = youngest.headers if youngest else NO_HEADERS
    budgets = [each.headers.daily_remaining for each in proper if each.headers.daily_remaining is not None]
    new = _limit_after(limit, headers, min(budgets, default=None), usages, ended, unsent)
    counting = _counting(answers, seconds=new.interval_ms / 1000 + GUARD)
    if youngest is not None and (others := _sent_by_others(youngest, usages, max_requests=new.max_requests)) > 0:
        counting.append((others, new.interval_ms / 1000 + GUARD - youngest.age))
    says_limits = headers.max_requests is not None or headers.interval_ms is not None
    return AfterAnswers(
        limit=new,
        # Limits from headers stay known when a younger answer states none.
        is_heard=says_limits or (youngest is not None and not limit.is_heard),
        budget=None if not budgets else min(budgets) > 0,
        under_way=_under_way_after(usages, ended),
        counting=counting,
    )


def _counting(answers: Sequence[AnsweredRequest], *, seconds: float) -> list[tuple[int, float]]:
    """Return entries for answered requests, one each tenth of a second: how many, and their seconds left."""
    buckets: dict[int, list[float]] = {}
    for answer in answers:
        buckets.setdefault(int(answer.age / BUCKET_SECONDS), []).append(answer.age)
    return [(len(ages), seconds - min(ages)) for ages in buckets.values()]


def _sent_by_others(youngest: AnsweredRequest, usages: Sequence[Usage], *, max_requests: int) -> int:
    """Return how many requests the API counted beyond ours; 0 or less if its headers do not say it."""
    if youngest.headers.remaining is None:
        return 0
    ours = sum(each.requests for each in usages if each.seconds_left > -youngest.age)
    return max_requests - youngest.headers.remaining - ours


def _limit_after(
    limit: Limit,
    headers: RateHeaders,
    daily_remaining: int | None,
    usages: Sequence[Usage],
    ended: Mapping[int, int],
    unsent: Mapping[int, int],
) -> Limit:
    if daily_remaining is None:
        remaining = limit.daily_remaining + sum(unsent.values())
    else:
        # The API has not yet counted requests under way.
        granted = sum(each.requests for each in usages if each.lease_id is not None and each.seconds_left > 0)
        remaining = daily_remaining - max(granted - sum(ended.values()), 0)
    return replace(
        limit,
        max_requests=headers.max_requests or limit.max_requests,
        interval_ms=headers.interval_ms or limit.interval_ms,
        daily_limit=headers.daily_limit or limit.daily_limit,
        daily_remaining=remaining,
    )


def _under_way_after(usages: Sequence[Usage], ended: Mapping[int, int]) -> dict[int, int]:
    return {
        each.usage_id: max(each.requests - ended[each.lease_id], 0)
        for each in usages
        if each.lease_id is not None and each.lease_id in ended
    }
