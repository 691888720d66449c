"""Readers who may see less of ``highlevel``: no words, or some locations only. Nothing here commits.

Each has a schema of its own, with a view for each table and view. The views read with the rights of their owner, and
the reader may read nothing but these views. The comment of the schema says what they leave out, so that ``etl db
upgrade`` can make them again.

Why: docs/decisions, "Readers who may see less have views of their own".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine.reflection import ObjectKind

from etl.database import role_schemas, wordless
from etl.database.role_schemas import execute, literal, quoted, quoted_database
from etl.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a narrowed reader may see."""

    reader: str
    without_words: bool = False
    locations: tuple[str, ...] = ()
    """Rows of these; empty: of all."""


MADE = "Made by etl db grant-reader, kept by etl db upgrade: "

COMMENTS = text("""
    SELECT nspname, substr(obj_description(oid, 'pg_namespace'), length(:made) + 1) FROM pg_namespace
    WHERE obj_description(oid, 'pg_namespace') ^@ :made AND pg_get_userbyid(nspowner) = current_user ORDER BY 1
""")


def read(connection: Connection) -> dict[str, Narrowing]:
    """Return what is made, by schema."""
    found = {}
    for schema, comment in connection.execute(COMMENTS, {"made": MADE}):
        fields = json.loads(comment)
        found[schema] = Narrowing(**fields | {"locations": tuple(fields["locations"])})
    return found


def without_messages(connection: Connection, locations: Sequence[str]) -> list[str]:
    """Return the locations without any message here: their ids may be mistyped."""
    return list(connection.execute(WITHOUT_MESSAGES, {"locations": list(locations)}).scalars())


WITHOUT_MESSAGES = text("""
    SELECT given.location_id FROM unnest(CAST(:locations AS text[])) AS given (location_id)
    WHERE NOT EXISTS (SELECT FROM highlevel.messages AS m WHERE m.location_id = given.location_id) ORDER BY 1
""")


def make(connection: Connection, schema: str, narrowing: Narrowing) -> None:
    """Make the schema of a reader, or bring it to this narrowing, and let the reader read it.

    Raises:
        ConfigurationError: the schema belongs to another, or this is Citus.
    """
    if connection.execute(text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')")).scalar_one():
        raise ConfigurationError(
            "On Citus, no reader can be kept from words or locations: its nodes ask whether the reader itself may read "
            "the tables, and may look at rows before a view leaves them out."
        )
    there = read(connection).get(schema)
    if there is None or there.reader != narrowing.reader:
        role_schemas.require_free(connection, schema)
    reader, name = quoted(connection, narrowing.reader), quoted(connection, schema)
    execute(connection, f"CREATE SCHEMA IF NOT EXISTS {name}")
    execute(connection, f"COMMENT ON SCHEMA {name} IS {literal(MADE + json.dumps(asdict(narrowing)))}")
    execute(connection, f"GRANT USAGE ON SCHEMA {name} TO {reader}")
    where = f"ALTER ROLE {reader} IN DATABASE {quoted_database(connection)}"
    execute(connection, f"{where} SET search_path = {literal(schema)}")
    _make_views(connection, schema, narrowing)


def _make_views(connection: Connection, schema: str, narrowing: Narrowing) -> None:
    drop(connection, schema)
    name, there = quoted(connection, schema), relations(connection, "highlevel")
    for relation, columns in _wanted(connection, narrowing).items():
        # Without the barrier, an error could show text of other locations' rows: WHERE body::int = 1.
        barrier = " WITH (security_barrier)" if narrowing.locations else ""
        where = _where(there[relation], narrowing.locations)
        query = f"SELECT {', '.join(columns)} FROM highlevel.{relation}{where}"  # noqa: S608 - our own names
        execute(connection, f"CREATE VIEW {name}.{relation}{barrier} AS {query}")
    execute(connection, f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {quoted(connection, narrowing.reader)}")


def _wanted(connection: Connection, narrowing: Narrowing) -> dict[str, Sequence[str]]:
    """Return the views to make, and their columns. A table that is new to :mod:`wordless` is left out."""
    return {
        relation: [each for each in columns if not narrowing.without_words or wordless.is_without_words(relation, each)]
        for relation, columns in relations(connection, "highlevel").items()
        if relation in wordless.RELATIONS
    }


def _where(columns: Sequence[str], locations: Sequence[str]) -> str:
    """Return the condition; what has no location is the same for all: names of types and zones."""
    if not locations or "location_id" not in columns:
        return ""
    return f" WHERE location_id IN ({', '.join(map(literal, locations))})"


def relations(connection: Connection, schema: str) -> Mapping[str, Sequence[str]]:
    """Return the columns of each table and view of a schema."""
    found = inspect(connection).get_multi_columns(schema=schema, kind=ObjectKind.ANY)
    return {name: [each["name"] for each in of_relation] for (_, name), of_relation in sorted(found.items())}


def renew(connection: Connection) -> None:
    """Make the views anew if tables or views of ``highlevel`` changed, or the list of columns without words."""
    for schema, narrowing in read(connection).items():
        if relations(connection, schema) != _wanted(connection, narrowing):
            _make_views(connection, schema, narrowing)


def drop_all(connection: Connection) -> None:
    """Drop the views of all readers, which would stand in the way of changes; :func:`renew` makes them again."""
    for schema in read(connection):
        drop(connection, schema)


def drop(connection: Connection, schema: str) -> None:
    """Drop the views of a reader."""
    views = [f"{quoted(connection, schema)}.{quoted(connection, each)}" for each in relations(connection, schema)]
    if views:
        execute(connection, f"DROP VIEW {', '.join(views)}")


def forget(connection: Connection, role: str, *, but: str | None = None) -> None:
    """Drop the schemas that were made for a role; not the one named."""
    for schema, narrowing in read(connection).items():
        if narrowing.reader == role and schema != but:
            drop(connection, schema)
            execute(connection, f"DROP SCHEMA {quoted(connection, schema)}")
