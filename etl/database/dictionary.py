"""Describes the tables and views, from the database's comments; changes nothing.

Examples of values come from the models. Joins, and keys of views, are listed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from etl import models
from etl.database import grants, views

CLOSED = {
    "sent_by": ("contact", "human", "workflow", "campaign", "api", "ai", "unknown"),
    "answered_by": ("contact", "human", "workflow", "campaign", "api", "ai", "unknown"),
    "last_sent_by": ("contact", "human", "workflow", "campaign", "api", "ai", "unknown"),
    "call_outcome": ("answered", "missed", "voicemail", "unknown"),
}
"""Columns of views that hold these words only; what HighLevel sends is not closed."""

VIEW_KEYS = {
    "location_time_zones": ("location_id",),
    "local_days": ("location_id", "local_day"),
    "messages_flat": ("location_id", "message_id", "email_id"),
    "conversations": ("location_id", "conversation_id"),
    "calls": ("location_id", "message_id"),
    "emails_flat": ("location_id", "email_id"),
    "response_times": ("location_id", "message_id", "email_id"),
}
"""What is unique in a view; email_id may be null in it."""

EXAMPLES = {
    "answered_by": "human",
    "call_outcome": "answered",
    "channel": "SMS",
    "contact_name": "Ann Lee",
    "local_day": "2026-03-01",
    "local_time": "2026-03-01 09:30:00",
    "local_time_zone": "Europe/Madrid",
    "location_name": "Harbour Street Dental",
    "response_seconds": "540",
    "sent_by": "human",
    "user_name": "Sam Fox",
}
"""Examples of columns that only views have."""


@dataclass(frozen=True, slots=True)
class Join:
    """How two tables belong together, in the marks of Mermaid; ``holds``: each row of ``many`` has its ``one``."""

    one: str
    marks: str
    many: str
    label: str
    columns: tuple[str, ...]
    holds: bool = False


MESSAGE = ("location_id", "message_id")

JOINS = (
    Join("messages", "||--o{", "attachments", "has files", MESSAGE, holds=True),
    Join("messages", "||--o|", "meta", "has details", MESSAGE, holds=True),
    Join("messages", "||--o{", "status_changes", "changed status", MESSAGE, holds=True),
    Join("messages", "|o--o{", "emails", "is a thread of", MESSAGE),
    Join("emails", "||--o{", "email_attachments", "has files", ("location_id", "email_id"), holds=True),
    Join("emails", "||--o{", "email_status_changes", "changed status", ("location_id", "email_id"), holds=True),
    Join("messages", "|o--o|", "transcripts", "is a call with", MESSAGE),
    Join("messages", "|o--o{", "recordings", "is a call with", MESSAGE),
    Join("contacts", "|o--o{", "messages", "were exchanged with", ("location_id", "contact_id")),
    Join("users", "|o--o{", "messages", "sent", ("location_id", "user_id")),
    Join("locations", "|o--o{", "messages", "own", ("location_id",)),
    Join("message_types", "|o--o{", "messages", "explains", ("message_type",)),
    Join("locations", "|o--o{", "opening_hours", "are open in", ("location_id",)),
    Join("time_zones", "|o--o{", "locations", "set the days of", ("time_zone",)),
)
"""The joins of ``highlevel``. No foreign key declares them: rows may arrive in any order."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``required``: never null."""

    name: str
    type: str
    comment: str
    required: bool
    example: str


@dataclass(frozen=True, slots=True)
class Relation:
    """One table or view."""

    schema: str
    name: str
    is_view: bool
    comment: str
    key: Sequence[str]
    columns: Sequence[Column]


RELATIONS = text("""
    SELECT c.relname AS name, c.relkind = 'v' AS is_view, coalesce(obj_description(c.oid, 'pg_class'), '') AS comment,
           ARRAY(SELECT a.attname::text FROM pg_index AS i
                 CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
                 JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
                 WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place) AS key
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'p', 'v') AND c.relname <> 'alembic_version'
""")

