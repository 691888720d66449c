"""The schema ``etl``: how the job works."""

from datetime import date

from sqlalchemy import CheckConstraint, Index, text

from etl.models.base import (
    Base,
    Mapped,
    Written,
    big,
    big_count,
    column,
    count,
    id_check,
    json,
    key,
    one_of,
    serial,
    texts,
    timestamp,
    timestamp_now,
)

KINDS = ("message", "email", "conversation", "transcription", "recording", "contact", "user", "location", "window")
"""What an item can name; each kind has its module in :mod:`etl.kinds`."""

TOKEN_SOURCES = ("private", "app", "company")
"""Where a stored token is from; each is renewed in its own way."""

HOT_TABLE = {
    "fillfactor": 70,
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 1000,
    "autovacuum_vacuum_insert_scale_factor": 0.05,
    "autovacuum_analyze_scale_factor": 0.05,
    "autovacuum_vacuum_cost_delay": 0,
}
"""Storage of a table whose rows live for seconds: room for updates, and a vacuum that comes after thousands of dead
rows rather than after a fifth of the table."""


class QueueItem(Base, table="etl.message_queue", postgresql_with=HOT_TABLE):
    """What must still be fetched, one row for each item. Done items are deleted. You may queue items with INSERT INTO
    etl.message_queue (message_id) VALUES ('…'), or with SELECT etl.enqueue('…'), which also takes items that are
    already here.
    """

    __table_args__ = (
        CheckConstraint(one_of("kind", KINDS), name="kind_is_known"),
        id_check("message_id"),
        CheckConstraint(text("(lease_id IS NULL) = (leased_until IS NULL)"), name="lease_is_whole"),
        CheckConstraint(
            # What Python can load; infinity is beyond.
            text("scheduled_at BETWEEN '1970-01-01 00:00:00+00' AND '2999-12-31 00:00:00+00'"),
            name="scheduled_at_is_sane",
        ),
        CheckConstraint(text("attempt BETWEEN 0 AND 1000000"), name="attempt_is_sane"),
        CheckConstraint(text("lapses BETWEEN 0 AND 1000000"), name="lapses_are_sane"),
        # Claims walk this from location to location; a claimed item leaves the index.
        Index(
            "message_queue_waiting_idx",
            "kind",
            "location_id",
            text("priority DESC"),
            "scheduled_at",
            postgresql_where=text("lease_id IS NULL"),
        ),
        Index("message_queue_leased_idx", "leased_until", postgresql_where=text("lease_id IS NOT NULL")),
    )

    kind: Mapped[key] = column(
        "What to fetch: message, email, conversation, transcription, recording, contact, user, location, window.",
        server_default="message",
        example="message",
    )
    message_id: Mapped[key] = column(
        "What to fetch, by its id in HighLevel. For a transcription or recording: the id of its message. For a window: "
        "its window_id in etl.windows."
    )
    location_id: Mapped[key] = column(
        "Location it belongs to; empty: the location of HIGHLEVEL_TOKEN. The same id at two locations is two items.",
        server_default="",
    )
    priority: Mapped[count] = column("Higher is fetched sooner within its location.")
    scheduled_at: Mapped[timestamp_now] = column("Not fetched before this time.")
    attempt: Mapped[count] = column("Attempts spent so far; waiting spends none.")
    lease_id: Mapped[big | None] = column("Claim of a worker; null while the item waits. Unique to one claim.")
    leased_until: Mapped[timestamp | None] = column(
        "When the claim ends, unless it is renewed: so the items of a killed worker come back by themselves."
    )
    again: Mapped[bool] = column(
        "Queued again while claimed: it will be fetched once more.", server_default=text("false")
    )
    lapses: Mapped[count] = column(
        "How often its claim ended without being renewed since the last attempt ended: its worker was killed. From 2 "
        "on, the item is fetched alone; with 5, it becomes a dead letter."
    )
    cause: Mapped[str | None] = column("Why the last attempt failed, or why the item waits; null at first.")
    enqueued_at: Mapped[timestamp_now] = column("When the item was queued, or last queued again.")
    conversation_id: Mapped[str | None] = column(
        "Conversation of a message, if known: the message is looked for there if the API refuses its id."
    )
    dated_at: Mapped[timestamp | None] = column(
        "When the message was created, if known: many messages of one time are fetched together."
    )


