"""Compose one message as the API really answers it, from a conversation and a source of chance. Performs no I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from etl.sandbox.catalogue import Channel, MessageType
from etl.sandbox.phrases import ACTIVITIES, DAYS, LONG, STAFF, TIMES, UNUSUAL, Trade

ERRORS = (
    "Error 30005 - Unknown destination handset",
    "Error 30003 - Unreachable destination handset",
    "Error 21610 - Attempt to send to unsubscribed recipient",
)
CALL_ENDS = ("completed", "completed", "completed", "completed", "voicemail", "no-answer", "busy", "canceled")
OUTCOMES = ("delivered",) * 15 + ("sent", "sent", "pending", "failed", "undelivered")
FILES = ("photo.jpg", "IMG_2041.png", "invoice.pdf", "scan%201.pdf", "voice.ogg")
SOURCES = ("app", "app", "workflow", "workflow", "api", "campaign", "bulk_actions")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Who talks to whom: everything that the messages of one conversation have in common.

    ``begun`` is in milliseconds since 1970 and ``pace`` the usual milliseconds between two messages.
    """

    id: str
    location_id: str
    contact_id: str
    trade: Trade
    user_ids: tuple[str, ...]
    first_name: str
    last_name: str
    phone: str
    business_phone: str
    begun: int
    pace: int


@dataclass(frozen=True, slots=True)
class Slot:
    """One message to be written: its place in the data set and the ids of the emails it may contain."""

    id: str
    kind: MessageType
    conversation: Conversation
    at: int  # milliseconds since 1970
    email_ids: tuple[str, ...]


