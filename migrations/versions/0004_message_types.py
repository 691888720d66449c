"""Voicemails are calls; what is internal is told apart; two numbers of message types are known now."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DISPENSABLE = ("highlevel.message_types.is_internal",)

MEANINGS = """
UPDATE highlevel.message_types SET channel = 'Call' WHERE message_type IN ('TYPE_VOICEMAIL', 'TYPE_CAMPAIGN_VOICEMAIL');
UPDATE highlevel.message_types SET is_internal = true
    WHERE message_type IN ('TYPE_INTERNAL_COMMENT', 'TYPE_INTERNAL_CHAT', 'TYPE_LIVE_CHAT_INFO_MESSAGE');
-- HighLevel's page pairs 10 with TYPE_VOICEMAIL; 41 and 42 were seen in production by public codebases, 2026-11.
UPDATE highlevel.message_types AS t SET type_code = seen.type_code
    FROM (VALUES ('TYPE_CAMPAIGN_VOICEMAIL', NULL), ('TYPE_VOICEMAIL', 10), ('TYPE_TIKTOK', 41),
                 ('TYPE_TIKTOK_COMMENT', 42)) AS seen (message_type, type_code)
    WHERE t.message_type = seen.message_type;
"""

BEFORE = """
UPDATE highlevel.message_types SET channel = 'Email' WHERE message_type IN ('TYPE_VOICEMAIL', 'TYPE_CAMPAIGN_VOICEMAIL');
UPDATE highlevel.message_types AS t SET type_code = known.type_code
    FROM (VALUES ('TYPE_CAMPAIGN_VOICEMAIL', 10), ('TYPE_VOICEMAIL', NULL), ('TYPE_TIKTOK', NULL),
                 ('TYPE_TIKTOK_COMMENT', NULL)) AS known (message_type, type_code)
    WHERE t.message_type = known.message_type;
"""


def upgrade() -> None:
    op.add_column(
        "message_types",
        sa.Column(
            "is_internal",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="True for what the team writes to itself, and for notes about a chat: no customer sees it.",
        ),
        schema="highlevel",
    )
    op.execute(MEANINGS)


def downgrade() -> None:
    op.execute(BEFORE)
    op.drop_column("message_types", "is_internal", schema="highlevel")
