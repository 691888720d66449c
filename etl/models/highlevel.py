"""The schema ``highlevel``: what analysts read."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from etl.models.base import (
    Base,
    WritePolicy,
    Written,
    day,
    json,
    json_list,
    local_timestamp,
    table_args,
    texts,
    timestamp,
)


class Message(Written, Base):
    """One conversation message, as the API last described it."""

    __tablename__ = "messages"
    __table_args__ = table_args(
        "highlevel",
        "One row a message, as HighLevel last described it. For email one row is a whole thread.",
        # Messages of a time: every view that is filtered by day.
        Index(None, "location_id", "date_added"),
        # The newest of all locations.
        Index(None, "date_added"),
        # Messages of a conversation: response_times and conversations look for what came before and after.
        Index(None, "location_id", "conversation_id", "date_added"),
        # What was exchanged with one contact, in order.
        Index(None, "location_id", "contact_id", "date_added"),
    )

    location_id: Mapped[str] = mapped_column(
        primary_key=True,
        comment="Location (sub-account) the message belongs to. API: locationId.",
        info={"example": "ve9EPM428h8vShlRW1KT"},
    )
    message_id: Mapped[str] = mapped_column(
        primary_key=True, comment="The message. API: id.", info={"example": "4zTrQpvWmSDG0cQ0bKYL"}
    )
    conversation_id: Mapped[str | None] = mapped_column(comment="Conversation it is part of. API: conversationId.")
    contact_id: Mapped[str | None] = mapped_column(comment="Contact (customer) it was exchanged with. API: contactId.")
    message_type: Mapped[str | None] = mapped_column(
        comment="Kind of message, always in the TYPE_ form; see highlevel.message_types. API: messageType.",
        info={"example": "TYPE_SMS"},
    )
    type_code: Mapped[int | None] = mapped_column(
        comment="The API's number for the kind, as received. Prefer message_type. API: type.", info={"example": "2"}
    )
    direction: Mapped[str | None] = mapped_column(
        comment="inbound (from the contact) or outbound (to the contact). API: direction.", info={"example": "inbound"}
    )
    status: Mapped[str | None] = mapped_column(
        comment="Delivery status when last fetched; HighLevel announces no status changes. API: status.",
        info={"example": "delivered"},
    )
    source: Mapped[str | None] = mapped_column(
        comment="What sent it: workflow, bulk_actions, campaign, api, app. Null for most inbound. API: source.",
        info={"example": "workflow"},
    )
    content_type: Mapped[str | None] = mapped_column(
        comment="MIME type of body. API: contentType.", info={"example": "text/plain"}
    )
    body: Mapped[str | None] = mapped_column(
        comment="Text of the message. Null for calls; not reliable for email threads. API: body."
    )
    subject: Mapped[str | None] = mapped_column(comment="Subject, where the message itself has one. API: subject.")
    sender: Mapped[str | None] = mapped_column(
        comment="Address or number it came from; not for email. API: from.", info={"example": "+15550001111"}
    )
    recipient: Mapped[str | None] = mapped_column(
        comment="Address or number it went to; not for email. API: to.", info={"example": "+15550002222"}
    )
    error: Mapped[str | None] = mapped_column(
        comment="Why delivery failed, in the provider's words. API: error.",
        info={"example": "Error 30005 - Unknown destination handset"},
    )
    user_id: Mapped[str | None] = mapped_column(
        comment="HighLevel user who sent or answered it; null for automation and most inbound. API: userId."
    )
    conversation_provider_id: Mapped[str | None] = mapped_column(
        comment="Custom conversation provider that carried it. API: conversationProviderId."
    )
    chat_widget_id: Mapped[str | None] = mapped_column(comment="Chat widget it came through. API: chatWidgetId.")
    alt_id: Mapped[str | None] = mapped_column(
        comment="The carrier's own id of the message. API: altId.", info={"example": "wamid.HBgLMTU1NTAwMDExMTE"}
    )
    reply_to_message_id: Mapped[str | None] = mapped_column(comment="Message it answers. API: replyToMessageId.")
    mentions: Mapped[texts | None] = mapped_column(
        comment="Users that an internal comment calls by name; their ids. API: mentions.", info={"example": "{USR2}"}
    )
    date_added: Mapped[timestamp | None] = mapped_column(
        comment="When the message was created in HighLevel. API: dateAdded."
    )
    date_updated: Mapped[timestamp | None] = mapped_column(
        comment="When HighLevel last changed it. API: dateUpdated (undocumented, usually present)."
    )
    extra: Mapped[json | None] = mapped_column(
        comment="Whatever the API sent that no column holds, under the API's own names; null when nothing."
    )
    deleted_at: Mapped[timestamp | None] = mapped_column(
        comment="When the API first said that the message no longer exists; null while it exists."
    )
    fetched_at: Mapped[timestamp] = mapped_column(
        comment="When the content shown here was first received. A later fetch with the same content changes nothing."
    )


class Attachment(Base):
    """One file of a message."""

    __tablename__ = "attachments"
    __table_args__ = table_args("highlevel", "Files of messages. Calls have none here: their audio is a recording.")

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the message belongs to.")
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="Message the file is part of.")
    position: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Place in the message's list of files, from 0."
    )
    url: Mapped[str] = mapped_column(
        comment="Where HighLevel serves the file; how long it does is not documented.",
        info={"example": "https://storage.example/ticket.pdf"},
    )
    file_name: Mapped[str | None] = mapped_column(
        comment="Name of the file: the API's, else the last part of the URL.", info={"example": "ticket.pdf"}
    )
    media_type: Mapped[str | None] = mapped_column(
        comment="MIME type: the API's, else guessed from the file's ending.", info={"example": "application/pdf"}
    )


class Meta(Base):
    """What the API says of a message beside its content: for calls, length and outcome."""

    __tablename__ = "meta"
    __table_args__ = table_args(
        "highlevel", "A message's meta object: for calls, length and outcome. A row only where there is one."
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the message belongs to.")
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="Message that is described.")
    call_duration: Mapped[int | None] = mapped_column(
        comment="Length of the call in seconds. API: meta.call.duration or meta.callDuration.", info={"example": "37"}
    )
    call_status: Mapped[str | None] = mapped_column(
        comment="Outcome: completed, answered, busy, no-answer, failed, canceled, voicemail, pending. "
        "API: meta.call.status or meta.callStatus.",
        info={"example": "completed"},
    )
    extra: Mapped[json | None] = mapped_column(
        comment="Everything else in meta, as received (email thread, Instagram or Facebook page …); null when nothing."
    )


class StatusChange(Base):
    """One change of a message's status that a fetch found."""

    __tablename__ = "status_changes"
    __table_args__ = table_args(
        "highlevel",
        "Changes of messages' statuses, as fetches found them: HighLevel announces none. "
        "A change and its reverse between two fetches leave no row.",
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the message belongs to.")
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="Message whose status changed.")
    seen_at: Mapped[timestamp] = mapped_column(primary_key=True, comment="When the new status was first received.")
    previous_status: Mapped[str | None] = mapped_column(
        comment="Status before; null when there was none.", info={"example": "sent"}
    )
    status: Mapped[str | None] = mapped_column(comment="Status from then on.", info={"example": "delivered"})
    date_updated: Mapped[timestamp | None] = mapped_column(comment="HighLevel's own time of it. API: dateUpdated.")


