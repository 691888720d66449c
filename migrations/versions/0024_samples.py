"""How the work went lately."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ("etl.samples",)

FIGURES = "Numbers by name: due items, totals of what runs did and the API answered, lag in seconds, share of the allowance left."

# Roles of workers keep samples: etl check, etl run --follow.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT x.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
                WHERE c.oid = 'etl.runs'::regclass AND x.privilege_type = 'UPDATE' AND x.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON etl.samples TO %s', role);
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "samples",
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False, comment="Beginning of the five minutes."),
        sa.Column("figures", postgresql.JSONB(none_as_null=True), nullable=False, comment=FIGURES),
        sa.PrimaryKeyConstraint("taken_at", name=op.f("samples_pkey")),
        schema="etl",
        comment="How the work went, every five minutes for eight days, while somebody watches; for the page of etl serve.",
    )
    op.execute(GRANT)


def downgrade() -> None:
    op.drop_table("samples", schema="etl")
