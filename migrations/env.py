"""How Alembic reaches the database: one migrator at a time, and none that waits long for a lock."""

import os

from alembic import context
from sqlalchemy import Connection, text

from etl import models
from etl.database import schema
from etl.database.connections import open_engine


def run(connection: Connection) -> None:
    # A second deploy waits here until the first is done, then finds nothing to do. The lock belongs to the session,
    # so it also spans migrations that commit by themselves.
    # However long that takes: the timeout of our sessions is for other locks.
    connection.execute(text("SET lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": schema.MIGRATION_LOCK})
    try:
        # A migration that cannot get its lock soon gives up rather than queue every reader behind it.
        connection.execute(text("SET lock_timeout = '5s'"))
        # On Citus, one transaction may change tables that are spread and tables that are copied only so. Elsewhere the
        # setting means nothing.
        connection.execute(text("SET citus.multi_shard_modify_mode = 'sequential'"))
        # IF NOT EXISTS would ask for the right to create even when there is nothing to do.
        if connection.execute(text("SELECT to_regnamespace('etl')")).scalar_one() is None:
            connection.execute(text("CREATE SCHEMA etl"))
        connection.commit()
        # Who goes back does so in one transaction, and looks first what would be lost.
        around = context.config.attributes.get("around")
        context.configure(
            connection=connection,
            target_metadata=models.Base.metadata,
            transaction_per_migration=around is None,
            **schema.COMPARE_OPTIONS,
        )
        with context.begin_transaction():
            if around is None:
                context.run_migrations()
            else:
                around(context.run_migrations)
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": schema.MIGRATION_LOCK})
        connection.commit()


if context.is_offline_mode():
    raise SystemExit("Offline SQL is not supported: the migrations look at the database.")

given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with open_engine(os.environ["DATABASE_URL"]).connect() as opened:
        run(opened)
