"""Keeps the API's limits for all workers on all machines, in Postgres. Nothing here commits.

**Guarantee.** At each location, the requests granted but not yet answered, plus those answered less than one interval
ago, never exceed the limit. HighLevel counts a request after we grant it and before we have its answer, so in *any*
window of one interval it counts at most the limit, whether its window slides or is fixed. No clock but Postgres's is
compared: a worker reports how long ago an answer came.

**Cost.** An allowance is used once in interval + latency + the time between grant and sending, so the share that is
used is ``interval / (interval + those)``: about 98% at 100 ms latency, 95% at half a second, 91% at 0.8 s. Grants come
in lots with a claim and answers are reported with the next one, so no request pays a round trip of its own.

**Weakness.** Others who use the same token are seen only through the headers of our own answers, after the fact: when
they start, a few 429s can come before we make room. The requests of a killed worker count as under way for two minutes.
Requests that were about to leave when their process was suspended, one a thread at most, leave when it goes on. The
daily budget is the API's own count, as last heard; while the API sends no headers it is ours, started anew at midnight
UTC.

Limits: 100 requests in 10 s and 200,000 a day for each app and location, HighLevel docs, OAuth "Rate Limits".
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

GUARD = 0.05
"""Seconds an answered request counts beyond the interval: clocks of two machines do not run equally fast."""

UNHEARD_LIMIT = 10
"""Requests under way at a location whose headers were never seen: trial accounts allow 25 in an interval, not 100."""

OVERTAKEN = 1000
"""Requests of a location that can be under way at once: what answers can differ by without a new budget between."""

GRAIN = 0.1
"""Seconds: answers that came this close together are stored as one entry."""


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What an answer says about the limits; None where it says nothing.

    Header names: HighLevel docs, OAuth "Rate Limits".
    """

    max_requests: int | None = None
    interval_ms: int | None = None
    remaining: int | None = None
    daily_limit: int | None = None
    daily_remaining: int | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "RateHeaders":
        """Read the headers, passing over what is not a whole number."""
        return cls(
            max_requests=_positive(headers.get("X-RateLimit-Max")),
            interval_ms=_positive(headers.get("X-RateLimit-Interval-Milliseconds")),
            remaining=_whole(headers.get("X-RateLimit-Remaining")),
            daily_limit=_positive(headers.get("X-RateLimit-Limit-Daily")),
            daily_remaining=_whole(headers.get("X-RateLimit-Daily-Remaining")),
        )


NOTHING_SAID = RateHeaders()


@dataclass(frozen=True, slots=True)
class Answer:
    """One request that is over: answered, or failed after it was sent."""

    location_id: str
    lease_id: int
    age: float
    """Seconds since the answer came."""
    headers: RateHeaders = NOTHING_SAID
    proper: bool = True
    """Whether it was HighLevel's own answer: a gateway's says nothing about limits."""


LOCK = text("""
    SELECT location_id, daily_since < (now() AT TIME ZONE 'utc')::date AS day_is_over
    FROM etl.rate_limits WHERE location_id = ANY(CAST(:locations AS text[]))
    ORDER BY location_id FOR UPDATE SKIP LOCKED
""")

ADD = text("""
    INSERT INTO etl.rate_limits (location_id)
    SELECT location_id FROM unnest(CAST(:locations AS text[])) AS asked (location_id)
    WHERE NOT EXISTS (SELECT FROM etl.rate_limits AS r WHERE r.location_id = asked.location_id)
    ON CONFLICT DO NOTHING
""")

NEW_DAY = text("""
    UPDATE etl.rate_limits SET daily_remaining = daily_limit, daily_since = (now() AT TIME ZONE 'utc')::date
    WHERE location_id = ANY(CAST(:locations AS text[])) AND daily_since < (now() AT TIME ZONE 'utc')::date
""")

