"""Messages and calls by day and user, counted by the job marts."""

import sqlalchemy as sa
from alembic import op

from etl.database import views

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
# The job works it out again.
DISPENSABLE = ("highlevel.user_totals",)

# Who keeps the other marts keeps this one, too.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT x.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
                WHERE c.oid = 'highlevel.daily_totals'::regclass AND x.privilege_type = 'UPDATE' AND x.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON highlevel.user_totals TO %s', role);
    END LOOP;
END $$
"""
# In whatever zone, one of these noons is in the day.
DAYS = """
SELECT DISTINCT location_id, local_day + noon AS noon FROM highlevel.daily_totals
CROSS JOIN (VALUES (interval '-12 hours'), (interval '12 hours')) AS noons (noon)
"""
NOTE = """
INSERT INTO etl.mart_changes (location_id, happened_at)
SELECT g.location_id, timezone('UTC', g.noon) FROM unnest(CAST(:ids AS text[]), CAST(:noons AS timestamp[])) AS g (location_id, noon)
"""
MARTS_BEFORE = "Up to when the tables that the job marts fills are complete: turns, conversation_totals, daily_totals and delivery_totals. One row."
MARTS = "Up to when the tables that the job marts fills are complete: turns, conversation_totals, daily_totals, user_totals and delivery_totals. One row."


def upgrade() -> None:
    op.create_table(
        "user_totals",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location."),
        sa.Column("local_day", sa.Date(), nullable=False, comment="Day in the location's own time zone."),
        sa.Column(
            "position",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Place among the rows of the day, from 1.",
        ),
        sa.Column("user_id", sa.Text(), nullable=False, comment="User who sent or answered them."),
        sa.Column("channel", sa.Text(), nullable=False, comment="SMS, Call, Email …; see messages_flat.channel."),
        sa.Column("direction", sa.Text(), nullable=True, comment="inbound or outbound."),
        sa.Column("sent_by", sa.Text(), nullable=False, comment="Who sent it; see messages_flat.sent_by."),
        sa.Column("messages", sa.Integer(), nullable=False, comment="Messages."),
        sa.Column(
            "contacts",
            sa.Integer(),
            nullable=False,
            comment="Number of different contacts. Do not add these up: a contact may be in many rows.",
        ),
        sa.Column(
            "answered_calls",
            sa.Integer(),
            nullable=True,
            comment="Calls that were answered; null for channels other than Call.",
        ),
        sa.Column("missed_calls", sa.Integer(), nullable=True, comment="Calls that were missed; null as above."),
        sa.Column("voicemails", sa.Integer(), nullable=True, comment="Calls that ended in a voicemail; null as above."),
        sa.Column(
            "answered_seconds",
            sa.BigInteger(),
            nullable=True,
            comment="Length of the answered calls, as far as known; null as above.",
        ),
        sa.PrimaryKeyConstraint("location_id", "local_day", "position", name=op.f("user_totals_pkey")),
        schema="highlevel",
        comment="Number of messages that name a user, by day, user, channel and direction, filled by the job marts. Read the view highlevel.daily_users instead.",
    )
    op.execute(GRANT)
    op.create_table_comment("marts", MARTS, existing_comment=MARTS_BEFORE, schema="highlevel")
    connection = op.get_bind()
    rows = connection.execute(sa.text(DAYS)).all()
    connection.execute(sa.text(NOTE), {"ids": [row.location_id for row in rows], "noons": [row.noon for row in rows]})
    # Until then, rows are missing.
    op.execute("UPDATE highlevel.marts SET as_of = NULL WHERE as_of IS NOT NULL")


def downgrade() -> None:
    views.drop(op.get_bind())
    op.create_table_comment("marts", MARTS_BEFORE, existing_comment=MARTS, schema="highlevel")
    op.drop_table("user_totals", schema="highlevel")
