"""The schema's version: migrate to it, compare with it.

The only module that drives Alembic, which it imports when needed: a run only compares two revision numbers.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from etl import models
from etl.database import losses, narrowed, views
from etl.database.connections import is_pooled
from etl.database.failures import NOT_GRANTED, sqlstate_of
from etl.database.grants import SCHEMAS
from etl.database.urls import shown
from etl.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

HEAD = "0037"
"""The newest migration; a test compares it with the scripts."""

MIGRATION_LOCK = 4_719_024_811
"""Key of the advisory lock that migrators take; arbitrary, but the same for all of them."""

DEPENDED_ON = "2BP01"
"""The SQLSTATE of something that cannot be dropped, because something else reads it."""

COMPARE_OPTIONS: dict[str, Any] = {
    "include_schemas": True,
    "include_name": lambda name, type_, _parents: type_ != "schema" or name in SCHEMAS,
    "version_table_schema": "etl",
    "compare_type": True,
    "compare_server_default": True,
}
"""Options for Alembic's comparison: our two schemas, with types and defaults."""


def revision(connection: Connection) -> str | None:
    """Return the revision the database is at; None when it was never migrated."""
    found = connection.execute(text("SELECT to_regclass('etl.alembic_version')")).scalar_one()
    if found is None:
        return None
    return connection.execute(text("SELECT version_num FROM etl.alembic_version")).scalar_one_or_none()


def require_head(connection: Connection) -> None:
    """Check that the database is at the revision this code was written for.

    Raises:
        ConfigurationError: it is not migrated, behind, or ahead.
    """
    problem = mismatch(connection)
    if problem is not None:
        raise ConfigurationError(problem)


def mismatch(connection: Connection) -> str | None:
    """Say why the tables are not those of this version, and the cure; None when they are."""
    at = revision(connection)
    if at == HEAD:
        return None
    database = f"The database {shown(connection.engine.url)}"
    if at is None:
        return f"{database} has no tables yet. Run: etl db upgrade"
    if at in _revisions():
        return f"{database} is at revision {at}, this version needs {HEAD}. Run: etl db upgrade"
    return (
        f"{database} is at revision {at}, which this version does not know: a newer highlevel-etl migrated it. "
        f"Upgrade highlevel-etl on this machine. To go back instead, with the newer one: etl db downgrade {HEAD}"
    )


def upgrade(connection: Connection, target: str = "head") -> None:
    """Migrate to ``target``, and correct views that differ from their files. Commits.

    Raises:
        ConfigurationError: a newer version migrated the database, the role may not create tables, or a pooler is
            between, which may give the lock of the migrators to somebody else.
    """
    from alembic import command  # noqa: PLC0415 - slow to import, needed here only

    if is_pooled(connection):
        raise ConfigurationError(
            "There is a pooler between etl and Postgres, but migrations need a session of their own. "
            "Set DATABASE_DIRECT_URL to the address of Postgres itself."
        )
    at = revision(connection)
    connection.rollback()
    if at is not None and at not in _revisions():
        require_head(connection)
    try:
        if at is not None and at != HEAD:
            narrowed.drop_all(connection)
            connection.commit()
        command.upgrade(_config(connection), target)
        if target == "head" and views.differences(connection):
            renew_views(connection)
        narrowed.renew(connection)
        connection.commit()
    except DBAPIError as error:
        problem = _in_the_way(error)
        if problem is None:
            raise
        raise ConfigurationError(problem) from error


def _in_the_way(error: DBAPIError) -> str | None:
    """Return the cure where a migration fails because of what others set or made."""
    sqlstate = sqlstate_of(error)
    if sqlstate == NOT_GRANTED:
        return (
            "The role in DATABASE_URL may not create schemas or tables. "
            "Use the database's owner, or: GRANT CREATE ON DATABASE … TO …"
        )
    if sqlstate == DEPENDED_ON and isinstance(error.orig, psycopg.Error):
        return (
            f"This version changes what views of your own read: {error.orig.diag.message_detail}. Drop them, run "
            "etl db upgrade, and make them anew. If dbt made them, dbt run does."
        )
    return None


