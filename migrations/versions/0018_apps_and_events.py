"""When the app was last installed or removed by the event's own time, and what tells events of one webhookId apart."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE = ("etl.companies.app_changed_at", "etl.locations.app_changed_at", "etl.webhook_events.digest")

CHANGED = {
    "locations": "When the app was last installed, connected or uninstalled, by the event's own time: an older event changes nothing.",
    "companies": "As in etl.locations.",
}
WEBHOOK_ID = (
    "The event; a redelivery repeats it. API: webhookId, else sha256: and the hash of the body. Posts of a workflow: workflow: and a number of our own.",
    "The event; a redelivery repeats it. API: webhookId; where there is none, or another event has it, sha256: and the hash of the body. Posts of a workflow: workflow: and a number of our own.",
)

# The roles of receivers have rights on columns. Those that may retire locations keep working.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT x.grantee::regrole FROM pg_catalog.pg_attribute AS a, pg_catalog.aclexplode(a.attacl) AS x
                WHERE a.attrelid = 'etl.locations'::regclass AND a.attname = 'retired_at'
                  AND x.privilege_type = 'UPDATE' AND x.grantee <> 0
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT (digest) ON etl.webhook_events TO %s', role);
        EXECUTE pg_catalog.format('GRANT SELECT (token_issued_at, app_changed_at), INSERT (app_changed_at), '
                                  'UPDATE (app_changed_at) ON etl.locations, etl.companies TO %s', role);
    END LOOP;
END $$
"""


def upgrade() -> None:
    for table, comment in CHANGED.items():
        column = sa.Column("app_changed_at", sa.DateTime(timezone=True), nullable=True, comment=comment)
        op.add_column(table, column, schema="etl")
    op.add_column(
        "webhook_events",
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of the body, which tells another event of the same webhookId; null where an older version stored it.",
        ),
        schema="etl",
    )
    before, after = WEBHOOK_ID
    op.alter_column("webhook_events", "webhook_id", existing_comment=before, comment=after, schema="etl")
    op.execute(GRANT)


def downgrade() -> None:
    before, after = WEBHOOK_ID
    op.alter_column("webhook_events", "webhook_id", existing_comment=after, comment=before, schema="etl")
    op.drop_column("webhook_events", "digest", schema="etl")
    for table in CHANGED:
        op.drop_column(table, "app_changed_at", schema="etl")
