"""What a queue of millions of items at thousands of locations costs: space, statements, and claims after hours of work.

A Postgres of its own. Talks to Postgres only.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection, Engine, text

from bench.claim import QUOTA, EveryLocation, fill
from bench.report import Target, print_table
from bench.stage import Stage, warehouse
from etl.kinds import Options, all_kinds
from etl.state import limits, message_queue
from etl.worker.backlogs import LOOK_ITEMS, LOOK_LOCATIONS
from etl.worker.claims import Claims, Round
from etl.worker.leases import LEASE_SECONDS

ROOM = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
MOST_SLOWDOWN = 2.0
MOST_LOOK = 1000.0

FILL = text("""
    INSERT INTO etl.message_queue (message_id, location_id, scheduled_at, dated_at)
    SELECT md5(n::text), 'location' || lpad((n * 7919 % :locations)::text, 6, '0'),
           now() - make_interval(secs => (n * 104729 % 864000)::float8),
           now() - make_interval(secs => (n * 104729 % 8640000)::float8)
    FROM generate_series(1, CAST(:items AS bigint)) AS n
""")
SIZES = text("""
    SELECT relname, pg_table_size(oid) FROM pg_class
    WHERE relname IN ('message_queue', 'message_queue_pkey', 'message_queue_waiting_idx', 'message_queue_leased_idx')
    ORDER BY relname
""")


@dataclass(frozen=True, slots=True)
class Size:
    """How large the queue is, and how many of its items are worked off."""

    items: int
    locations: int
    churn: int


def measure(on: Stage, size: Size, *, rounds: int) -> list[Target]:
    """Fill a queue, ask each statement, then claim and complete items; print and return the targets."""
    with warehouse(on, "scale", ROOM) as engine:
        began = time.perf_counter()
        fill(engine, FILL, items=size.items, locations=size.locations)
        seconds = time.perf_counter() - began
        with engine.connect() as connection:
            spaces = connection.execute(SIZES).all()
        print_table(
            f"{size.items:,} items at {size.locations:,} locations, filled in {seconds:.0f} s",
            [{"space": name, "MB": taken / 1e6, "bytes an item": taken / size.items} for name, taken in spaces],
        )
        taken = _statements(engine, rounds)
        print_table(
            "Statements, milliseconds",
            [{"statement": name, "median": median(of), "most": max(of)} for name, of in taken.items()],
        )
        look = median(next(iter(taken.values())))
        return [Target("milliseconds to look for backlogs", look, at_most=MOST_LOOK), _churn(engine, size)]


def _statements(engine: Engine, rounds: int) -> dict[str, list[float]]:
    """Each statement that runs often, undone after it."""
    with engine.connect() as connection:
        places = list(message_queue.waiting_locations(connection, kind="message", after=None, most=LOOK_LOCATIONS))
    quotas = dict.fromkeys(places[:50], 2)
    asked: dict[str, Callable[[Connection], object]] = {
        "look for backlogs at 64 locations": lambda on: message_queue.backlogs(on, places, most=LOOK_ITEMS),
        "the next 64 locations": lambda on: message_queue.waiting_locations(
            on, kind="message", after=places[-1], most=64
        ),
        "claim 100 of 50 locations": lambda on: message_queue.claim(
            on, kind="message", quotas=quotas, lease_seconds=LEASE_SECONDS
        ),
        "queue 100 new items": lambda on: message_queue.enqueue(on, (f"new{n}" for n in range(100)), kind="message"),
        "release what lapsed": message_queue.release_lapsed,
        "depth, for status and doctor": message_queue.depth,
    }
    return {name: _timed(engine, ask, rounds) for name, ask in asked.items()}


def _timed(engine: Engine, ask: Callable[[Connection], object], rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds + 1):
        with engine.connect() as connection:
            began = time.perf_counter()
            ask(connection)
            taken.append((time.perf_counter() - began) * 1000)
    return taken[1:]


def _churn(engine: Engine, size: Size) -> Target:
    """Work off items, first as usual and then while somebody keeps an old snapshot, as a long report does."""
    rows: list[dict[str, object]] = []
    slowdowns = []
    for what, is_held in (("nobody reads for long", False), ("a snapshot is held all the time", True)):
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as reader:
            if is_held:
                reader.execute(text("SET idle_in_transaction_session_timeout = 0"))
                reader.execute(text("SELECT count(*) FROM etl.runs"))
            rates = _work(engine, size.churn // 2)
        tenth = max(len(rates) // 10, 1)
        first, last = median(rates[:tenth]), median(rates[-tenth:])
        rows.append({"": what, "first tenth": first, "last tenth": last, "ratio": last / first})
        slowdowns.append(last / first)
    print_table(f"Milliseconds to claim and complete {QUOTA}, {size.churn // 2:,} items worked off each", rows)
    return Target("a claim after much work ÷ before", slowdowns[0], at_most=MOST_SLOWDOWN)


def _work(engine: Engine, items: int) -> list[float]:
    claims = Claims(all_kinds(Options())["message"], EveryLocation(), time.monotonic)
    taken: list[float] = []
    round_ = Round()
    while items > 0:
        began = time.perf_counter()
        with engine.begin() as connection:
            claim = claims.claim(connection, QUOTA, round_=round_)
        if claim.nothing is not None:
            break
        round_, claimed = claim.round, claim.items
        with engine.begin() as connection:
            message_queue.complete(connection, [each.item for each in claimed])
            limits.record_answers(connection, [], [(each.token_location_id, each.item.lease_id) for each in claimed])
        taken.append((time.perf_counter() - began) * 1000)
        items -= len(claimed)
    return taken
