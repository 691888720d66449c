"""Tables for turns, conversations and days, which the job marts keeps; the views read them."""

import sqlalchemy as sa
from alembic import op

from etl.database import views

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
# The job works them out again.
DISPENSABLE = (
    "etl.mart_changes",
    "etl.mart_zones",
    "highlevel.turns",
    "highlevel.conversation_totals",
    "highlevel.daily_totals",
    "highlevel.delivery_totals",
    "highlevel.marts",
)

# Who may load messages, but for the owner of the tables: the roles of workers, which keep working.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT a.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS a
                WHERE c.oid = 'highlevel.messages'::regclass AND a.privilege_type = 'INSERT'
                  AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON etl.mart_changes, highlevel.turns, '
                                  'highlevel.conversation_totals, highlevel.daily_totals, highlevel.delivery_totals TO %s', role);
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE ON etl.mart_zones, highlevel.marts TO %s', role);
    END LOOP;
END $$
"""
LOCATIONS = "SELECT location_id FROM highlevel.messages UNION SELECT location_id FROM highlevel.emails"


def upgrade() -> None:
    # Not concurrently: that waits for the transactions in which other migrators wait for this one. Writes wait meanwhile.
    for table in ("messages", "emails"):
        op.create_index(op.f(f"{table}_date_added_idx"), table, ["date_added"], unique=False, schema="highlevel")
    op.create_table(
        "mart_changes",
        sa.Column("change_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="The change."),
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location it is at."),
        sa.Column(
            "message_id",
            sa.Text(),
            nullable=True,
            comment="Message that is looked up, with the emails of which it is the thread; null: none needs to be.",
        ),
        sa.Column("conversation_id", sa.Text(), nullable=True, comment="Conversation that changed; null: none did."),
        sa.Column(
            "happened_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="A time in the day that changed; null: none did. One that lies ahead waits until a day before it.",
        ),
        sa.Column(
            "noted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was noted, in the transaction that changed it.",
        ),
        sa.PrimaryKeyConstraint("change_id", name=op.f("mart_changes_pkey")),
        schema="etl",
        comment="What was loaded, deleted or erased since the job marts last ran; it deletes what it has worked out. A row of which only location_id is set stands for the whole location.",
        postgresql_with={
            "fillfactor": 70,
            "autovacuum_vacuum_scale_factor": 0.01,
            "autovacuum_vacuum_threshold": 1000,
            "autovacuum_vacuum_insert_scale_factor": 0.05,
            "autovacuum_analyze_scale_factor": 0.05,
            "autovacuum_vacuum_cost_delay": 0,
        },
    )
    op.create_table(
        "mart_zones",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location."),
        sa.Column(
            "time_zone", sa.Text(), nullable=False, comment="As in highlevel.location_time_zones.local_time_zone."
        ),
        sa.PrimaryKeyConstraint("location_id", name=op.f("mart_zones_pkey")),
        schema="etl",
        comment="The time zones that the job marts has used; where one has changed, it works out the location anew.",
    )
    op.create_table(
        "conversation_totals",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location."),
        sa.Column("conversation_id", sa.Text(), nullable=False, comment="The conversation."),
        sa.Column("contact_id", sa.Text(), nullable=True, comment="Contact of its last message."),
        sa.Column(
            "first_date_added",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When its first message was created, of those loaded.",
        ),
        sa.Column(
            "last_date_added", sa.DateTime(timezone=True), nullable=False, comment="When its last message was created."
        ),
        sa.Column("last_local_time", sa.DateTime(), nullable=False, comment="The same on the location's own clock."),
        sa.Column("last_local_day", sa.Date(), nullable=False, comment="The day of last_local_time."),
        sa.Column("messages", sa.Integer(), nullable=False, comment="Messages in it."),
        sa.Column("inbound", sa.Integer(), nullable=False, comment="Those from the contact."),
        sa.Column("outbound", sa.Integer(), nullable=False, comment="Those to the contact."),
        sa.Column("last_channel", sa.Text(), nullable=False, comment="Channel of the last message."),
        sa.Column("last_direction", sa.Text(), nullable=True, comment="Direction of the last message."),
        sa.Column(
            "last_sent_by", sa.Text(), nullable=False, comment="Who sent the last message; see messages_flat.sent_by."
        ),
        sa.Column("last_message_id", sa.Text(), nullable=False, comment="The last message."),
        sa.Column(
            "waiting_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the contact first wrote or called since the last answer of any kind; null: nothing waits.",
        ),
        sa.Column(
            "waiting_for_human_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The same since the last answer of a person.",
        ),
        sa.PrimaryKeyConstraint("location_id", "conversation_id", name=op.f("conversation_totals_pkey")),
        schema="highlevel",
        comment="One row a conversation in which something was exchanged with the contact, kept by the job marts. Ask highlevel.conversations, which adds the names.",
    )
    op.create_index(
        op.f("conversation_totals_last_date_added_idx"),
        "conversation_totals",
        ["last_date_added"],
        unique=False,
        schema="highlevel",
    )
    op.create_index(
        op.f("conversation_totals_location_id_last_local_day_idx"),
        "conversation_totals",
        ["location_id", "last_local_day"],
        unique=False,
        schema="highlevel",
    )
    op.create_table(
        "daily_totals",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location."),
        sa.Column("local_day", sa.Date(), nullable=False, comment="Day in the location's own time zone."),
        sa.Column(
            "position",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Place among the rows of the day, from 1.",
        ),
        sa.Column("channel", sa.Text(), nullable=False, comment="SMS, Call, Email …; see messages_flat.channel."),
        sa.Column("direction", sa.Text(), nullable=True, comment="inbound or outbound."),
        sa.Column("source", sa.Text(), nullable=True, comment="What sent it, in HighLevel's words."),
        sa.Column("sent_by", sa.Text(), nullable=False, comment="Who sent it; see messages_flat.sent_by."),
        sa.Column("messages", sa.Integer(), nullable=False, comment="Messages."),
        sa.Column(
            "contacts",
            sa.Integer(),
            nullable=False,
            comment="Different contacts among them; do not add these up over rows.",
        ),
        sa.PrimaryKeyConstraint("location_id", "local_day", "position", name=op.f("daily_totals_pkey")),
        schema="highlevel",
        comment="Messages a day, by channel, direction and source, kept by the job marts. Ask highlevel.daily_messages.",
    )
    op.create_table(
        "delivery_totals",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location."),
        sa.Column("local_day", sa.Date(), nullable=False, comment="Day in the location's own time zone."),
        sa.Column(
            "position",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Place among the rows of the day, from 1.",
        ),
        sa.Column("channel", sa.Text(), nullable=False, comment="SMS, Email …; see messages_flat.channel."),
        sa.Column("source", sa.Text(), nullable=True, comment="What sent it, in HighLevel's words."),
        sa.Column("sent_by", sa.Text(), nullable=False, comment="Who sent it; see messages_flat.sent_by."),
        sa.Column(
            "error", sa.Text(), nullable=True, comment="The provider's words for what failed; null: there are none."
        ),
        sa.Column("messages", sa.Integer(), nullable=False, comment="All of them."),
        sa.Column("waiting", sa.Integer(), nullable=False, comment="Status pending, queued or scheduled."),
        sa.Column("sent", sa.Integer(), nullable=False, comment="Status sent, or any that comes after it."),
        sa.Column("delivered", sa.Integer(), nullable=False, comment="Status delivered, read, opened or clicked."),
        sa.Column("opened", sa.Integer(), nullable=False, comment="Status read, opened or clicked."),
        sa.Column("failed", sa.Integer(), nullable=False, comment="Status failed or undelivered."),
        sa.PrimaryKeyConstraint("location_id", "local_day", "position", name=op.f("delivery_totals_pkey")),
        schema="highlevel",
        comment="What became of outbound messages, by the day they were created, kept by the job marts. Ask highlevel.delivery.",
    )
    op.create_table(
        "marts",
        sa.Column(
            "only_row",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="Always true: there is one row.",
        ),
        sa.Column(
            "as_of",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Everything that was loaded until then is in them; null: they were never filled, or are being filled for the first time.",
        ),
        sa.CheckConstraint("only_row", name=op.f("marts_only_row_check")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("marts_pkey")),
        schema="highlevel",
        comment="As of when the tables are that the job marts keeps: turns, conversation_totals, daily_totals and delivery_totals. One row.",
    )
    op.create_table(
        "turns",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location."),
        sa.Column("conversation_id", sa.Text(), nullable=False, comment="Conversation."),
        sa.Column("date_added", sa.DateTime(timezone=True), nullable=False, comment="When the turn began."),
        sa.Column("contact_id", sa.Text(), nullable=True, comment="Contact who wrote or called."),
        sa.Column("message_id", sa.Text(), nullable=False, comment="First message of the turn."),
        sa.Column("email_id", sa.Text(), nullable=True, comment="The same, where it is an email."),
        sa.Column("channel", sa.Text(), nullable=False, comment="Its channel; see messages_flat.channel."),
        sa.Column("local_time", sa.DateTime(), nullable=False, comment="date_added on the location's own clock."),
        sa.Column("local_day", sa.Date(), nullable=False, comment="The day of local_time."),
        sa.Column("local_month", sa.Date(), nullable=False, comment="The first day of its month."),
        sa.Column(
            "answered_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the first answer was created; null: none so far.",
        ),
        sa.Column("answer_message_id", sa.Text(), nullable=True, comment="That answer."),
        sa.Column("answer_email_id", sa.Text(), nullable=True, comment="The same, where it is an email."),
        sa.Column("answer_channel", sa.Text(), nullable=True, comment="Its channel."),
        sa.Column("answered_by", sa.Text(), nullable=True, comment="Who sent it; see messages_flat.sent_by."),
        sa.Column(
            "human_answered_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When a person first answered, or the contact called and somebody answered; null: none so far.",
        ),
        sa.Column("user_id", sa.Text(), nullable=True, comment="User who gave that answer, where HighLevel says."),
        sa.PrimaryKeyConstraint("location_id", "conversation_id", "date_added", name=op.f("turns_pkey")),
        schema="highlevel",
        comment="Turns of contacts, kept by the job marts. Ask highlevel.response_times, which adds the names.",
    )
    op.create_index(
        op.f("turns_location_id_local_month_local_day_idx"),
        "turns",
        ["location_id", "local_month", "local_day"],
        unique=False,
        schema="highlevel",
    )
    op.execute("INSERT INTO highlevel.marts DEFAULT VALUES")
    # The job fills the tables: here it is only noted that it has to.
    connection = op.get_bind()
    for location_id in connection.execute(sa.text(LOCATIONS)).scalars().all():
        connection.execute(
            sa.text("INSERT INTO etl.mart_changes (location_id) VALUES (:location_id)"), {"location_id": location_id}
        )
    op.execute(GRANT)


def downgrade() -> None:
    views.drop(op.get_bind())

    op.drop_index(op.f("messages_date_added_idx"), table_name="messages", schema="highlevel")
    op.drop_index(op.f("emails_date_added_idx"), table_name="emails", schema="highlevel")
    op.drop_index(op.f("turns_location_id_local_month_local_day_idx"), table_name="turns", schema="highlevel")
    op.drop_table("turns", schema="highlevel")
    op.drop_table("marts", schema="highlevel")
    op.drop_table("delivery_totals", schema="highlevel")
    op.drop_table("daily_totals", schema="highlevel")
    op.drop_index(
        op.f("conversation_totals_location_id_last_local_day_idx"), table_name="conversation_totals", schema="highlevel"
    )
    op.drop_index(op.f("conversation_totals_last_date_added_idx"), table_name="conversation_totals", schema="highlevel")
    op.drop_table("conversation_totals", schema="highlevel")
    op.drop_table("mart_zones", schema="etl")
    op.drop_table("mart_changes", schema="etl")
