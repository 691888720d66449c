"""The schema ``highlevel``: what analysts read."""

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text

from etl.models.base import (
    FETCHED_AT,
    Base,
    Fetched,
    Mapped,
    WritePolicy,
    Written,
    big,
    column,
    day,
    id_check,
    json,
    json_list,
    key,
    local_timestamp,
    number_key,
    one_of,
    seconds,
    texts,
    time_of_day,
    timestamp,
    timestamp_now,
)

DELETED_BECAUSE = ("erased", "pruned")


def gone(thing: str) -> Any:
    """Return the column that says since when the API no longer has a thing."""
    return column(f"When the API first said that the {thing} no longer exists; null while it exists.")


class Message(Fetched, Base, table="highlevel.messages"):
    """One row for each message, as HighLevel last described it. A thread of emails is one row here; its emails are in
    highlevel.emails.
    """

    __table_args__ = (
        # Messages of a time: every view that is filtered by day.
        Index(None, "location_id", "date_added"),
        # The newest of all locations.
        Index(None, "date_added"),
        # Messages of a conversation: response_times and conversations look for what came before and after.
        Index(None, "location_id", "conversation_id", "date_added"),
        # What was exchanged with one contact, in order.
        Index(None, "location_id", "contact_id", "date_added"),
    )

    location_id: Mapped[key] = column(
        "Location (sub-account) the message belongs to. API: locationId.", example="ve9EPM428h8vShlRW1KT"
    )
    message_id: Mapped[key] = column("The message. API: id.", example="4zTrQpvWmSDG0cQ0bKYL")
    conversation_id: Mapped[str | None] = column("Conversation it is part of. API: conversationId.")
    contact_id: Mapped[str | None] = column("Contact (customer) it was exchanged with. API: contactId.")
    message_type: Mapped[str | None] = column(
        "Kind of message, always in the TYPE_ form; see highlevel.message_types. API: messageType.", example="TYPE_SMS"
    )
    type_code: Mapped[int | None] = column(
        "The API's number for the kind, as received. Prefer message_type. API: type.", example="2"
    )
    direction: Mapped[str | None] = column(
        "inbound (from the contact) or outbound (to the contact). API: direction.", example="inbound"
    )
    status: Mapped[str | None] = column(
        "Delivery status as of checked_at; HighLevel does not announce changes. API: status.", example="delivered"
    )
    source: Mapped[str | None] = column(
        "What sent it: workflow, bulk_actions, campaign, api, app. Null for most inbound messages. API: source.",
        example="workflow",
    )
    content_type: Mapped[str | None] = column("MIME type of body. API: contentType.", example="text/plain")
    body: Mapped[str | None] = column("Text of the message. Null for calls; not reliable for email threads. API: body.")
    subject: Mapped[str | None] = column(
        "Subject; few messages have one, and emails have theirs in emails. API: subject."
    )
    sender: Mapped[str | None] = column(
        "Address or number it came from; not for email. API: from.", example="+15550001111"
    )
    recipient: Mapped[str | None] = column(
        "Address or number it went to; not for email. API: to.", example="+15550002222"
    )
    error: Mapped[str | None] = column(
        "Why delivery failed, in the provider's words. API: error.", example="Error 30005 - Unknown destination handset"
    )
    user_id: Mapped[str | None] = column(
        "HighLevel user who sent or answered it; null for automatic and most inbound messages. API: userId."
    )
    conversation_provider_id: Mapped[str | None] = column(
        "Custom conversation provider that carried it. API: conversationProviderId."
    )
    chat_widget_id: Mapped[str | None] = column("Chat widget it came through. API: chatWidgetId.")
    alt_id: Mapped[str | None] = column(
        "The carrier's own id of the message. API: altId.", example="wamid.HBgLMTU1NTAwMDExMTE"
    )
    reply_to_message_id: Mapped[str | None] = column("Message it answers. API: replyToMessageId.")
    mentions: Mapped[texts | None] = column(
        "Ids of the users whom an internal comment mentions. API: mentions.", example="{USR2}"
    )
    date_added: Mapped[timestamp | None] = column("When the message was created in HighLevel. API: dateAdded.")
    date_updated: Mapped[timestamp | None] = column(
        "When HighLevel last changed it. API: dateUpdated (undocumented, usually present)."
    )
    extra: Mapped[json | None] = column(
        "Fields of the API's answer that have no column, under the API's own names; null when there are none."
    )
    deleted_at: Mapped[timestamp | None] = gone("message")


