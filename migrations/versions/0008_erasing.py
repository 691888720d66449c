"""Who was erased for good, and how far old messages were: neither comes back."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "forgotten",
        sa.Column("contact_id", sa.Text(), nullable=False, comment="The contact; nothing else of it is kept."),
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the contact belonged to."),
        sa.Column(
            "forgotten_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first erased.",
        ),
        sa.PrimaryKeyConstraint("contact_id", "location_id", name=op.f("forgotten_pkey")),
        schema="etl",
        comment="Contacts that were erased by etl forget. What HighLevel sends about them is not stored again.",
    )
    op.create_table(
        "pruned",
        sa.Column("table_name", sa.Text(), nullable=False, comment="Table of the schema highlevel."),
        sa.Column(
            "before", sa.DateTime(timezone=True), nullable=False, comment="What was created earlier was deleted."
        ),
        sa.Column(
            "pruned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When etl prune last did so.",
        ),
        sa.PrimaryKeyConstraint("table_name", name=op.f("pruned_pkey")),
        schema="etl",
        comment="How far etl prune emptied a table for good. What is older is not loaded again.",
    )


def downgrade() -> None:
    op.drop_table("pruned", schema="etl")
    op.drop_table("forgotten", schema="etl")
