"""Events as they were posted to the receiver."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_events",
        sa.Column(
            "webhook_id",
            sa.Text(),
            nullable=False,
            comment="The event; a redelivery repeats it. API: webhookId, else sha256: and the hash of the body. Posts of a workflow: workflow: and a number of our own.",
        ),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was stored, just before it was answered.",
        ),
        sa.Column(
            "type",
            sa.Text(),
            nullable=False,
            comment="HighLevel's name of the event; workflow: the workflow action; empty: none. API: type.",
        ),
        sa.Column(
            "location_id",
            sa.Text(),
            nullable=False,
            comment="Location it is about; empty: none was named. API: locationId.",
        ),
        sa.Column(
            "conversation_id", sa.Text(), nullable=True, comment="Conversation it is about. API: conversationId."
        ),
        sa.Column(
            "message_id", sa.Text(), nullable=True, comment="Message it names. API: messageId; of an email threadId."
        ),
        sa.Column("email_id", sa.Text(), nullable=True, comment="Email it names. API: emailMessageId."),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=False,
            comment="queued: its ids were queued. no_id: a message without id, for etl reconcile to find. bad_id: its id cannot be asked for. ignored: of no interest. install, uninstall: a location was added or retired.",
        ),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=False,
            comment="The event as received, byte for byte. Readable with convert_from(body, 'UTF8').",
        ),
        sa.Column(
            "replayed_at", sa.DateTime(timezone=True), nullable=True, comment="When it was last replayed; null: never."
        ),
        sa.CheckConstraint(
            "outcome IN ('queued', 'no_id', 'bad_id', 'ignored', 'install', 'uninstall')",
            name=op.f("webhook_events_outcome_is_known_check"),
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("webhook_events_pkey")),
        schema="etl",
        comment="Events as they were posted, for WEBHOOK_KEEP_DAYS; each is answered only when it is here. See etl events list|show|replay|purge.",
    )
    op.create_index(
        op.f("webhook_events_received_at_idx"), "webhook_events", ["received_at"], unique=False, schema="etl"
    )
    op.create_index(
        "webhook_events_unnamed_idx",
        "webhook_events",
        ["received_at"],
        unique=False,
        schema="etl",
        postgresql_where=sa.text("outcome IN ('no_id', 'bad_id')"),
    )


def downgrade() -> None:
    op.drop_table("webhook_events", schema="etl")