class File:
    """A file that HighLevel serves."""

    url: Mapped[str] = column(
        "Address of the file at HighLevel. HighLevel does not document how long it works.",
        example="https://storage.example/ticket.pdf",
    )
    file_name: Mapped[str | None] = column(
        "Name of the file, from the API; if the API gives none, the last part of the URL.", example="ticket.pdf"
    )
    media_type: Mapped[str | None] = column(
        "MIME type, from the API; if the API gives none, guessed from the file's ending.", example="application/pdf"
    )


class Attachment(File, Written, Base, table="highlevel.attachments"):
    """Files of messages, one row for each file. Audio of calls is in highlevel.recordings instead."""

    location_id: Mapped[key] = column("Location the message belongs to.")
    message_id: Mapped[key] = column("Message the file is part of.")
    position: Mapped[number_key] = column("Place in the message's list of files, from 0.")


class Meta(Written, Base, table="highlevel.meta"):
    """What the API calls meta: for a call, its length and outcome. A message without meta has no row."""

    location_id: Mapped[key] = column("Location the message belongs to.")
    message_id: Mapped[key] = column("Message that the row describes.")
    call_duration: Mapped[int | None] = column(
        "Length of the call in seconds. API: meta.call.duration or meta.callDuration.", example="37"
    )
    call_status: Mapped[str | None] = column(
        "Outcome: completed, answered, busy, no-answer, failed, canceled, voicemail, pending. "
        "API: meta.call.status or meta.callStatus.",
        example="completed",
    )
    extra: Mapped[json | None] = column(
        "Everything else in meta, as received (email thread, Instagram or Facebook page …); null when there is nothing."
    )


class Status:
    """A status that a fetch found."""

    seen_at: Mapped[timestamp] = column("When the new status was first received.", primary_key=True)
    previous_status: Mapped[str | None] = column("Status before; null when there was none.", example="sent")
    status: Mapped[str | None] = column("The new status.", example="delivered")
    date_updated: Mapped[timestamp | None] = column("When HighLevel says that it changed. API: dateUpdated.")


class StatusChange(Status, Base, table="highlevel.status_changes"):
    """One row for each change of a message's status that was seen when the message was fetched again. HighLevel
    announces no changes, so a status that came and went between two fetches is missing.
    """

    location_id: Mapped[key] = column("Location the message belongs to.")
    message_id: Mapped[key] = column("Message whose status changed.")


