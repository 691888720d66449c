"""The schema ``highlevel``: what analysts read."""

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from etl.models.base import Base, json, table_args, timestamp, timestamp_now


class Message(Base):
    """One conversation message, as the API last described it."""

    __tablename__ = "messages"
    __table_args__ = table_args(
        "highlevel",
        "One row a message, as HighLevel last described it. For email one row is a whole thread.",
        Index(None, "location_id", "date_added"),
        Index(None, "location_id", "conversation_id", "date_added"),
        Index(None, "location_id", "contact_id", "date_added"),
    )

    # ve9EPM428h8vShlRW1KT
    location_id: Mapped[str] = mapped_column(
        primary_key=True, comment="Location (sub-account) the message belongs to. API: locationId."
    )
    # 4zTrQpvWmSDG0cQ0bKYL
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="The message. API: id.")
    conversation_id: Mapped[str | None] = mapped_column(comment="Conversation it is part of. API: conversationId.")
    contact_id: Mapped[str | None] = mapped_column(comment="Contact (customer) it was exchanged with. API: contactId.")
    # TYPE_SMS
    message_type: Mapped[str | None] = mapped_column(
        comment="Kind of message, always in the TYPE_ form; see highlevel.message_types. API: messageType."
    )
    # 2
    type_code: Mapped[int | None] = mapped_column(
        comment="The API's number for the kind, as received. Prefer message_type. API: type."
    )
    # inbound
    direction: Mapped[str | None] = mapped_column(
        comment="inbound (from the contact) or outbound (to the contact). API: direction."
    )
    # delivered
    status: Mapped[str | None] = mapped_column(
        comment="Delivery status when last fetched; HighLevel announces no status changes. API: status."
    )
    # workflow
    source: Mapped[str | None] = mapped_column(
        comment="What sent it: workflow, bulk_actions, campaign, api, app. Null for most inbound. API: source."
    )
    # text/plain
    content_type: Mapped[str | None] = mapped_column(comment="MIME type of body. API: contentType.")
    body: Mapped[str | None] = mapped_column(
        comment="Text of the message. Null for calls; not reliable for email threads. API: body."
    )
    # +15550001111
    sender: Mapped[str | None] = mapped_column(comment="Address or number it came from; not for email. API: from.")
    # +15550002222
    recipient: Mapped[str | None] = mapped_column(comment="Address or number it went to; not for email. API: to.")
    # Error 30005 - Unknown destination handset
    error: Mapped[str | None] = mapped_column(comment="Why delivery failed, in the provider's words. API: error.")
    user_id: Mapped[str | None] = mapped_column(
        comment="HighLevel user who sent or answered it; null for automation and most inbound. API: userId."
    )
    conversation_provider_id: Mapped[str | None] = mapped_column(
        comment="Custom conversation provider that carried it. API: conversationProviderId."
    )
    chat_widget_id: Mapped[str | None] = mapped_column(comment="Chat widget it came through. API: chatWidgetId.")
    # wamid.HBgLMTU1NTAwMDExMTE
    alt_id: Mapped[str | None] = mapped_column(comment="The carrier's own id of the message. API: altId.")
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
    created_at: Mapped[timestamp_now] = mapped_column(comment="When this row was first written.")
    updated_at: Mapped[timestamp_now] = mapped_column(comment="When this row last changed.")


class Attachment(Base):
    """One file of a message."""

    __tablename__ = "attachments"
    __table_args__ = table_args("highlevel", "Files of messages. Calls have none here: their audio is a recording.")

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the message belongs to.")
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="Message the file is part of.")
    position: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Place in the message's list of files, from 0."
    )
    # https://storage.example/ticket.pdf
    url: Mapped[str] = mapped_column(comment="Where HighLevel serves the file; how long it does is not documented.")
    # ticket.pdf
    file_name: Mapped[str | None] = mapped_column(comment="Name of the file: the API's, else the last part of the URL.")
    # application/pdf
    media_type: Mapped[str | None] = mapped_column(comment="MIME type: the API's, else guessed from the file's ending.")


class Meta(Base):
    """What the API says of a message beside its content: for calls, length and outcome."""

    __tablename__ = "meta"
    __table_args__ = table_args(
        "highlevel", "A message's meta object: for calls, length and outcome. A row only where there is one."
    )

    location_id: Mapped[str] = mapped_column(primary_key=True, comment="Location the message belongs to.")
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="Message that is described.")
    # 37
    call_duration: Mapped[int | None] = mapped_column(
        comment="Length of the call in seconds. API: meta.call.duration or meta.callDuration."
    )
    # completed
    call_status: Mapped[str | None] = mapped_column(
        comment="Outcome: completed, answered, busy, no-answer, failed, canceled, voicemail, pending. "
        "API: meta.call.status or meta.callStatus."
    )
    extra: Mapped[json | None] = mapped_column(
        comment="Everything else in meta, as received (email thread, Instagram or Facebook page …); null when nothing."
    )


class MessageType(Base):
    """What a ``message_type`` means; reference data, written by the migrations."""

    __tablename__ = "message_types"
    __table_args__ = table_args(
        "highlevel",
        "Meaning of each message_type known when this version was released. Left join: new ones may appear.",
    )

    # TYPE_SMS
    message_type: Mapped[str] = mapped_column(primary_key=True, comment="As in highlevel.messages.message_type.")
    # 2
    type_code: Mapped[int | None] = mapped_column(comment="The API's number for it; null where not established.")
    # SMS
    channel: Mapped[str] = mapped_column(
        comment="Channel: SMS, Call, Email, WhatsApp, Facebook, Instagram, Google, TikTok, RCS, Chat, Internal, …"
    )
    is_campaign: Mapped[bool] = mapped_column(comment="True when a campaign sent it rather than a person or workflow.")
    is_activity: Mapped[bool] = mapped_column(
        comment="True for log entries in a conversation (appointment, payment …): nobody wrote them to anybody."
    )
    is_internal: Mapped[bool] = mapped_column(
        server_default=text("false"),
        comment="True for what the team writes to itself, and for notes about a chat: no customer sees it.",
    )