class Email(Written, Base):
    """One email of a thread."""

    __tablename__ = "emails"
    write_policy = WritePolicy(preserve=("message_id",))  # the thread says better which emails it has
    __table_args__ = table_args(
        "highlevel",
        "One row an email. In highlevel.messages a whole thread is one message. A row exists as soon as the thread "
        "names the email, and is filled when it is fetched.",
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

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the email belongs to.")
    email_id: Mapped[str] = mapped_column(
        primary_key=True, comment="The email. API: id, emailMessageId.", info={"example": "EML1aBcDeFgHiJkLmNoP"}
    )
    message_id: Mapped[str | None] = mapped_column(
        comment="Message in highlevel.messages that is its thread. API: threadId."
    )
    position: Mapped[int | None] = mapped_column(
        comment="Place in the thread, from 0; null while only the email names its thread."
    )
    conversation_id: Mapped[str | None] = mapped_column(comment="Conversation it is part of. API: conversationId.")
    contact_id: Mapped[str | None] = mapped_column(comment="Contact it was exchanged with. API: contactId.")
    direction: Mapped[str | None] = mapped_column(comment="inbound or outbound. API: direction.")
    status: Mapped[str | None] = mapped_column(
        comment="Delivery status when last fetched. API: status.", info={"example": "delivered"}
    )
    source: Mapped[str | None] = mapped_column(comment="What sent it: workflow, campaign, api, app … API: source.")
    provider: Mapped[str | None] = mapped_column(
        comment="Service that carried it. API: provider.", info={"example": "Leadconnector Gmail"}
    )
    subject: Mapped[str | None] = mapped_column(comment="Subject. API: subject.")
    content_type: Mapped[str | None] = mapped_column(comment="MIME type of body. API: contentType.")
    body: Mapped[str | None] = mapped_column(comment="The email as sent, usually HTML. API: body.")
    body_text: Mapped[str | None] = mapped_column(comment="body as plain text, for reading and searching.")
    sender: Mapped[str | None] = mapped_column(
        comment="Address it came from. API: from.", info={"example": "shop@example.com"}
    )
    sender_name: Mapped[str | None] = mapped_column(
        comment="Name beside that address; null when there is none.", info={"example": "Shop"}
    )
    recipients: Mapped[texts | None] = mapped_column(
        comment="Addresses it went to. API: to.", info={"example": "{ann@example.com}"}
    )
    cc: Mapped[texts | None] = mapped_column(comment="Addresses in copy. API: cc.")
    bcc: Mapped[texts | None] = mapped_column(comment="Addresses in blind copy. API: bcc.")
    reply_to_email_id: Mapped[str | None] = mapped_column(comment="Email it answers. API: replyToMessageId.")
    error: Mapped[str | None] = mapped_column(comment="Why delivery failed. API: error.")
    conversation_provider_id: Mapped[str | None] = mapped_column(
        comment="Custom conversation provider that carried it. API: conversationProviderId."
    )
    alt_id: Mapped[str | None] = mapped_column(comment="The provider's own id. API: altId.")
    date_added: Mapped[timestamp | None] = mapped_column(comment="When it was created. API: dateAdded.")
    date_updated: Mapped[timestamp | None] = mapped_column(comment="When HighLevel last changed it. API: dateUpdated.")
    extra: Mapped[json | None] = mapped_column(
        comment="Whatever the API sent that no column holds, under the API's own names; null when nothing."
    )
    deleted_at: Mapped[timestamp | None] = mapped_column(
        comment="When the API first said that the email no longer exists; null while it exists."
    )
    fetched_at: Mapped[timestamp | None] = mapped_column(
        comment="When the content shown here was first received; null: only named by its thread so far."
    )


class EmailAttachment(Base):
    """One file of an email."""

    __tablename__ = "email_attachments"
    __table_args__ = table_args("highlevel", "Files of emails.")

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the email belongs to.")
    email_id: Mapped[str] = mapped_column(primary_key=True, comment="Email the file is part of.")
    position: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Place in the email's list of files, from 0."
    )
    url: Mapped[str] = mapped_column(comment="Where HighLevel serves the file; how long it does is not documented.")
    file_name: Mapped[str | None] = mapped_column(comment="Name of the file: the API's, else the last part of the URL.")
    media_type: Mapped[str | None] = mapped_column(comment="MIME type: the API's, else guessed from the file's ending.")


