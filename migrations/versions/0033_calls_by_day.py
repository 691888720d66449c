"""Calls by day and outcome, counted by the job marts; the report reads them."""

import sqlalchemy as sa
from alembic import op

from etl.database import views

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
COLUMNS = {
    "answered_calls": "Calls that were answered; null for channels other than Call.",
    "missed_calls": "Calls that were missed; null as above.",
    "voicemails": "Calls that ended in a voicemail; null as above.",
    "answered_seconds": "Length of the answered calls, as far as known; null as above.",
}
# The job works them out again.
DISPENSABLE = tuple(f"highlevel.daily_totals.{name}" for name in COLUMNS)

# In whatever zone, one of these noons is in the day.
DAYS = """
SELECT DISTINCT location_id, local_day + noon AS noon FROM highlevel.daily_totals
CROSS JOIN (VALUES (interval '-12 hours'), (interval '12 hours')) AS noons (noon) WHERE channel = 'Call'
"""
NOTE = """
INSERT INTO etl.mart_changes (location_id, happened_at)
SELECT g.location_id, timezone('UTC', g.noon) FROM unnest(CAST(:ids AS text[]), CAST(:noons AS timestamp[])) AS g (location_id, noon)
"""


def upgrade() -> None:
    for name, comment in COLUMNS.items():
        kind = sa.BigInteger() if name == "answered_seconds" else sa.Integer()
        op.add_column("daily_totals", sa.Column(name, kind, comment=comment), schema="highlevel")
    connection = op.get_bind()
    rows = connection.execute(sa.text(DAYS)).all()
    connection.execute(sa.text(NOTE), {"ids": [row.location_id for row in rows], "noons": [row.noon for row in rows]})


def downgrade() -> None:
    views.drop(op.get_bind())
    for name in COLUMNS:
        op.drop_column("daily_totals", name, schema="highlevel")
