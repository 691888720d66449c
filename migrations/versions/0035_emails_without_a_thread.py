"""Turns and conversations whose message is an email of which no thread is known."""

import sqlalchemy as sa
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
        "First message of the turn; if that is an email, the message of its thread, or null if none is known.",
    ),
    "conversation_totals": (
        "last_message_id",
        "The last message.",
        "The last message; if that is an email, the message of its thread, or null if none is known.",
    ),
}
# A downgrade deletes their turns and totals.
CONVERSATIONS = """
SELECT DISTINCT location_id, conversation_id FROM highlevel.emails WHERE message_id IS NULL AND conversation_id IS NOT NULL
"""
NOTE = """
INSERT INTO etl.mart_changes (location_id, conversation_id)
SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:conversation_ids AS text[]))
"""
EMAIL_BEFORE = "The same, where it is an email."
EMAILS = {
    "email_id": "Email that begins the turn; null if a message of another channel does.",
    "answer_email_id": "Email that answers; null if a message of another channel does.",
}


def upgrade() -> None:
    for column, comment in EMAILS.items():
        op.alter_column("turns", column, existing_comment=EMAIL_BEFORE, comment=comment, schema="highlevel")
    connection = op.get_bind()
    for table, (column, before, after) in COLUMNS.items():
        op.alter_column(table, column, nullable=True, existing_comment=before, comment=after, schema="highlevel")
    rows = connection.execute(sa.text(CONVERSATIONS)).all()
    ids, conversation_ids = [row.location_id for row in rows], [row.conversation_id for row in rows]
    connection.execute(sa.text(NOTE), {"ids": ids, "conversation_ids": conversation_ids})


def downgrade() -> None:
    views.drop(op.get_bind())
    for column, comment in EMAILS.items():
        op.alter_column("turns", column, existing_comment=comment, comment=EMAIL_BEFORE, schema="highlevel")
    for table, (column, before, after) in COLUMNS.items():
        op.execute(f"DELETE FROM highlevel.{table} WHERE {column} IS NULL")  # noqa: S608 - constants
        op.alter_column(table, column, nullable=False, existing_comment=after, comment=before, schema="highlevel")
