"""Writes messages as the API answers them, and the events that announce them. Performs no I/O.

Real answers lack keys that the documentation requires, and have ``dateUpdated``, which it does not mention. Both shapes
are written here.

https://github.com/GoHighLevel/highlevel-api-docs/issues/40
https://github.com/GoHighLevel/highlevel-api-docs/issues/212
https://github.com/GoHighLevel/highlevel-api-docs/issues/214
https://github.com/GoHighLevel/highlevel-api-docs/issues/258
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

# Name, number, channel, how often it is met, and the name that webhooks use. The 42 documented names: HighLevel docs,
# apps/conversations.json. Numbers: public codebases, and partly the issues below; those from 901 on are made up, far
# from the real range, so that a reader who trusts them finds out.
# https://github.com/GoHighLevel/highlevel-api-docs/issues/212
# https://github.com/GoHighLevel/highlevel-api-docs/issues/224
# https://github.com/GoHighLevel/highlevel-api-docs/issues/258
# https://github.com/GoHighLevel/highlevel-api-docs/issues/260
_TYPES = """
    SMS 2 text 560 SMS; CALL 1 call 110 CALL; EMAIL 3 email 90 Email; WHATSAPP 19 whatsapp 60 WhatsApp;
    FACEBOOK 11 social 30 FB; INSTAGRAM 18 social 30 IG; LIVE_CHAT 29 chat 25 Live Chat; GMB 15 social 10 GMB;
    CUSTOM_PROVIDER_SMS 22 provider 15 Custom; INTERNAL_COMMENT 37 comment 20 InternalComment;
    ACTIVITY_APPOINTMENT 31 activity 15; ACTIVITY_OPPORTUNITY 28 activity 10; ACTIVITY_CONTACT 25 activity 10;
    CAMPAIGN_SMS 7 text 10; CAMPAIGN_VOICEMAIL 10 call 5 VoiceMail; SMS_REVIEW_REQUEST 4 text 0; WEBCHAT 5 chat 0;
    SMS_NO_SHOW_REQUEST 6 text 0; CAMPAIGN_CALL 8 call 0; CAMPAIGN_EMAIL 9 email 0; CAMPAIGN_FACEBOOK 12 social 0;
    CAMPAIGN_MANUAL_CALL 13 call 0; CAMPAIGN_MANUAL_SMS 14 text 0; CAMPAIGN_GMB 16 social 0; REVIEW 17 activity 0;
    CUSTOM_SMS 20 text 0; CUSTOM_EMAIL 21 email 0; CUSTOM_PROVIDER_EMAIL 23 email 0; IVR_CALL 24 call 0;
    ACTIVITY_INVOICE 26 activity 0; ACTIVITY_PAYMENT 27 activity 0; LIVE_CHAT_INFO_MESSAGE 30 chat 0;
    FACEBOOK_COMMENT 32 social 0; INSTAGRAM_COMMENT 33 social 0; CUSTOM_CALL 34 call 0;
    ACTIVITY_EMPLOYEE_ACTION_LOG 38 activity 0; RCS 901 text 0; TIKTOK 902 social 0; TIKTOK_COMMENT 903 social 0;
    ACTIVITY_WHATSAPP 904 activity 0; FORM_SUBMISSION 905 activity 0; SMS_REACTION 906 text 0
"""
MESSAGE_TYPES: dict[str, tuple[int, str, int, str]] = {
    f"TYPE_{name}": (int(number), channel, int(weight), short)
    for name, number, channel, weight, short in re.findall(r"(\w+) (\d+) (\w+) (\d+) ?([^;\n]*)", _TYPES)
}

INBOUND = (
    "Hi, can I move my appointment to later in the week?",
    "How much is a set of winter tyres with fitting?",
    "Can you send the invoice again? I can't find it",
    "ok go ahead 👍",
    "¿Tienen cita libre por la tarde?",
    "お世話になっております。予約を変更できますか?",
    'He said "call back after 5" \\ not before.\nSecond line,\ttabbed.',
    "love it, thank you!! 🥰🥰",
)
OUTBOUND = (
    "Hi {name}, your appointment is on Monday at 9:15. Reply C to confirm.",
    "Good news, {name}: your car is ready. We close at 18:00.",
    "The quote is in your inbox, {name}. It is good for 30 days.",
    "Danke schön, bis Montag. Grüße",
    "How did we do? A short review helps us a lot: https://example.com/r/1",
)
FILES = ("photo.jpg", "invoice.pdf", "scan%201.pdf", "voice.ogg")
STATUSES = ("delivered",) * 15 + ("sent", "sent", "pending", "failed", "undelivered")
CALL_ENDS = ("completed",) * 4 + ("voicemail", "no-answer", "busy", "canceled")
SOURCES = ("app", "app", "workflow", "workflow", "api", "campaign", "bulk_actions")
NETWORKS = {"FACEBOOK": "fb", "INSTAGRAM": "ig"}


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation: who talks to whom; ``ids`` are the three ids that all of its messages and emails carry."""

    ids: Mapping[str, str]
    user_id: str
    name: str
    """First name of the customer."""
    phone: str

    @property
    def email(self) -> str:
        """Return the customer's address."""
        return f"{self.ids['contactId'][:8].lower()}@example.com"


def channel_of(message_type: str) -> str:
    """Return the channel of a message type, which says what fields a message has."""
    return MESSAGE_TYPES[message_type][1]


