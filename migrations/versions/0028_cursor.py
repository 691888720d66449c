"""What changed since some time is found by an index."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ()

FOLLOWED = ("messages", "emails", "recordings", "transcripts", "contacts", "users", "locations")


def upgrade() -> None:
    # Not concurrently: that waits for the transactions in which other migrators wait for this one. Writes wait meanwhile,
    # readers do not.
    for table in FOLLOWED:
        op.create_index(op.f(f"{table}_updated_at_idx"), table, ["updated_at"], schema="highlevel")


def downgrade() -> None:
    for table in FOLLOWED:
        op.drop_index(op.f(f"{table}_updated_at_idx"), table_name=table, schema="highlevel")