class Transcript(Written, Base):
    """What was said in a call."""

    __tablename__ = "transcripts"
    __table_args__ = table_args("highlevel", "What was said in calls. A row only where HighLevel has a transcript.")

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the call belongs to.")
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="The call, as in highlevel.messages.")
    transcript: Mapped[str] = mapped_column(comment="The whole text, one line a sentence, in the order of time.")
    sentences: Mapped[json_list] = mapped_column(
        comment="The sentences as the API gave them: mediaChannel (who spoke), startTime, endTime (ms), confidence …"
    )
    fetched_at: Mapped[timestamp] = mapped_column(comment="When the content shown here was first received.")


class Recording(Written, Base):
    """The audio of a call."""

    __tablename__ = "recordings"
    __table_args__ = table_args(
        "highlevel", "Audio of calls: what is known of it and, where recordings_url is set, where it is kept."
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the call belongs to.")
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="The call, as in highlevel.messages.")
    leg: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Part of the call: 0, and 1 where it was passed on."
    )
    media_type: Mapped[str | None] = mapped_column(
        comment="MIME type, as HighLevel said.", info={"example": "audio/x-wav"}
    )
    size_bytes: Mapped[int | None] = mapped_column(BigInteger, comment="Length of the audio; null where not said.")
    sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the audio, hexadecimal; null: it was not kept.")
    url: Mapped[str | None] = mapped_column(
        comment="Where the audio is kept; null: it was not kept.",
        info={"example": "s3://bucket/recordings/LOC1/MSG1-0.wav"},
    )
    fetched_at: Mapped[timestamp] = mapped_column(comment="When the content shown here was first received.")


