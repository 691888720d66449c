"""Runs count what the API answered, and what deleted runs did is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

ANSWERS = {
    "answered_2xx": "Requests that the API answered.",
    "answered_4xx": "Requests that the API refused, but for 429; or redirected.",
    "answered_429": "Requests that were too many: HTTP 429.",
    "answered_5xx": "Requests at which the API failed.",
    "unanswered": "Requests without a complete answer.",
}
COUNTS = ("loaded", "unchanged", "deleted", "retried", "snoozed", "dead", *ANSWERS)

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ("etl.run_totals", *(f"etl.runs.{each}" for each in ANSWERS))

# Roles of workers read what deleted runs did: etl metrics.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT x.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
                WHERE c.oid = 'etl.runs'::regclass AND x.privilege_type = 'UPDATE' AND x.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON etl.run_totals TO %s', role);
    END LOOP;
END $$
"""


def upgrade() -> None:
    for name, comment in ANSWERS.items():
        column = sa.Column(name, sa.Integer(), server_default="0", nullable=False, comment=comment)
        op.add_column("runs", column, schema="etl")
    op.create_table(
        "run_totals",
        sa.Column("job", sa.Text(), nullable=False, comment="As in etl.runs."),
        *(sa.Column(name, sa.BigInteger(), nullable=False, comment="As in etl.runs.") for name in COUNTS),
        sa.PrimaryKeyConstraint("job", name=op.f("run_totals_pkey")),
        schema="etl",
        comment="What the runs had done that etl prune deleted, one row a job: totals of etl metrics never fall.",
    )
    op.execute(GRANT)


def downgrade() -> None:
    op.drop_table("run_totals", schema="etl")
    for name in ANSWERS:
        op.drop_column("runs", name, schema="etl")