class Email(Fetched, Base, table="highlevel.emails"):
    """One row for each email. In highlevel.messages a whole thread is one message. A row exists as soon as the thread
    names the email; most of its columns are null until the email is fetched.
    """

    write_policy = WritePolicy(preserve=("message_id",))  # an email's own threadId is less reliable
    __table_args__ = (
        # highlevel.messages_flat asks for every thread whether it has emails; the thread's emails, in order.
        Index(None, "location_id", "message_id", "position"),
        # Emails of a time: every view that is filtered by day.
        Index(None, "location_id", "date_added"),
        # The newest of all locations.
        Index(None, "date_added"),
        # Emails of a conversation: response_times and conversations look for what came before and after.
        Index(None, "location_id", "conversation_id", "date_added"),
        # What was exchanged with one contact, in order.
        Index(None, "location_id", "contact_id", "date_added"),
    )

    location_id: Mapped[key] = column("Location the email belongs to.")
    email_id: Mapped[key] = column("The email. API: id, emailMessageId.", example="EML1aBcDeFgHiJkLmNoP")
    message_id: Mapped[str | None] = column("Message in highlevel.messages that is its thread. API: threadId.")
    position: Mapped[int | None] = column("Place in the thread, from 0; null until the thread lists the email.")
    conversation_id: Mapped[str | None] = column("Conversation it is part of. API: conversationId.")
    contact_id: Mapped[str | None] = column("Contact it was exchanged with. API: contactId.")
    direction: Mapped[str | None] = column("inbound or outbound. API: direction.")
    status: Mapped[str | None] = column("Delivery status when last fetched. API: status.", example="delivered")
    source: Mapped[str | None] = column("What sent it: workflow, campaign, api, app … API: source.")
    provider: Mapped[str | None] = column("Service that carried it. API: provider.", example="Leadconnector Gmail")
    subject: Mapped[str | None] = column("Subject. API: subject.")
    content_type: Mapped[str | None] = column("MIME type of body. API: contentType.")
    body: Mapped[str | None] = column("The email as sent, usually HTML. API: body.")
    body_text: Mapped[str | None] = column("body as plain text, for reading and searching.")
    sender: Mapped[str | None] = column("Address it came from. API: from.", example="shop@example.com")
    sender_name: Mapped[str | None] = column("Name beside that address; null when there is none.", example="Shop")
    recipients: Mapped[texts | None] = column("Addresses it went to. API: to.", example="{ann@example.com}")
    cc: Mapped[texts | None] = column("Addresses in copy. API: cc.")
    bcc: Mapped[texts | None] = column("Addresses in blind copy. API: bcc.")
    reply_to_email_id: Mapped[str | None] = column("Email it answers. API: replyToMessageId.")
    error: Mapped[str | None] = column("Why delivery failed. API: error.")
    conversation_provider_id: Mapped[str | None] = column(
        "Custom conversation provider that carried it. API: conversationProviderId."
    )
    alt_id: Mapped[str | None] = column("The provider's own id. API: altId.")
    date_added: Mapped[timestamp | None] = column("When it was created. API: dateAdded.")
    date_updated: Mapped[timestamp | None] = column("When HighLevel last changed it. API: dateUpdated.")
    extra: Mapped[json | None] = column(
        "Fields of the API's answer that have no column, under the API's own names; null when there are none."
    )
    deleted_at: Mapped[timestamp | None] = gone("email")
    fetched_at: Mapped[timestamp | None] = column(  # type: ignore[assignment] # the others have one in each row
        f"{FETCHED_AT} Null: its thread names it, but it was not fetched yet."
    )


class EmailAttachment(File, Written, Base, table="highlevel.email_attachments"):
    """Files of emails."""

    location_id: Mapped[key] = column("Location the email belongs to.")
    email_id: Mapped[key] = column("Email the file is part of.")
    position: Mapped[number_key] = column("Place in the email's list of files, from 0.")


class EmailStatusChange(Status, Base, table="highlevel.email_status_changes"):
    """One row for each change of an email's status that was seen when the email was fetched again; see
    highlevel.status_changes.
    """

    location_id: Mapped[key] = column("Location the email belongs to.")
    email_id: Mapped[key] = column("Email whose status changed.")


class Transcript(Fetched, Base, table="highlevel.transcripts"):
    """What was said in calls, one row for each call. A call of which HighLevel has no transcript has no row."""

    location_id: Mapped[key] = column("Location the call belongs to.")
    message_id: Mapped[key] = column("The call, as in highlevel.messages.")
    transcript: Mapped[str] = column("The whole text, one line a sentence, in the order of time.")
    sentences: Mapped[json_list] = column(
        "The sentences as the API gave them: mediaChannel (who spoke), startTime, endTime (ms), confidence …"
    )


