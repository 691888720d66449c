"""Writes the events that HighLevel posts. Performs no I/O."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from etl.sandbox.messages import MESSAGE_TYPES, Slot, Talk, iso


def of_message(slot: Slot, message: Mapping[str, Any], envelope: Mapping[str, str]) -> dict[str, Any]:
    """The webhook event that announces a message; an email names its thread and no message (docs issue 255)."""
    sent = datetime.fromisoformat(message["dateAdded"]) + timedelta(seconds=1)
    same = ("locationId", "contactId", "conversationId", "dateAdded", "direction", "body", "source", "status", "userId")
    event = {
        "type": "InboundMessage" if message["direction"] == "inbound" else "OutboundMessage",
        **{key: message[key] for key in same if key in message},
        **envelope,
        "timestamp": iso(round(sent.timestamp() * 1000)),
    }
    if slot.channel == "email":
        event.pop("status", None)
        return event | {"messageType": "Email", "emailMessageId": slot.email_ids[-1], "threadId": slot.id}
    number, _, _, short = MESSAGE_TYPES[slot.message_type]
    event |= {"messageId": slot.id, "messageType": short or slot.message_type.removeprefix("TYPE_")}
    event |= {"messageTypeId": number, "messageTypeString": slot.message_type}
    if slot.channel == "call":
        call = message["meta"]["call"]
        event |= {"callDuration": call["duration"], "callStatus": call["status"]}
    return event


def without_id(event: Mapping[str, Any]) -> dict[str, Any]:
    """A message's event as the documentation's SMS example has it: it names no message (docs/webhook events)."""
    return {key: event[key] for key in event if key not in {"messageId", "messageTypeId", "messageTypeString"}}


def unread(talk: Talk, envelope: Mapping[str, str]) -> dict[str, Any]:
    """ConversationUnreadUpdate: ``id`` is the conversation's."""
    names = {"type": "ConversationUnreadUpdate", "locationId": talk.location_id, "id": talk.conversation_id}
    flags = {"deleted": False, "inbox": True, "starred": False, "unreadCount": 2}
    return names | {"contactId": talk.contact_id} | flags | dict(envelope)


def contact_deleted(contact: Mapping[str, Any], envelope: Mapping[str, str]) -> dict[str, Any]:
    """ContactDelete: ``id`` is the contact's."""
    same = ("id", "locationId", "firstName", "lastName", "email", "phone", "tags", "source", "dateAdded")
    return {"type": "ContactDelete", **{key: contact[key] for key in same if key in contact}, **envelope}
