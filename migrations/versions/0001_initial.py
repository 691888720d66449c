"""The tables, the queue's way in from SQL, and the meaning of each message type."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DISPENSABLE = ("highlevel.message_types",)

# (message_type, type_code, channel, is_campaign, is_activity). Names and numbers: the conversations OpenAPI file of
# GoHighLevel/highlevel-api-docs, and public codebases for the numbers that it does not give.
MESSAGE_TYPES = [
    ("TYPE_CALL", 1, "Call", False, False),
    ("TYPE_SMS", 2, "SMS", False, False),
    ("TYPE_EMAIL", 3, "Email", False, False),
    ("TYPE_SMS_REVIEW_REQUEST", 4, "SMS", False, False),
    ("TYPE_WEBCHAT", 5, "Chat", False, False),
    ("TYPE_SMS_NO_SHOW_REQUEST", 6, "SMS", False, False),
    ("TYPE_CAMPAIGN_SMS", 7, "SMS", True, False),
    ("TYPE_CAMPAIGN_CALL", 8, "Call", True, False),
    ("TYPE_CAMPAIGN_EMAIL", 9, "Email", True, False),
    ("TYPE_CAMPAIGN_VOICEMAIL", 10, "Email", True, False),
    ("TYPE_FACEBOOK", 11, "Facebook", False, False),
    ("TYPE_CAMPAIGN_FACEBOOK", 12, "Facebook", True, False),
    ("TYPE_CAMPAIGN_MANUAL_CALL", 13, "Call", True, False),
    ("TYPE_CAMPAIGN_MANUAL_SMS", 14, "SMS", True, False),
    ("TYPE_GMB", 15, "Google", False, False),
    ("TYPE_CAMPAIGN_GMB", 16, "Google", True, False),
    ("TYPE_REVIEW", 17, "Review", False, False),
    ("TYPE_INSTAGRAM", 18, "Instagram", False, False),
    ("TYPE_WHATSAPP", 19, "WhatsApp", False, False),
    ("TYPE_CUSTOM_SMS", 20, "SMS", False, False),
    ("TYPE_CUSTOM_EMAIL", 21, "Email", False, False),
    ("TYPE_CUSTOM_PROVIDER_SMS", 22, "SMS", False, False),
    ("TYPE_CUSTOM_PROVIDER_EMAIL", 23, "Email", False, False),
    ("TYPE_IVR_CALL", 24, "Call", False, False),
    ("TYPE_ACTIVITY_CONTACT", 25, "Activity", False, True),
    ("TYPE_ACTIVITY_INVOICE", 26, "Activity", False, True),
    ("TYPE_ACTIVITY_PAYMENT", 27, "Activity", False, True),
    ("TYPE_ACTIVITY_OPPORTUNITY", 28, "Activity", False, True),
    ("TYPE_LIVE_CHAT", 29, "Chat", False, False),
    ("TYPE_LIVE_CHAT_INFO_MESSAGE", 30, "Chat", False, False),
    ("TYPE_ACTIVITY_APPOINTMENT", 31, "Activity", False, True),
    ("TYPE_FACEBOOK_COMMENT", 32, "Facebook", False, False),
    ("TYPE_INSTAGRAM_COMMENT", 33, "Instagram", False, False),
    ("TYPE_CUSTOM_CALL", 34, "Call", False, False),
    ("TYPE_GROUP_SMS", 35, "SMS", False, False),
    ("TYPE_INTERNAL_CHAT", 36, "Internal", False, False),
    ("TYPE_INTERNAL_COMMENT", 37, "Internal", False, False),
    ("TYPE_ACTIVITY_EMPLOYEE_ACTION_LOG", 38, "Activity", False, True),
    ("TYPE_RCS", None, "RCS", False, False),
    ("TYPE_TIKTOK", None, "TikTok", False, False),
    ("TYPE_TIKTOK_COMMENT", None, "TikTok", False, False),
    ("TYPE_ACTIVITY_WHATSAPP", None, "Activity", False, True),
    ("TYPE_FORM_SUBMISSION", None, "Form", False, False),
    ("TYPE_SMS_REACTION", None, "SMS", False, False),
    ("TYPE_VOICEMAIL", None, "Email", False, False),
]

# Worded as one statement, so that a duplicate, an item in hand and a new item need no look before the leap.
# An item in hand is only marked: whoever has it fetches it once more. A waiting one comes due at the earlier time,
# with its attempts back: somebody has news of it.
ENQUEUE = """
CREATE FUNCTION etl.enqueue(
    message_id text,
    location_id text DEFAULT '',
    kind text DEFAULT 'message',
    priority integer DEFAULT 0,
    scheduled_at timestamptz DEFAULT now()
) RETURNS boolean LANGUAGE sql AS $$
    INSERT INTO etl.message_queue AS q (kind, message_id, location_id, priority, scheduled_at)
    VALUES (enqueue.kind, enqueue.message_id, coalesce(enqueue.location_id, ''), enqueue.priority,
            enqueue.scheduled_at)
    ON CONFLICT (kind, message_id) DO UPDATE SET
        location_id = CASE WHEN q.lease_id IS NULL AND excluded.location_id <> ''
                           THEN excluded.location_id ELSE q.location_id END,
        priority = greatest(q.priority, excluded.priority),
        scheduled_at = CASE WHEN q.lease_id IS NULL OR q.again THEN least(q.scheduled_at, excluded.scheduled_at)
                            ELSE excluded.scheduled_at END,
        attempt = CASE WHEN q.lease_id IS NULL THEN 0 ELSE q.attempt END,
        again = q.lease_id IS NOT NULL,
        enqueued_at = now()
    RETURNING q.xmax = 0