# A separate statement from LOCK, so that it sees what other workers committed before the lock was ours.
# A spent budget whose block is over is probed with one request: the hour at which it is given again is undocumented.
ALLOWED = text("""
    SELECT r.location_id,
           CASE WHEN r.blocked_until > clock_timestamp() THEN r.blocked_cause
                WHEN r.daily_remaining <= 0 THEN 'daily_budget'
                ELSE 'rate' END AS cause,
           CASE WHEN r.blocked_until > clock_timestamp() THEN 0
                WHEN r.daily_remaining <= 0
                THEN CASE WHEN used.under_way = 0 AND (r.blocked_cause = 'daily_budget'
                                                       OR r.heard_at < now() - interval '1 hour') THEN 1 ELSE 0 END
                ELSE least(CASE WHEN r.heard_at IS NULL THEN least(r.max_requests, :unheard) ELSE r.max_requests END
                           - used.requests,
                           r.daily_remaining)
           END AS allowed,
           extract(epoch FROM
                CASE WHEN r.blocked_until > clock_timestamp() THEN r.blocked_until ELSE used.next_expiry END
                - clock_timestamp())::float8 AS wait
    FROM etl.rate_limits AS r
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(requests), 0)::int AS requests,
               coalesce(sum(requests) FILTER (WHERE lease_id IS NOT NULL), 0)::int AS under_way,
               min(expires_at) FILTER (WHERE lease_id IS NULL) AS next_expiry
        FROM etl.rate_usage WHERE location_id = r.location_id AND expires_at > clock_timestamp()
    ) AS used
    WHERE r.location_id = ANY(CAST(:locations AS text[]))
""")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests a location may send now."""

    requests: int
    wait: float | None
    """Seconds until there may be more; None when only an answer can tell."""
    cause: str
    """What holds it back when there are none: rate, rate_limited (a 429) or daily_budget."""


def allowances(connection: Connection, locations: Sequence[str]) -> dict[str, Allowance]:
    """What each location may send now; it is ours to :func:`spend` until the transaction ends.

    A location that another worker is granting for is left out: that worker serves it.
    """
    if not locations:
        return {}
    mine = _lock(connection, locations)
    if len(mine) < len(locations):
        connection.execute(ADD, {"locations": sorted(set(locations) - set(mine))})
        mine = _lock(connection, locations)
    parameters: dict[str, object] = {"locations": list(mine)}
    if any(mine.values()):
        connection.execute(NEW_DAY, parameters)
    rows = connection.execute(ALLOWED, parameters | {"unheard": UNHEARD_LIMIT})
    return {row.location_id: Allowance(max(row.allowed, 0), row.wait, row.cause) for row in rows}


def _lock(connection: Connection, locations: Sequence[str]) -> dict[str, bool]:
    """Those of the locations that nobody else has locked, and whether their day is over."""
    rows = connection.execute(LOCK, {"locations": list(locations)})
    return {row.location_id: row.day_is_over for row in rows}


FORGET = text("""
    DELETE FROM etl.rate_usage AS used USING etl.rate_limits AS r
    WHERE used.location_id = r.location_id
      AND used.expires_at < clock_timestamp() - make_interval(secs => r.interval_ms / 1000.0)
""")


def forget(connection: Connection) -> None:
    """Delete what has not counted for an interval; answers younger than that may still be compared with it."""
    connection.execute(FORGET)


SPEND = text("""
    WITH spent AS (
        SELECT * FROM unnest(CAST(:locations AS text[]), CAST(:leases AS bigint[]), CAST(:requests AS int[]))
        AS spent (location_id, lease_id, requests)
    ), counted AS (
        UPDATE etl.rate_limits AS r SET daily_remaining = r.daily_remaining - total.requests
        FROM (SELECT location_id, sum(requests) AS requests FROM spent GROUP BY location_id) AS total
        WHERE r.location_id = total.location_id
    )
    INSERT INTO etl.rate_usage (location_id, lease_id, requests, expires_at)
    SELECT location_id, lease_id, requests, clock_timestamp() + make_interval(secs => :seconds) FROM spent
""")


def spend(connection: Connection, granted: Iterable[tuple[str, int]], *, seconds: float) -> None:
    """Count requests as under way, one ``(location_id, lease_id)`` each; forgotten after ``seconds`` unless renewed."""
    counts = Counter(granted)
    if counts:
        connection.execute(
            SPEND,
            {
                "locations": [location_id for location_id, _ in counts],
                "leases": [lease_id for _, lease_id in counts],
                "requests": list(counts.values()),
                "seconds": seconds,
            },
        )


RENEW = text("""
    WITH mine AS (
        SELECT usage_id FROM etl.rate_usage WHERE lease_id = ANY(CAST(:leases AS bigint[])) FOR UPDATE SKIP LOCKED
    )
    UPDATE etl.rate_usage AS used SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
    FROM mine WHERE used.usage_id = mine.usage_id
