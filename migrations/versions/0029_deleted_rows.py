"""Which rows were deleted here, for those who have copies; changes of emails' statuses are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
# Of a past that no older version knows.
DISPENSABLE = ("highlevel.deleted_rows", "highlevel.email_status_changes")

# Who may load emails, but for the owner of the tables: the roles of workers, which keep working.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT a.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS a
                WHERE c.oid = 'highlevel.emails'::regclass AND a.privilege_type = 'INSERT'
                  AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE ON highlevel.email_status_changes TO %s', role);
    END LOOP;
END $$
"""


def _column(name: str, comment: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null, comment=comment)


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "email_status_changes",
        _column("location_id", "Location the email belongs to."),
        _column("email_id", "Email whose status changed."),
        sa.Column("seen_at", moment, nullable=False, comment="When the new status was first received."),
        _column("previous_status", "Status before; null when there was none.", null=True),
        _column("status", "Status from then on.", null=True),
        sa.Column("date_updated", moment, comment="HighLevel's own time of it. API: dateUpdated."),
        sa.PrimaryKeyConstraint("location_id", "email_id", "seen_at", name=op.f("email_status_changes_pkey")),
        schema="highlevel",
        comment="Changes of emails' statuses, as fetches found them: as in highlevel.status_changes.",
    )
    op.create_table(
        "deleted_rows",
        _column("location_id", "Location the row belonged to."),
        _column("id", "Its message_id, email_id or contact_id."),
        _column("table_name", "Table it was in: messages, emails or contacts."),
        sa.Column(
            "deleted_at", moment, nullable=False, server_default=sa.func.now(), comment="When it was deleted here."
        ),
        _column("why", "erased: with its contact. pruned: it was too old."),
        sa.PrimaryKeyConstraint("location_id", "id", "table_name", name=op.f("deleted_rows_pkey")),
        sa.CheckConstraint("why IN ('erased', 'pruned')", name=op.f("deleted_rows_why_is_known_check")),
        schema="highlevel",
        comment="Rows that etl forget or etl prune deleted here, for those who have copies: delete there what they name, and what belongs to it. Kept for 90 days. What is gone in HighLevel keeps its row, with deleted_at.",
    )
    op.create_index(op.f("deleted_rows_deleted_at_idx"), "deleted_rows", ["deleted_at"], schema="highlevel")
    op.execute(GRANT)


def downgrade() -> None:
    op.drop_table("deleted_rows", schema="highlevel")
    op.drop_table("email_status_changes", schema="highlevel")
