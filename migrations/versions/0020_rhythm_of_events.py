"""How often the events of a location come can be read quickly."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ()

INDEX = "webhook_events_location_id_received_at_idx"

# Roles of workers see when events came, and of which location: etl check.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT x.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
                WHERE c.oid = 'etl.runs'::regclass AND x.privilege_type = 'UPDATE' AND x.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT (location_id, received_at) ON etl.webhook_events TO %s', role);
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_index(op.f(INDEX), "webhook_events", ["location_id", "received_at"], schema="etl")
    op.execute(GRANT)


def downgrade() -> None:
    op.drop_index(op.f(INDEX), table_name="webhook_events", schema="etl")