class Recording(Fetched, Base, table="highlevel.recordings"):
    """Audio of calls: its type and length and, if recordings_url is set in jobs.yaml, where a copy is kept."""

    location_id: Mapped[key] = column("Location the call belongs to.")
    message_id: Mapped[key] = column("The call, as in highlevel.messages.")
    leg: Mapped[number_key] = column("Part of the call: 0, or 1 for the part after the call was forwarded.")
    media_type: Mapped[str | None] = column("MIME type, as HighLevel says.", example="audio/x-wav")
    size_bytes: Mapped[big | None] = column("Length of the audio in bytes; null: HighLevel did not say it.")
    sha256: Mapped[str | None] = column("SHA-256 of the audio, hexadecimal; null: no copy is kept.")
    url: Mapped[str | None] = column(
        "Where the copy is kept; null: no copy is kept.", example="s3://bucket/recordings/LOC1/MSG1-0.wav"
    )


class Contact(Fetched, Base, table="highlevel.contacts"):
    """Contacts of the loaded messages. A contact is fetched when a message first names it, and again when a message
    names it and the row is older than a day. Empty unless jobs.yaml has a job of the kind contact.
    """

    write_policy = WritePolicy(is_refreshed=True)

    location_id: Mapped[key] = column("Location the contact belongs to.")
    contact_id: Mapped[key] = column("The contact. API: id.")
    name: Mapped[str | None] = column("Full name, from the API or joined from first and last name.", example="Ann Lee")
    first_name: Mapped[str | None] = column("First name. API: firstName.")
    last_name: Mapped[str | None] = column("Last name. API: lastName.")
    email: Mapped[str | None] = column("Email address. API: email.")
    phone: Mapped[str | None] = column("Phone number. API: phone.")
    company_name: Mapped[str | None] = column("Company. API: companyName.")
    tags: Mapped[texts | None] = column("Tags. API: tags.", example="{vip,lead}")
    contact_type: Mapped[str | None] = column("Type of contact, e.g. lead or customer. API: type.", example="lead")
    source: Mapped[str | None] = column("Where the contact came from. API: source.")
    time_zone: Mapped[str | None] = column("Time zone. API: timezone.", example="Europe/Madrid")
    date_added: Mapped[timestamp | None] = column("When it was created. API: dateAdded.")
    date_updated: Mapped[timestamp | None] = column("When HighLevel last changed it. API: dateUpdated.")
    extra: Mapped[json | None] = column(
        "Fields of the API's answer that have no column (custom fields …), under the API's own names."
    )
    deleted_at: Mapped[timestamp | None] = gone("contact")


class User(Fetched, Base, table="highlevel.users"):
    """Users of HighLevel whom the loaded messages name. A user is fetched when a message first names it, and again when
    a message names it and the row is older than a day. Empty unless jobs.yaml has a job of the kind user.
    """

    write_policy = WritePolicy(is_refreshed=True)

    location_id: Mapped[key] = column("Location in which the user was seen.")
    user_id: Mapped[key] = column("The user. API: id.")
    name: Mapped[str | None] = column("Full name, from the API or joined from first and last name.", example="Sam Fox")
    first_name: Mapped[str | None] = column("First name. API: firstName.")
    last_name: Mapped[str | None] = column("Last name. API: lastName.")
    email: Mapped[str | None] = column("Email address. API: email.")
    phone: Mapped[str | None] = column("Phone number. API: phone.")
    role: Mapped[str | None] = column("Role in the location. API: roles.role.", example="admin")
    extra: Mapped[json | None] = column("Fields of the API's answer that have no column, under the API's own names.")
    deleted_at: Mapped[timestamp | None] = gone("user")


