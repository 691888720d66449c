"""Roles of Postgres that may do one thing only: read for analysts, transform for dbt, run the worker, receive webhooks.

Making one again removes all its other rights here. It is made by the owner of the tables. What later migrations add
comes to those who read all of ``highlevel`` by itself, to others when they are made again.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from etl.database import role_schemas
from etl.database.connections import SETTINGS
from etl.database.role_schemas import execute, quoted
from etl.errors import ConfigurationError

SCHEMAS = ("highlevel", "etl")


@dataclass(frozen=True, slots=True)
class Grants:
    """What a role may do, and its settings; everything else it may not."""

    schemas: tuple[str, ...]
    settings: Mapping[str, str]
    whole: Mapping[str, str] = field(default_factory=dict)
    """Rights on every table of a schema."""
    later: bool = False
    """Whether it has them on those of later migrations, too."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Rights on single tables and columns."""
    sequences: tuple[str, ...] = ()
    transforms: bool = False
    """Whether it may write a schema of its own, and make temporary tables."""


SHORT = {"idle_in_transaction_session_timeout": "1min", "lock_timeout": "5s"}
"""Nothing is held back for long: no vacuum, no migration, no other program."""
OURS = {name: SETTINGS[name] for name in ("search_path", "TimeZone")}
"""What our sessions want, and would otherwise set in each transaction behind a pooler."""

READER = Grants(
    schemas=SCHEMAS,
    whole={"highlevel": "SELECT"},
    later=True,
    # etl report and etl dbt-sources look whether the views are those of their version.
    tables={"etl.alembic_version": "SELECT"},
    # An analyst's query ends by itself.
    # The views are wide: to compile a month of one takes fifty times as long as to read it.
    settings={
        "search_path": "highlevel",
        "default_transaction_read_only": "on",
        "statement_timeout": "5min",
        "jit": "off",
        **SHORT,
    },
)

TRANSFORMER = Grants(
    schemas=("highlevel",),
    whole={"highlevel": "SELECT"},
    later=True,
    transforms=True,
    # To build a table may take long. It waits for those who read the table that it replaces.
    settings={"search_path": "highlevel", "statement_timeout": "1h", "jit": "off", **SHORT, "lock_timeout": "1min"},
)

READ_WRITE = "SELECT, INSERT, UPDATE"
LOCKED = "UPDATE (forgotten_at)"
"""Nobody changes that column: Postgres asks for some such right of who locks rows."""
WORKER = Grants(
    schemas=SCHEMAS,
    whole={"highlevel": READ_WRITE, "etl": READ_WRITE},
    tables={
        # What the newest answer no longer has: files and details, never a message.
        "highlevel.attachments": "DELETE",
        "highlevel.meta": "DELETE",
        "highlevel.email_attachments": "DELETE",
        "highlevel.recordings": "DELETE",
        # What is worked out anew.
        "highlevel.turns": "DELETE",
        "highlevel.conversation_totals": "DELETE",
        "highlevel.daily_totals": "DELETE",
        "highlevel.delivery_totals": "DELETE",
        "etl.mart_changes": "DELETE",
        "etl.message_queue": "DELETE",
        "etl.dead_letters": "DELETE",
        "etl.rate_usage": "DELETE",
        "etl.windows": "DELETE",
        "etl.forgotten": LOCKED,
        "etl.notices": "DELETE",
        "etl.samples": "DELETE",
        # When events came, and of which location: etl check.
        "etl.webhook_events": "SELECT (location_id, received_at)",
    },
    sequences=("etl.lease_id_seq",),
    settings={**OURS, "statement_timeout": "5min", **SHORT},
)
WITHHELD_FROM_WORKER = {
    "highlevel.message_types": "INSERT, UPDATE",
    "etl.alembic_version": "INSERT, UPDATE",
    "etl.webhook_events": READ_WRITE,
    "etl.forgotten": "INSERT, UPDATE",
    "etl.erased": "INSERT, UPDATE",
    "etl.pruned": "INSERT, UPDATE",
}
"""What a run never needs of the tables that are there."""

