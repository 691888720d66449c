"""The views of ``highlevel``, as the .sql files beside the migrations say; nothing here commits."""

import re
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from etl import packaged
from etl.database.connections import is_read_only

NAMES = (
    "location_time_zones",
    "local_days",
    "messages_flat",
    "conversations",
    "daily_messages",
    "daily_users",
    "response_times",
    "delivery",
    "calls",
    "emails_flat",
)
"""Each after those that it reads."""


FLAT = "messages_flat"
# What is before its union, messages, emails, and what is after.
UNION = re.compile(
    r"(SELECT\n(?:(?!SELECT\n).)*SELECT\n        m\.\*.*?FROM \(\n)(.*?)UNION ALL"
    r"(.*?)(\n    \) AS m\n.*?)(?=;\n\nCOMMENT)",
    re.DOTALL,
)
# With more joins than that of types, each node would send all its messages, to be filtered on the coordinator.
JOIN = re.compile(
    r"\n +LEFT JOIN (?P<table>(?:highlevel\.(?:contacts|users|meta)|\([^()]*\([^()]*\([^()]*\)\)[^()]*\))"
    r" AS (?P<alias>\w)) ON (?P<on>.+)"
)


def scripts() -> Path:
    """Return where the migrations are."""
    return packaged("migrations")


def create(connection: Connection) -> None:
    """Create the views, or change them to what the files say.

    Only the newest migration that changes a view calls it: the call moves, it is not copied. An older migration runs
    before the columns of newer ones exist. A view may grow at its end only; to change more, :func:`drop` them first.
    """
    for name in NAMES:
        _run(connection, _definition(connection, name))


def try_to_create(connection: Connection) -> list[str]:
    """Create the views as far as the tables allow; returns which are missing then."""
    for name in NAMES:
        with suppress(ProgrammingError), connection.begin_nested():
            _run(connection, _definition(connection, name))
    return [name for name in NAMES if not _described(connection, f"highlevel.{name}")]


def drop(connection: Connection) -> None:
    """Drop the views, those that read others first."""
    for name in reversed(NAMES):
        _run(connection, f"DROP VIEW IF EXISTS highlevel.{name}")


def differences(connection: Connection) -> list[str]:
    """Return how the views differ from the files, one line each; where nothing may be tried, only which are missing."""
    missing = [name for name in NAMES if not _described(connection, f"highlevel.{name}")]
    changed = [] if missing or not _may_try(connection) else [name for name in NAMES if _differs(connection, name)]
    return [
        *(f"view highlevel.{name} is missing in the database" for name in missing),
        *(f"view highlevel.{name} differs" for name in changed),
    ]


def without_zone(connection: Connection) -> dict[str, int]:
    """Return how many locations have no time zone of their own that can be used, by the one used instead."""
    query = text("""
        SELECT local_time_zone, count(*) AS locations FROM highlevel.location_time_zones
        WHERE time_zone IS NULL OR is_refused GROUP BY 1
    """)
    return {row.local_time_zone: row.locations for row in connection.execute(query)}


def _may_try(connection: Connection) -> bool:
    """Return whether temporary views may be made: not on a server that takes no writes, nor by every role."""
    query = text("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
    return not is_read_only(connection) and bool(connection.execute(query).scalar_one())


def _differs(connection: Connection, name: str) -> bool:
    """Return whether the view is not what its file makes, which is tried as a temporary view that is rolled back."""
    trial = re.sub(rf"\bhighlevel\.{name}\b", f"pg_temp.{name}", _definition(connection, name))
    try:
        with connection.begin_nested() as savepoint:
            _run(connection, trial)
            expected = _described(connection, f"pg_temp.{name}")
            actual = _described(connection, f"highlevel.{name}")
            if actual != expected:
                actual, expected = _reread(connection, actual), _reread(connection, expected)
            savepoint.rollback()
    except DBAPIError:
        # It reads a column that another view should have, and has not.
        return True
    return actual != expected


def _reread(connection: Connection, described: tuple[object, ...]) -> tuple[object, ...]:
    """Describe it as after a dump and a restore: Postgres writes a view that it read twice with fewer brackets."""
    definition, *comments = described
    _run(connection, f"CREATE TEMPORARY VIEW reread AS {definition}")
    reread = _described(connection, "pg_temp.reread")
    _run(connection, "DROP VIEW pg_temp.reread")
    return reread[0], *comments


DESCRIBED = text("""
    SELECT pg_get_viewdef(oid), obj_description(oid, 'pg_class'),
           ARRAY(SELECT attname || ': ' || coalesce(col_description(attrelid, attnum), '')
                 FROM pg_attribute WHERE attrelid = oid AND attnum > 0 ORDER BY attnum)
    FROM pg_class WHERE oid = to_regclass(:view)
""")


def _described(connection: Connection, view: str) -> tuple[object, ...]:
    """Return a view's definition and comments; nothing when there is none of that name."""
    return tuple(connection.execute(DESCRIBED, {"view": view}).one_or_none() or ())


def _definition(connection: Connection, name: str) -> str:
    """Return what the file says; on Citus the same rows in the form that it takes."""
    is_citus = connection.execute(text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')")).scalar_one()
    return spread(name) if is_citus else _read(name)


def spread(name: str) -> str:
    """Return a view in the form that Citus answers on its nodes.

    ``messages_flat`` is a union whose rows need subqueries. Citus runs these on its nodes only if the union is
    outermost. So each part of the union has its own subqueries, and views that need one part read only that part.
    """
    create, before, messages, emails, after, comments = UNION.split(_by_key(_read(FLAT)))
    messages, emails = before + messages + after, before + emails + after
    if name == FLAT:
        return f"{create}{messages}\nUNION ALL\n{emails}{comments}"
    statements = _read(name)
    part = emails if "f.email_id IS NOT NULL" in statements else messages
    return statements.replace(f"highlevel.{FLAT} AS f", f"(\n{part}\n) AS f")


def _by_key(statements: str) -> str:
    """Ask for names and details by their keys instead of joining them."""
    body, comment, comments = statements.partition("COMMENT")
    bare = JOIN.sub("", body)
    for join in JOIN.finditer(body):
        table = " ".join(join["table"].split())
        by_key = rf"(SELECT \g<0> FROM {table} WHERE {join['on']})"  # noqa: S608 - the file's words
        bare = re.sub(rf"\b{join['alias']}\.\w+", by_key, bare)
    return bare + comment + comments


def _read(name: str) -> str:
    return (scripts() / "views" / f"{name}.sql").read_text(encoding="utf-8")


def _run(connection: Connection, statements: str) -> None:
    """Run several statements at once, in which ``%`` and ``:`` mean themselves."""
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
