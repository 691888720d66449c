"""The same id at two locations is two items, and two dead letters."""

import sqlalchemy as sa
from alembic import op

from etl.errors import ConfigurationError

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# An item in hand is only marked: whoever has it fetches it once more. A waiting one comes due at the earlier time, with
# its attempts back: somebody has news of it.
ENQUEUE = """
CREATE OR REPLACE FUNCTION etl.enqueue(
    message_id text,
    location_id text DEFAULT '',
    kind text DEFAULT 'message',
    priority integer DEFAULT 0,
    scheduled_at timestamptz DEFAULT now()
) RETURNS boolean LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO etl.message_queue AS q (kind, message_id, location_id, priority, scheduled_at)
    VALUES (enqueue.kind, enqueue.message_id, coalesce(enqueue.location_id, ''), enqueue.priority,
            enqueue.scheduled_at)
    ON CONFLICT (kind, message_id{location}) DO UPDATE SET
        {moved}priority = greatest(q.priority, excluded.priority),
        scheduled_at = CASE WHEN q.lease_id IS NULL OR q.again THEN least(q.scheduled_at, excluded.scheduled_at)
                            ELSE excluded.scheduled_at END,
        attempt = CASE WHEN q.lease_id IS NULL THEN 0 ELSE q.attempt END,
        again = q.lease_id IS NOT NULL,
        enqueued_at = now()
    RETURNING q.xmax = 0
$$
"""
MOVED = """location_id = CASE WHEN q.lease_id IS NULL AND excluded.location_id <> ''
                           THEN excluded.location_id ELSE q.location_id END,
        """

COMMENT_BEFORE = "Location it belongs to; empty: the location of HIGHLEVEL_TOKEN."
COMMENT = f"{COMMENT_BEFORE} The same id at two locations is two items."

SEVERAL = """
SELECT EXISTS (SELECT FROM etl.{table} GROUP BY kind, message_id HAVING count(*) > 1)
"""


def upgrade() -> None:
    _key(["kind", "message_id", "location_id"])
    _comment(COMMENT, before=COMMENT_BEFORE)
    op.execute(ENQUEUE.format(location=", location_id", moved=""))


def downgrade() -> None:
    for table in ("message_queue", "dead_letters"):
        if op.get_bind().execute(sa.text(SEVERAL.format(table=table))).scalar_one():
            raise ConfigurationError(f"Going back would lose items: etl.{table} has one id at several locations.")
    _key(["kind", "message_id"])
    _comment(COMMENT_BEFORE, before=COMMENT)
    op.execute(ENQUEUE.format(location="", moved=MOVED))


def _key(columns: list[str]) -> None:
    for table in ("message_queue", "dead_letters"):
        op.drop_constraint(f"{table}_pkey", table, schema="etl")
        op.create_primary_key(op.f(f"{table}_pkey"), table, columns, schema="etl")


def _comment(comment: str, *, before: str) -> None:
    op.alter_column(
        "message_queue",
        "location_id",
        existing_type=sa.TEXT(),
        existing_nullable=False,
        existing_server_default=sa.text("''::text"),
        comment=comment,
        existing_comment=before,
        schema="etl",
    )
