"""What the columns of backfills mean now."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COMMENTS = {
    "reached": (
        "Every message created before this is loaded.",
        "Every message created before this is loaded. What was younger than an hour then is loaded again.",
    ),
    "missing": (
        "How many more the export counted and did not give, asked three times.",
        "How many more the export counted and did not give.",
    ),
}


def upgrade() -> None:
    for column, (before, after) in COMMENTS.items():
        op.alter_column("backfills", column, existing_comment=before, comment=after, schema="etl")


def downgrade() -> None:
    for column, (before, after) in COMMENTS.items():
        op.alter_column("backfills", column, existing_comment=after, comment=before, schema="etl")