class LocationProfile(Fetched, Base, table="highlevel.locations"):
    """Names and time zones of locations (sub-accounts). A location is fetched when a message first names it, and again
    when a message names it and the row is older than a day. Empty unless jobs.yaml has a job of the kind location.
    """

    write_policy = WritePolicy(is_refreshed=True)

    location_id: Mapped[key] = column("The location. API: id.")
    name: Mapped[str | None] = column("Name of the business. API: name.", example="Harbour Street Dental")
    time_zone: Mapped[str | None] = column("Its time zone. API: timezone.", example="Europe/Madrid")
    company_id: Mapped[str | None] = column("Company (agency) it belongs to. API: companyId.")
    email: Mapped[str | None] = column("Email address. API: email.")
    phone: Mapped[str | None] = column("Phone number. API: phone.")
    city: Mapped[str | None] = column("City. API: city.")
    country: Mapped[str | None] = column("Country, two letters. API: country.")
    extra: Mapped[json | None] = column("Fields of the API's answer that have no column, under the API's own names.")
    deleted_at: Mapped[timestamp | None] = gone("location")


class DeletedRow(Base, table="highlevel.deleted_rows"):
    """Messages, emails and contacts that etl forget or etl prune deleted from this database. If you have a copy, delete
    them there too, with all that belongs to them. A row is kept for 90 days. A message that was deleted in HighLevel
    is not here: it stays in highlevel.messages, with deleted_at.
    """

    __table_args__ = (
        CheckConstraint(one_of("why", DELETED_BECAUSE), name="why_is_known"),
        # What was deleted since some time.
        Index(None, "deleted_at"),
    )

    location_id: Mapped[key] = column("Location the row belonged to.")
    id: Mapped[key] = column("Its message_id, email_id or contact_id.")
    table_name: Mapped[key] = column("Table it was in: messages, emails or contacts.", example="messages")
    deleted_at: Mapped[timestamp_now] = column("When it was deleted here.")
    why: Mapped[str] = column("erased: its contact was erased. pruned: it was too old.", example="erased")


class MessageType(Base, table="highlevel.message_types"):
    """What each message_type means. Use a left join: HighLevel may send types that this version does not know."""

    message_type: Mapped[key] = column("As in highlevel.messages.message_type.", example="TYPE_SMS")
    type_code: Mapped[int | None] = column("The API's number for it; null where it is not known.", example="2")
    channel: Mapped[str] = column(
        "Channel: SMS, Call, Email, WhatsApp, Facebook, Instagram, Google, TikTok, RCS, Chat, Internal, …",
        example="SMS",
    )
    is_campaign: Mapped[bool] = column("True when a campaign sent it rather than a person or workflow.")
    is_activity: Mapped[bool] = column(
        "True for entries that HighLevel writes into a conversation (appointment, payment …): nobody sent them."
    )
    is_internal: Mapped[bool] = column(
        "True for messages within the team and for notes about a chat: the contact does not see them.",
        server_default=text("false"),
    )


class TimeZone(Base, table="highlevel.time_zones"):
    """Time zones that this Postgres knew when the table was made, with their older names. A location whose zone is not
    here gets the default zone, since one unknown name would make a whole query fail. To add newer zones:
    INSERT INTO highlevel.time_zones SELECT name FROM pg_timezone_names ON CONFLICT DO NOTHING
    """

    time_zone: Mapped[key] = column("Name, as in highlevel.locations.time_zone.", example="US/Central")
    known_as: Mapped[str | None] = column(
        "Today's name of the zone, if time_zone is an older one; null: time_zone is today's.", example="America/Chicago"
    )


class OneRow:
    """A table of one row."""

    only_row: Mapped[bool] = column("Always true: there is one row.", primary_key=True, server_default=text("true"))


class ViewSettings(OneRow, Base, table="highlevel.settings"):
    """Settings of the views, in one row. To change them: UPDATE highlevel.settings SET default_time_zone = …"""

    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    default_time_zone: Mapped[str] = column(
        "Time zone of locations that have none, or one that this Postgres does not know.",
        ForeignKey(TimeZone.time_zone),
        example="Europe/Madrid",
        server_default=text("'UTC'"),
    )


