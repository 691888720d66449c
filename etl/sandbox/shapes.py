"""The other two forms of a message: as the documentation shows it, and as a webhook announces it. Performs no I/O."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from etl.sandbox.catalogue import BY_NAME
from etl.sandbox.messages import Slot
from etl.sandbox.phrases import DAYS, SUBJECTS

_NOT_IN_SPEC = ("dateUpdated", "altId", "from", "to", "error")
_IN_EVENT = (
    "attachments", "body", "contactId", "contentType", "conversationId", "dateAdded", "direction", "source", "status",
    "userId", "from", "to", "chatWidgetId", "conversationProviderId",
)  # fmt: skip


def documented(message: dict[str, Any], draw: Random) -> dict[str, Any]:
    """The flat answer of the specification (HighLevel docs, apps/conversations.json, GetMessageResponseDto).

    Half of them carry the short ``messageType`` of its example (``SMS``) and every fourth has dates without
    milliseconds. A call's duration is a string under ``meta.callDuration``; other metas are nested twice.
    """
    flat = {key: value for key, value in message.items() if key not in _NOT_IN_SPEC}
    flat.setdefault("contentType", "text/plain")
    flat.setdefault("attachments", [])
    if "meta" in flat:
        flat["meta"] = _documented_meta(flat["meta"])
    short = BY_NAME[message["messageType"]].short
    if short is not None and draw.random() < 0.5:
        flat["messageType"] = short
    if draw.random() < 0.25:
        flat["dateAdded"] = flat["dateAdded"][:19] + "Z"
    return flat


def message_event(slot: Slot, message: dict[str, Any], envelope: dict[str, str]) -> dict[str, Any]:
    """The webhook event of anything but an email (HighLevel docs issues 224 and 260, docs/webhook events)."""
    event = _envelope(message, envelope)
    event |= {key: message[key] for key in _IN_EVENT if key in message}
    event |= {
        "messageId": slot.id,
        "messageType": slot.kind.short or slot.kind.name,
        "messageTypeId": slot.kind.code,
        "messageTypeString": slot.kind.name,
    }
    call = message.get("meta", {}).get("call")
    if call is not None:
        event["attachments"] = [f"https://recordings.example.com/{slot.id}.wav"]
        if message["status"] != "voicemail":
            event |= {"callDuration": call["duration"], "callStatus": call["status"]}
    if slot.kind.channel == "comment":
        event["mentions"] = [message["body"].partition("<userId>")[2].partition("</userId>")[0]]
    return event


def email_event(slot: Slot, message: dict[str, Any], envelope: dict[str, str], draw: Random) -> dict[str, Any]:
    """The webhook event of an email: no messageId and no status; the thread is the message (docs issue 255)."""
    talk = slot.conversation
    customer = f"{talk.first_name} {talk.last_name} <{talk.contact_id.lower()}@example.com>"
    business = f"{talk.trade.business} <hello@{talk.trade.slug}.example.com>"
    inbound = message["direction"] == "inbound"
    event = _envelope(message, envelope)
    event |= {key: message[key] for key in ("contactId", "conversationId", "dateAdded", "direction")}
    event |= {
        "body": message.get("body", f"<p>{talk.trade.outbound[0].split('{')[0]}</p>"),
        "messageType": "Email",
        "emailMessageId": slot.email_ids[-1],
        "threadId": slot.id,
        "from": customer if inbound else business,
        # A list in the documented inbound example, a string elsewhere.
        "to": [business] if inbound else customer,
        "subject": draw.choice(SUBJECTS).format(number=draw.randrange(100, 999), day=draw.choice(DAYS)),
    }
    if not inbound:
        event |= {"source": message["source"], "provider": "Leadconnector Gmail", "ccList": [], "bccList": []}
    return event


def _documented_meta(meta: dict[str, Any]) -> dict[str, Any]:
    if "call" in meta:
        return {"callDuration": str(meta["call"]["duration"]), "callStatus": meta["call"]["status"]}
    return {key: {key: value} for key, value in meta.items()}


def _envelope(message: dict[str, Any], envelope: dict[str, str]) -> dict[str, Any]:
    sent = datetime.fromisoformat(message["dateAdded"]) + timedelta(seconds=1)
    return {
        "type": "InboundMessage" if message["direction"] == "inbound" else "OutboundMessage",
        "locationId": message["locationId"],
        **envelope,
        "timestamp": sent.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
