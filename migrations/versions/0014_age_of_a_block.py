"""A block knows when it was heard, so that one of a clock that was set back is known."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

DISPENSABLE = ("etl.rate_limits.blocked_at",)

BLOCKED_AT = "When that was heard. In the future: before the clock was set back, so that it no longer holds."
HEARD_AT = "When headers last said the limits, or an answer that there are none. An hour later they are forgotten."
HEARD_AT_BEFORE = "When the headers were last heard."


def upgrade() -> None:
    blocked_at = sa.Column("blocked_at", sa.DateTime(timezone=True), comment=BLOCKED_AT)
    op.add_column("rate_limits", blocked_at, schema="etl")
    op.alter_column("rate_limits", "heard_at", schema="etl", comment=HEARD_AT, existing_comment=HEARD_AT_BEFORE)


def downgrade() -> None:
    op.alter_column("rate_limits", "heard_at", schema="etl", comment=HEARD_AT_BEFORE, existing_comment=HEARD_AT)
    op.drop_column("rate_limits", "blocked_at", schema="etl")