class OpeningHours(Base, table="highlevel.opening_hours"):
    """When locations are open, on their own clocks. You fill this table, with one row for each time from opening to
    closing. A location without rows counts as always open. Times that overlap count once.
    INSERT INTO highlevel.opening_hours VALUES ('…', 1, '09:00', '18:00')
    """

    __table_args__ = (
        id_check("location_id"),
        CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday_is_one"),
        CheckConstraint("opens < '24:00' AND opens <> closes", name="span_has_a_length"),
    )

    location_id: Mapped[key] = column("Location.")
    weekday: Mapped[number_key] = column("Day on which it opens: 1 is Monday, 7 is Sunday.", example="1")
    opens: Mapped[time_of_day] = column("When it opens.", primary_key=True, example="09:00")
    closes: Mapped[time_of_day] = column(
        "When it closes. A time before opens is on the next day. 24:00 is the end of the day.", example="18:00"
    )


class Turn(Base, table="highlevel.turns"):
    """Turns of contacts, filled by the job marts. Read the view highlevel.response_times instead: it adds the names."""

    __table_args__ = (
        # Turns of a month or of a day.
        Index(None, "location_id", "local_month", "local_day"),
    )

    location_id: Mapped[key] = column("Location.")
    conversation_id: Mapped[key] = column("Conversation.")
    # Unique: of messages of the same instant, the question is sorted before the answer, so they begin one turn at most.
    date_added: Mapped[timestamp] = column("When the turn began.", primary_key=True)
    contact_id: Mapped[str | None] = column("Contact who wrote or called.")
    message_id: Mapped[str | None] = column(
        "First message of the turn; if that is an email, the message of its thread, or null if none is known."
    )
    email_id: Mapped[str | None] = column("Email that begins the turn; null if a message of another channel does.")
    channel: Mapped[str] = column("Its channel; see messages_flat.channel.")
    local_time: Mapped[local_timestamp] = column("date_added on the location's own clock.")
    local_day: Mapped[day] = column("The day of local_time.")
    local_month: Mapped[day] = column("The first day of its month.")
    answered_at: Mapped[timestamp | None] = column("When the first answer was created; null: there is none yet.")
    answer_message_id: Mapped[str | None] = column("That answer.")
    answer_email_id: Mapped[str | None] = column("Email that answers; null if a message of another channel does.")
    answer_channel: Mapped[str | None] = column("Its channel.")
    answered_by: Mapped[str | None] = column("Who sent it; see messages_flat.sent_by.")
    human_answered_at: Mapped[timestamp | None] = column(
        "When a person first answered, or the contact called and somebody answered the call; null: not yet."
    )
    user_id: Mapped[str | None] = column("User who gave that answer; null: HighLevel names none.")
    open_seconds: Mapped[seconds | None] = column(
        "Seconds from date_added to answered_at in which the location was open; null: it has no opening hours, or "
        "there is no answer.",
        example="540",
    )
    human_open_seconds: Mapped[seconds | None] = column("The same until human_answered_at.", example="540")