RECEIVER = Grants(
    schemas=("etl",),
    tables={
        # It sees which events are here, not what is in them.
        "etl.webhook_events": "INSERT, SELECT (webhook_id, digest)",
        # Ids and times, nothing that a customer wrote.
        "etl.message_queue": READ_WRITE,
        # An installation or removal of the app; tokens are in other columns.
        "etl.locations": "INSERT (location_id, company_id, app_id, name, app_changed_at), SELECT (location_id, "
        "company_id, token_source, token_issued_at, paused_token, app_changed_at, retired_at), "
        "UPDATE (company_id, app_id, name, paused_at, pause_cause, pause_detail, paused_token, token_refused_at, "
        "app_changed_at, retired_at, updated_at)",
        "etl.companies": "INSERT (company_id, app_id, name, app_changed_at), "
        "SELECT (company_id, token_issued_at, app_changed_at, retired_at), "
        "UPDATE (app_id, name, app_changed_at, retired_at, updated_at)",
        "etl.forgotten": f"SELECT, {LOCKED}",
        "etl.erased": "SELECT",
        "etl.alembic_version": "SELECT",
    },
    # Those of etl serve itself, which a pooler may not pass on.
    settings={**OURS, **SHORT, "statement_timeout": "1s", "lock_timeout": "300ms", "synchronous_commit": "on"},
)

IS_OURS_ALONE = text("""
    SELECT NOT EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('etl', 'highlevel', 'information_schema') AND n.nspname !~ '^pg_'
    )
""")
OPEN = {
    "make temporary tables of any size": (
        text("""
            SELECT EXISTS (SELECT FROM pg_database CROSS JOIN aclexplode(coalesce(datacl, acldefault('d', datdba)))
                           WHERE datname = current_database() AND grantee = 0 AND privilege_type = 'TEMPORARY')
        """),
        "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
    ),
    "make large objects": (
        text("SELECT has_function_privilege(:role, 'lo_create(oid)', 'EXECUTE')"),
        "REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC",
    ),
    "create in the schema public": (
        text("SELECT coalesce(has_schema_privilege(:role, to_regnamespace('public'), 'CREATE'), false)"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ),
    "fill the disk with what its queries sort": (
        text("""
            SELECT NOT EXISTS (SELECT FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
                               WHERE r.rolname = :role AND array_to_string(s.setconfig, ' ') ~ 'temp_file_limit')
        """),
        "ALTER ROLE {role} IN DATABASE {database} SET temp_file_limit = '10GB'",
    ),
}
"""What every role of Postgres may do, how that shows, and what ends it."""

GRANTED = text("""
    SELECT r.rolname FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE n.nspname = 'etl' AND a.privilege_type = 'USAGE' AND a.grantee <> n.nspowner ORDER BY r.rolname
""")

CREATORS = text("""
    SELECT coalesce(quote_ident(r.rolname), 'PUBLIC') FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS a
    LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
      AND NOT coalesce(r.rolsuper OR r.rolname = current_user, false) ORDER BY 1
""")

FOUND = text("""
    SELECT r.rolsuper OR r.rolname = current_user
           OR EXISTS (SELECT FROM pg_class AS c WHERE c.relowner = r.oid
                      AND c.relnamespace IN (to_regnamespace('etl'), to_regnamespace('highlevel'))) AS writes
    FROM pg_roles AS r WHERE r.rolname = :role
""")


def grant_reader(connection: Connection, role: str) -> bool:
    """Let a role read ``highlevel``, and nothing else; True when the role had to be created.

    In a database of ours alone, it also takes from everybody what everybody may do: see :func:`left_open`.

    Raises:
        ConfigurationError: this role may not create or grant, or the other one has more to do.
    """
    return _grant(connection, role, READER)


def grant_transformer(connection: Connection, role: str, *, schema: str | None = None) -> bool:
    """Let a role read ``highlevel`` and write one schema, named like the role unless told: what dbt needs.

    Raises:
        ConfigurationError: as for a reader; or the schema belongs to another.
    """
    return _grant(connection, role, TRANSFORMER, schema=schema or role)


def grant_worker(connection: Connection, role: str) -> bool:
    """Let a role do what a run does, and nothing else: it makes no tables, and deletes no message.

    Raises:
        ConfigurationError: as for a reader.
    """
    return _grant(connection, role, WORKER, withheld=WITHHELD_FROM_WORKER)


def grant_receiver(connection: Connection, role: str) -> bool:
    """Let a role store events, queue items, and note where the app was installed: nothing else.

    It reads no event, no token and nothing of ``highlevel``, and deletes nothing: old events are for ``etl prune``.

    Raises:
        ConfigurationError: as for a reader.
    """
    return _grant(connection, role, RECEIVER)


def granted(connection: Connection) -> list[str]:
    """Return the roles that were made here."""
    return list(connection.execute(GRANTED).scalars())


def creators(connection: Connection) -> list[str]:
    """Who may create in the schema public, where every psql looks that is not told otherwise."""
    return list(connection.execute(CREATORS).scalars())


def left_open(connection: Connection, role: str) -> dict[str, str]:
    """Return what a role may do beside what it was granted, as every role may; with the statement that ends it."""
    names = {"role": quoted(connection, role), "database": _database(connection)}
    return {
        what: cure.format(**names)
        for what, (is_open, cure) in OPEN.items()
        if connection.execute(is_open, {"role": role}).scalar_one()
    }


def _grant(
    connection: Connection,
    role: str,
    grants: Grants,
    *,
    withheld: Mapping[str, str] | None = None,
    schema: str | None = None,
) -> bool:
    name, database = quoted(connection, role), _database(connection)
    try:
        found = connection.execute(FOUND, {"role": role}).one_or_none()
        if found is not None and found.writes:
            raise ConfigurationError(
                f"{role} is a superuser, owns tables here, or is the role in DATABASE_URL: it has more to do than such "
                "a role may. Name another role."
            )
        if found is None:
            execute(connection, f"CREATE ROLE {name} LOGIN")
        role_schemas.forbid_writing(connection, role, but=schema)
        if schema is not None:
            role_schemas.let_write(connection, role, schema)
        for statement in _statements(grants, withheld or {}, name=name, database=database):
            execute(connection, statement)
        is_ours_alone = connection.execute(IS_OURS_ALONE).scalar_one()
        for cure in left_open(connection, role).values():
            # What others may need is not taken from them; what this role may not end is told.
            if is_ours_alone or not cure.endswith("FROM PUBLIC"):
                with suppress(ProgrammingError), connection.begin_nested():
                    execute(connection, cure)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) == "42501":
            raise ConfigurationError(
                "The role in DATABASE_URL may not do this: use the owner of the tables, with CREATEROLE"
                + (" and with CREATE on the database." if schema else ".")
            ) from error
        raise
    return found is None


