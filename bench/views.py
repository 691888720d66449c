"""How long the analysts' views take on five million messages.

A Postgres of its own, with the memory that a warehouse of this size would be given. Talks to Postgres only.
"""

import time
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Connection, Engine, text

from bench.report import Target, print_table
from bench.stage import Stage, warehouse
from etl.database import views
from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.worker.marts import work_out_all

FILL = Path(__file__).parent / "views_fill.sql"
MONTH = ("2025-09-01", "2025-10-01")
FILTERS = {
    "messages_flat": "date_added",
    "calls": "date_added",
    "emails_flat": "date_added",
    "conversations": "last_local_day",
    "response_times": "local_month",
}
"""The column that a view is filtered by, as its comment says; of the others it is local_day."""
ROOM = {"shared_buffers": "2GB", "max_wal_size": "8GB", "autovacuum": "off"}
MOST_SECONDS = 1.0
CHANGED = text("INSERT INTO etl.mart_changes (location_id) SELECT DISTINCT location_id FROM highlevel.messages")


def measure(on: Stage, *, conversations: int, rounds: int) -> list[Target]:
    """Fill, ask each view for the busiest location's month and for everything; return the targets."""
    with warehouse(on, "views", ROOM) as engine:
        _fill(engine, conversations)
        targets = _month(engine, rounds)
        _whole(engine)
    return targets


def _fill(engine: Engine, conversations: int) -> None:
    statements = FILL.read_text(encoding="utf-8").replace(":conversations", str(conversations))
    with engine.begin() as connection:
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
        connection.execute(CHANGED)
    work_out_all(RetryingTransaction(engine, patience=PATIENCE, stopping=lambda: False))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def _month(engine: Engine, rounds: int) -> list[Target]:
    """Read every column of a month: of the busiest location, which has a third of everything, and of the middle one."""
    targets = []
    with engine.connect() as connection:
        sizes = connection.execute(
            text("SELECT location_id, count(*) FROM highlevel.messages GROUP BY 1 ORDER BY 2 DESC")
        ).all()
        for which, place in (("busiest", 0), ("middle", len(sizes) // 2)):
            location_id, count = sizes[place]
            rows = [_read_month(connection, name, location_id, rounds) for name in views.NAMES]
            total = sum(size for _, size in sizes)
            print_table(f"Every column of a month of the {which} location, with {count:,} of {total:,} messages", rows)
            targets += [
                Target(f"seconds for a month of {row['view']}, {which} location", row["median s"], at_most=MOST_SECONDS)
                for row in rows
            ]
    return targets


def _read_month(connection: Connection, name: str, location_id: str, rounds: int) -> dict[str, Any]:
    column = FILTERS.get(name, "local_day")
    condition = f"location_id = '{location_id}'"
    if name != "location_time_zones":
        condition += f" AND {column} >= '{MONTH[0]}' AND {column} < '{MONTH[1]}'"
    counts, seconds = zip(*[_read(connection, name, condition) for _ in range(rounds + 1)][1:], strict=True)
    return {"view": name, "rows": counts[0], "median s": median(seconds), "least s": min(seconds)}


def _whole(engine: Engine) -> None:
    with engine.connect() as connection:
        taken = {name: _read(connection, name, "true") for name in views.NAMES}
    rows = [{"view": name, "rows": count, "s": seconds} for name, (count, seconds) in taken.items()]
    print_table("Every column of everything", rows)


def _read(connection: Connection, name: str, condition: str) -> tuple[int, float]:
    """Rows and seconds; every column is computed, and only their count is sent."""
    columns = connection.execute(
        text("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:view) AND attnum > 0"),
        {"view": f"highlevel.{name}"},
    ).scalars()
    counts = ", ".join(f"count({column})" for column in columns)
    began = time.perf_counter()
    row = connection.exec_driver_sql(f"SELECT count(*), {counts} FROM highlevel.{name} WHERE {condition}").one()  # noqa: S608 - our own names
    return row[0], time.perf_counter() - began
