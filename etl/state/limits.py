"""Keeps the API's limits for all workers on all machines, in Postgres. Nothing here commits.

**Guarantee.** At each location, the requests granted but not yet answered, plus those answered less than one interval
ago, never exceed the limit. HighLevel counts a request between our grant and its answer, so in *any*
window of one interval it counts at most the limit, whether its window slides or is fixed. No clock but Postgres's is
compared: a worker reports how long ago an answer came.

**Cost.** An allowance is used once in interval + latency + the time between grant and sending, so the share that is
used is ``interval / (interval + those)``: about 98% at 100 ms latency, 95% at half a second, 91% at 0.8 s. Grants come
as quotas with a claim and answers are reported with the next one, so no request pays a round trip of its own.

**Weakness.** Others who use the same token are seen only through the headers of our own answers, after the fact: when
they start, a few 429s can come before we make room. The requests of a killed worker count as under way for two minutes.
Requests that were about to leave when their process was suspended, one a thread at most, leave when it goes on. The
daily budget is the API's own count, as last heard; while the API sends no headers it is ours, started anew at midnight
UTC. When Postgres's own clock is set forward, requests count for as much less time.

Limits: 100 requests in 10 s and 200,000 a day for each app and location, HighLevel docs, OAuth "Rate Limits".

Why: docs/decisions, "A request counts until one interval after its answer".
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert

from etl.models import RateLimit, RateUsage
from etl.state import allowance
from etl.state.allowance import AfterAnswers, Allowance, AnsweredRequest, Limit, Usage
from etl.state.outcomes import SkipCause


def allowances(connection: sa.Connection, locations: Sequence[str], *, each: int = 1) -> dict[str, Allowance]:
    """Return what each location may send now; the caller may :func:`spend` it until the transaction ends.

    ``each``: the most requests that one item may need.

    A location that another worker is granting for is left out: that worker serves it.
    """
    if not locations:
        return {}
    limits = _lock(connection, locations, skip_locked=True)
    if len(limits) < len(locations) and _add_unknown(connection, locations):
        limits = _lock(connection, locations, skip_locked=True)
    usages = _usages(connection, list(limits))
    return {name: allowance.allowance_of(limit, usages[name], each=each) for name, limit in limits.items()}


def _add_unknown(connection: sa.Connection, locations: Sequence[str]) -> bool:
    """Add unknown locations; return False when all are known and others have locked some."""
    # ON CONFLICT alone would wait for locks on known locations.
    known = connection.execute(sa.select(RateLimit.location_id).where(RateLimit.location_id.in_(locations))).scalars()
    new = [{"location_id": name} for name in sorted(set(locations) - set(known))]
    if new:
        connection.execute(upsert(RateLimit).on_conflict_do_nothing(), new)
    return bool(new)


TODAY: sa.ColumnElement[date] = sa.literal_column("(now() AT TIME ZONE 'utc')::date")
COUNTED = (
    sa.select(
        RateLimit.location_id,
        RateLimit.max_requests,
        RateLimit.interval_ms,
        RateLimit.daily_limit,
        sa.case((RateLimit.daily_since < TODAY, RateLimit.daily_limit), else_=RateLimit.daily_remaining).label(
            "daily_remaining"
        ),
        RateLimit.blocked_cause,
        sa.extract("epoch", RateLimit.blocked_until - sa.func.clock_timestamp()).label("blocked_seconds"),
        sa.extract("epoch", sa.func.clock_timestamp() - RateLimit.heard_at).label("heard_seconds"),
    )
    .where(RateLimit.location_id == sa.any_(sa.bindparam("locations", type_=sa.ARRAY(sa.Text))))
    .order_by(RateLimit.location_id)
)
LOCK, LOCK_FREE = COUNTED.with_for_update(), COUNTED.with_for_update(skip_locked=True)


def _lock(connection: sa.Connection, locations: Sequence[str], *, skip_locked: bool) -> dict[str, Limit]:
    """Lock locations in order of their ids, and read their limits; the daily budget is whole again on a new day."""
    rows = connection.execute(LOCK_FREE if skip_locked else LOCK, {"locations": list(locations)})
    return {row.location_id: _limit_of(row) for row in rows}


def _limit_of(row: Any) -> Limit:
    is_heard = row.heard_seconds is not None and row.heard_seconds < allowance.BELIEVED_SECONDS
    return Limit(
        max_requests=row.max_requests if is_heard else allowance.MAX_REQUESTS,
        interval_ms=row.interval_ms if is_heard else allowance.INTERVAL_MS,
        daily_limit=row.daily_limit if is_heard else allowance.DAILY_LIMIT,
        daily_remaining=row.daily_remaining,
        blocked_cause=row.blocked_cause,
        blocked_seconds=float(row.blocked_seconds or 0.0),
        is_heard=is_heard,
    )


USAGES = sa.select(
    RateUsage.usage_id,
    RateUsage.location_id,
    RateUsage.lease_id,
    RateUsage.requests,
    sa.extract("epoch", RateUsage.expires_at - sa.func.clock_timestamp()).label("seconds_left"),
).where(RateUsage.location_id == sa.any_(sa.bindparam("locations", type_=sa.ARRAY(sa.Text))))


def _usages(connection: sa.Connection, locations: Sequence[str]) -> dict[str, list[Usage]]:
    """Return the usage of locked locations, in a separate statement, which sees commits before the lock."""
    found: dict[str, list[Usage]] = {name: [] for name in locations}
    for row in connection.execute(USAGES, {"locations": list(locations)}).all():
        usage = Usage(row.usage_id, row.lease_id, row.requests, float(row.seconds_left))
        found[row.location_id].append(usage)
    return found


SPEND = sa.text("""
    WITH granted AS (
        INSERT INTO etl.rate_usage (location_id, lease_id, requests, expires_at)
        SELECT location_id, lease_id, requests, clock_timestamp() + make_interval(secs => :seconds)
        FROM jsonb_to_recordset(CAST(:granted AS jsonb)) AS given (location_id text, lease_id bigint, requests int)
        RETURNING location_id, requests
    )
    UPDATE etl.rate_limits AS r
    SET daily_remaining = CASE WHEN daily_since < (now() AT TIME ZONE 'utc')::date THEN daily_limit
                               ELSE daily_remaining END - spent.requests,
        daily_since = greatest(daily_since, (now() AT TIME ZONE 'utc')::date)
    FROM (SELECT location_id, sum(requests)::int AS requests FROM granted GROUP BY location_id) AS spent
    WHERE r.location_id = spent.location_id
