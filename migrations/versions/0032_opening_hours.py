"""Opening hours of locations, and how long of a wait was within them. No stored name of a time zone fails a view."""

import sqlalchemy as sa
from alembic import op

from etl.database import views

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
# The job works them out again.
DISPENSABLE = (
    "etl.mart_zones.opening_hours",
    "highlevel.turns.open_seconds",
    "highlevel.turns.human_open_seconds",
)

# Only an error tells whether Postgres knows a name: to look through pg_timezone_names takes 60 ms.
KNOWN_ZONE = """
CREATE OR REPLACE FUNCTION highlevel.known_zone(zone text) RETURNS text LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_catalog.timezone(zone, pg_catalog.now());
    RETURN zone;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN NULL;
END $$
"""
COMMENT = """
COMMENT ON FUNCTION highlevel.known_zone IS 'The name of a time zone, or null where this Postgres does not know it.'
"""
# Who works turns out needs to read the hours.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT x.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
                WHERE c.oid = 'highlevel.turns'::regclass AND x.privilege_type = 'UPDATE' AND x.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON highlevel.opening_hours TO %s', role);
    END LOOP;
END $$
"""
ZONES_BEFORE = "The time zones that the job marts has used; where one has changed, it works out the location anew."
ZONES = (
    "The time zones and opening hours that the job marts has used; where they have changed, it works out the location "
    "anew."
)
ID = "location_id ~ '^[A-Za-z0-9._~:@=+-]{1,128}$' AND location_id !~ '^[.]+$'"


def upgrade() -> None:
    op.create_table(
        "opening_hours",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location."),
        sa.Column(
            "weekday",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Day on which it opens: 1 is Monday, 7 is Sunday.",
        ),
        sa.Column("opens", sa.Time(), nullable=False, comment="When it opens."),
        sa.Column(
            "closes",
            sa.Time(),
            nullable=False,
            comment="When it closes; on the next day, if that is not after opens. The end of a day is 24:00.",
        ),
        sa.CheckConstraint(ID, name=op.f("opening_hours_location_id_is_valid_check")),
        sa.CheckConstraint("weekday BETWEEN 1 AND 7", name=op.f("opening_hours_weekday_is_one_check")),
        sa.CheckConstraint("opens < '24:00' AND opens <> closes", name=op.f("opening_hours_span_has_a_length_check")),
        sa.PrimaryKeyConstraint("location_id", "weekday", "opens", name=op.f("opening_hours_pkey")),
        schema="highlevel",
        comment="When locations are open, by their own clocks; you fill it, a row a span. A location without rows is always open. What overlaps counts once. INSERT INTO highlevel.opening_hours VALUES ('…', 1, '09:00', '18:00')",
    )
    op.add_column(
        "turns",
        sa.Column(
            "open_seconds",
            sa.Double(),
            comment="Seconds from date_added to answered_at within highlevel.opening_hours; null: there are none, or no answer.",
        ),
        schema="highlevel",
    )
    op.add_column(
        "turns",
        sa.Column("human_open_seconds", sa.Double(), comment="The same to human_answered_at."),
        schema="highlevel",
    )
    op.add_column(
        "mart_zones",
        sa.Column(
            "opening_hours", sa.Text(), comment="Those of highlevel.opening_hours, in one text; null: it has none."
        ),
        schema="etl",
    )
    op.create_table_comment("mart_zones", ZONES, existing_comment=ZONES_BEFORE, schema="etl")
    op.execute(GRANT)
    op.execute(KNOWN_ZONE)
    op.execute(COMMENT)


def downgrade() -> None:
    views.drop(op.get_bind())
    # The function stays: the views are made anew, and ask it.
    op.create_table_comment("mart_zones", ZONES_BEFORE, existing_comment=ZONES, schema="etl")
    op.drop_column("mart_zones", "opening_hours", schema="etl")
    op.drop_column("turns", "human_open_seconds", schema="highlevel")
    op.drop_column("turns", "open_seconds", schema="highlevel")
    op.drop_table("opening_hours", schema="highlevel")
