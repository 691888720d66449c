"""Comments of the schema etl, in plainer words."""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ()

TABLES = {
    "dead_letters": (
        "Items given up on, with the cause and what was received. See etl dead list|show|retry|purge.",
        "Items that failed for good, with the cause and what was received. See etl dead list|show|retry|purge.",
    ),
    "notices": (
        "Findings of etl check that somebody was told of, until they are over.",
        "Findings of etl check that were sent as notices, until they are over.",
    ),
}
OUTCOMES = "queued: its ids were queued. no_id: a message without id, for etl reconcile to find. bad_id: its id cannot be asked for. ignored: of no interest. install, uninstall: "
COLUMNS = {
    ("companies", "name"): ("Its name; null where it was never told.", "Its name; null where it is not known."),
    ("dead_letters", "died_at"): ("When it was given up on.", "When it became a dead letter."),
    ("locations", "name"): (
        "Its name, as HighLevel lists it; null where it was never told.",
        "Its name, as HighLevel lists it; null where it is not known.",
    ),
    ("locations", "pause_detail"): (
        "The API's reason, for the one who mends it.",
        "The API's reason, for whoever fixes it.",
    ),
    ("message_queue", "again"): (
        "Queued again while in hand: it will be fetched once more.",
        "Queued again while claimed: it will be fetched once more.",
    ),
    ("message_queue", "lease_id"): (
        "Claim that has the item in hand; null while it waits. Unique to one claim.",
        "Claim of a worker; null while the item waits. Unique to one claim.",
    ),
    ("notices", "began_at"): ("When it was first told.", "When it was first sent."),
    ("notices", "told_at"): (
        "When it was last told; a reminder follows a day later.",
        "When it was last sent; a reminder follows a day later.",
    ),
    ("runs", "dead"): (
        "Items given up on: new rows of etl.dead_letters.",
        "Items that failed for good: new rows of etl.dead_letters.",
    ),
    ("webhook_events", "outcome"): (
        f"{OUTCOMES}a location was added or retired.",
        f"{OUTCOMES}the app was installed or uninstalled.",
    ),
}


def upgrade() -> None:
    _comment(before=0, after=1)


def downgrade() -> None:
    _comment(before=1, after=0)


def _comment(*, before: int, after: int) -> None:
    for table, words in TABLES.items():
        op.create_table_comment(table, words[after], existing_comment=words[before], schema="etl")
    for (table, column), words in COLUMNS.items():
        op.alter_column(table, column, existing_comment=words[before], comment=words[after], schema="etl")