class Contact(Written, Base):
    """A contact: the customer that messages are exchanged with."""

    __tablename__ = "contacts"
    write_policy = WritePolicy(is_refreshed=True)
    __table_args__ = table_args(
        "highlevel",
        "Contacts of messages, fetched when first seen and again when older than a day. Filled only where jobs.yaml "
        "has a job for them.",
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the contact belongs to.")
    contact_id: Mapped[str] = mapped_column(primary_key=True, comment="The contact. API: id.")
    name: Mapped[str | None] = mapped_column(
        comment="Full name, as given or joined from its parts.", info={"example": "Ann Lee"}
    )
    first_name: Mapped[str | None] = mapped_column(comment="First name. API: firstName.")
    last_name: Mapped[str | None] = mapped_column(comment="Last name. API: lastName.")
    email: Mapped[str | None] = mapped_column(comment="Email address. API: email.")
    phone: Mapped[str | None] = mapped_column(comment="Phone number. API: phone.")
    company_name: Mapped[str | None] = mapped_column(comment="Company. API: companyName.")
    tags: Mapped[texts | None] = mapped_column(comment="Tags. API: tags.", info={"example": "{vip,lead}"})
    contact_type: Mapped[str | None] = mapped_column(
        comment="Type of contact, e.g. lead or customer. API: type.", info={"example": "lead"}
    )
    source: Mapped[str | None] = mapped_column(comment="Where the contact came from. API: source.")
    time_zone: Mapped[str | None] = mapped_column(
        comment="Time zone. API: timezone.", info={"example": "Europe/Madrid"}
    )
    date_added: Mapped[timestamp | None] = mapped_column(comment="When it was created. API: dateAdded.")
    date_updated: Mapped[timestamp | None] = mapped_column(comment="When HighLevel last changed it. API: dateUpdated.")
    extra: Mapped[json | None] = mapped_column(
        comment="Whatever the API sent that no column holds (custom fields …), under the API's own names."
    )
    deleted_at: Mapped[timestamp | None] = mapped_column(
        comment="When the API first said that the contact no longer exists; null while it exists."
    )
    fetched_at: Mapped[timestamp] = mapped_column(comment="When it was last fetched.")


class User(Written, Base):
    """A user: who works for the location."""

    __tablename__ = "users"
    write_policy = WritePolicy(is_refreshed=True)
    __table_args__ = table_args(
        "highlevel",
        "Users named by messages, fetched when first seen and again when older than a day. Filled only where jobs.yaml "
        "has a job for them.",
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location in which the user was seen.")
    user_id: Mapped[str] = mapped_column(primary_key=True, comment="The user. API: id.")
    name: Mapped[str | None] = mapped_column(
        comment="Full name, as given or joined from its parts.", info={"example": "Sam Fox"}
    )
    first_name: Mapped[str | None] = mapped_column(comment="First name. API: firstName.")
    last_name: Mapped[str | None] = mapped_column(comment="Last name. API: lastName.")
    email: Mapped[str | None] = mapped_column(comment="Email address. API: email.")
    phone: Mapped[str | None] = mapped_column(comment="Phone number. API: phone.")
    role: Mapped[str | None] = mapped_column(
        comment="Role in the location. API: roles.role.", info={"example": "admin"}
    )
    extra: Mapped[json | None] = mapped_column(
        comment="Whatever the API sent that no column holds, under the API's own names."
    )
    deleted_at: Mapped[timestamp | None] = mapped_column(
        comment="When the API first said that the user no longer exists; null while it exists."
    )
    fetched_at: Mapped[timestamp] = mapped_column(comment="When it was last fetched.")


class LocationProfile(Written, Base):
    """A location's own name and time zone."""

    __tablename__ = "locations"
    write_policy = WritePolicy(is_refreshed=True)
    __table_args__ = table_args(
        "highlevel",
        "Locations (sub-accounts) by name and time zone, fetched when first seen and again when older than a day. "
        "Filled only where jobs.yaml has a job for them.",
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="The location. API: id.")
    name: Mapped[str | None] = mapped_column(
        comment="Name of the business. API: name.", info={"example": "Harbour Street Dental"}
    )
    time_zone: Mapped[str | None] = mapped_column(
        comment="Its time zone. API: timezone.", info={"example": "Europe/Madrid"}
    )
    company_id: Mapped[str | None] = mapped_column(comment="Company (agency) it belongs to. API: companyId.")
    email: Mapped[str | None] = mapped_column(comment="Email address. API: email.")
    phone: Mapped[str | None] = mapped_column(comment="Phone number. API: phone.")
    city: Mapped[str | None] = mapped_column(comment="City. API: city.")
    country: Mapped[str | None] = mapped_column(comment="Country, two letters. API: country.")
    extra: Mapped[json | None] = mapped_column(
        comment="Whatever the API sent that no column holds, under the API's own names."
    )
    deleted_at: Mapped[timestamp | None] = mapped_column(
        comment="When the API first said that the location no longer exists; null while it exists."
    )
    fetched_at: Mapped[timestamp] = mapped_column(comment="When it was last fetched.")


class MessageType(Base):
    """What a ``message_type`` means; reference data, written by the migrations."""

    __tablename__ = "message_types"
    __table_args__ = table_args(
        "highlevel",
        "Meaning of each message_type known when this version was released. Left join: new ones may appear.",
    )

    message_type: Mapped[str] = mapped_column(
        primary_key=True, comment="As in highlevel.messages.message_type.", info={"example": "TYPE_SMS"}
    )
    type_code: Mapped[int | None] = mapped_column(
        comment="The API's number for it; null where not established.", info={"example": "2"}
    )
    channel: Mapped[str] = mapped_column(
        comment="Channel: SMS, Call, Email, WhatsApp, Facebook, Instagram, Google, TikTok, RCS, Chat, Internal, …",
        info={"example": "SMS"},
    )
    is_campaign: Mapped[bool] = mapped_column(comment="True when a campaign sent it rather than a person or workflow.")
    is_activity: Mapped[bool] = mapped_column(
        comment="True for log entries in a conversation (appointment, payment …): nobody wrote them to anybody."
    )
    is_internal: Mapped[bool] = mapped_column(
        server_default=text("false"),
        comment="True for what the team writes to itself, and for notes about a chat: no customer sees it.",
    )


class TimeZone(Base):
    """A time zone that this Postgres knows; reference data, written by the migrations."""

    __tablename__ = "time_zones"
    __table_args__ = table_args(
        "highlevel",
        "Time zones that this Postgres knew when the warehouse was migrated, and older names of them. A location whose "
        "zone is not among them gets the default: an unknown name would make a whole query fail. To add newer ones: "
        "INSERT INTO highlevel.time_zones SELECT name FROM pg_timezone_names ON CONFLICT DO NOTHING",
    )

    time_zone: Mapped[str] = mapped_column(
        primary_key=True, comment="Name, as in highlevel.locations.time_zone.", info={"example": "US/Central"}
    )
    known_as: Mapped[str | None] = mapped_column(
        comment="Today's name of it, by which Postgres is asked; null: the same.", info={"example": "America/Chicago"}
    )


class ViewSettings(Base):
    """What the owner decides for the views; one row."""

    __tablename__ = "settings"
    __table_args__ = table_args(
        "highlevel",
        "What the owner decides for the views; one row. UPDATE highlevel.settings SET default_time_zone = …",
        CheckConstraint("only_row", name="only_row"),
    )

    only_row: Mapped[bool] = mapped_column(
        primary_key=True, server_default=text("true"), comment="Always true: there is one row."
    )
    default_time_zone: Mapped[str] = mapped_column(
        ForeignKey(TimeZone.time_zone),
        server_default=text("'UTC'"),
        comment="Time zone of locations that have none, or one that this Postgres does not know.",
        info={"example": "Europe/Madrid"},
    )


class Turn(Base):
    """What a contact wrote or called in a row until something answered."""

    __tablename__ = "turns"
    __table_args__ = table_args(
        "highlevel",
        "Turns of contacts, kept by the job marts. Ask highlevel.response_times, which adds the names.",
        # Turns of a month or of a day.
        Index(None, "location_id", "local_month", "local_day"),
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location.")
    conversation_id: Mapped[str] = mapped_column(primary_key=True, comment="Conversation.")
    # No two turns of a conversation begin at one instant: of one, what asks comes before what answers.
    date_added: Mapped[timestamp] = mapped_column(primary_key=True, comment="When the turn began.")
    contact_id: Mapped[str | None] = mapped_column(comment="Contact who wrote or called.")
    message_id: Mapped[str] = mapped_column(comment="First message of the turn.")
    email_id: Mapped[str | None] = mapped_column(comment="The same, where it is an email.")
    channel: Mapped[str] = mapped_column(comment="Its channel; see messages_flat.channel.")
    local_time: Mapped[local_timestamp] = mapped_column(comment="date_added on the location's own clock.")
    local_day: Mapped[day] = mapped_column(comment="The day of local_time.")
    local_month: Mapped[day] = mapped_column(comment="The first day of its month.")
    answered_at: Mapped[timestamp | None] = mapped_column(
        comment="When the first answer was created; null: none so far."
    )
    answer_message_id: Mapped[str | None] = mapped_column(comment="That answer.")
    answer_email_id: Mapped[str | None] = mapped_column(comment="The same, where it is an email.")
    answer_channel: Mapped[str | None] = mapped_column(comment="Its channel.")
    answered_by: Mapped[str | None] = mapped_column(comment="Who sent it; see messages_flat.sent_by.")
    human_answered_at: Mapped[timestamp | None] = mapped_column(
        comment="When a person first answered, or the contact called and somebody answered; null: none so far."
    )
    user_id: Mapped[str | None] = mapped_column(comment="User who gave that answer, where HighLevel says.")


class ConversationTotal(Base):
    """What was exchanged with the contact in a conversation, summed up."""

    __tablename__ = "conversation_totals"
    __table_args__ = table_args(
        "highlevel",
        "One row a conversation in which something was exchanged with the contact, kept by the job marts. Ask "
        "highlevel.conversations, which adds the names.",
        # Conversations that ended on a day.
        Index(None, "location_id", "last_local_day"),
        # The newest of all locations.
        Index(None, "last_date_added"),
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location.")
    conversation_id: Mapped[str] = mapped_column(primary_key=True, comment="The conversation.")
    contact_id: Mapped[str | None] = mapped_column(comment="Contact of its last message.")
    first_date_added: Mapped[timestamp] = mapped_column(comment="When its first message was created, of those loaded.")
    last_date_added: Mapped[timestamp] = mapped_column(comment="When its last message was created.")
    last_local_time: Mapped[local_timestamp] = mapped_column(comment="The same on the location's own clock.")
    last_local_day: Mapped[day] = mapped_column(comment="The day of last_local_time.")
    messages: Mapped[int] = mapped_column(comment="Messages in it.")
    inbound: Mapped[int] = mapped_column(comment="Those from the contact.")
    outbound: Mapped[int] = mapped_column(comment="Those to the contact.")
    last_channel: Mapped[str] = mapped_column(comment="Channel of the last message.")
    last_direction: Mapped[str | None] = mapped_column(comment="Direction of the last message.")
    last_sent_by: Mapped[str] = mapped_column(comment="Who sent the last message; see messages_flat.sent_by.")
    last_message_id: Mapped[str] = mapped_column(comment="The last message.")
    waiting_since: Mapped[timestamp | None] = mapped_column(
        comment="When the contact first wrote or called since the last answer of any kind; null: nothing waits."
    )
    waiting_for_human_since: Mapped[timestamp | None] = mapped_column(
        comment="The same since the last answer of a person."
    )


class DailyTotal(Base):
    """How many messages a day had, of one kind."""

    __tablename__ = "daily_totals"
    __table_args__ = table_args(
        "highlevel",
        "Messages a day, by channel, direction and source, kept by the job marts. Ask highlevel.daily_messages.",
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location.")
    local_day: Mapped[day] = mapped_column(primary_key=True, comment="Day in the location's own time zone.")
    position: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Place among the rows of the day, from 1."
    )
    channel: Mapped[str] = mapped_column(comment="SMS, Call, Email …; see messages_flat.channel.")
    direction: Mapped[str | None] = mapped_column(comment="inbound or outbound.")
    source: Mapped[str | None] = mapped_column(comment="What sent it, in HighLevel's words.")
    sent_by: Mapped[str] = mapped_column(comment="Who sent it; see messages_flat.sent_by.")
    messages: Mapped[int] = mapped_column(comment="Messages.")
    contacts: Mapped[int] = mapped_column(comment="Different contacts among them; do not add these up over rows.")


class DeliveryTotal(Base):
    """What became of the outbound messages of a day, of one kind."""

    __tablename__ = "delivery_totals"
    __table_args__ = table_args(
        "highlevel",
        "What became of outbound messages, by the day they were created, kept by the job marts. Ask "
        "highlevel.delivery.",
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location.")
    local_day: Mapped[day] = mapped_column(primary_key=True, comment="Day in the location's own time zone.")
    position: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Place among the rows of the day, from 1."
    )
    channel: Mapped[str] = mapped_column(comment="SMS, Email …; see messages_flat.channel.")
    source: Mapped[str | None] = mapped_column(comment="What sent it, in HighLevel's words.")
    sent_by: Mapped[str] = mapped_column(comment="Who sent it; see messages_flat.sent_by.")
    error: Mapped[str | None] = mapped_column(comment="The provider's words for what failed; null: there are none.")
    messages: Mapped[int] = mapped_column(comment="All of them.")
    waiting: Mapped[int] = mapped_column(comment="Status pending, queued or scheduled.")
    sent: Mapped[int] = mapped_column(comment="Status sent, or any that comes after it.")
    delivered: Mapped[int] = mapped_column(comment="Status delivered, read, opened or clicked.")
    opened: Mapped[int] = mapped_column(comment="Status read, opened or clicked.")
    failed: Mapped[int] = mapped_column(comment="Status failed or undelivered.")


class Marts(Base):
    """How far the job marts has come; one row."""

    __tablename__ = "marts"
    __table_args__ = table_args(
        "highlevel",
        "As of when the tables are that the job marts keeps: turns, conversation_totals, daily_totals and "
        "delivery_totals. One row.",
        CheckConstraint("only_row", name="only_row"),
    )

    only_row: Mapped[bool] = mapped_column(
        primary_key=True, server_default=text("true"), comment="Always true: there is one row."
    )
    as_of: Mapped[timestamp | None] = mapped_column(
        comment="Everything that was loaded until then is in them; null: they were never filled, or are being filled "
        "for the first time."
    )
