"""What belonged to a forgotten contact is known by its hashes; who looks there may lock what it reads."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Who may read etl.forgotten, but for its owner: the roles of workers and receivers, which keep working.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT a.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS a
                WHERE c.oid = 'etl.forgotten'::regclass AND a.privilege_type = 'SELECT'
                  AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON etl.erased TO %s', role);
        EXECUTE pg_catalog.format('REVOKE INSERT, UPDATE ON etl.erased FROM %s', role);
        EXECUTE pg_catalog.format('GRANT UPDATE (forgotten_at) ON etl.forgotten TO %s', role);
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "erased",
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the id."),
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location it belonged to."),
        sa.Column("contact_digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the contact's id."),
        sa.PrimaryKeyConstraint("digest", "location_id", name=op.f("erased_pkey")),
        schema="etl",
        comment="What was erased with a contact: the ids of its messages, emails and conversations, as hashes. What "
        "HighLevel sends about them is not stored again.",
    )
    op.execute(GRANT)


def downgrade() -> None:
    op.drop_table("erased", schema="etl")