def iso(milliseconds: int) -> str:
    """``2024-03-27T18:13:49.000Z``, the way every conversations endpoint writes a date."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later(date: str, **duration: int) -> str:
    """Return a date that much later, in the same form."""
    return iso(round((datetime.fromisoformat(date) + timedelta(**duration)).timestamp() * 1000))


def compose(message_id: str, message_type: str, talk: Talk, at: int, draw: Random) -> dict[str, Any]:
    """Make the object under ``message`` of ``GET /conversations/messages/{id}``; ``at`` is milliseconds since 1970."""
    number, channel, _, _ = MESSAGE_TYPES[message_type]
    inbound = draw.random() < 0.5 and channel not in ("comment", "activity") and "CAMPAIGN" not in message_type
    message: dict[str, Any] = {
        "id": message_id,
        "type": number,
        "messageType": message_type,
        **talk.ids,
        "dateAdded": iso(at),
        "dateUpdated": iso(at + draw.randrange(0, 90_000)),
        "direction": "inbound" if inbound else "outbound",
    }
    body = draw.choice(INBOUND if inbound else OUTBOUND).format(name=talk.name)
    if draw.random() < 0.01:
        body = body * 50
    match channel:
        case "call":
            message |= _call(draw, inbound=inbound)
        case "email":  # a thread: its body lives on the email endpoint and is often missing here
            message |= {"contentType": "text/html", "meta": {"email": {"messageIds": []}}}
            if draw.random() < 0.6:
                message |= {"body": f"<div><p>{body}</p></div>", "status": "delivered"}
        case "comment":
            mention = f"@Sam<userId>{talk.user_id}</userId> please call {talk.name}"
            message |= {"body": mention, "contentType": "text/plain"}
        case "activity":
            message |= {"body": message_type.removeprefix("TYPE_").capitalize(), "contentType": "text/plain"}
        case _:
            message |= {"body": body, "contentType": "text/plain"} | _text(message, talk, draw, inbound=inbound)
    if not inbound:
        message["source"] = draw.choice(SOURCES)
        if message["source"] == "app":
            message["userId"] = talk.user_id
    return message


def documented(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same message in the documented shape: unwrapped, with other places and kinds of some values."""
    draw = Random(message["id"])  # noqa: S311 - reproducible on purpose
    written = {"contentType": "text/plain", "attachments": [], "status": "delivered", **message}
    written.pop("dateUpdated", None)
    meta = message.get("meta", {})
    if "call" in meta:
        written["meta"] = {"callDuration": str(meta["call"]["duration"]), "callStatus": meta["call"]["status"]}
    elif meta:
        written["meta"] = {key: {key: value} for key, value in meta.items()}
    short = MESSAGE_TYPES[message["messageType"]][3]
    if short and draw.random() < 0.3:  # as the documentation's own example
        written["messageType"] = short
    if draw.random() < 0.2:
        written["dateAdded"] = f"{message['dateAdded'][:19]}Z"
    return written


def announce(message: Mapping[str, Any], envelope: Mapping[str, str]) -> dict[str, Any]:
    """Return the webhook event of a message; an email names its thread and no message.

    https://github.com/GoHighLevel/highlevel-api-docs/issues/255
    """
    same = ("locationId", "contactId", "conversationId", "dateAdded", "direction", "body", "source", "status", "userId")
    event = {
        "type": "InboundMessage" if message["direction"] == "inbound" else "OutboundMessage",
        **{key: message[key] for key in same if key in message},
        **envelope,
        "timestamp": later(message["dateAdded"], seconds=1),
    }
    message_type = message["messageType"]
    number, channel, _, short = MESSAGE_TYPES[message_type]
    if channel == "email":
        event.pop("status", None)
        emails = message["meta"]["email"]["messageIds"]
        return event | {"messageType": "Email", "emailMessageId": emails[-1], "threadId": message["id"]}
    event |= {"messageId": message["id"], "messageType": short or message_type.removeprefix("TYPE_")}
    event |= {"messageTypeId": number, "messageTypeString": message_type}
    if channel == "call":
        call = message["meta"]["call"]
        event |= {"callDuration": call["duration"], "callStatus": call["status"]}
    return event


def _call(draw: Random, *, inbound: bool) -> dict[str, Any]:
    end = draw.choice(CALL_ENDS)
    seconds = draw.randrange(4, 900) if end in ("completed", "voicemail") else 0
    status = "voicemail" if inbound and end == "voicemail" else "completed"
    return {"status": status, "meta": {"call": {"duration": seconds, "status": end}}}


def _text(message: Mapping[str, Any], talk: Talk, draw: Random, *, inbound: bool) -> dict[str, Any]:
    """Return the fields that only written messages have, on any channel."""
    message_id, message_type = message["id"], message["messageType"]
    channel = channel_of(message_type)
    status = "delivered" if inbound else draw.choice(STATUSES)
    files = [f"https://files.example/{message_id}/{draw.choice(FILES)}"] if draw.random() < 0.07 else []
    content: dict[str, Any] = {"status": status, "attachments": files}
    if status == "failed":
        content["error"] = "Error 30005 - Unknown destination handset"
    if channel in ("text", "provider", "whatsapp"):
        ends = (talk.phone, "+15550100000")
        content["from"], content["to"] = ends if inbound else ends[::-1]
    if channel == "provider":
        content["conversationProviderId"] = talk.ids["locationId"][::-1]
    if channel == "chat":
        content["chatWidgetId"] = talk.ids["locationId"]
    if channel == "whatsapp":
        content["altId"] = f"wamid.{draw.getrandbits(120):030X}"
        if draw.random() < 0.3:  # media: an empty body, and no attachments key
            content["body"] = ""
            del content["attachments"]
    for name, short in NETWORKS.items():
        if name in message_type:
            content["meta"] = {short: {"page_id": "100000000000001", "page_name": "Harbour Street Dental"}}
    return content
