"""How often an item's worker was killed: such an item is fetched alone, and given up on at last."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

DISPENSABLE = ("etl.message_queue.lapses",)

COMMENT = (
    "How often its lease lapsed since an attempt ended: its worker was killed. From 2 on it is fetched alone, "
    "with 5 it becomes a dead letter."
)


def upgrade() -> None:
    op.add_column(
        "message_queue",
        sa.Column("lapses", sa.Integer(), server_default="0", nullable=False, comment=COMMENT),
        schema="etl",
    )
    op.create_check_constraint(
        op.f("message_queue_lapses_are_sane_check"), "message_queue", "lapses BETWEEN 0 AND 1000000", schema="etl"
    )
    # A claim counted the attempt until now.
    op.execute("UPDATE etl.message_queue SET attempt = greatest(attempt - 1, 0) WHERE lease_id IS NOT NULL")


def downgrade() -> None:
    op.drop_column("message_queue", "lapses", schema="etl")
    op.execute("UPDATE etl.message_queue SET attempt = attempt + 1 WHERE lease_id IS NOT NULL")
