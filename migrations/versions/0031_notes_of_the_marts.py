"""A note for the marts is one row for the messages of a location that a transaction changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE = ("etl.mart_changes.message_ids",)

BEFORE = "Message that is looked up, with the emails of which it is the thread; null: none needs to be."
AFTER = "Messages that are looked up, with the emails of which they are the thread; null: none needs to be."
APART = """
INSERT INTO etl.mart_changes (location_id, message_id, conversation_id, happened_at, noted_at)
SELECT c.location_id, ids.message_id, c.conversation_id, c.happened_at, c.noted_at
FROM etl.mart_changes AS c CROSS JOIN LATERAL unnest(c.message_ids) AS ids (message_id)
"""


def upgrade() -> None:
    op.add_column("mart_changes", sa.Column("message_ids", postgresql.ARRAY(sa.Text()), comment=AFTER), schema="etl")
    op.execute("UPDATE etl.mart_changes SET message_ids = ARRAY[message_id] WHERE message_id IS NOT NULL")
    op.drop_column("mart_changes", "message_id", schema="etl")


def downgrade() -> None:
    op.add_column("mart_changes", sa.Column("message_id", sa.Text(), comment=BEFORE), schema="etl")
    op.execute(APART)
    op.execute("DELETE FROM etl.mart_changes WHERE message_ids IS NOT NULL")
    op.drop_column("mart_changes", "message_ids", schema="etl")
