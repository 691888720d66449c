"""What somebody was told of, and is not over."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ("etl.notices",)

# Roles of workers tell: etl check --notify, etl run --follow.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT x.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
                WHERE c.oid = 'etl.runs'::regclass AND x.privilege_type = 'UPDATE' AND x.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON etl.notices TO %s', role);
    END LOOP;
END $$
"""


def upgrade() -> None:
    columns = {
        "began_at": "When it was first told.",
        "told_at": "When it was last told; a reminder follows a day later.",
    }
    op.create_table(
        "notices",
        sa.Column("name", sa.Text(), nullable=False, comment="What kind of finding, e.g. webhooks or runs."),
        sa.Column("subject", sa.Text(), nullable=False, comment="Which location, job or kind; empty: there is one."),
        *(
            sa.Column(
                name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=comment
            )
            for name, comment in columns.items()
        ),
        sa.PrimaryKeyConstraint("name", "subject", name=op.f("notices_pkey")),
        schema="etl",
        comment="Findings of etl check that somebody was told of, until they are over.",
    )
    op.execute(GRANT)


def downgrade() -> None:
    op.drop_table("notices", schema="etl")
