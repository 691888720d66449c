"""When the API last answered about a row, and when rows below others changed."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
FETCHED = ("messages", "emails", "recordings", "transcripts", "contacts", "users", "locations")
BELOW = ("attachments", "meta", "email_attachments")
DISPENSABLE = tuple(
    f"highlevel.{table}.{column}"
    for tables, columns in ((FETCHED, ("checked_at",)), (BELOW, ("created_at", "updated_at")))
    for table in tables
    for column in columns
)

FETCHED_AT = "When the API first answered with what is stored here."
CHECKED_AT = "When the API last answered with what is stored here, or that it is gone. A list or an export that tells nothing new does not count. Null: not since this column exists; see fetched_at."
UPDATED_AT = "When this row last changed here, or what belongs to it: files, meta, status changes. To copy what changed, follow this column."
CHANGED_AT = "When this row last changed."

RECEIVED_AT = "When the content shown here was first received."
BEFORE = {
    "messages": f"{RECEIVED_AT} A later fetch with the same content changes nothing.",
    "emails": "When the content shown here was first received; null: only named by its thread so far.",
    "recordings": RECEIVED_AT,
    "transcripts": RECEIVED_AT,
}


def upgrade() -> None:
    for table in FETCHED:
        moment = sa.DateTime(timezone=True)
        op.add_column(table, sa.Column("checked_at", moment, comment=CHECKED_AT), schema="highlevel")
        _comment(table, "fetched_at", *_meanings(table))
        _comment(table, "updated_at", CHANGED_AT, UPDATED_AT)
    for table in BELOW:
        for name, comment in (("created_at", "When this row was first written."), ("updated_at", CHANGED_AT)):
            # Rows that are there get the time of the upgrade, without being written.
            column = sa.Column(
                name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(), comment=comment
            )
            op.add_column(table, column, schema="highlevel")


def downgrade() -> None:
    for table in BELOW:
        op.drop_column(table, "updated_at", schema="highlevel")
        op.drop_column(table, "created_at", schema="highlevel")
    for table in FETCHED:
        _comment(table, "updated_at", UPDATED_AT, CHANGED_AT)
        _comment(table, "fetched_at", *reversed(_meanings(table)))
        op.drop_column(table, "checked_at", schema="highlevel")


def _meanings(table: str) -> tuple[str, str]:
    named = " Null: only named by its thread so far." if table == "emails" else ""
    return BEFORE.get(table, "When it was last fetched."), FETCHED_AT + named


def _comment(table: str, column: str, before: str, after: str) -> None:
    op.alter_column(table, column, existing_comment=before, comment=after, schema="highlevel")
