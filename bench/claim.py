"""How long one claim takes, with few items and locations waiting and with very many. Talks to Postgres only.

A claim is all that a worker does in that transaction: look which locations have work, whether they are paused, what
they may send, take the items and count their requests.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection, Engine, TextClause, make_url, text

from bench.report import Target, print_table, ratio
from bench.stage import Stage
from etl.database import schema
from etl.database.connections import open_engine
from etl.kinds import Options, all_kinds
from etl.state import stored_tokens
from etl.tokens.routing import LocationTokens, Token, TokenRouting
from etl.worker.claims import Claims, Round

QUOTA = 100
"""Items a claim asks for: the default ``batch_size``."""
MOST_MILLISECONDS = 50.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is in a queue."""

    items: int
    locations: int

    def __str__(self) -> str:
        return f"{self.items:,} items, {self.locations:,} location{'s' if self.locations > 1 else ''}"


class EveryLocation(LocationTokens):
    """Tokens for whatever location there is: no request is sent here."""

    def __init__(self, token_location: str | None = None) -> None:
        """All use the allowance of that location; None: each its own."""
        self.routing = TokenRouting()
        self._token_location = token_location

    def resolve(
        self, connection: Connection, location_ids: Iterable[str]
    ) -> tuple[dict[str, Token], dict[str, list[str]]]:
        """Read what the real one reads, and serve all."""
        names = list(location_ids)
        stored_tokens.statuses(connection, names)
        by = self._token_location
        return {name: Token(name if by is None else by, "pit-1", name) for name in names}, {}


def measure(on: Stage, *, few: int, many: int, rounds: int) -> list[Target]:
    """Claim from a short and a long queue in turns, for one location and for many; print and return the targets."""
    one = _compare(on, Waiting(few, 1), Waiting(many, 1), tokens=EveryLocation(""), rounds=rounds)
    each = _compare(on, Waiting(few, few // 100), Waiting(many, many // 100), tokens=EveryLocation(), rounds=rounds)
    print_table(
        f"A claim of {QUOTA}, {rounds} in turns, milliseconds",
        [
            {"waiting": waiting, "median": median(of), "least": min(of), "most": max(of)}
            for compared in (one, each)
            for waiting, of in compared.items()
        ],
    )
    targets = []
    for compared, what in ((one, "one location"), (each, "a hundred items a location")):
        short, long = compared.values()
        targets.append(Target(f"a claim with {many:,} items ÷ with {few:,}, {what}", ratio(long, short), at_most=1.5))
    longest, taken = list(each.items())[1]
    return [*targets, Target(f"milliseconds a claim with {longest}", median(taken), at_most=MOST_MILLISECONDS)]


def _compare(
    on: Stage, short: Waiting, long: Waiting, *, tokens: LocationTokens, rounds: int
) -> dict[Waiting, list[float]]:
    milliseconds: dict[Waiting, list[float]] = {short: [], long: []}
    with _queue(on, short) as few, _queue(on, long) as many:
        claims = Claims(all_kinds(Options())["message"], tokens, time.monotonic)
        for turn in range(-3, rounds):
            for waiting, engine in ((short, few), (long, many)):
                taken = _claim(engine, claims)
                if turn >= 0:
                    milliseconds[waiting].append(taken)
    return milliseconds


def _claim(engine: Engine, claims: Claims) -> float:
    began = time.perf_counter()
    with engine.begin() as connection:
        claim = claims.claim(connection, QUOTA, round_=Round())
    milliseconds = (time.perf_counter() - began) * 1000
    if len(claim.items) != QUOTA:
        raise RuntimeError(f"not exactly {QUOTA} items were claimed")
    return milliseconds


FILL = text("""
    INSERT INTO etl.message_queue (message_id, location_id, scheduled_at)
    SELECT md5(n::text), CASE WHEN :locations = 1 THEN '' ELSE 'location' || lpad((n % :locations)::text, 6, '0') END,
           now() - make_interval(secs => (n::bigint * 7919 % 100000) / 10.0)
    FROM generate_series(1, :items) AS n
""")

HEARD = text("""
    INSERT INTO etl.rate_limits (location_id, max_requests, heard_at)
    SELECT DISTINCT location_id, 1000000, now() FROM etl.message_queue
""")


def fill(engine: Engine, statement: TextClause, *, items: int, locations: int) -> None:
    """Fill a queue, at locations whose limits are known, as autovacuum would leave it."""
    with engine.begin() as connection:
        connection.execute(statement, {"items": items, "locations": locations})
        connection.execute(HEARD)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE etl.message_queue, etl.rate_limits"))
        connection.execute(text("CHECKPOINT"))


@contextmanager
def _queue(on: Stage, waiting: Waiting) -> Iterator[Engine]:
    """Yield a database of its own with such a queue."""
    name = f"claim_{waiting.items}_{waiting.locations}"
    with on.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = open_engine(make_url(on.database_url).set(database=name).render_as_string(hide_password=False))
    try:
        with engine.connect() as connection:
            schema.upgrade(connection)
        fill(engine, FILL, items=waiting.items, locations=waiting.locations)
        yield engine
    finally:
        engine.dispose()
        with on.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
