"""Views for analysts, and the time zones that they tell days in."""

import sqlalchemy as sa
from alembic import op

from etl.database import views

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

DISPENSABLE = ("highlevel.settings", "highlevel.time_zones")

# posix/ and right/ repeat every zone, the latter with leap seconds; the rest of the exceptions are no places.
ZONES = """
INSERT INTO highlevel.time_zones
SELECT name FROM pg_timezone_names
WHERE name !~ '^(posix|right)/' AND name NOT IN ('Factory', 'localtime', 'posixrules')
"""

# A conversation belongs to one location. Without that Postgres takes the two for independent, expects one message in each
# conversation, and reads and sorts a whole one where it could stop at the first.
STATISTICS = """
CREATE STATISTICS highlevel.messages_conversations (dependencies) ON location_id, conversation_id FROM highlevel.messages;
CREATE STATISTICS highlevel.emails_conversations (dependencies) ON location_id, conversation_id FROM highlevel.emails;
COMMENT ON STATISTICS highlevel.messages_conversations IS 'A conversation belongs to one location: for the plans of the views.';
COMMENT ON STATISTICS highlevel.emails_conversations IS 'A conversation belongs to one location: for the plans of the views.';
"""


def upgrade() -> None:
    op.create_table(
        "time_zones",
        sa.Column("time_zone", sa.Text(), nullable=False, comment="Name, as in highlevel.locations.time_zone."),
        sa.PrimaryKeyConstraint("time_zone", name=op.f("time_zones_pkey")),
        schema="highlevel",
        comment="Time zones that this Postgres knew when the warehouse was migrated. A location whose zone is not among them gets the default: an unknown name would make a whole query fail. To add newer ones: INSERT INTO highlevel.time_zones SELECT name FROM pg_timezone_names ON CONFLICT DO NOTHING",
    )
    op.create_table(
        "settings",
        sa.Column(
            "only_row",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="Always true: there is one row.",
        ),
        sa.Column(
            "default_time_zone",
            sa.Text(),
            server_default=sa.text("'UTC'"),
            nullable=False,
            comment="Time zone of locations that have none, or one that this Postgres does not know.",
        ),
        sa.CheckConstraint("only_row", name=op.f("settings_only_row_check")),
        sa.ForeignKeyConstraint(
            ["default_time_zone"],
            ["highlevel.time_zones.time_zone"],
            name=op.f("settings_default_time_zone_fkey"),
        ),
        sa.PrimaryKeyConstraint("only_row", name=op.f("settings_pkey")),
        schema="highlevel",
        comment="What the owner decides for the views; one row. UPDATE highlevel.settings SET default_time_zone = …",
    )
    op.execute(ZONES)
    op.execute("INSERT INTO highlevel.settings (default_time_zone) VALUES ('UTC')")
    # Emails of a conversation: response_times and conversations look for what came before and after. The table is as
    # new as this migration, so building the index keeps nobody waiting.
    op.create_index(
        op.f("emails_location_id_conversation_id_date_added_idx"),
        "emails",
        ["location_id", "conversation_id", "date_added"],
        unique=False,
        schema="highlevel",
    )
    op.execute(STATISTICS)


def downgrade() -> None:
    views.drop(op.get_bind())
    op.execute("DROP FUNCTION IF EXISTS highlevel.known_zone")
    op.execute("DROP STATISTICS highlevel.messages_conversations, highlevel.emails_conversations")
    op.drop_index(op.f("emails_location_id_conversation_id_date_added_idx"), table_name="emails", schema="highlevel")
    op.drop_table("settings", schema="highlevel")
    op.drop_table("time_zones", schema="highlevel")
