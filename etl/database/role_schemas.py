"""Schemas that belong to one role each. They are ours, so that we need not be a member of the role; nothing commits."""

from sqlalchemy import Connection, text

from etl.errors import ConfigurationError

RESERVED = ("highlevel", "etl", "public", "information_schema")

SOMEBODYS = text("""
    SELECT DISTINCT CASE who WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(who) END FROM (
        SELECT nspowner AS who FROM pg_namespace WHERE nspname = :schema AND pg_get_userbyid(nspowner) <> current_user
        UNION ALL SELECT a.grantee FROM pg_namespace CROSS JOIN aclexplode(nspacl) AS a
                  WHERE nspname = :schema AND a.privilege_type = 'CREATE' AND a.grantee <> nspowner
        UNION ALL SELECT relowner FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(:schema))
    ) AS everybody WHERE pg_get_userbyid(who) <> :role ORDER BY 1
""")
"""Who beside the role has a schema, or something in it. That the schema itself is ours does not count."""

OWNER = text("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = :schema")

WRITTEN = text("""
    SELECT n.nspname FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS a
    WHERE pg_get_userbyid(a.grantee) = :role AND pg_get_userbyid(n.nspowner) = current_user
      AND a.privilege_type = 'CREATE' AND a.is_grantable AND a.grantee <> n.nspowner ORDER BY 1
""")
"""Schemas that :func:`let_write` gave to a role."""


def require_free(connection: Connection, schema: str, *, role: str = "") -> None:
    """Check that a schema belongs to this role, or that it may be made for it.

    Raises:
        ConfigurationError: it belongs to another, or holds what belongs to another.
    """
    others = ", ".join(connection.execute(SOMEBODYS, {"schema": schema, "role": role}).scalars())
    is_reserved = schema in RESERVED or schema.startswith("pg_")
    if is_reserved or others:
        why = "has another purpose" if is_reserved else f"belongs to {others}, or holds something of theirs"
        raise ConfigurationError(f"The schema {schema} {why}. Name another one with --schema.")


def let_write(connection: Connection, role: str, schema: str) -> None:
    """Let a role write a schema, and open it to others; make the schema if it does not exist.

    Raises:
        ConfigurationError: it belongs to another.
    """
    require_free(connection, schema, role=role)
    owner = connection.execute(OWNER, {"schema": schema}).scalar()
    if owner is None:
        execute(connection, f"CREATE SCHEMA {quoted(connection, schema)}")
    if owner != role:
        name = quoted(connection, role)
        execute(connection, f"GRANT USAGE, CREATE ON SCHEMA {quoted(connection, schema)} TO {name} WITH GRANT OPTION")


def forbid_writing(connection: Connection, role: str, *, but: str | None = None) -> None:
    """Take from a role, and from whom it let in, the schemas that it could write before; not the one named."""
    for schema in connection.execute(WRITTEN, {"role": role}).scalars():
        if schema != but:
            name = quoted(connection, schema)
            execute(connection, f"REVOKE CREATE ON SCHEMA {name} FROM {quoted(connection, role)} CASCADE")


def quoted(connection: Connection, name: str) -> str:
    """Return a name as SQL takes it."""
    return connection.dialect.identifier_preparer.quote_identifier(name)


def quoted_database(connection: Connection) -> str:
    """Return the name of this database as SQL takes it."""
    return quoted(connection, connection.execute(text("SELECT current_database()")).scalar_one())


def literal(value: str) -> str:
    """Return a text as SQL takes it, where no parameter may be."""
    return "'" + value.replace("'", "''") + "'"


def execute(connection: Connection, statement: str) -> None:
    """Execute a statement in which ``%`` and ``:`` mean themselves: names may hold them."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