class DeadLetter(Base, table="etl.dead_letters"):
    """Items that failed for good, with the cause and what was received. See etl dead list|show|retry|purge."""

    kind: Mapped[key] = column("As in etl.message_queue.")
    message_id: Mapped[key] = column("As in etl.message_queue.")
    location_id: Mapped[key] = column("As in etl.message_queue.")
    attempt: Mapped[int] = column("Attempts spent.")
    cause: Mapped[str] = column("Short code of the cause, e.g. not_found, transform, too_large.", example="not_found")
    detail: Mapped[str] = column("The cause in a sentence, without any customer's words.")
    payload: Mapped[bytes | None] = column(
        "The answer as received, byte for byte (the first MiB of a larger one); null when there was none. "
        "Readable with convert_from(payload, 'UTF8')."
    )
    died_at: Mapped[timestamp_now] = column("When it became a dead letter.")
    retried_at: Mapped[timestamp | None] = column(
        "When it was last put back into the queue; the letter stays until the item is loaded."
    )


class Run(Base, table="etl.runs"):
    """One row for each run of a job: what it loaded and what it did not. A run that had nothing to do reuses the row of
    the idle run before it.
    """

    __table_args__ = (Index(None, "started_at"),)

    run_id: Mapped[serial] = column("The run.")
    job: Mapped[str] = column("Entry of jobs.yaml.")
    host: Mapped[str] = column("Machine it ran on.")
    pid: Mapped[int] = column("Process id on that machine.")
    version: Mapped[str] = column("Version of highlevel-etl.")
    started_at: Mapped[timestamp_now] = column("When it started.")
    seen_at: Mapped[timestamp_now] = column("When it last reported that it is at work; a killed run does not.")
    finished_at: Mapped[timestamp | None] = column("When it ended; null while it runs or if killed.")
    outcome: Mapped[str | None] = column(
        "drained, limit, max_seconds, stopped (signal), or why work was left: paused, budget, rate_limited, "
        "api_unreachable, misconfigured, migrated (by another version). Null while it runs, and if it was killed or "
        "lost Postgres.",
        example="drained",
    )
    loaded: Mapped[count] = column("Items fetched and settled in the tables.")
    unchanged: Mapped[count] = column("Of those, how many changed nothing.")
    deleted: Mapped[count] = column("Items that HighLevel no longer has: their rows got deleted_at.")
    retried: Mapped[count] = column("Attempts that failed and will be repeated.")
    snoozed: Mapped[count] = column("Items put off without spending an attempt.")
    dead: Mapped[count] = column("Items that failed for good: new rows of etl.dead_letters.")
    answered_2xx: Mapped[count] = column("Requests that the API answered.")
    answered_4xx: Mapped[count] = column("Requests that the API refused, except with 429, or redirected.")
    answered_429: Mapped[count] = column("Requests that were too many: HTTP 429.")
    answered_5xx: Mapped[count] = column("Requests at which the API failed.")
    unanswered: Mapped[count] = column("Requests without a complete answer.")
    drift: Mapped[json | None] = column(
        "Schema drift: how often each field or value was seen that this version does not know."
    )
    skipped: Mapped[json | None] = column(
        "Locations whose due items had to wait, by cause, up to 100 for each cause; null when there were none."
    )


class RunTotal(Base, table="etl.run_totals"):
    """Sums over the runs that etl prune deleted, one row for each job, so that the totals of etl metrics never fall."""

    job: Mapped[key] = column("As in etl.runs.")
    loaded: Mapped[big] = column("As in etl.runs.")
    unchanged: Mapped[big] = column("As in etl.runs.")
    deleted: Mapped[big] = column("As in etl.runs.")
    retried: Mapped[big] = column("As in etl.runs.")
    snoozed: Mapped[big] = column("As in etl.runs.")
    dead: Mapped[big] = column("As in etl.runs.")
    answered_2xx: Mapped[big] = column("As in etl.runs.")
    answered_4xx: Mapped[big] = column("As in etl.runs.")
    answered_429: Mapped[big] = column("As in etl.runs.")
    answered_5xx: Mapped[big] = column("As in etl.runs.")
    unanswered: Mapped[big] = column("As in etl.runs.")


