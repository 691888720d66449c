"""Which locations a run left, so that the next one tells only what is new."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE = ("etl.runs.skipped",)

BEFORE = "One row each execution of a job; the history of what was loaded and what was not."
AFTER = (
    "One row each execution of a job; the history of what was loaded and what was not. One that had nothing to do takes "
    "the row of the one before it."
)


def upgrade() -> None:
    op.create_table_comment("runs", AFTER, existing_comment=BEFORE, schema="etl")
    column = sa.Column(
        "skipped",
        JSONB(),
        nullable=True,
        comment="Locations whose due items were left, by cause, up to 100 of each; null when none were.",
    )
    op.add_column("runs", column, schema="etl")


def downgrade() -> None:
    op.drop_column("runs", "skipped", schema="etl")
    op.create_table_comment("runs", BEFORE, existing_comment=AFTER, schema="etl")