""")


def spend(connection: sa.Connection, granted: Iterable[tuple[str, int]], *, seconds: float) -> None:
    """Count requests as under way, one ``(location_id, lease_id)`` each; forgotten after ``seconds`` unless renewed."""
    counts = [
        {"location_id": location_id, "lease_id": lease_id, "requests": requests}
        for (location_id, lease_id), requests in Counter(granted).items()
    ]
    if counts:
        connection.execute(SPEND, {"granted": json.dumps(counts), "seconds": seconds})


RENEW = sa.text("""
    WITH mine AS (
        SELECT usage_id FROM etl.rate_usage WHERE lease_id = ANY(CAST(:leases AS bigint[])) FOR UPDATE SKIP LOCKED
    )
    UPDATE etl.rate_usage AS used SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
    FROM mine WHERE used.usage_id = mine.usage_id
""")


def renew(connection: sa.Connection, lease_ids: Iterable[int], *, seconds: float) -> None:
    """Keep counting the requests of these leases as under way."""
    connection.execute(RENEW, {"leases": list(lease_ids), "seconds": seconds})


def record_answers(
    connection: sa.Connection, answers: Sequence[AnsweredRequest], unsent: Iterable[tuple[str, int]] = ()
) -> None:
    """Report requests that are over, and grants ``(location_id, lease_id)`` that were never sent.

    What they change is decided by :func:`etl.state.allowance.after_answers`. Two settlements wait for each other at the
    locks, in order of the locations, and only there.
    """
    given_back: dict[str, Counter[int]] = {}
    for location_id, lease_id in unsent:
        given_back.setdefault(location_id, Counter())[lease_id] += 1
    answered: dict[str, list[AnsweredRequest]] = {}
    for answer in answers:
        answered.setdefault(answer.location_id, []).append(answer)
    locations = sorted(given_back.keys() | answered.keys())
    if not locations:
        return
    limits = _lock(connection, locations, skip_locked=False)
    usages = _usages(connection, list(limits))
    changed = {
        name: allowance.after_answers(limit, usages[name], answered.get(name, []), given_back.get(name, {}))
        for name, limit in limits.items()
    }
    _write(connection, changed, usages)


# A spent budget blocks until the next full hour, when it may be renewed.
RECORD_ANSWERS = sa.text("""
    WITH over AS (
        DELETE FROM etl.rate_usage WHERE usage_id = ANY(CAST(:over AS bigint[]))
    ), counting AS (
        INSERT INTO etl.rate_usage (location_id, lease_id, requests, expires_at)
        SELECT location_id, lease_id, requests, clock_timestamp() + make_interval(secs => seconds)
        FROM jsonb_to_recordset(CAST(:counting AS jsonb)) AS given (
            location_id text, lease_id bigint, requests int, seconds float)
    )
    UPDATE etl.rate_limits AS r
    SET max_requests = new.max_requests, interval_ms = new.interval_ms, daily_limit = new.daily_limit,
        daily_remaining = CASE WHEN daily_since < (now() AT TIME ZONE 'utc')::date
                               THEN least(new.daily_remaining, new.daily_limit) ELSE new.daily_remaining END,
        daily_since = greatest(daily_since, (now() AT TIME ZONE 'utc')::date),
        blocked_until = CASE WHEN new.budget = false THEN date_trunc('hour', now()) + interval '1 hour 5 seconds'
                             WHEN new.budget AND blocked_cause = :spent THEN NULL ELSE blocked_until END,
        blocked_at = CASE WHEN new.budget = false THEN clock_timestamp() ELSE blocked_at END,
        blocked_cause = CASE WHEN new.budget = false THEN :spent
                             WHEN new.budget AND blocked_cause = :spent THEN NULL ELSE blocked_cause END,
        heard_at = CASE WHEN new.is_heard THEN clock_timestamp() ELSE heard_at END
    FROM jsonb_to_recordset(CAST(:limits AS jsonb)) AS new (
        location_id text, max_requests int, interval_ms int, daily_limit int, daily_remaining int, budget bool,
        is_heard bool)
    WHERE r.location_id = new.location_id