class Location(Written, Base, table="etl.locations"):
    """Locations (sub-accounts) this warehouse loads, their encrypted tokens, and whether one is paused. See etl
    locations list.
    """

    __table_args__ = (
        CheckConstraint(one_of("token_source", TOKEN_SOURCES), name="token_source_is_known"),
        CheckConstraint(text("(token_source IS NULL) = (access_token IS NULL)"), name="token_is_whole"),
        Index(None, "company_id", postgresql_where=text("company_id IS NOT NULL")),
    )

    location_id: Mapped[key] = column("The location; empty: that of HIGHLEVEL_TOKEN when its id is not set.")
    name: Mapped[str | None] = column("Its name, as HighLevel lists it; null where it is not known.")
    company_id: Mapped[str | None] = column("Company (agency) it belongs to. API: companyId.")
    app_id: Mapped[str | None] = column("Marketplace app that was installed in it. API: appId.")
    token_source: Mapped[str | None] = column(
        "Where its token is from: private (pasted, never renewed), app (its own OAuth grant), company "
        "(exchanged for the company's token); null while none is stored.",
        example="app",
    )
    access_token: Mapped[str | None] = column("The token to send, encrypted with ETL_SECRET_KEY (Fernet).")
    refresh_token: Mapped[str | None] = column(
        "Token that gets the next access token, encrypted likewise. It works once; null where there is none."
    )
    token_fingerprint: Mapped[str | None] = column(
        "Tells the token from another one without giving it away: the beginning of its SHA-256.", example="3a7bd3e2360a"
    )
    token_issued_at: Mapped[timestamp | None] = column("When the token was stored.")
    token_expires_at: Mapped[timestamp | None] = column("When it expires; null: not known to expire.")
    token_refused_at: Mapped[timestamp | None] = column(
        "When a token was last renewed because the API refused it before its time. A second refusal soon after "
        "pauses the location."
    )
    paused_at: Mapped[timestamp | None] = column("When it was paused; null while it is served.")
    pause_cause: Mapped[str | None] = column("Short code of the cause, e.g. token_refused.")
    pause_detail: Mapped[str | None] = column("The API's reason, for whoever fixes it.")
    paused_token: Mapped[str | None] = column(
        "Fingerprint of the token that was refused: another token ends the pause. Null: only etl locations resume ends "
        "the pause, as after etl locations pause."
    )
    app_changed_at: Mapped[timestamp | None] = column(
        "When the app was last installed, connected or uninstalled, by the event's own time: an older event "
        "changes nothing."
    )
    retired_at: Mapped[timestamp | None] = column(
        "When the app was uninstalled from it; null while it is installed. Its items wait."
    )


class Company(Written, Base, table="etl.companies"):
    """Companies (agencies) that installed the app: their encrypted tokens are exchanged for those of their
    locations.
    """

    __table_args__ = (
        CheckConstraint(text("(access_token IS NULL) = (token_expires_at IS NULL)"), name="token_is_whole"),
    )

    company_id: Mapped[key] = column("The company. API: companyId.")
    name: Mapped[str | None] = column("Its name; null where it is not known.")
    app_id: Mapped[str | None] = column("Marketplace app that was installed. API: appId.")
    access_token: Mapped[str | None] = column(
        "The company's token, encrypted with ETL_SECRET_KEY (Fernet); null while it is not connected."
    )
    refresh_token: Mapped[str | None] = column(
        "Token that gets the next access token, encrypted likewise. It works once."
    )
    token_fingerprint: Mapped[str | None] = column(
        "Tells the token from another one without giving it away: the beginning of its SHA-256."
    )
    token_issued_at: Mapped[timestamp | None] = column("When the token was stored.")
    token_expires_at: Mapped[timestamp | None] = column("When the token expires.")
    app_changed_at: Mapped[timestamp | None] = column("As in etl.locations.")
    retired_at: Mapped[timestamp | None] = column("When the app was uninstalled from it; null while it is installed.")