def receivers_since(connection: Connection, before: str) -> str:
    """Return the oldest revision whose receivers can store events after an upgrade from ``before``."""
    scripts = _directory(connection).iterate_revisions("head", before)
    return max((getattr(each.module, "RECEIVERS_SINCE", each.revision) for each in scripts), default=before)


def renew_views(connection: Connection) -> None:
    """Bring the views to the form that this Postgres takes, with or without Citus. Commits."""
    try:
        with connection.begin_nested():
            views.create(connection)
    except ProgrammingError:
        # A newer version gave one more columns, and a view may grow only.
        narrowed.drop_all(connection)
        views.drop(connection)
        views.create(connection)
    connection.commit()


def downgrade(connection: Connection, target: str) -> list[str]:
    """Undo migrations down to ``target`` in one transaction; returns which views are missing then. Commits.

    Views are made as this version has them. The older version makes those whose columns it does not have.

    Raises:
        ConfigurationError: this would lose something, or there is no such revision.
    """
    from alembic import command  # noqa: PLC0415 - slow to import, needed here only
    from alembic.util import CommandError  # noqa: PLC0415

    missing: list[str] = []
    around = partial(_undo, connection, missing=missing)
    connection.rollback()
    try:
        command.downgrade(_config(connection, around=around), target)
    except CommandError as error:
        raise ConfigurationError(f"The database cannot go back to {target!r}: {error}") from error
    return missing


def _undo(connection: Connection, undo: Callable[[], None], *, missing: list[str]) -> None:
    narrowed.drop_all(connection)
    gone = losses.rehearse(connection, undo)
    scripts = _directory(connection).walk_revisions()
    dispensable = {name for each in scripts for name in getattr(each.module, "DISPENSABLE", ())}
    held = losses.held(connection, gone, dispensable=dispensable)
    if held:
        raise ConfigurationError(
            f"Going back would lose what is in {', '.join(held)}. To go back all the same, restore a backup: see "
            "docs/operations.md, The way back."
        )
    undo()
    if revision(connection) is not None:
        missing += views.try_to_create(connection)
        narrowed.renew(connection)


def differences(connection: Connection) -> list[str]:
    """Return how the database differs from the models and the files of the views, a line each; none when they agree."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - slow to import, needed here only
    from alembic.migration import MigrationContext  # noqa: PLC0415

    context = MigrationContext.configure(connection, opts=COMPARE_OPTIONS)
    found = [line for each in compare_metadata(context, models.Base.metadata) for line in _in_words(each)]
    return found + views.differences(connection)


def _in_words(difference: Any) -> list[str]:
    """Return a difference of Alembic's in plain words; changes of one column come as a list."""
    if isinstance(difference, list):
        return [line for each in difference for line in _in_words(each)]
    what, *about = difference
    if what.startswith("modify_"):
        schema, table, column = about[:3]
        return [f"{schema}.{table}.{column}: {what.removeprefix('modify_')} differs"]
    side = "is missing in the database" if what.startswith("add_") else "is only in the database"
    if what.endswith("_column"):
        return [f"column {about[0]}.{about[1]}.{about[2].name} {side}"]
    thing = about[0]
    named = getattr(thing, "fullname", None) or f"{thing.table.fullname}: {thing.name}"
    return [f"{what.partition('_')[2].replace('_', ' ')} {named} {side}"]


def _directory(connection: Connection) -> "ScriptDirectory":
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - slow to import, needed here only

    return ScriptDirectory.from_config(_config(connection))


def _config(connection: Connection, **attributes: object) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - slow to import, needed here only

    config = Config(attributes={"connection": connection} | attributes)
    config.set_main_option("script_location", str(views.scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revisions() -> set[str]:
    return {path.name.split("_")[0] for path in (views.scripts() / "versions").glob("*.py")}