""")


def renew(connection: Connection, lease_ids: Iterable[int], *, seconds: float) -> None:
    """Keep counting the requests of these leases as under way."""
    connection.execute(RENEW, {"leases": list(lease_ids), "seconds": seconds})


# Settling statements wait for each other here, in order, and only here.
LOCK_IN_ORDER = text("""
    SELECT FROM etl.rate_limits WHERE location_id = ANY(CAST(:locations AS text[])) ORDER BY location_id FOR UPDATE
""")

# One statement, so that all its parts see the usage as it was before: what was answered still counts as under way,
# which makes it ours. What the API counted beyond that was sent by others with the same token, and counts for one
# interval from when we heard of it. A spent budget blocks until the next full hour, when it may be given again.
SETTLE = text("""
    WITH over AS (
        SELECT * FROM unnest(
            CAST(:over_locations AS text[]), CAST(:over_leases AS bigint[]), CAST(:over_requests AS int[]),
            CAST(:over_unsent AS int[])
        ) AS over (location_id, lease_id, requests, unsent)
    ), still_under_way AS (
        UPDATE etl.rate_usage AS used SET requests = used.requests - over.requests FROM over
        WHERE used.lease_id = over.lease_id AND used.location_id = over.location_id
          AND used.requests > over.requests
    ), all_answered AS (
        DELETE FROM etl.rate_usage AS used USING over
        WHERE used.lease_id = over.lease_id AND used.location_id = over.location_id
          AND used.requests <= over.requests
    ), said AS (
        SELECT * FROM unnest(
            CAST(:locations AS text[]), CAST(:max_requests AS int[]), CAST(:interval_ms AS int[]),
            CAST(:remaining AS int[]), CAST(:daily_limit AS bigint[]), CAST(:daily_remaining AS bigint[]),
            CAST(:ages AS float8[])
        ) AS said (location_id, max_requests, interval_ms, remaining, daily_limit, daily_remaining, age)
    ), known AS (
        SELECT location_id, said.max_requests, said.interval_ms, said.remaining, said.daily_limit, said.age,
               coalesce(used.requests, 0) AS ours, ended.unsent, said.location_id IS NOT NULL AS heard,
               said.daily_remaining - greatest(coalesce(used.under_way, 0) - ended.requests, 0) AS daily_remaining,
               said.daily_remaining <= 0 AS spent
        FROM (SELECT location_id, sum(requests) AS requests, sum(unsent) AS unsent FROM over GROUP BY location_id)
             AS ended
        LEFT JOIN said USING (location_id)
        CROSS JOIN LATERAL (
            SELECT sum(requests) AS requests, sum(requests) FILTER (WHERE lease_id IS NOT NULL) AS under_way
            FROM etl.rate_usage AS u
            WHERE u.location_id = ended.location_id
              AND u.expires_at > clock_timestamp() - make_interval(secs => coalesce(said.age, 0))
        ) AS used
    ), limits AS (
        UPDATE etl.rate_limits AS r
        SET max_requests = coalesce(known.max_requests, r.max_requests),
            interval_ms = coalesce(known.interval_ms, r.interval_ms),
            daily_limit = coalesce(known.daily_limit, r.daily_limit),
            daily_remaining = coalesce(known.daily_remaining, r.daily_remaining + known.unsent),
            daily_since = CASE WHEN known.daily_remaining IS NULL THEN r.daily_since
                               ELSE (now() AT TIME ZONE 'utc')::date END,
            blocked_until = CASE
                WHEN known.spent THEN date_trunc('hour', now()) + make_interval(hours => 1, secs => 5)
                WHEN NOT known.spent AND r.blocked_cause = 'daily_budget' THEN NULL
                ELSE r.blocked_until END,
            blocked_cause = CASE
                WHEN known.spent THEN 'daily_budget'
                WHEN NOT known.spent AND r.blocked_cause = 'daily_budget' THEN NULL
                ELSE r.blocked_cause END,
            heard_at = CASE WHEN known.heard THEN clock_timestamp() ELSE r.heard_at END
        FROM known WHERE r.location_id = known.location_id
        RETURNING r.location_id, r.max_requests, r.interval_ms
    ), counting AS (
        SELECT location_id, requests, age FROM unnest(
            CAST(:grain_locations AS text[]), CAST(:grain_requests AS int[]), CAST(:grain_ages AS float8[])
        ) AS answered (location_id, requests, age)
        UNION ALL
        SELECT location_id, limits.max_requests - known.remaining - known.ours, known.age
        FROM limits JOIN known USING (location_id)
        WHERE limits.max_requests - known.remaining - known.ours > 0
    )
    INSERT INTO etl.rate_usage (location_id, requests, expires_at)
    SELECT location_id, counting.requests,
           clock_timestamp() + make_interval(secs => limits.interval_ms / 1000.0 + :guard - counting.age)
    FROM counting JOIN limits USING (location_id)