class RateLimit(Base, table="etl.rate_limits"):
    """The API's limits for each location; the row's lock makes workers take turns granting."""

    location_id: Mapped[key] = column("As in etl.locations.")
    max_requests: Mapped[int] = column(
        "Requests allowed in any interval. Header X-RateLimit-Max.", server_default="100"
    )
    interval_ms: Mapped[int] = column(
        "Length of the interval in milliseconds. Header X-RateLimit-Interval-Milliseconds.", server_default="10000"
    )
    daily_limit: Mapped[big] = column(
        "Requests allowed a day. Header X-RateLimit-Limit-Daily.", server_default="200000"
    )
    daily_remaining: Mapped[big] = column(
        "How many of those are left: as X-RateLimit-Daily-Remaining last said, less those granted since.",
        server_default="200000",
    )
    daily_since: Mapped[date] = column(
        "UTC day that daily_remaining is about.", server_default=text("((now() AT TIME ZONE 'utc')::date)")
    )
    blocked_until: Mapped[timestamp | None] = column("No request before this time: a 429 or a spent daily budget.")
    blocked_cause: Mapped[str | None] = column("rate_limited or daily_budget; null while not blocked.")
    blocked_at: Mapped[timestamp | None] = column(
        "When the API said so. A time in the future is from before the clock was set back, and no longer holds."
    )
    heard_at: Mapped[timestamp | None] = column(
        "When an answer last gave the limits, or showed that there are none. An hour later they are forgotten."
    )


class RateUsage(Base, table="etl.rate_usage", postgresql_with=HOT_TABLE):
    """Requests granted or made that still count against a location's interval."""

    __table_args__ = (
        Index(None, "location_id", "expires_at"),
        Index(None, "lease_id", postgresql_where=text("lease_id IS NOT NULL")),
    )

    usage_id: Mapped[serial] = column("The entry.")
    location_id: Mapped[str] = column("As in etl.rate_limits.")
    requests: Mapped[int] = column("How many requests this entry stands for.")
    expires_at: Mapped[timestamp] = column("From then on they no longer count.")
    lease_id: Mapped[big | None] = column(
        "Claim for which they were granted; null once they were answered, which sets expires_at."
    )


EVENT_OUTCOMES = ("queued", "no_id", "bad_id", "ignored", "install", "uninstall")
"""What becomes of an event; see ``etl.receive.webhook.Outcome``, which a test compares with this."""


class WebhookEvent(Base, table="etl.webhook_events"):
    """Webhooks as HighLevel posted them, kept for WEBHOOK_KEEP_DAYS. A webhook is answered 200 only after it is stored
    here. See etl events list|show|replay|purge.
    """

    __table_args__ = (
        CheckConstraint(one_of("outcome", EVENT_OUTCOMES), name="outcome_is_known"),
        Index(None, "received_at"),
        # How often a location's events come: etl check.
        Index(None, "location_id", "received_at"),
        # What etl events list --outcome looks for: few among many.
        Index("webhook_events_unnamed_idx", "received_at", postgresql_where=text("outcome IN ('no_id', 'bad_id')")),
    )

    webhook_id: Mapped[key] = column(
        "The event; a redelivery repeats it. API: webhookId; where there is none, or another event has it, "
        "sha256: and the hash of the body. Posts of a workflow: workflow: and a number of our own.",
        example="7f2c5b1e-0000-4000-8000-000000000001",
    )
    received_at: Mapped[timestamp_now] = column("When it was stored, just before it was answered.")
    type: Mapped[str] = column(
        "HighLevel's name of the event; workflow: the workflow action; empty: none. API: type.",
        example="OutboundMessage",
    )
    location_id: Mapped[str] = column("Location it is about; empty: none was named. API: locationId.")
    conversation_id: Mapped[str | None] = column("Conversation it is about. API: conversationId.")
    message_id: Mapped[str | None] = column("Message it names. API: messageId; of an email threadId.")
    email_id: Mapped[str | None] = column("Email it names. API: emailMessageId.")
    outcome: Mapped[str] = column(
        "queued: its ids were queued. no_id: a message without id, for etl reconcile to find. bad_id: its id "
        "cannot be asked for. ignored: of no interest. install, uninstall: the app was installed or uninstalled.",
        example="queued",
    )
    body: Mapped[bytes] = column("The event as received, byte for byte. Readable with convert_from(body, 'UTF8').")
    digest: Mapped[bytes | None] = column(
        "SHA-256 of the body, which tells another event of the same webhookId; null where an older version stored it."
    )
    replayed_at: Mapped[timestamp | None] = column("When it was last replayed; null: never.")


