"""How long the analysts' views take on five million messages, and what their index costs the loader.

A Postgres of its own, with the memory that a warehouse of this size would be given. Talks to Postgres only.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from sqlalchemy import Connection, Engine, text

from bench.report import Target, print_table, print_targets, ratio
from bench.stage import Stage, warehouse
from etl.database import views
from etl.load.upsert import upsert
from etl.models import Email

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
MOST_SLOWDOWN = 1.1
INDEX = "emails_location_id_conversation_id_date_added_idx"


def measure(on: Stage, *, conversations: int, rounds: int) -> list[Target]:
    """Fill, ask each view for the busiest location's month and for everything, load emails; return the targets."""
    with warehouse(on, "views", ROOM) as engine:
        _fill(engine, conversations)
        targets = _month(engine, rounds)
        _whole(engine)
        targets.append(_loading(engine, rounds))
    print_targets(targets)
    return targets


def _fill(engine: Engine, conversations: int) -> None:
    statements = FILL.read_text(encoding="utf-8").replace(":conversations", str(conversations))
    with engine.begin() as connection:
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
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
            taken = {name: _read_month(connection, name, location_id, rounds) for name in views.NAMES}
            total = sum(size for _, size in sizes)
            print_table(
                f"Every column of a month of the {which} location, with {count:,} of {total:,} messages",
                ["view", "rows", "median s", "least s"],
                [[name, of[0][0], median(s for _, s in of), min(s for _, s in of)] for name, of in taken.items()],
            )
            for name, of in taken.items():
                figure = median(seconds for _, seconds in of)
                claim = f"seconds for a month of {name}, {which} location"
                targets.append(Target(claim=claim, figure=figure, at_most=MOST_SECONDS))
    return targets


def _read_month(connection: Connection, name: str, location_id: str, rounds: int) -> list[tuple[int, float]]:
    column = FILTERS.get(name, "local_day")
    condition = f"location_id = '{location_id}'"
    if name != "location_time_zones":
        condition += f" AND {column} >= '{MONTH[0]}' AND {column} < '{MONTH[1]}'"
    return [_read(connection, name, condition) for _ in range(rounds + 1)][1:]


def _whole(engine: Engine) -> None:
    with engine.connect() as connection:
        taken = {name: _read(connection, name, "true") for name in views.NAMES}
    print_table("Every column of everything", ["view", "rows", "s"], [[n, *of] for n, of in taken.items()])


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


def _loading(engine: Engine, rounds: int) -> Target:
    """Load emails in turns with and without the index that the views brought; the tables of messages got none."""
    rows = _emails(5000)
    taken: dict[bool, list[float]] = {True: [], False: []}
    with engine.connect() as connection:
        definition = connection.execute(text(f"SELECT pg_get_indexdef('highlevel.{INDEX}'::regclass)")).scalar_one()
        connection.rollback()
        for turn in range(-1, rounds):
            for indexed in (True, False):
                if not indexed:
                    connection.exec_driver_sql(f"DROP INDEX highlevel.{INDEX}")
                seconds = _load(connection, rows)
                connection.exec_driver_sql("DELETE FROM highlevel.emails WHERE location_id = 'loading'")
                if not indexed:
                    connection.exec_driver_sql(definition)
                connection.commit()
                if turn >= 0:
                    taken[indexed].append(seconds)
    figure = ratio(taken[True], taken[False])
    print_table(
        f"Loading {len(rows):,} emails, a hundred a batch",
        ["index", "median s"],
        [["with", median(taken[True])], ["without", median(taken[False])]],
    )
    return Target(claim="loading emails with the views' index ÷ without", figure=figure, at_most=MOST_SLOWDOWN)


def _load(connection: Connection, rows: Sequence[dict[str, object]]) -> float:
    began = time.perf_counter()
    for start in range(0, len(rows), 100):
        upsert(connection, Email, rows[start : start + 100], now=datetime.now(UTC))
    return time.perf_counter() - began


def _emails(count: int) -> list[dict[str, object]]:
    now = datetime.now(UTC)
    written = ("created_at", "updated_at", "deleted_at")
    nothing = {each.name: None for each in Email.__table__.columns if each.name not in written}
    return [
        nothing
        | {"location_id": "loading", "email_id": f"email{n:015}", "message_id": f"message{n // 3:013}"}
        | {"conversation_id": f"talk{n * 7919 % count:016}", "contact_id": f"contact{n:013}", "body": "words " * 400}
        | {"body_text": "words " * 200, "date_added": now, "fetched_at": now, "direction": "inbound", "position": n % 3}
        for n in range(count)
    ]