def _database(connection: Connection) -> str:
    return quoted(connection, connection.execute(text("SELECT current_database()")).scalar_one())


def _statements(grants: Grants, withheld: Mapping[str, str], *, name: str, database: str) -> Iterator[str]:
    """Take everything, then give what is right; readers of the catalogue see both at once."""
    yield f"ALTER ROLE {name} IN DATABASE {database} RESET ALL"
    # dbt keeps what is new for an incremental model in a temporary table.
    temporary = (
        f"GRANT TEMPORARY ON DATABASE {database} TO"
        if grants.transforms
        else f"REVOKE TEMPORARY ON DATABASE {database} FROM"
    )
    yield f"{temporary} {name}"
    for schema in SCHEMAS:
        yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name}"
        yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {name}"
        yield f"REVOKE ALL ON SCHEMA {schema} FROM {name}"
        yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} REVOKE ALL ON TABLES FROM {name}"
    for schema in grants.schemas:
        yield f"GRANT USAGE ON SCHEMA {schema} TO {name}"
    for schema, rights in grants.whole.items():
        yield f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {name}"
        if grants.later:
            yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {rights} ON TABLES TO {name}"
    for table, rights in withheld.items():
        yield f"REVOKE {rights} ON {table} FROM {name}"
    for table, rights in grants.tables.items():
        yield f"GRANT {rights} ON {table} TO {name}"
    for sequence in grants.sequences:
        yield f"GRANT USAGE ON SEQUENCE {sequence} TO {name}"
    for key, value in grants.settings.items():
        parts = ", ".join(f"'{part}'" for part in value.split(","))
        yield f"ALTER ROLE {name} IN DATABASE {database} SET {key} = {parts}"