""")


def settle(connection: Connection, answers: Sequence[Answer], unsent: Iterable[tuple[str, int]] = ()) -> None:
    """Report requests that are over, and grants ``(location_id, lease_id)`` that were never sent.

    An answered request counts for one interval from its answer on; an unsent one no longer counts. What the youngest
    answer of each location says about its limits is believed.
    """
    given_back = Counter(unsent)
    over = given_back + Counter((answer.location_id, answer.lease_id) for answer in answers)
    if not over:
        return
    locations = [location_id for location_id, _ in over]
    connection.execute(LOCK_IN_ORDER, {"locations": locations})
    youngest: dict[str, Answer] = {}
    grains: dict[tuple[str, int], list[float]] = {}
    for answer in sorted(answers, key=lambda answer: answer.age, reverse=True):
        if answer.headers != NOTHING_SAID or (answer.proper and answer.location_id not in youngest):
            youngest[answer.location_id] = answer
        grains.setdefault((answer.location_id, int(answer.age / GRAIN)), []).append(answer.age)
    headers = [answer.headers for answer in youngest.values()]
    connection.execute(
        SETTLE,
        {
            "over_locations": locations,
            "over_leases": [lease_id for _, lease_id in over],
            "over_requests": list(over.values()),
            "over_unsent": [given_back[key] for key in over],
            "locations": list(youngest),
            "max_requests": [said.max_requests for said in headers],
            "interval_ms": [said.interval_ms for said in headers],
            "remaining": [said.remaining for said in headers],
            "daily_limit": [said.daily_limit for said in headers],
            "daily_remaining": [_daily_remaining(each, answers) for each in youngest.values()],
            "ages": [answer.age for answer in youngest.values()],
            "grain_locations": [location_id for location_id, _ in grains],
            "grain_requests": [len(ages) for ages in grains.values()],
            "grain_ages": [min(ages) for ages in grains.values()],
            "guard": GUARD,
        },
    )


BLOCK = text("""
    WITH asked AS (
        SELECT location_id,
               clock_timestamp() + make_interval(secs => coalesce(:seconds, interval_ms / 1000.0) + :jitter) AS until
        FROM etl.rate_limits WHERE location_id = :location_id
    )
    UPDATE etl.rate_limits AS r
    SET blocked_until = asked.until, blocked_cause = 'rate_limited'
    FROM asked WHERE r.location_id = asked.location_id AND coalesce(r.blocked_until, '-infinity') < asked.until
""")


def block(connection: Connection, location_id: str, *, seconds: float | None, jitter: float) -> None:
    """After a 429: nothing for ``seconds`` (None: one interval), and a little more so that not all return at once."""
    connection.execute(BLOCK, {"location_id": location_id, "seconds": seconds, "jitter": jitter})


def _daily_remaining(youngest: Answer, answers: Sequence[Answer]) -> int | None:
    """The least that any answer of the location says: answers overtake each other on their way.

    An answer that says far less than the youngest one is from before the budget was given again.
    """
    latest = youngest.headers.daily_remaining
    if latest is None:
        return None
    said = [each.headers.daily_remaining for each in answers if each.location_id == youngest.location_id]
    return min(each for each in said if each is not None and each > latest - OVERTAKEN)


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) <= 9 else None


def _positive(value: str | None) -> int | None:
    return _whole(value) or None
