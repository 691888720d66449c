"""Comments of tables and columns in plainer words. Those of the views come with the views."""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ()

TABLES = {
    "etl.mart_changes": (
        "What was loaded, deleted or erased since the job marts last ran; it deletes what it has worked out. A row of which only location_id is set stands for the whole location.",
        "Changes that the job marts has not counted yet: it counts them and deletes their rows. A row with nothing but location_id stands for the whole location.",
    ),
    "etl.mart_zones": (
        "The time zones and opening hours that the job marts has used; where they have changed, it works out the location anew.",
        "The time zones and opening hours that the job marts last used. When those of a location change, it counts the location anew.",
    ),
    "etl.message_queue": (
        "What must still be fetched, one row an item. Done items are deleted. INSERT INTO etl.message_queue (message_id) VALUES ('…') is a supported way in; SELECT etl.enqueue('…') also copes with items that are already here.",
        "What must still be fetched, one row for each item. Done items are deleted. You may queue items with INSERT INTO etl.message_queue (message_id) VALUES ('…'), or with SELECT etl.enqueue('…'), which also takes items that are already here.",
    ),
    "etl.run_totals": (
        "What the runs had done that etl prune deleted, one row a job: totals of etl metrics never fall.",
        "Sums over the runs that etl prune deleted, one row for each job, so that the totals of etl metrics never fall.",
    ),
    "etl.runs": (
        "One row each execution of a job; the history of what was loaded and what was not. One that had nothing to do takes the row of the one before it.",
        "One row for each run of a job: what it loaded and what it did not. A run that had nothing to do reuses the row of the idle run before it.",
    ),
    "etl.samples": (
        "How the work went, every five minutes for eight days, while somebody watches; for the page of etl serve.",
        "Figures of the work, one row for five minutes, kept for eight days; the page of etl serve plots them. Whatever reads the figures writes the rows.",
    ),
    "etl.webhook_events": (
        "Events as they were posted, for WEBHOOK_KEEP_DAYS; each is answered only when it is here. See etl events list|show|replay|purge.",
        "Webhooks as HighLevel posted them, kept for WEBHOOK_KEEP_DAYS. A webhook is answered 200 only after it is stored here. See etl events list|show|replay|purge.",
    ),
    "etl.windows": (
        "Times that the export of a location is asked for: each is an item of kind window. Of history, they say what is loaded: etl backfill goes on from there.",
        "Spans of time that are read from the export of a location, each as an item of the kind window. Those of history say what is loaded, so that etl backfill can go on from there.",
    ),
    "highlevel.attachments": (
        "Files of messages. Calls have none here: their audio is a recording.",
        "Files of messages, one row for each file. Audio of calls is in highlevel.recordings instead.",
    ),
    "highlevel.contacts": (
        "Contacts of messages, fetched when first seen and again when older than a day. Filled only where jobs.yaml has a job for them.",
        "Contacts of the loaded messages. A contact is fetched when a message first names it, and again when a message names it and the row is older than a day. Empty unless jobs.yaml has a job of the kind contact.",
    ),
    "highlevel.conversation_totals": (
        "One row a conversation in which something was exchanged with the contact, kept by the job marts. Ask highlevel.conversations, which adds the names.",
        "One row for each conversation with a message from or to the contact, filled by the job marts. Read the view highlevel.conversations instead: it adds the names.",
    ),
    "highlevel.daily_totals": (
        "Messages a day, by channel, direction and source, kept by the job marts. Ask highlevel.daily_messages.",
        "Number of messages by day, channel, direction and source, filled by the job marts. Read the view highlevel.daily_messages instead.",
    ),
    "highlevel.deleted_rows": (
        "Rows that etl forget or etl prune deleted here, for those who have copies: delete there what they name, and what belongs to it. Kept for 90 days. What is gone in HighLevel keeps its row, with deleted_at.",
        "Messages, emails and contacts that etl forget or etl prune deleted from this database. If you have a copy, delete them there too, with all that belongs to them. A row is kept for 90 days. A message that was deleted in HighLevel is not here: it stays in highlevel.messages, with deleted_at.",
    ),
    "highlevel.delivery_totals": (
        "What became of outbound messages, by the day they were created, kept by the job marts. Ask highlevel.delivery.",
        "What became of outbound messages, by the day on which they were created, filled by the job marts. Read the view highlevel.delivery instead.",
    ),
    "highlevel.email_status_changes": (
        "Changes of emails' statuses, as fetches found them: as in highlevel.status_changes.",
        "One row for each change of an email's status that was seen when the email was fetched again; see highlevel.status_changes.",
    ),
    "highlevel.emails": (
        "One row an email. In highlevel.messages a whole thread is one message. A row exists as soon as the thread names the email, and is filled when it is fetched.",
        "One row for each email. In highlevel.messages a whole thread is one message. A row exists as soon as the thread names the email; most of its columns are null until the email is fetched.",
    ),
    "highlevel.locations": (
        "Locations (sub-accounts) by name and time zone, fetched when first seen and again when older than a day. Filled only where jobs.yaml has a job for them.",
        "Names and time zones of locations (sub-accounts). A location is fetched when a message first names it, and again when a message names it and the row is older than a day. Empty unless jobs.yaml has a job of the kind location.",
    ),
    "highlevel.marts": (
        "As of when the tables are that the job marts keeps: turns, conversation_totals, daily_totals and delivery_totals. One row.",
        "Up to when the tables that the job marts fills are complete: turns, conversation_totals, daily_totals and delivery_totals. One row.",
    ),
    "highlevel.message_types": (
        "Meaning of each message_type known when this version was released. Left join: new ones may appear.",
        "What each message_type means. Use a left join: HighLevel may send types that this version does not know.",
    ),
    "highlevel.messages": (
        "One row a message, as HighLevel last described it. For email one row is a whole thread.",
        "One row for each message, as HighLevel last described it. A thread of emails is one row here; its emails are in highlevel.emails.",
    ),
    "highlevel.meta": (
        "A message's meta object: for calls, length and outcome. A row only where there is one.",
        "What the API calls meta: for a call, its length and outcome. A message without meta has no row.",
    ),
    "highlevel.opening_hours": (
        "When locations are open, by their own clocks; you fill it, a row a span. A location without rows is always open. What overlaps counts once. INSERT INTO highlevel.opening_hours VALUES ('…', 1, '09:00', '18:00')",
        "When locations are open, on their own clocks. You fill this table, with one row for each time from opening to closing. A location without rows counts as always open. Times that overlap count once. INSERT INTO highlevel.opening_hours VALUES ('…', 1, '09:00', '18:00')",
    ),
    "highlevel.recordings": (
        "Audio of calls: what is known of it and, where recordings_url is set, where it is kept.",
        "Audio of calls: its type and length and, if recordings_url is set in jobs.yaml, where a copy is kept.",
    ),
    "highlevel.status_changes": (
        "Changes of messages' statuses, as fetches found them: HighLevel announces none. A change and its reverse between two fetches leave no row.",
        "One row for each change of a message's status that was seen when the message was fetched again. HighLevel announces no changes, so a status that came and went between two fetches is missing.",
    ),
    "highlevel.time_zones": (
        "Time zones that this Postgres knew when the warehouse was migrated, and older names of them. A location whose zone is not among them gets the default: an unknown name would make a whole query fail. To add newer ones: INSERT INTO highlevel.time_zones SELECT name FROM pg_timezone_names ON CONFLICT DO NOTHING",
        "Time zones that this Postgres knew when the table was made, with their older names. A location whose zone is not here gets the default zone, since one unknown name would make a whole query fail. To add newer zones: INSERT INTO highlevel.time_zones SELECT name FROM pg_timezone_names ON CONFLICT DO NOTHING",
    ),
    "highlevel.transcripts": (
        "What was said in calls. A row only where HighLevel has a transcript.",
        "What was said in calls, one row for each call. A call of which HighLevel has no transcript has no row.",
    ),
    "highlevel.turns": (
        "Turns of contacts, kept by the job marts. Ask highlevel.response_times, which adds the names.",
        "Turns of contacts, filled by the job marts. Read the view highlevel.response_times instead: it adds the names.",
    ),
    "highlevel.users": (
        "Users named by messages, fetched when first seen and again when older than a day. Filled only where jobs.yaml has a job for them.",
        "Users of HighLevel whom the loaded messages name. A user is fetched when a message first names it, and again when a message names it and the row is older than a day. Empty unless jobs.yaml has a job of the kind user.",
    ),
    "highlevel.settings": (
        "What the owner decides for the views; one row. UPDATE highlevel.settings SET default_time_zone = …",
        "Settings of the views, in one row. To change them: UPDATE highlevel.settings SET default_time_zone = …",
    ),
}
COLUMNS = {
    "etl.companies.refresh_token": (
        "What the next token is got with, encrypted likewise. It works once.",
        "Token that gets the next access token, encrypted likewise. It works once.",
    ),
    "etl.locations.refresh_token": (
        "What the next token is got with, encrypted likewise. It works once; null where there is none.",
        "Token that gets the next access token, encrypted likewise. It works once; null where there is none.",
    ),
    "etl.locations.paused_token": (
        "Fingerprint of the token that was refused: another token lifts the pause. Null: paused by hand, only etl locations resume lifts it.",
        "Fingerprint of the token that was refused: another token ends the pause. Null: only etl locations resume ends the pause, as after etl locations pause.",
    ),
    "etl.mart_changes.location_id": ("Location it is at.", "Location of what changed."),
    "etl.mart_changes.message_ids": (
        "Messages that are looked up, with the emails of which they are the thread; null: none needs to be.",
        "Messages whose conversations and days changed, with the emails of these threads; null: none.",
    ),
    "etl.mart_changes.conversation_id": (
        "Conversation that changed; null: none did.",
        "Conversation that changed; null: none.",
    ),
    "etl.mart_changes.happened_at": (
        "A time in the day that changed; null: none did. One that lies ahead waits until a day before it.",
        "A time in the day that changed; null: none. A time in the future waits until a day before it.",
    ),
    "etl.mart_changes.noted_at": (
        "When it was noted, in the transaction that changed it.",
        "When the change was made: this row is of the same transaction.",
    ),
    "etl.message_queue.message_id": (
        "Its id in HighLevel: of a transcription or recording the message's, else the thing's own; of a window that in etl.windows.",
        "What to fetch, by its id in HighLevel. For a transcription or recording: the id of its message. For a window: its window_id in etl.windows.",
    ),
    "etl.message_queue.leased_until": (
        "The claim lapses then unless it is renewed: a killed worker's items come back by themselves.",
        "When the claim ends, unless it is renewed: so the items of a killed worker come back by themselves.",
    ),
    "etl.message_queue.lapses": (
        "How often its lease lapsed since an attempt ended: its worker was killed. From 2 on it is fetched alone, with 5 it becomes a dead letter.",
        "How often its claim ended without being renewed since the last attempt ended: its worker was killed. From 2 on, the item is fetched alone; with 5, it becomes a dead letter.",
    ),
    "etl.message_queue.cause": (
        "Why the last attempt failed or waits; null at first.",
        "Why the last attempt failed, or why the item waits; null at first.",
    ),
    "etl.message_queue.conversation_id": (
        "Conversation of a message, where whoever queued it knew: there it is looked for if its id is refused.",
        "Conversation of a message, if known: the message is looked for there if the API refuses its id.",
    ),
    "etl.message_queue.dated_at": (
        "When the message was created, where whoever queued it knew: many of one time are fetched together.",
        "When the message was created, if known: many messages of one time are fetched together.",
    ),
    "etl.notices.subject": (
        "Which location, job or kind; empty: there is one.",
        "Location, job or kind that it is about; empty where there is only one.",
    ),
    "etl.rate_limits.daily_remaining": (
        "Of those, left: as last heard in X-RateLimit-Daily-Remaining, less what was granted since.",
        "How many of those are left: as X-RateLimit-Daily-Remaining last said, less those granted since.",
    ),
    "etl.rate_limits.blocked_at": (
        "When that was heard. In the future: before the clock was set back, so that it no longer holds.",
        "When the API said so. A time in the future is from before the clock was set back, and no longer holds.",
    ),
    "etl.rate_limits.heard_at": (
        "When headers last said the limits, or an answer that there are none. An hour later they are forgotten.",
        "When an answer last gave the limits, or showed that there are none. An hour later they are forgotten.",
    ),
    "etl.rate_usage.lease_id": (
        "The claim they were granted with, until answered; null once the time is known.",
        "Claim for which they were granted; null once they were answered, which sets expires_at.",
    ),
    "etl.runs.seen_at": (
        "When it last reported; stands still if it was killed.",
        "When it last reported that it is at work; a killed run does not.",
    ),
    "etl.runs.deleted": (
        "Known messages found gone upstream.",
        "Items that HighLevel no longer has: their rows got deleted_at.",
    ),
    "etl.runs.answered_4xx": (
        "Requests that the API refused, but for 429; or redirected.",
        "Requests that the API refused, except with 429, or redirected.",
    ),
    "etl.runs.skipped": (
        "Locations whose due items were left, by cause, up to 100 of each; null when none were.",
        "Locations whose due items had to wait, by cause, up to 100 for each cause; null when there were none.",
    ),
    "etl.windows.messages": ("How many messages it has.", "How many messages the export gave."),
    "etl.windows.missing": (
        "How many more the export counted and did not give.",
        "How many more messages the export counted than it gave.",
    ),
    "etl.windows.written": ("How many were new or had changed.", "How many of the messages were new or had changed."),
    "etl.windows.singly": (
        "How many could not be loaded from the export and were queued.",
        "How many could not be loaded from the export and were queued one by one.",
    ),
    "etl.windows.requests": ("Pages that were asked for.", "How many pages were asked for."),
    "etl.windows.days": (
        "Of one that compares: what it found, by UTC day.",
        "For compare: what was found, by UTC day.",
    ),
    "etl.windows.finished_at": (
        "When it was walked; null until then.",
        "When all its pages were read; null until then.",
    ),
    "highlevel.attachments.url": (
        "Where HighLevel serves the file; how long it does is not documented.",
        "Address of the file at HighLevel. HighLevel does not document how long it works.",
    ),
    "highlevel.attachments.file_name": (
        "Name of the file: the API's, else the last part of the URL.",
        "Name of the file, from the API; if the API gives none, the last part of the URL.",
    ),
    "highlevel.attachments.media_type": (
        "MIME type: the API's, else guessed from the file's ending.",
        "MIME type, from the API; if the API gives none, guessed from the file's ending.",
    ),
    "highlevel.contacts.name": (
        "Full name, as given or joined from its parts.",
        "Full name, from the API or joined from first and last name.",
    ),
    "highlevel.contacts.extra": (
        "Whatever the API sent that no column holds (custom fields …), under the API's own names.",
        "Fields of the API's answer that have no column (custom fields …), under the API's own names.",
    ),
    "highlevel.contacts.fetched_at": (
        "When the API first answered with what is stored here.",
        "When the API first gave what is stored here; getting the same again does not move this time.",
    ),
    "highlevel.contacts.checked_at": (
        "When the API last answered with what is stored here, or that it is gone. A list or an export that tells nothing new does not count. Null: not since this column exists; see fetched_at.",
        "When the API last confirmed what is stored here, or said that it is gone. Lists and exports do not count unless they bring something new. Null: not since an upgrade added this column; see fetched_at.",
    ),
    "highlevel.contacts.updated_at": (
        "When this row last changed here, or what belongs to it: files, meta, status changes. To copy what changed, follow this column.",
        "When this row last changed in this database, or its files, meta or status changes did. To copy what changed, follow this column.",
    ),
    "highlevel.conversation_totals.first_date_added": (
        "When its first message was created, of those loaded.",
        "When the first of its loaded messages was created.",
    ),
    "highlevel.conversation_totals.waiting_since": (
        "When the contact first wrote or called since the last answer of any kind; null: nothing waits.",
        "When the contact first wrote or called after the last answer of any kind; null: nothing waits for an answer.",
    ),
    "highlevel.conversation_totals.waiting_for_human_since": (
        "The same since the last answer of a person.",
        "The same after the last answer of a person.",
    ),
    "highlevel.daily_totals.contacts": (
        "Different contacts among them; do not add these up over rows.",
        "Number of different contacts. Do not add these up: a contact may be in many rows.",
    ),
    "highlevel.deleted_rows.why": (
        "erased: with its contact. pruned: it was too old.",
        "erased: its contact was erased. pruned: it was too old.",
    ),
    "highlevel.delivery_totals.error": (
        "The provider's words for what failed; null: there are none.",
        "Why they failed, in the provider's words; null: the provider gave no reason.",
    ),
    "highlevel.email_attachments.url": (
        "Where HighLevel serves the file; how long it does is not documented.",
        "Address of the file at HighLevel. HighLevel does not document how long it works.",
    ),
    "highlevel.email_attachments.file_name": (
        "Name of the file: the API's, else the last part of the URL.",
        "Name of the file, from the API; if the API gives none, the last part of the URL.",
    ),
    "highlevel.email_attachments.media_type": (
        "MIME type: the API's, else guessed from the file's ending.",
        "MIME type, from the API; if the API gives none, guessed from the file's ending.",
    ),
    "highlevel.email_status_changes.status": ("Status from then on.", "The new status."),
    "highlevel.email_status_changes.date_updated": (
        "HighLevel's own time of it. API: dateUpdated.",
        "When HighLevel says that it changed. API: dateUpdated.",
    ),
    "highlevel.emails.position": (
        "Place in the thread, from 0; null while only the email names its thread.",
        "Place in the thread, from 0; null until the thread lists the email.",
    ),
    "highlevel.emails.extra": (
        "Whatever the API sent that no column holds, under the API's own names; null when nothing.",
        "Fields of the API's answer that have no column, under the API's own names; null when there are none.",
    ),
    "highlevel.emails.fetched_at": (
        "When the API first answered with what is stored here. Null: only named by its thread so far.",
        "When the API first gave what is stored here; getting the same again does not move this time. Null: its thread names it, but it was not fetched yet.",
    ),
    "highlevel.emails.checked_at": (
        "When the API last answered with what is stored here, or that it is gone. A list or an export that tells nothing new does not count. Null: not since this column exists; see fetched_at.",
        "When the API last confirmed what is stored here, or said that it is gone. Lists and exports do not count unless they bring something new. Null: not since an upgrade added this column; see fetched_at.",
    ),
    "highlevel.emails.updated_at": (
        "When this row last changed here, or what belongs to it: files, meta, status changes. To copy what changed, follow this column.",
        "When this row last changed in this database, or its files, meta or status changes did. To copy what changed, follow this column.",
    ),
    "highlevel.locations.extra": (
        "Whatever the API sent that no column holds, under the API's own names.",
        "Fields of the API's answer that have no column, under the API's own names.",
    ),
    "highlevel.locations.fetched_at": (
        "When the API first answered with what is stored here.",
        "When the API first gave what is stored here; getting the same again does not move this time.",
    ),
    "highlevel.locations.checked_at": (
        "When the API last answered with what is stored here, or that it is gone. A list or an export that tells nothing new does not count. Null: not since this column exists; see fetched_at.",
        "When the API last confirmed what is stored here, or said that it is gone. Lists and exports do not count unless they bring something new. Null: not since an upgrade added this column; see fetched_at.",
    ),
    "highlevel.locations.updated_at": (
        "When this row last changed here, or what belongs to it: files, meta, status changes. To copy what changed, follow this column.",
        "When this row last changed in this database, or its files, meta or status changes did. To copy what changed, follow this column.",
    ),
    "highlevel.marts.as_of": (
        "Everything that was loaded until then is in them; null: they were never filled, or are being filled for the first time.",
        "They count everything that was loaded until then. Null: they were never filled, or are being filled for the first time.",
    ),
    "highlevel.message_types.type_code": (
        "The API's number for it; null where not established.",
        "The API's number for it; null where it is not known.",
    ),
    "highlevel.message_types.is_activity": (
        "True for log entries in a conversation (appointment, payment …): nobody wrote them to anybody.",
        "True for entries that HighLevel writes into a conversation (appointment, payment …): nobody sent them.",
    ),
    "highlevel.message_types.is_internal": (
        "True for what the team writes to itself, and for notes about a chat: no customer sees it.",
        "True for messages within the team and for notes about a chat: the contact does not see them.",
    ),
    "highlevel.messages.status": (
        "Delivery status when last fetched; HighLevel announces no status changes. API: status.",
        "Delivery status as of checked_at; HighLevel does not announce changes. API: status.",
    ),
    "highlevel.messages.source": (
        "What sent it: workflow, bulk_actions, campaign, api, app. Null for most inbound. API: source.",
        "What sent it: workflow, bulk_actions, campaign, api, app. Null for most inbound messages. API: source.",
    ),
    "highlevel.messages.subject": (
        "Subject, where the message itself has one. API: subject.",
        "Subject; few messages have one, and emails have theirs in emails. API: subject.",
    ),
    "highlevel.messages.user_id": (
        "HighLevel user who sent or answered it; null for automation and most inbound. API: userId.",
        "HighLevel user who sent or answered it; null for automatic and most inbound messages. API: userId.",
    ),
    "highlevel.messages.mentions": (
        "Users that an internal comment calls by name; their ids. API: mentions.",
        "Ids of the users whom an internal comment mentions. API: mentions.",
    ),
    "highlevel.messages.extra": (
        "Whatever the API sent that no column holds, under the API's own names; null when nothing.",
        "Fields of the API's answer that have no column, under the API's own names; null when there are none.",
    ),
    "highlevel.messages.fetched_at": (
        "When the API first answered with what is stored here.",
        "When the API first gave what is stored here; getting the same again does not move this time.",
    ),
    "highlevel.messages.checked_at": (
        "When the API last answered with what is stored here, or that it is gone. A list or an export that tells nothing new does not count. Null: not since this column exists; see fetched_at.",
        "When the API last confirmed what is stored here, or said that it is gone. Lists and exports do not count unless they bring something new. Null: not since an upgrade added this column; see fetched_at.",
    ),
    "highlevel.messages.updated_at": (
        "When this row last changed here, or what belongs to it: files, meta, status changes. To copy what changed, follow this column.",
        "When this row last changed in this database, or its files, meta or status changes did. To copy what changed, follow this column.",
    ),
    "highlevel.meta.message_id": ("Message that is described.", "Message that the row describes."),
    "highlevel.meta.extra": (
        "Everything else in meta, as received (email thread, Instagram or Facebook page …); null when nothing.",
        "Everything else in meta, as received (email thread, Instagram or Facebook page …); null when there is nothing.",
    ),
    "highlevel.opening_hours.closes": (
        "When it closes; on the next day, if that is not after opens. The end of a day is 24:00.",
        "When it closes. A time before opens is on the next day. 24:00 is the end of the day.",
    ),
    "highlevel.recordings.leg": (
        "Part of the call: 0, and 1 where it was passed on.",
        "Part of the call: 0, or 1 for the part after the call was forwarded.",
    ),
    "highlevel.recordings.media_type": ("MIME type, as HighLevel said.", "MIME type, as HighLevel says."),
    "highlevel.recordings.size_bytes": (
        "Length of the audio; null where not said.",
        "Length of the audio in bytes; null: HighLevel did not say it.",
    ),
    "highlevel.recordings.sha256": (
        "SHA-256 of the audio, hexadecimal; null: it was not kept.",
        "SHA-256 of the audio, hexadecimal; null: no copy is kept.",
    ),
    "highlevel.recordings.url": (
        "Where the audio is kept; null: it was not kept.",
        "Where the copy is kept; null: no copy is kept.",
    ),
    "highlevel.recordings.fetched_at": (
        "When the API first answered with what is stored here.",
        "When the API first gave what is stored here; getting the same again does not move this time.",
    ),
    "highlevel.recordings.checked_at": (
        "When the API last answered with what is stored here, or that it is gone. A list or an export that tells nothing new does not count. Null: not since this column exists; see fetched_at.",
        "When the API last confirmed what is stored here, or said that it is gone. Lists and exports do not count unless they bring something new. Null: not since an upgrade added this column; see fetched_at.",
    ),
    "highlevel.recordings.updated_at": (
        "When this row last changed here, or what belongs to it: files, meta, status changes. To copy what changed, follow this column.",
        "When this row last changed in this database, or its files, meta or status changes did. To copy what changed, follow this column.",
    ),
    "highlevel.status_changes.status": ("Status from then on.", "The new status."),
    "highlevel.status_changes.date_updated": (
        "HighLevel's own time of it. API: dateUpdated.",
        "When HighLevel says that it changed. API: dateUpdated.",
    ),
    "highlevel.time_zones.known_as": (
        "Today's name of it, by which Postgres is asked; null: the same.",
        "Today's name of the zone, if time_zone is an older one; null: time_zone is today's.",
    ),
    "highlevel.transcripts.fetched_at": (
        "When the API first answered with what is stored here.",
        "When the API first gave what is stored here; getting the same again does not move this time.",
    ),
    "highlevel.transcripts.checked_at": (
        "When the API last answered with what is stored here, or that it is gone. A list or an export that tells nothing new does not count. Null: not since this column exists; see fetched_at.",
        "When the API last confirmed what is stored here, or said that it is gone. Lists and exports do not count unless they bring something new. Null: not since an upgrade added this column; see fetched_at.",
    ),
    "highlevel.transcripts.updated_at": (
        "When this row last changed here, or what belongs to it: files, meta, status changes. To copy what changed, follow this column.",
        "When this row last changed in this database, or its files, meta or status changes did. To copy what changed, follow this column.",
    ),
    "highlevel.turns.answered_at": (
        "When the first answer was created; null: none so far.",
        "When the first answer was created; null: there is none yet.",
    ),
    "highlevel.turns.human_answered_at": (
        "When a person first answered, or the contact called and somebody answered; null: none so far.",
        "When a person first answered, or the contact called and somebody answered the call; null: not yet.",
    ),
    "highlevel.turns.user_id": (
        "User who gave that answer, where HighLevel says.",
        "User who gave that answer; null: HighLevel names none.",
    ),
    "highlevel.turns.open_seconds": (
        "Seconds from date_added to answered_at within highlevel.opening_hours; null: there are none, or no answer.",
        "Seconds from date_added to answered_at in which the location was open; null: it has no opening hours, or there is no answer.",
    ),
    "highlevel.turns.human_open_seconds": ("The same to human_answered_at.", "The same until human_answered_at."),
    "highlevel.users.name": (
        "Full name, as given or joined from its parts.",
        "Full name, from the API or joined from first and last name.",
    ),
    "highlevel.users.extra": (
        "Whatever the API sent that no column holds, under the API's own names.",
        "Fields of the API's answer that have no column, under the API's own names.",
    ),
    "highlevel.users.fetched_at": (
        "When the API first answered with what is stored here.",
        "When the API first gave what is stored here; getting the same again does not move this time.",
    ),
    "highlevel.users.checked_at": (
        "When the API last answered with what is stored here, or that it is gone. A list or an export that tells nothing new does not count. Null: not since this column exists; see fetched_at.",
        "When the API last confirmed what is stored here, or said that it is gone. Lists and exports do not count unless they bring something new. Null: not since an upgrade added this column; see fetched_at.",
    ),
    "highlevel.users.updated_at": (
        "When this row last changed here, or what belongs to it: files, meta, status changes. To copy what changed, follow this column.",
        "When this row last changed in this database, or its files, meta or status changes did. To copy what changed, follow this column.",
    ),
}


def upgrade() -> None:
    _comment(before=0, after=1)


def downgrade() -> None:
    _comment(before=1, after=0)


def _comment(*, before: int, after: int) -> None:
    for name, words in TABLES.items():
        schema, table = name.split(".")
        op.create_table_comment(table, words[after], existing_comment=words[before], schema=schema)
    for name, words in COLUMNS.items():
        schema, table, column = name.split(".")
        op.alter_column(table, column, existing_comment=words[before], comment=words[after], schema=schema)