$$
"""

ENQUEUE_COMMENT = """
COMMENT ON FUNCTION etl.enqueue IS
'Queue one item; true when it was not queued already. Copes with duplicates and with items in hand.'
"""

NOTIFY = """
CREATE FUNCTION etl.notify_enqueued() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('etl_message_queue', '');
    RETURN NULL;
END
$$
"""

NOTIFY_TRIGGER = """
CREATE TRIGGER message_queue_notify AFTER INSERT ON etl.message_queue
FOR EACH STATEMENT EXECUTE FUNCTION etl.notify_enqueued()
"""


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS highlevel")
    op.execute("COMMENT ON SCHEMA highlevel IS 'HighLevel conversations, for analysts. Written by highlevel-etl.'")
    op.execute("COMMENT ON SCHEMA etl IS 'How highlevel-etl works: queue, dead letters, runs, limits.'")
    op.execute("CREATE SEQUENCE etl.lease_id_seq")
    op.execute("COMMENT ON SEQUENCE etl.lease_id_seq IS 'Numbers of claims; never reused, so a late worker shows.'")
    op.create_table(
        "dead_letters",
        sa.Column("kind", sa.Text(), nullable=False, comment="As in etl.message_queue."),
        sa.Column("message_id", sa.Text(), nullable=False, comment="As in etl.message_queue."),
        sa.Column("location_id", sa.Text(), nullable=False, comment="As in etl.message_queue."),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="Attempts spent."),
        sa.Column(
            "cause",
            sa.Text(),
            nullable=False,
            comment="Short code of the cause, e.g. not_found, transform, too_large.",
        ),
        sa.Column(
            "detail",
            sa.Text(),
            nullable=False,
            comment="The cause in a sentence, without any customer's words.",
        ),
        sa.Column(
            "payload",
            sa.LargeBinary(),
            nullable=True,
            comment="The answer as received, byte for byte (the first MiB of a larger one); null when there was none. Readable with convert_from(payload, 'UTF8').",
        ),
        sa.Column(
            "died_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was given up on.",
        ),
        sa.Column(
            "retried_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was last put back into the queue; the letter stays until the item is loaded.",
        ),
        sa.PrimaryKeyConstraint("kind", "message_id", name=op.f("dead_letters_pkey")),
        schema="etl",
        comment="Items given up on, with the cause and what was received. See etl dead list|show|retry|purge.",
    )
    op.create_table(
        "locations",
        sa.Column(
            "location_id",
            sa.Text(),
            nullable=False,
            comment="The location; empty: that of HIGHLEVEL_TOKEN when its id is not set.",
        ),
        sa.Column(
            "paused_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was paused; null while it is served.",
        ),
        sa.Column("pause_cause", sa.Text(), nullable=True, comment="Short code of the cause, e.g. token_refused."),
        sa.Column("pause_detail", sa.Text(), nullable=True, comment="The API's reason, for the one who mends it."),
        sa.Column(
            "paused_token",
            sa.Text(),
            nullable=True,
            comment="Fingerprint of the token that was refused: another token lifts the pause.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was first written.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row last changed.",
        ),
        sa.PrimaryKeyConstraint("location_id", name=op.f("locations_pkey")),
        schema="etl",
        comment="Locations (sub-accounts) this warehouse loads, and whether one is paused.",
    )
    op.create_table(
        "message_queue",
        sa.Column(
            "kind",
            sa.Text(),
            server_default="message",
            nullable=False,
            comment="What to fetch: message, email, transcription, recording.",
        ),
        sa.Column("message_id", sa.Text(), nullable=False, comment="Its id in HighLevel (of an email: the email's)."),
        sa.Column(
            "location_id",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="Location it belongs to; empty: the location of HIGHLEVEL_TOKEN.",
        ),
        sa.Column(
            "priority",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Higher is fetched sooner within its location.",
        ),
        sa.Column(
            "scheduled_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Not fetched before this time.",
        ),
        sa.Column(
            "attempt",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Attempts spent so far; waiting spends none.",
        ),
        sa.Column(
            "lease_id",
            sa.BigInteger(),
            nullable=True,
            comment="Claim that has the item in hand; null while it waits. Unique to one claim.",
        ),
        sa.Column(
            "leased_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The claim lapses then unless it is renewed: a killed worker's items come back by themselves.",
        ),
        sa.Column(
            "again",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Queued again while in hand: it will be fetched once more.",
        ),
        sa.Column("cause", sa.Text(), nullable=True, comment="Why the last attempt failed or waits; null at first."),
        sa.Column(
            "enqueued_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the item was queued, or last queued again.",
        ),
        sa.CheckConstraint(
            "kind IN ('message', 'email', 'transcription', 'recording')",
            name=op.f("message_queue_kind_is_known_check"),
        ),
        sa.CheckConstraint(
            "message_id ~ '^[A-Za-z0-9._~:@=+-]{1,128}$' AND message_id !~ '^[.]+$'",
            name=op.f("message_queue_message_id_is_valid_check"),
        ),
        sa.CheckConstraint("isfinite(scheduled_at)", name=op.f("message_queue_scheduled_at_is_finite_check")),
        sa.CheckConstraint("attempt BETWEEN 0 AND 1000000", name=op.f("message_queue_attempt_is_sane_check")),
        sa.CheckConstraint(
            "(lease_id IS NULL) = (leased_until IS NULL)", name=op.f("message_queue_lease_is_whole_check")
        ),
        sa.PrimaryKeyConstraint("kind", "message_id", name=op.f("message_queue_pkey")),
        schema="etl",
        comment="What must still be fetched, one row an item. Done items are deleted. INSERT INTO etl.message_queue (message_id) VALUES ('…') is a supported way in; SELECT etl.enqueue('…') also copes with items that are already here.",
        postgresql_with={
            "fillfactor": 70,
            "autovacuum_vacuum_scale_factor": 0.01,
            "autovacuum_vacuum_threshold": 1000,
            "autovacuum_vacuum_insert_scale_factor": 0.05,
            "autovacuum_analyze_scale_factor": 0.05,
            "autovacuum_vacuum_cost_delay": 0,
        },
    )
    op.create_index(
        "message_queue_leased_idx",
        "message_queue",
        ["leased_until"],
        unique=False,
        schema="etl",
        postgresql_where=sa.text("lease_id IS NOT NULL"),
    )
    op.create_index(
        "message_queue_waiting_idx",
        "message_queue",
        ["kind", "location_id", sa.literal_column("priority DESC"), "scheduled_at"],
        unique=False,
        schema="etl",
        postgresql_where=sa.text("lease_id IS NULL"),
    )
    op.create_table(
        "rate_limits",
        sa.Column("location_id", sa.Text(), nullable=False, comment="As in etl.locations."),
        sa.Column(
            "max_requests",
            sa.Integer(),
            server_default="100",
            nullable=False,
            comment="Requests allowed in any interval. Header X-RateLimit-Max.",
        ),
        sa.Column(
            "interval_ms",
            sa.Integer(),
            server_default="10000",
            nullable=False,
            comment="Length of the interval in milliseconds. Header X-RateLimit-Interval-Milliseconds.",
        ),
        sa.Column(
            "daily_limit",
            sa.BigInteger(),
            server_default="200000",
            nullable=False,
            comment="Requests allowed a day. Header X-RateLimit-Limit-Daily.",
        ),
        sa.Column(
            "daily_remaining",
            sa.BigInteger(),
            server_default="200000",
            nullable=False,
            comment="Of those, left: as last heard in X-RateLimit-Daily-Remaining, less what was granted since.",
        ),
        sa.Column(
            "daily_since",
            sa.Date(),
            server_default=sa.text("((now() AT TIME ZONE 'utc')::date)"),
            nullable=False,
            comment="UTC day that daily_remaining is about.",
        ),
        sa.Column(
            "blocked_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="No request before this time: a 429 or a spent daily budget.",
        ),
        sa.Column(
            "blocked_cause",
            sa.Text(),
            nullable=True,
            comment="rate_limited or daily_budget; null while not blocked.",
        ),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True, comment="When the headers were last heard."),
        sa.PrimaryKeyConstraint("location_id", name=op.f("rate_limits_pkey")),
        schema="etl",
        comment="The API's limits for each location; the row's lock makes workers take turns granting.",
    )
    op.create_table(
        "rate_usage",
        sa.Column("usage_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="The entry."),
        sa.Column("location_id", sa.Text(), nullable=False, comment="As in etl.rate_limits."),
        sa.Column("requests", sa.Integer(), nullable=False, comment="How many requests this entry stands for."),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="From then on they no longer count.",
        ),
        sa.Column(
            "lease_id",
            sa.BigInteger(),
            nullable=True,
            comment="The claim they were granted with, until answered; null once the time is known.",
        ),
        sa.PrimaryKeyConstraint("usage_id", name=op.f("rate_usage_pkey")),
        schema="etl",
        comment="Requests granted or made that still count against a location's interval.",
        postgresql_with={
            "fillfactor": 70,
            "autovacuum_vacuum_scale_factor": 0.01,
            "autovacuum_vacuum_threshold": 1000,
            "autovacuum_vacuum_insert_scale_factor": 0.05,
            "autovacuum_analyze_scale_factor": 0.05,
            "autovacuum_vacuum_cost_delay": 0,
        },
    )
    op.create_index(
        op.f("rate_usage_lease_id_idx"),
        "rate_usage",
        ["lease_id"],
        unique=False,
        schema="etl",
        postgresql_where=sa.text("lease_id IS NOT NULL"),
    )
    op.create_index(
        op.f("rate_usage_location_id_expires_at_idx"),
        "rate_usage",
        ["location_id", "expires_at"],
        unique=False,
        schema="etl",
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="The run."),
        sa.Column("job", sa.Text(), nullable=False, comment="Entry of jobs.yaml."),
        sa.Column("host", sa.Text(), nullable=False, comment="Machine it ran on."),
        sa.Column("pid", sa.Integer(), nullable=False, comment="Process id on that machine."),
        sa.Column("version", sa.Text(), nullable=False, comment="Version of highlevel-etl."),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it started.",
        ),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it last reported; stands still if it was killed.",
        ),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it ended; null while it runs or if killed.",
        ),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=True,
            comment="drained, limit, max_seconds, stopped (signal), or why work was left: paused, budget, rate_limited, api_unreachable, misconfigured. Null while it runs, and if it was killed or lost Postgres.",
        ),
        sa.Column(
            "loaded",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Items fetched and settled in the tables.",
        ),
        sa.Column(
            "unchanged",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Of those, how many changed nothing.",
        ),
        sa.Column(
            "deleted",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Known messages found gone upstream.",
        ),
        sa.Column(
            "retried",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Attempts that failed and will be repeated.",
        ),
        sa.Column(
            "snoozed",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Items put off without spending an attempt.",
        ),
        sa.Column(
            "dead",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Items given up on: new rows of etl.dead_letters.",
        ),
        sa.Column(
            "drift",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Schema drift: how often each field or value was seen that this version does not know.",
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("runs_pkey")),
        schema="etl",
        comment="One row each execution of a job; the history of what was loaded and what was not.",
    )
    op.create_index(op.f("runs_started_at_idx"), "runs", ["started_at"], unique=False, schema="etl")
    op.create_table(
        "attachments",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the message belongs to."),
        sa.Column("message_id", sa.Text(), nullable=False, comment="Message the file is part of."),
        sa.Column(
            "position",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Place in the message's list of files, from 0.",
        ),
        sa.Column(
            "url",
            sa.Text(),
            nullable=False,
            comment="Where HighLevel serves the file; how long it does is not documented.",
        ),
        sa.Column(
            "file_name",
            sa.Text(),
            nullable=True,
            comment="Name of the file: the API's, else the last part of the URL.",
        ),
        sa.Column(
            "media_type",
            sa.Text(),
            nullable=True,
            comment="MIME type: the API's, else guessed from the file's ending.",
        ),
        sa.PrimaryKeyConstraint("location_id", "message_id", "position", name=op.f("attachments_pkey")),
        schema="highlevel",
        comment="Files of messages. Calls have none here: their audio is a recording.",
    )
    op.create_table(
        "message_types",
        sa.Column("message_type", sa.Text(), nullable=False, comment="As in highlevel.messages.message_type."),
        sa.Column(
            "type_code",
            sa.Integer(),
            nullable=True,
            comment="The API's number for it; null where not established.",
        ),
        sa.Column(
            "channel",
            sa.Text(),
            nullable=False,
            comment="Channel: SMS, Call, Email, WhatsApp, Facebook, Instagram, Google, TikTok, RCS, Chat, Internal, …",
        ),
        sa.Column(
            "is_campaign",
            sa.Boolean(),
            nullable=False,
            comment="True when a campaign sent it rather than a person or workflow.",
        ),
        sa.Column(
            "is_activity",
            sa.Boolean(),
            nullable=False,
            comment="True for log entries in a conversation (appointment, payment …): nobody wrote them to anybody.",
        ),
        sa.PrimaryKeyConstraint("message_type", name=op.f("message_types_pkey")),
        schema="highlevel",
        comment="Meaning of each message_type known when this version was released. Left join: new ones may appear.",
    )
    op.create_table(
        "messages",
        sa.Column(
            "location_id",
            sa.Text(),
            nullable=False,
            comment="Location (sub-account) the message belongs to. API: locationId.",
        ),
        sa.Column("message_id", sa.Text(), nullable=False, comment="The message. API: id."),
        sa.Column(
            "conversation_id",
            sa.Text(),
            nullable=True,
            comment="Conversation it is part of. API: conversationId.",
        ),
        sa.Column(
            "contact_id",
            sa.Text(),
            nullable=True,
            comment="Contact (customer) it was exchanged with. API: contactId.",
        ),
        sa.Column(
            "message_type",
            sa.Text(),
            nullable=True,
            comment="Kind of message, always in the TYPE_ form; see highlevel.message_types. API: messageType.",
        ),
        sa.Column(
            "type_code",
            sa.Integer(),
            nullable=True,
            comment="The API's number for the kind, as received. Prefer message_type. API: type.",
        ),
        sa.Column(
            "direction",
            sa.Text(),
            nullable=True,
            comment="inbound (from the contact) or outbound (to the contact). API: direction.",
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=True,
            comment="Delivery status when last fetched; HighLevel announces no status changes. API: status.",
        ),
        sa.Column(
            "source",
            sa.Text(),
            nullable=True,
            comment="What sent it: workflow, bulk_actions, campaign, api, app. Null for most inbound. API: source.",
        ),
        sa.Column("content_type", sa.Text(), nullable=True, comment="MIME type of body. API: contentType."),
        sa.Column(
            "body",
            sa.Text(),
            nullable=True,
            comment="Text of the message. Null for calls; not reliable for email threads. API: body.",
        ),
        sa.Column(
            "sender",
            sa.Text(),
            nullable=True,
            comment="Address or number it came from; not for email. API: from.",
        ),
        sa.Column(
            "recipient",
            sa.Text(),
            nullable=True,
            comment="Address or number it went to; not for email. API: to.",
        ),
        sa.Column(
            "error",
            sa.Text(),
            nullable=True,
            comment="Why delivery failed, in the provider's words. API: error.",
        ),
        sa.Column(
            "user_id",
            sa.Text(),
            nullable=True,
            comment="HighLevel user who sent or answered it; null for automation and most inbound. API: userId.",
        ),
        sa.Column(
            "conversation_provider_id",
            sa.Text(),
            nullable=True,
            comment="Custom conversation provider that carried it. API: conversationProviderId.",
        ),
        sa.Column(
            "chat_widget_id",
            sa.Text(),
            nullable=True,
            comment="Chat widget it came through. API: chatWidgetId.",
        ),
        sa.Column("alt_id", sa.Text(), nullable=True, comment="The carrier's own id of the message. API: altId."),
        sa.Column(
            "date_added",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the message was created in HighLevel. API: dateAdded.",
        ),
        sa.Column(
            "date_updated",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When HighLevel last changed it. API: dateUpdated (undocumented, usually present).",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Whatever the API sent that no column holds, under the API's own names; null when nothing.",
        ),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the API first said that the message no longer exists; null while it exists.",
        ),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the content shown here was first received. A later fetch with the same content changes nothing.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was first written.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row last changed.",
        ),
        sa.PrimaryKeyConstraint("location_id", "message_id", name=op.f("messages_pkey")),
        schema="highlevel",
        comment="One row a message, as HighLevel last described it. For email one row is a whole thread.",
    )
    op.create_index(
        op.f("messages_location_id_contact_id_date_added_idx"),
        "messages",
        ["location_id", "contact_id", "date_added"],
        unique=False,
        schema="highlevel",
    )
    op.create_index(
        op.f("messages_location_id_conversation_id_date_added_idx"),
        "messages",
        ["location_id", "conversation_id", "date_added"],
        unique=False,
        schema="highlevel",
    )
    op.create_index(
        op.f("messages_location_id_date_added_idx"),
        "messages",
        ["location_id", "date_added"],
        unique=False,
        schema="highlevel",
    )
    op.create_table(
        "meta",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the message belongs to."),
        sa.Column("message_id", sa.Text(), nullable=False, comment="Message that is described."),
        sa.Column(
            "call_duration",
            sa.Integer(),
            nullable=True,
            comment="Length of the call in seconds. API: meta.call.duration or meta.callDuration.",
        ),
        sa.Column(
            "call_status",
            sa.Text(),
            nullable=True,
            comment="Outcome: completed, answered, busy, no-answer, failed, canceled, voicemail, pending. API: meta.call.status or meta.callStatus.",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Everything else in meta, as received (email thread, Instagram or Facebook page …); null when nothing.",
        ),
        sa.PrimaryKeyConstraint("location_id", "message_id", name=op.f("meta_pkey")),
        schema="highlevel",
        comment="A message's meta object: for calls, length and outcome. A row only where there is one.",
    )
    op.execute(ENQUEUE)
    op.execute(ENQUEUE_COMMENT)
    op.execute(NOTIFY)
    op.execute("COMMENT ON FUNCTION etl.notify_enqueued IS 'Wakes etl run --follow, once a statement.'")
    op.execute(NOTIFY_TRIGGER)
    op.bulk_insert(
        sa.table(
            "message_types",
            *(sa.column(name) for name in ("message_type", "type_code", "channel", "is_campaign", "is_activity")),
            schema="highlevel",
        ),
        [
            dict(zip(("message_type", "type_code", "channel", "is_campaign", "is_activity"), row, strict=True))
            for row in MESSAGE_TYPES
        ],
    )


def downgrade() -> None:
    for table in ("meta", "attachments", "messages", "message_types"):
        op.drop_table(table, schema="highlevel")
    for table in ("message_queue", "dead_letters", "runs", "locations", "rate_limits", "rate_usage"):
        op.drop_table(table, schema="etl")
    op.execute("DROP FUNCTION etl.enqueue")
    op.execute("DROP FUNCTION etl.notify_enqueued")
    op.execute("DROP SEQUENCE etl.lease_id_seq")
    op.execute("DROP SCHEMA highlevel")
