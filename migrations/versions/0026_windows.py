"""Times that exports are asked for are items of the queue; what backfills have loaded and left is kept."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE = ("etl.windows",)

KINDS = "'message', 'email', 'conversation', 'transcription', 'recording', 'contact', 'user', 'location'"
COMMENTS = {
    "kind": (
        "What to fetch: message, email, conversation, transcription, recording, contact, user, location{more}.",
        ", window",
    ),
    "message_id": (
        "Its id in HighLevel: of a transcription or recording the message's, else the thing's own{more}.",
        "; of a window that in etl.windows",
    ),
}

# What was younger than an hour when it was loaded does not count, nor does what a clock that was ahead has written down.
FROM_BACKFILLS = """
    WITH bounds AS (
        SELECT *, date_trunc('milliseconds', since) AS start,
               date_trunc('milliseconds', greatest(since, least(reached, seen_at - interval '1 hour'))) AS done,
               date_trunc('milliseconds', until + interval '999 microseconds') AS goal
        FROM etl.backfills
    ), parts AS (
        SELECT location_id, start AS since, done AS until, messages, missing, seen_at AS queued_at, seen_at AS finished_at
        FROM bounds WHERE start < done
        UNION ALL
        SELECT location_id, done, goal, 0, 0, now(), NULL FROM bounds WHERE done < goal AND finished_at IS NULL
    )
    INSERT INTO etl.windows
        (location_id, window_id, why, since, until, messages, missing, queued_at, finished_at)
    SELECT location_id, 'history:' || round(extract(epoch FROM since) * 1000)::bigint || ':'
                        || round(extract(epoch FROM until) * 1000)::bigint,
           'history', since, until, messages, missing, queued_at, finished_at
    FROM parts ON CONFLICT DO NOTHING
"""
QUEUED = """
    INSERT INTO etl.message_queue (kind, message_id, location_id, priority)
    SELECT 'window', window_id, location_id, -1 FROM etl.windows WHERE finished_at IS NULL
"""
TO_BACKFILLS = """
    INSERT INTO etl.backfills (location_id, since, until, reached, messages, missing, started_at, seen_at, finished_at)
    SELECT location_id, min(since), max(until), coalesce(min(since) FILTER (WHERE finished_at IS NULL), max(until)),
           sum(messages), sum(missing), min(queued_at), max(coalesce(finished_at, queued_at)),
           CASE WHEN every(finished_at IS NOT NULL) THEN max(finished_at) END
    FROM etl.windows WHERE why = 'history' GROUP BY location_id
"""
# Roles of workers may do with windows what they may do with the queue.
GRANT = """
DO $$
DECLARE role regrole;
BEGIN
    FOR role IN SELECT DISTINCT x.grantee::regrole FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
                WHERE c.oid = 'etl.runs'::regclass AND x.privilege_type = 'UPDATE' AND x.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON etl.windows TO %s', role);
    END LOOP;
END $$
"""


def _column(
    name: str, kind: sa.types.TypeEngine[Any], comment: str, *, null: bool = False, default: str | None = None
) -> sa.Column[Any]:
    server = sa.text(default) if default else None
    return sa.Column(name, kind, nullable=null, server_default=server, comment=comment)


def upgrade() -> None:
    text, moment, count = sa.Text(), sa.DateTime(timezone=True), sa.BigInteger()
    op.create_table(
        "windows",
        _column("location_id", text, "As in etl.locations."),
        _column("window_id", text, "Its message_id in etl.message_queue: the next three columns in one."),
        _column(
            "why",
            text,
            "history: etl backfill loads it. backlog: etl run does, since many of its messages wait. compare: etl reconcile compares it with the tables.",
        ),
        _column("since", moment, "Messages created then or later are asked for."),
        _column("until", moment, "Messages created before then are asked for."),
        _column("messages", count, "How many messages it has.", default="0"),
        _column("missing", count, "How many more the export counted and did not give.", default="0"),
        _column("written", count, "How many were new or had changed.", default="0"),
        _column("singly", count, "How many could not be loaded from the export and were queued.", default="0"),
        _column("requests", count, "Pages that were asked for.", default="0"),
        _column(
            "days", postgresql.JSONB(none_as_null=True), "Of one that compares: what it found, by UTC day.", null=True
        ),
        _column("queued_at", moment, "When it was queued.", default="now()"),
        _column("finished_at", moment, "When it was walked; null until then.", null=True),
        sa.PrimaryKeyConstraint("location_id", "window_id", name=op.f("windows_pkey")),
        sa.CheckConstraint("why IN ('history', 'backlog', 'compare')", name=op.f("windows_why_is_known_check")),
        sa.CheckConstraint("since < until", name=op.f("windows_time_is_some_check")),
        schema="etl",
        comment="Times that the export of a location is asked for: each is an item of kind window. Of history, they say what is loaded: etl backfill goes on from there.",
    )
    _know_kinds(f"{KINDS}, 'window'")
    for column, (comment, more) in COMMENTS.items():
        before, after = comment.format(more=""), comment.format(more=more)
        op.alter_column("message_queue", column, existing_comment=before, comment=after, schema="etl")
    op.execute(FROM_BACKFILLS)
    op.execute(QUEUED)
    op.drop_table("backfills", schema="etl")
    op.execute(GRANT)


def downgrade() -> None:
    text, moment, count = sa.Text(), sa.DateTime(timezone=True), sa.BigInteger()
    op.create_table(
        "backfills",
        _column("location_id", text, "As in etl.locations."),
        _column("since", moment, "Where it begins: messages created then or later are loaded."),
        _column("until", moment, "Where it ends; the same command later moves it on."),
        _column(
            "reached",
            moment,
            "Every message created before this is loaded. What was younger than an hour then is loaded again.",
        ),
        _column("messages", count, "How many messages that were.", default="0"),
        _column("missing", count, "How many more the export counted and did not give.", default="0"),
        _column("started_at", moment, "When it was first started, or last with --again.", default="now()"),
        _column("seen_at", moment, "When it last got further.", default="now()"),
        _column("finished_at", moment, "When it reached its end; null while it has not.", null=True),
        sa.PrimaryKeyConstraint("location_id", "since", name=op.f("backfills_pkey")),
        schema="etl",
        comment="How far the history of each location has been loaded; etl backfill goes on from there.",
    )
    op.execute(TO_BACKFILLS)
    op.execute("DELETE FROM etl.message_queue WHERE kind = 'window'")
    op.execute("DELETE FROM etl.dead_letters WHERE kind = 'window'")
    _know_kinds(KINDS)
    for column, (comment, more) in COMMENTS.items():
        before, after = comment.format(more=""), comment.format(more=more)
        op.alter_column("message_queue", column, existing_comment=after, comment=before, schema="etl")
    op.drop_table("windows", schema="etl")


def _know_kinds(kinds: str) -> None:
    name = "message_queue_kind_is_known_check"
    op.drop_constraint(op.f(name), "message_queue", schema="etl")
    op.create_check_constraint(op.f(name), "message_queue", f"kind IN ({kinds})", schema="etl")
