"""Writes one email of a thread as ``GET /conversations/messages/email/{id}`` answers it. Performs no I/O."""

from random import Random
from typing import Any

from etl.sandbox.messages import SOURCES, Slot, iso

SUBJECTS = ("Your appointment", "Quote for your car", "Invoice 2026-104", "Question about opening hours", "Grüße 🎄")
TEXTS = (
    "Thank you for your message. We call you back today.",
    "Could you send me the invoice once more, please?",
    "Attached is the quote. It is good for 30 days.",
    "Danke, das passt mir gut. Bis Montag!",
)
PROVIDERS = ("Leadconnector Gmail", "mailgun", "smtp", "custom")
STATUSES = ("delivered",) * 6 + ("opened", "sent", "pending", "failed")
HOUR = 3_600_000


def compose_email(
    slot: Slot, email_id: str, previous: str | None, position: int, *, subject: Random, draw: Random
) -> dict[str, Any]:
    """The object under ``emailMessage``; ``previous`` is the email it answers, ``subject`` the thread's chance."""
    inbound = draw.random() < 0.5
    customer = f"{slot.talk.name} <{slot.talk.email}>", slot.talk.email
    business = "Front desk <desk@example.com>", "desk@example.com"
    sender, receiver = (customer, business) if inbound else (business, customer)
    status = "delivered" if inbound else draw.choice(STATUSES)
    email: dict[str, Any] = {
        "id": email_id,
        "threadId": slot.id,
        "locationId": slot.talk.location_id,
        "contactId": slot.talk.contact_id,
        "conversationId": slot.talk.conversation_id,
        "dateAdded": iso(slot.at + position * HOUR),
        "subject": ("Re: " if previous else "") + subject.choice(SUBJECTS),
        "body": f"<div><p>{draw.choice(TEXTS)}</p></div>",
        "direction": "inbound" if inbound else "outbound",
        "status": status,
        "contentType": "text/html",
        "attachments": [f"https://files.example/{email_id}/quote.pdf"] if draw.random() < 0.2 else [],
        "provider": draw.choice(PROVIDERS),
        "from": sender[0],
        "to": [receiver[1]],
        "cc": ["bob@example.com", "eve@example.com"][: draw.choice((0, 0, 0, 1, 2))],
        "bcc": ["books@example.com"] if draw.random() < 0.1 else [],
    }
    if previous:
        email["replyToMessageId"] = previous
    if status == "failed":
        email["error"] = "550 5.1.1 No such user"
    if not inbound:
        email["source"] = draw.choice(SOURCES)
    return email
