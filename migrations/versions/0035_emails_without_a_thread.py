"""Turns and conversations whose message is an email of which no thread is known."""

from alembic import op

from etl.database import views

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ()

COLUMNS = {
    "turns": (
        "message_id",
        "First message of the turn.",
        "First message of the turn; of an email its thread, where known.",
    ),
    "conversation_totals": (
        "last_message_id",
        "The last message.",
        "The last message; of an email its thread, where known.",
    ),
}


def upgrade() -> None:
    for table, (column, before, after) in COLUMNS.items():
        op.alter_column(table, column, nullable=True, existing_comment=before, comment=after, schema="highlevel")


def downgrade() -> None:
    views.drop(op.get_bind())
    for table, (column, before, after) in COLUMNS.items():
        op.execute(f"DELETE FROM highlevel.{table} WHERE {column} IS NULL")  # noqa: S608 - constants
        op.alter_column(table, column, nullable=False, existing_comment=after, comment=before, schema="highlevel")
