"""Roles of Postgres that may do one thing only: read for analysts, transform for dbt, run the worker, receive webhooks.

The owner of the tables makes them. Making a role again removes all its other rights here. Roles that read all of
``highlevel`` get rights on later tables by themselves; other roles get them when they are made again.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from etl.database import narrowed, role_schemas
from etl.database.failures import NOT_GRANTED, sqlstate_of
from etl.database.grants import NARROWED, READER, RECEIVER, SCHEMAS, TRANSFORMER, WORKER, Grants
from etl.database.narrowed import Narrowing
from etl.database.role_schemas import execute, quoted, quoted_database
from etl.errors import ConfigurationError

# Tables that an extension brings are nobody's.
IS_OURS_ALONE = text("""
    SELECT NOT EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('etl', 'highlevel', 'information_schema') AND n.nspname !~ '^pg_'
        AND c.relkind NOT IN ('i', 'I') AND NOT EXISTS (
            SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        )
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
"""What every role of Postgres may do, the query that shows it, and the statement that ends it."""

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


def grant(
    connection: Connection,
    role: str,
    grants: Grants,
    *,
    schema: str | None = None,
    make: Callable[[], None] = lambda: None,
) -> bool:
    """Let a role do what it is granted, and nothing else; True when the role had to be created.

    If the database holds nothing but our schemas, this also takes away what every role may do: see :func:`left_open`.
    ``make`` makes a ``schema`` of the role's own.

    Raises:
        ConfigurationError: this role may not create or grant, or the other one has more to do.
    """
    name, database = quoted(connection, role), quoted_database(connection)
    try:
        found = connection.execute(FOUND, {"role": role}).one_or_none()
        if found is not None and found.writes:
            raise ConfigurationError(
                f"{role} is a superuser, owns tables here, or is the role in DATABASE_URL: it has more to do than such "
                "a role may. Name another role."
            )
        if found is None:
            execute(connection, f"CREATE ROLE {name} LOGIN")
        is_ours_alone = connection.execute(IS_OURS_ALONE).scalar_one()
        role_schemas.forbid_writing(connection, role, but=schema if grants.transforms else None)
        narrowed.forget(connection, role, but=None if grants.transforms else schema)
        for statement in _statements(grants, name=name, database=database):
            execute(connection, statement)
        make()
        for cure in left_open(connection, role).values():
            # Rights that other programs may need stay; those that this role may not end are reported.
            if is_ours_alone or not cure.endswith("FROM PUBLIC"):
                with suppress(ProgrammingError), connection.begin_nested():
                    execute(connection, cure)
    except ProgrammingError as error:
        if sqlstate_of(error) == NOT_GRANTED:
            raise ConfigurationError(
                "The role in DATABASE_URL may not do this: use the owner of the tables, with CREATEROLE"
                + (" and with CREATE on the database." if schema else ".")
            ) from error
        raise
    return found is None


grant_reader = partial(grant, grants=READER)
"""Let a role read ``highlevel``."""
grant_worker = partial(grant, grants=WORKER)
"""Let a role do what a run does: it makes no tables, and deletes no message."""
grant_receiver = partial(grant, grants=RECEIVER)
"""Let a role store events, queue items, and note where the app was installed. It reads no event, no token and nothing
of ``highlevel``, and deletes nothing: old events are for ``etl prune``."""


def grant_narrowed_reader(connection: Connection, narrowing: Narrowing, *, schema: str | None = None) -> bool:
    """Let a role read views of ``highlevel`` that leave something out. Their schema is named like the role by default.

    Raises:
        ConfigurationError: as of :func:`grant`; or the schema belongs to another; or this is Citus.
    """
    make = partial(narrowed.make, connection, schema or narrowing.reader, narrowing)
    return grant(connection, narrowing.reader, NARROWED, schema=schema or narrowing.reader, make=make)


def grant_transformer(connection: Connection, role: str, *, schema: str | None = None) -> bool:
    """Let a role read ``highlevel`` and write one schema, as dbt needs. The schema is named like the role by default.

    Raises:
        ConfigurationError: as of :func:`grant`; or the schema belongs to another.
    """
    make = partial(role_schemas.let_write, connection, role, schema or role)
    return grant(connection, role, TRANSFORMER, schema=schema or role, make=make)


def granted(connection: Connection) -> list[str]:
    """Return the roles that were made here."""
    return list(connection.execute(GRANTED).scalars())


def creators(connection: Connection) -> list[str]:
    """Who may create in the schema public, where psql looks by default."""
    return list(connection.execute(CREATORS).scalars())


def left_open(connection: Connection, role: str) -> dict[str, str]:
    """Return what a role may do because every role may, with the statement that ends it."""
    names = {"role": quoted(connection, role), "database": quoted_database(connection)}
    return {
        what: cure.format(**names)
        for what, (is_open, cure) in OPEN.items()
        if connection.execute(is_open, {"role": role}).scalar_one()
    }


def _statements(grants: Grants, *, name: str, database: str) -> Iterator[str]:
    """Take everything, then give what is right; readers of the catalogue see both at once."""
    yield f"ALTER ROLE {name} IN DATABASE {database} RESET ALL"
    # dbt keeps what is new for an incremental model in a temporary table.
    grant, to = ("GRANT", "TO") if grants.transforms else ("REVOKE", "FROM")
    yield f"{grant} TEMPORARY ON DATABASE {database} {to} {name}"
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
    for table, rights in grants.withheld.items():
        yield f"REVOKE {rights} ON {table} FROM {name}"
    for table, rights in grants.tables.items():
        yield f"GRANT {rights} ON {table} TO {name}"
    for sequence in grants.sequences:
        yield f"GRANT USAGE ON SEQUENCE {sequence} TO {name}"
    for key, value in grants.settings.items():
        parts = ", ".join(f"'{part}'" for part in value.split(","))
        yield f"ALTER ROLE {name} IN DATABASE {database} SET {key} = {parts}"