""")


STATED = ("max_requests", "interval_ms", "daily_limit", "daily_remaining")


def _write(connection: sa.Connection, changed: dict[str, AfterAnswers], usages: dict[str, list[Usage]]) -> None:
    """Write the changes that answers made; replace entries whose requests are partly answered by smaller ones."""
    limits = [
        {"location_id": name, "budget": each.budget, "is_heard": each.is_heard}
        | {column: getattr(each.limit, column) for column in STATED}
        for name, each in changed.items()
    ]
    counting = [
        {"location_id": name, "requests": requests, "seconds": seconds}
        for name, each in changed.items()
        for requests, seconds in each.counting
    ]
    counting += [
        {"location_id": name, "lease_id": usage.lease_id, "requests": left, "seconds": usage.seconds_left}
        for name, each in changed.items()
        for usage in usages[name]
        if (left := each.under_way.get(usage.usage_id))
    ]
    over = [usage_id for each in changed.values() for usage_id in each.under_way]
    given = {"over": over, "counting": json.dumps(counting), "limits": json.dumps(limits)}
    connection.execute(RECORD_ANSWERS, given | {"spent": SkipCause.DAILY_BUDGET})


def unblock(connection: sa.Connection, location_id: str) -> bool:
    """Unblock a location whose daily allowance was spent; return False when it was not blocked so.

    The answer to the next request decides. The block of a 429 stays: it lasts seconds.
    """
    blocked = (RateLimit.blocked_cause == SkipCause.DAILY_BUDGET) & (
        RateLimit.blocked_until > sa.func.clock_timestamp()
    )
    statement = sa.update(RateLimit).where(RateLimit.location_id == location_id, blocked)
    return connection.execute(statement.values(blocked_until=None)).rowcount > 0


BLOCK = sa.text("""
    WITH asked AS (
        SELECT location_id,
               clock_timestamp() + make_interval(secs => coalesce(:seconds, interval_ms / 1000.0) + :jitter) AS until
        FROM etl.rate_limits WHERE location_id = :location_id
    )
    UPDATE etl.rate_limits AS r
    SET blocked_until = asked.until, blocked_at = clock_timestamp(), blocked_cause = :cause
    FROM asked WHERE r.location_id = asked.location_id AND coalesce(r.blocked_until, '-infinity') < asked.until
""")


def block(connection: sa.Connection, location_id: str, *, seconds: float | None, jitter: float) -> None:
    """Block a location after a 429 for ``seconds`` (None: one interval), and a random bit more to spread retries."""
    cause = SkipCause.RATE_LIMITED
    connection.execute(BLOCK, {"location_id": location_id, "seconds": seconds, "jitter": jitter, "cause": cause})