COLUMNS = text("""
    SELECT c.relname AS relation, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS required, coalesce(col_description(a.attrelid, a.attnum), '') AS comment
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = to_regnamespace(:schema) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
""")


def read(connection: Connection, schema: str) -> list[Relation]:
    """Return the tables in the order of the models, then the views."""
    columns: dict[str, list[Column]] = {}
    for row in connection.execute(COLUMNS, {"schema": schema}):
        example = _example(schema, row.relation, row.name)
        columns.setdefault(row.relation, []).append(Column(row.name, row.type, row.comment, row.required, example))
    found = [
        Relation(schema, row.name, row.is_view, row.comment, row.key or VIEW_KEYS.get(row.name, ()), columns[row.name])
        for row in connection.execute(RELATIONS, {"schema": schema})
    ]
    tables = [table.name for table in models.Base.metadata.tables.values() if table.schema == schema]
    order = {name: index for index, name in enumerate([*tables, *views.NAMES])}
    return sorted(found, key=lambda each: (order.get(each.name, len(order)), each.name))


def _example(schema: str, relation: str, column: str) -> str:
    """Return the example of a table's column; a view's column has that of the first table with a column of its name."""
    tables = [table for table in models.Base.metadata.tables.values() if table.schema == schema]
    own = [table for table in tables if table.name == relation]
    found = (table.columns[column].info.get("example") for table in own or tables if column in table.columns)
    return next((each for each in found if each), "" if own else EXAMPLES.get(column, ""))


def markdown(schema: str, relations: Sequence[Relation]) -> str:
    """Return the dictionary as a page."""
    lines = [
        f"# Tables and views of `{schema}`",
        "",
        "`make tables` makes this page from the comments in the database: do not edit it. Bold columns are the key.",
        "",
        *(_for_readers() if schema == "highlevel" else ()),
        *(_diagram(relations) if schema == "highlevel" else ()),
        *(f"- [{each.name}](#{each.name}), a {'view' if each.is_view else 'table'}" for each in relations),
    ]
    for each in relations:
        lines += ["", f"## {each.name}", "", f"{'View' if each.is_view else 'Table'}. {_cell(each.comment)}", ""]
        lines += ["| column | type | meaning | example |", "|---|---|---|---|"]
        for column in each.columns:
            name = f"**{column.name}**" if column.name in each.key else column.name
            example = f"`{_cell(column.example)}`" if column.example else ""
            lines.append(f"| {name} | {column.type} | {_cell(column.comment)} | {example} |")
    return "\n".join(lines) + "\n"


def _for_readers() -> list[str]:
    """Return where analysts begin, and the settings of their sessions."""
    settings = ", ".join(f"`{name}` {value}" for name, value in grants.READER.settings.items())
    begin = (
        "Begin with the views: they have names and local days. `messages_flat` has each message and email; the other "
        "views answer common questions. The tables have everything that was loaded."
    )
    has = f"A role of `etl db grant-reader` has these settings: {settings}."
    return [begin, "", f"{has} Postgres ends a query that takes longer than `statement_timeout`.", ""]


def _diagram(relations: Sequence[Relation]) -> list[str]:
    """Return the diagram of keys and of the columns that joins use."""
    lines = ["```mermaid", "erDiagram"]
    lines += [f'    {each.one} {each.marks} {each.many} : "{each.label}"' for each in JOINS]
    for relation in (each for each in relations if not each.is_view):
        joined = {name for each in JOINS if relation.name in (each.one, each.many) for name in each.columns}
        lines.append(f"    {relation.name} {{")
        for column in relation.columns:
            if column.name in joined or column.name in relation.key:
                kind = column.type.replace("timestamp with time zone", "timestamptz")
                lines.append(f"        {kind} {column.name}{' PK' if column.name in relation.key else ''}")
        lines.append("    }")
    join = "To join two tables, name the key columns that both have: `USING (location_id, message_id)`."
    return [*lines, "```", "", join, ""]


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