class ExportWindow(Base, table="etl.windows"):
    """Spans of time that are read from the export of a location, each as an item of the kind window. Those of history
    say what is loaded, so that etl backfill can go on from there.
    """

    __table_args__ = (
        CheckConstraint(one_of("why", ("history", "backlog", "compare")), name="why_is_known"),
        CheckConstraint(text("since < until"), name="time_is_some"),
    )

    location_id: Mapped[key] = column("As in etl.locations.")
    window_id: Mapped[key] = column(
        "Its message_id in etl.message_queue: the next three columns in one.",
        example="history:1780272000000:1780876800000",
    )
    why: Mapped[str] = column(
        "history: etl backfill loads it. backlog: etl run does, since many of its messages wait. compare: etl "
        "reconcile compares it with the tables.",
        example="history",
    )
    since: Mapped[timestamp] = column("Messages created then or later are asked for.")
    until: Mapped[timestamp] = column("Messages created before then are asked for.")
    messages: Mapped[big_count] = column("How many messages the export gave.")
    missing: Mapped[big_count] = column("How many more messages the export counted than it gave.")
    written: Mapped[big_count] = column("How many of the messages were new or had changed.")
    singly: Mapped[big_count] = column("How many could not be loaded from the export and were queued one by one.")
    requests: Mapped[big_count] = column("How many pages were asked for.")
    days: Mapped[json | None] = column("For compare: what was found, by UTC day.")
    queued_at: Mapped[timestamp_now] = column("When it was queued.")
    finished_at: Mapped[timestamp | None] = column("When all its pages were read; null until then.")


class Notice(Base, table="etl.notices"):
    """Findings of etl check that were sent as notices, until they are over."""

    name: Mapped[key] = column("What kind of finding, e.g. webhooks or runs.")
    subject: Mapped[key] = column("Location, job or kind that it is about; empty where there is only one.")
    began_at: Mapped[timestamp_now] = column("When it was first sent.")
    told_at: Mapped[timestamp_now] = column("When it was last sent; a reminder follows a day later.")


class Sample(Base, table="etl.samples"):
    """Figures of the work, one row for five minutes, kept for eight days; the page of etl serve plots them. Whatever
    reads the figures writes the rows.
    """

    taken_at: Mapped[timestamp] = column("Beginning of the five minutes.", primary_key=True)
    figures: Mapped[json] = column(
        "Numbers by name: due items, totals of what runs did and the API answered, lag in seconds, share of "
        "the allowance left."
    )


class Forgotten(Base, table="etl.forgotten"):
    """Contacts that were erased by etl forget. What HighLevel sends about them is not stored again."""

    # The contact first: an event may not name its location.
    contact_id: Mapped[key] = column("The contact; nothing else of it is kept.")
    location_id: Mapped[key] = column("Location the contact belonged to.")
    forgotten_at: Mapped[timestamp_now] = column("When it was first erased.")


class Erased(Base, table="etl.erased"):
    """What was erased with a contact: the ids of its messages, emails and conversations, as hashes. What HighLevel
    sends about them is not stored again.
    """

    digest: Mapped[bytes] = column("SHA-256 of the id.", primary_key=True)
    location_id: Mapped[key] = column("Location it belonged to.")
    contact_digest: Mapped[bytes] = column("SHA-256 of the contact's id.")


class Pruned(Base, table="etl.pruned"):
    """How far etl prune emptied a table for good. What is older is not loaded again."""

    table_name: Mapped[key] = column("Table of the schema highlevel.", example="messages")
    before: Mapped[timestamp] = column("What was created earlier was deleted.")
    pruned_at: Mapped[timestamp_now] = column("When etl prune last did so.")


class MartChange(Base, table="etl.mart_changes", postgresql_with=HOT_TABLE):
    """Changes that the job marts has not counted yet: it counts them and deletes their rows. A row with nothing but
    location_id stands for the whole location.
    """

    change_id: Mapped[serial] = column("The change.")
    location_id: Mapped[str] = column("Location of what changed.")
    message_ids: Mapped[texts | None] = column(
        "Messages whose conversations and days changed, with the emails of these threads; null: none."
    )
    conversation_id: Mapped[str | None] = column("Conversation that changed; null: none.")
    happened_at: Mapped[timestamp | None] = column(
        "A time in the day that changed; null: none. A time in the future waits until a day before it."
    )
    noted_at: Mapped[timestamp_now] = column("When the change was made: this row is of the same transaction.")


class MartZone(Base, table="etl.mart_zones"):
    """The time zones and opening hours that the job marts last used. When those of a location change, it counts the
    location anew.
    """

    location_id: Mapped[key] = column("Location.")
    time_zone: Mapped[str] = column("As in highlevel.location_time_zones.local_time_zone.")
    opening_hours: Mapped[str | None] = column("Those of highlevel.opening_hours, in one text; null: it has none.")