class ConversationTotal(Base, table="highlevel.conversation_totals"):
    """One row for each conversation with a message from or to the contact, filled by the job marts. Read the view
    highlevel.conversations instead: it adds the names.
    """

    __table_args__ = (
        # Conversations that ended on a day.
        Index(None, "location_id", "last_local_day"),
        # The newest of all locations.
        Index(None, "last_date_added"),
    )

    location_id: Mapped[key] = column("Location.")
    conversation_id: Mapped[key] = column("The conversation.")
    contact_id: Mapped[str | None] = column("Contact of its last message.")
    first_date_added: Mapped[timestamp] = column("When the first of its loaded messages was created.")
    last_date_added: Mapped[timestamp] = column("When its last message was created.")
    last_local_time: Mapped[local_timestamp] = column("The same on the location's own clock.")
    last_local_day: Mapped[day] = column("The day of last_local_time.")
    messages: Mapped[int] = column("Messages in it.")
    inbound: Mapped[int] = column("Those from the contact.")
    outbound: Mapped[int] = column("Those to the contact.")
    last_channel: Mapped[str] = column("Channel of the last message.")
    last_direction: Mapped[str | None] = column("Direction of the last message.")
    last_sent_by: Mapped[str] = column("Who sent the last message; see messages_flat.sent_by.")
    last_message_id: Mapped[str | None] = column(
        "The last message; if that is an email, the message of its thread, or null if none is known."
    )
    waiting_since: Mapped[timestamp | None] = column(
        "When the contact first wrote or called after the last answer of any kind; null: nothing waits for an answer."
    )
    waiting_for_human_since: Mapped[timestamp | None] = column("The same after the last answer of a person.")


class DayTotal:
    """A number of messages of one day."""

    location_id: Mapped[key] = column("Location.")
    local_day: Mapped[day] = column("Day in the location's own time zone.", primary_key=True)
    position: Mapped[number_key] = column("Place among the rows of the day, from 1.")
    channel: Mapped[str] = column("SMS, Call, Email …; see messages_flat.channel.")
    sent_by: Mapped[str] = column("Who sent it; see messages_flat.sent_by.")
    messages: Mapped[int] = column("Messages.")


class ExchangeTotal(DayTotal):
    """The same with their contacts and calls."""

    direction: Mapped[str | None] = column("inbound or outbound.")
    contacts: Mapped[int] = column("Number of different contacts. Do not add these up: a contact may be in many rows.")
    answered_calls: Mapped[int | None] = column("Calls that were answered; null for channels other than Call.")
    missed_calls: Mapped[int | None] = column("Calls that were missed; null as above.")
    voicemails: Mapped[int | None] = column("Calls that ended in a voicemail; null as above.")
    answered_seconds: Mapped[big | None] = column("Length of the answered calls, as far as known; null as above.")


class DailyTotal(ExchangeTotal, Base, table="highlevel.daily_totals"):
    """Number of messages by day, channel, direction and source, filled by the job marts. Read the view
    highlevel.daily_messages instead.
    """

    source: Mapped[str | None] = column("What sent it, in HighLevel's words.")


class UserTotal(ExchangeTotal, Base, table="highlevel.user_totals"):
    """Number of messages that name a user, by day, user, channel and direction, filled by the job marts. Read the view
    highlevel.daily_users instead.
    """

    user_id: Mapped[str] = column("User who sent or answered them.")


class DeliveryTotal(DayTotal, Base, table="highlevel.delivery_totals"):
    """What became of outbound messages, by the day on which they were created, filled by the job marts. Read the view
    highlevel.delivery instead.
    """

    channel: Mapped[str] = column("SMS, Email …; see messages_flat.channel.")
    source: Mapped[str | None] = column("What sent it, in HighLevel's words.")
    error: Mapped[str | None] = column("Why they failed, in the provider's words; null: the provider gave no reason.")
    messages: Mapped[int] = column("All of them.")
    waiting: Mapped[int] = column("Status pending, queued or scheduled.")
    sent: Mapped[int] = column("Status sent, or any that comes after it.")
    delivered: Mapped[int] = column("Status delivered, read, opened or clicked.")
    opened: Mapped[int] = column("Status read, opened or clicked.")
    failed: Mapped[int] = column("Status failed or undelivered.")


class Marts(OneRow, Base, table="highlevel.marts"):
    """Up to when the tables that the job marts fills are complete: turns, conversation_totals, daily_totals,
    user_totals and delivery_totals. One row.
    """

    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    as_of: Mapped[timestamp | None] = column(
        "They count everything that was loaded until then. Null: they were never filled, or are being filled for the "
        "first time."
    )