def iso(milliseconds: int) -> str:
    """``2024-03-27T18:13:49.000Z``, the way every conversations endpoint writes a date."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:03d}Z"


def compose(slot: Slot, draw: Random) -> dict[str, Any]:
    """Write one message: the object under ``message`` of ``GET /conversations/messages/{id}``.

    The keys follow real answers (HighLevel docs issues 212, 214 and 258), so some that the documentation requires are
    missing where they were seen missing, and ``dateUpdated``, which it does not mention, is present.
    """
    talk = slot.conversation
    inbound = _is_inbound(slot.kind, draw)
    message: dict[str, Any] = {
        "id": slot.id,
        "type": slot.kind.code,
        "messageType": slot.kind.name,
        "locationId": talk.location_id,
        "contactId": talk.contact_id,
        "conversationId": talk.id,
        "dateAdded": iso(slot.at),
        "dateUpdated": iso(slot.at + draw.randrange(0, 90_000)),
        "direction": "inbound" if inbound else "outbound",
    }
    message.update(_WRITERS[slot.kind.channel](_Writer(slot, inbound, draw)))
    if not inbound:
        message["source"] = draw.choice(SOURCES)
        if message["source"] == "app":  # so an inbound call names no user (docs issue 214)
            message["userId"] = draw.choice(talk.user_ids)
    return message


def _is_inbound(kind: MessageType, draw: Random) -> bool:
    if kind.channel == "review":
        return True
    if kind.channel in {"comment", "activity"} or "CAMPAIGN" in kind.name or "REQUEST" in kind.name:
        return False
    return draw.random() < 0.5


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the fields that depend on the channel; one method for each."""

    slot: Slot
    inbound: bool
    draw: Random

    def text(self) -> dict[str, Any]:
        talk = self.slot.conversation
        ends = (talk.phone, talk.business_phone)
        sender, recipient = ends if self.inbound else ends[::-1]
        return {
            "body": self._say(),
            **self._delivery(),
            "contentType": "text/plain",
            "attachments": self._files(0.05),
            "from": sender,
            "to": recipient,
        }

    def call(self) -> dict[str, Any]:
        """No body, contentType or attachments (HighLevel docs issue 258)."""
        end = self.draw.choice(CALL_ENDS)
        talked = end in {"completed", "voicemail"}
        return {
            "status": "voicemail" if self.inbound and end == "voicemail" else "completed",
            "meta": {"call": {"duration": self.draw.randrange(4, 900) if talked else 0, "status": end}},
            "altId": f"CA{self.draw.getrandbits(128):032x}",
        }

    def email(self) -> dict[str, Any]:
        """A container for a thread: the bodies live on the email endpoint, so here it is often missing (issue 40)."""
        meta = {"email": {"messageIds": list(self.slot.email_ids)}}
        message: dict[str, Any] = {"contentType": "text/html", "meta": meta}
        if self.draw.random() < 0.6:
            outcomes = ("delivered",) if self.inbound else ("delivered", "opened", "clicked", "sent")
            message["body"] = f"<div><p>{self._say()}</p></div>"
            message["status"] = self.draw.choice(outcomes)
        return message

    def social(self) -> dict[str, Any]:
        """The real depth of ``meta.fb`` and ``meta.ig`` is not known; one level here, two in the documented form."""
        message: dict[str, Any] = {
            "body": self._say(),
            "status": "read" if self.draw.random() < 0.4 else "delivered",
            "contentType": "text/plain",
            "attachments": self._files(0.1),
            "altId": f"m_{self.draw.getrandbits(96):024x}",
        }
        name = self.slot.kind.name
        network = "fb" if "FACEBOOK" in name else "ig" if "INSTAGRAM" in name else None
        if network is not None:
            page_id = str(10**14 + self.draw.randrange(10**12))
            message["meta"] = {network: {"page_id": page_id, "page_name": self.slot.conversation.trade.business}}
        return message

    def whatsapp(self) -> dict[str, Any]:
        """Media arrives with an empty body and without the attachments key (HighLevel docs issue 212)."""
        message = self.text() | {"altId": f"wamid.{self.draw.getrandbits(120):030X}"}
        if self.draw.random() < 0.3:
            message["body"] = ""
            del message["attachments"]
        return message

    def chat(self) -> dict[str, Any]:
        return {
            "body": self._say(),
            "status": "delivered",
            "contentType": "text/plain",
            "attachments": [],
            "chatWidgetId": f"{self.draw.getrandbits(96):024x}",
        }

    def comment(self) -> dict[str, Any]:
        talk = self.slot.conversation
        mention = f"@{self.draw.choice(STAFF)}<userId>{self.draw.choice(talk.user_ids)}</userId>"
        return {
            "body": f"{mention} please call {talk.first_name} back",
            "contentType": "text/plain",
            "attachments": [],
            "userId": self.draw.choice(talk.user_ids),
        }

    def activity(self) -> dict[str, Any]:
        return {"body": self._say(), "contentType": "text/plain"}

    def provider(self) -> dict[str, Any]:
        return self.text() | {"conversationProviderId": self.slot.conversation.location_id[::-1]}

    def review(self) -> dict[str, Any]:
        return {"body": self._say(), "contentType": "text/plain", "attachments": []}

    def _say(self) -> str:
        chance = self.draw.random()
        talk = self.slot.conversation
        if self.slot.kind.name in ACTIVITIES:
            line = ACTIVITIES[self.slot.kind.name]
        elif chance < 0.04:
            line = self.draw.choice(UNUSUAL)
        elif chance < 0.05:
            line = LONG * self.draw.randrange(2, 12)
        else:
            line = self.draw.choice(talk.trade.inbound if self.inbound else talk.trade.outbound)
        return line.format(
            first=talk.first_name,
            staff=self.draw.choice(STAFF),
            business=talk.trade.business,
            day=self.draw.choice(DAYS),
            time=self.draw.choice(TIMES),
            number=self.draw.randrange(100, 999),
        )

    def _delivery(self) -> dict[str, Any]:
        status = "delivered" if self.inbound else self.draw.choice(OUTCOMES)
        return {"status": status, "error": self.draw.choice(ERRORS)} if status == "failed" else {"status": status}

    def _files(self, share: float) -> list[str]:
        if self.draw.random() >= share:
            return []
        folder = f"https://files.example.com/location/{self.slot.conversation.location_id}/{self.slot.id}"
        return [f"{folder}/{self.draw.choice(FILES)}"]


_WRITERS: dict[Channel, Callable[[_Writer], dict[str, Any]]] = {
    "text": _Writer.text,
    "call": _Writer.call,
    "email": _Writer.email,
    "social": _Writer.social,
    "whatsapp": _Writer.whatsapp,
    "chat": _Writer.chat,
    "comment": _Writer.comment,
    "activity": _Writer.activity,
    "provider": _Writer.provider,
    "review": _Writer.review,
}
