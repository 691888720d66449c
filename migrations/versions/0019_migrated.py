"""A run may end because a newer version migrated the tables."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ()

COMMENT = (
    "drained, limit, max_seconds, stopped (signal), or why work was left: paused, budget, rate_limited, "
    "api_unreachable, misconfigured{more}. Null while it runs, and if it was killed or lost Postgres."
)
BEFORE, AFTER = COMMENT.format(more=""), COMMENT.format(more=", migrated (by another version)")


def upgrade() -> None:
    op.alter_column("runs", "outcome", existing_comment=BEFORE, comment=AFTER, schema="etl")


def downgrade() -> None:
    op.alter_column("runs", "outcome", existing_comment=AFTER, comment=BEFORE, schema="etl")
