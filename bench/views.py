"""How long the analysts' views take on three and a half million messages. Talks to Postgres only.

Fills a Postgres of its own, which has default settings but no JIT. ``--warehouse`` names another one on this machine.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Connection, Engine, text

from bench import process
from bench.report import Target, print_table
from bench.stage import Stage, warehouse
from etl.database import schema, views
from etl.database.connections import open_engine
from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.load import marts
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
FILLING = {"max_wal_size": "8GB", "autovacuum": "off"}
CHANGED = text("INSERT INTO etl.mart_changes (location_id) SELECT DISTINCT location_id FROM highlevel.messages")
MONTH_SECONDS, REPORT_SECONDS = 0.3, 5.0

OF_TURNS = (
    "count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY response_seconds) FROM highlevel.response_times GROUP BY 1"
)
QUESTIONS = {
    "messages by day": "SELECT local_day, sum(messages) FROM highlevel.daily_messages GROUP BY 1",
    "messages by channel": "SELECT channel, sum(messages) FROM highlevel.daily_messages GROUP BY 1",
    "messages by location, day and channel": """
        SELECT location_id, local_day, channel, sum(messages) FROM highlevel.daily_messages GROUP BY 1, 2, 3
    """,
    "messages by user": "SELECT location_id, user_name, sum(messages) FROM highlevel.daily_users GROUP BY 1, 2",
    "messages by user and day": "SELECT user_id, local_day, sum(messages) FROM highlevel.daily_users GROUP BY 1, 2",
    "answers by user": """
        SELECT location_id, user_id, user_name, count(*), avg(human_response_seconds) FROM highlevel.response_times
        WHERE user_id IS NOT NULL GROUP BY 1, 2, 3
    """,
    "response times by day": f"SELECT local_day, {OF_TURNS}",
    "response times by channel": f"SELECT channel, {OF_TURNS}",
    "delivery by day and channel": """
        SELECT local_day, channel, sum(messages), sum(failed) FROM highlevel.delivery GROUP BY 1, 2
    """,
    "calls by day": """
        SELECT local_day, sum(answered_calls), sum(missed_calls) FROM highlevel.daily_messages
        WHERE channel = 'Call' GROUP BY 1
    """,
    "calls by user": """
        SELECT location_id, user_id, sum(answered_calls), sum(answered_seconds) FROM highlevel.daily_users
        WHERE channel = 'Call' GROUP BY 1, 2
    """,
    "newest 100 messages": "SELECT * FROM highlevel.messages_flat ORDER BY date_added DESC LIMIT 100",
    "the 100 conversations that wait longest": """
        SELECT * FROM highlevel.conversations WHERE waiting_since IS NOT NULL ORDER BY waiting_since LIMIT 100
    """,
    "open conversations by location": """
        SELECT location_id, count(*), count(waiting_for_human_since) FROM highlevel.conversations
        WHERE waiting_since IS NOT NULL GROUP BY 1
    """,
}
"""What is asked of all locations."""
QUESTION_SECONDS = dict.fromkeys(QUESTIONS, 1.0) | {
    "newest 100 messages": 0.1,
    "the 100 conversations that wait longest": 0.2,
    "open conversations by location": 0.2,
}


def measure(on: Stage, *, conversations: int, rounds: int, url: str | None = None) -> list[Target]:
    """Fill, if that was not done yet, and ask; return the targets."""
    with _warehouse(on, url) as engine:
        with engine.connect() as connection:
            is_filled = marts.as_of(connection) is not None
        if not is_filled:
            _fill(engine, conversations)
        targets = [*_month(engine, rounds), *_questions(engine, rounds), *_report(on, engine)]
        _whole(engine)
    return targets


@contextmanager
def _warehouse(on: Stage, url: str | None) -> Iterator[Engine]:
    if url is None:
        with warehouse(on, "views", FILLING) as engine:
            yield engine
        return
    engine = open_engine(url)
    with engine.connect() as connection:
        schema.upgrade(connection)
    yield engine
    engine.dispose()


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
            rows = [_asked(connection, name, _of_month(connection, name, location_id), rounds) for name in views.NAMES]
            total = sum(size for _, size in sizes)
            print_table(f"Every column of a month of the {which} location, with {count:,} of {total:,} messages", rows)
            claim = "seconds for a month of {}, {} location"
            targets += [
                Target(claim.format(row["asked"], which), row["median s"], at_most=MONTH_SECONDS) for row in rows
            ]
    return targets


def _of_month(connection: Connection, name: str, location_id: str) -> str:
    column = FILTERS.get(name, "local_day")
    condition = f"location_id = '{location_id}'"
    if name != "location_time_zones":
        condition += f" AND {column} >= '{MONTH[0]}' AND {column} < '{MONTH[1]}'"
    return _every_column(connection, name, condition)


def _every_column(connection: Connection, name: str, condition: str) -> str:
    """Return a query that computes every column, and sends only how many rows there are."""
    columns = connection.execute(
        text("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:view) AND attnum > 0"),
        {"view": f"highlevel.{name}"},
    ).scalars()
    counts = ", ".join(f"count({column})" for column in columns)
    return f"SELECT count(*), {counts} FROM highlevel.{name} WHERE {condition}"  # noqa: S608 - our own names


def _questions(engine: Engine, rounds: int) -> list[Target]:
    with engine.connect() as connection:
        rows = [_asked(connection, name, query, rounds) for name, query in QUESTIONS.items()]
    print_table("Of all locations", rows)
    return [
        Target(f"seconds for {row['asked']}, all locations", row["median s"], at_most=QUESTION_SECONDS[row["asked"]])
        for row in rows
    ]


def _report(on: Stage, engine: Engine) -> list[Target]:
    """Time the command itself, Python and all."""
    url = engine.url.render_as_string(hide_password=False)
    out = on.directory / "report.html"
    with engine.connect() as connection:
        last = connection.execute(text("SELECT max(local_day) FROM highlevel.daily_messages")).scalar_one()
    targets = []
    for days in (30, 540):
        since = min(last, date.today()) - timedelta(days=days)  # noqa: DTZ011 - days of the report are nobody's
        command = [sys.executable, "-m", "etl", "report", "--since", str(since), "--out", str(out)]
        done = process.run(command, environment=on.environment(DATABASE_URL=url), directory=on.directory)
        print_table(
            f"etl report of {days} days", [{"s": done.seconds, "processor s, without Postgres": done.processor}]
        )
        targets.append(Target(f"seconds for etl report of {days} days", done.seconds, at_most=REPORT_SECONDS))
    return targets


def _whole(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = [_asked(connection, name, _every_column(connection, name, "true"), rounds=1) for name in views.NAMES]
    print_table("Every column of everything", rows)


def _asked(connection: Connection, name: str, query: str, rounds: int) -> dict[str, Any]:
    """Ask a question some times, after once to warm up; the processor is that of the session alone, in hundredths."""
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    seconds, processor = [], []
    for turn in range(rounds + 1):
        began, worked = time.perf_counter(), process.processor_of(pid)
        found = connection.exec_driver_sql(query, execution_options={"no_parameters": True}).all()
        if turn:
            seconds.append(time.perf_counter() - began)
            processor.append(process.processor_of(pid) - worked)
    rows = found[0][0] if len(found) == 1 else len(found)
    return {"asked": name, "rows": rows, "median s": median(seconds), "least s": min(seconds)} | {
        "processor s": min(processor)
    }
