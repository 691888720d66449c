"""Finds out what undoing migrations would lose; nothing here commits.

A rehearsal shows which columns go: the migrations are undone in a savepoint, which is rolled back. So the migrations
need no list of what they drop; they list only what may be lost.
"""

from collections.abc import Callable, Collection, Mapping

from sqlalchemy import Connection, inspect

from etl.database.grants import SCHEMAS

Columns = Mapping[str, frozenset[str]]
"""The columns of each table, ``schema.table``."""


def rehearse(connection: Connection, undo: Callable[[], None]) -> Columns:
    """Return which columns of which tables are gone after ``undo``; change nothing."""
    before = _columns(connection)
    with connection.begin_nested() as rehearsal:
        undo()
        after = _columns(connection)
        rehearsal.rollback()
    gone = {table: columns - after.get(table, frozenset()) for table, columns in before.items()}
    return {table: columns for table, columns in gone.items() if columns}


def held(connection: Connection, gone: Columns, *, dispensable: Collection[str]) -> list[str]:
    """Name what holds something among what would be ``gone``, and lock it, so that nothing is added meanwhile."""
    whole = _columns(connection)
    found = []
    for table, columns in sorted(gone.items()):
        missed = sorted(each for each in columns if f"{table}.{each}" not in dispensable)
        if table in dispensable or not missed:
            continue
        connection.exec_driver_sql(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        if columns == whole[table]:
            found += [table] if _exists(connection, f"FROM {table}") else []
            continue
        found += [
            f"{table}.{each}" for each in missed if _exists(connection, f'FROM {table} WHERE "{each}" IS NOT NULL')
        ]
    return found


def _columns(connection: Connection) -> Columns:
    return {
        f"{schema}.{table}": frozenset(each["name"] for each in columns)
        for schema in SCHEMAS
        for (_, table), columns in inspect(connection).get_multi_columns(schema=schema).items()
        if table != "alembic_version"
    }


def _exists(connection: Connection, rows: str) -> bool:
    # Not EXISTS (SELECT …): Citus refuses one without columns.
    return connection.exec_driver_sql(f"SELECT 1 {rows} LIMIT 1").scalar() is not None
