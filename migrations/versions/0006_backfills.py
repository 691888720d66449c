"""How far the history of each location has been loaded."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "backfills",
        sa.Column("location_id", sa.Text(), nullable=False, comment="As in etl.locations."),
        sa.Column(
            "since", moment, nullable=False, comment="Where it begins: messages created then or later are loaded."
        ),
        sa.Column("until", moment, nullable=False, comment="Where it ends; the same command later moves it on."),
        sa.Column("reached", moment, nullable=False, comment="Every message created before this is loaded."),
        sa.Column(
            "messages", sa.BigInteger(), server_default="0", nullable=False, comment="How many messages that were."
        ),
        sa.Column(
            "missing",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="How many more the export counted and did not give, asked three times.",
        ),
        sa.Column(
            "started_at",
            moment,
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first started, or last with --again.",
        ),
        sa.Column(
            "seen_at", moment, server_default=sa.text("now()"), nullable=False, comment="When it last got further."
        ),
        sa.Column("finished_at", moment, nullable=True, comment="When it reached its end; null while it has not."),
        sa.PrimaryKeyConstraint("location_id", "since", name=op.f("backfills_pkey")),
        schema="etl",
        comment="How far the history of each location has been loaded; etl backfill goes on from there.",
    )


def downgrade() -> None:
    op.drop_table("backfills", schema="etl")
