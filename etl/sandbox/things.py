"""Writes all but messages: emails, recordings, transcriptions, contacts, users, locations. Performs no I/O."""

import io
import wave
from collections.abc import Mapping
from random import Random
from typing import Any

from etl.sandbox.messages import SOURCES, Talk, later

SUBJECTS = ("Your appointment", "Quote for your car", "Invoice 2026-104", "Question about opening hours", "Grüße 🎄")
TEXTS = (
    "Thank you for your message. We call you back today.",
    "Could you send me the invoice once more, please?",
    "Attached is the quote. It is good for 30 days.",
    "Danke, das passt mir gut. Bis Montag!",
)
PROVIDERS = ("Leadconnector Gmail", "mailgun", "smtp", "custom")
STATUSES = ("delivered",) * 6 + ("opened", "sent", "pending", "failed")
SENTENCES = (
    "Hello, how can I help you?",
    "I would like to move my appointment.",
    "Does Thursday at nine suit you?",
    "Yes, that is fine. Thank you.",
    "¿Puede repetir la dirección, por favor?",
    "Goodbye.",
)
SPOKEN_FROM = 60
"""Seconds that a call lasts at least to have a transcription."""
LAST_NAMES = ("Lee", "Novák", "Öztürk", "Okafor", "Tanaka", "García", "O'Neill")
TIME_ZONES = ("America/New_York", "Europe/Berlin", "Asia/Tokyo")


def thread(message: Mapping[str, Any], talk: Talk, email_ids: list[str], draw: Random) -> list[dict[str, Any]]:
    """Return the objects under ``emailMessage`` of ``GET /conversations/messages/email/{id}`` of a whole thread."""
    customer = f"{talk.name} <{talk.email}>", talk.email
    business = "Front desk <desk@example.com>", "desk@example.com"
    subject = draw.choice(SUBJECTS)
    emails = []
    for position, email_id in enumerate(email_ids):
        inbound = draw.random() < 0.5
        sender, receiver = (customer, business) if inbound else (business, customer)
        email: dict[str, Any] = {
            "id": email_id,
            "threadId": message["id"],
            **talk.ids,
            "dateAdded": later(message["dateAdded"], hours=position),
            "subject": ("Re: " if position else "") + subject,
            "body": f"<div><p>{draw.choice(TEXTS)}</p></div>",
            "direction": "inbound" if inbound else "outbound",
            "status": "delivered" if inbound else draw.choice(STATUSES),
            "contentType": "text/html",
            "attachments": [f"https://files.example/{email_id}/quote.pdf"] if draw.random() < 0.2 else [],
            "provider": draw.choice(PROVIDERS),
            "from": sender[0],
            "to": [receiver[1]],
            "cc": ["bob@example.com", "eve@example.com"][: draw.choice((0, 0, 0, 1, 2))],
            "bcc": ["books@example.com"] if draw.random() < 0.1 else [],
        }
        if position:
            email["replyToMessageId"] = email_ids[position - 1]
        if email["status"] == "failed":
            email["error"] = "550 5.1.1 No such user"
        if not inbound:
            email["source"] = draw.choice(SOURCES)
        emails.append(email)
    return emails


def recording(call: Mapping[str, Any], leg: int) -> bytes | None:
    """Return a tenth of a second of noise; every third recorded call, by its length, has a second leg (1)."""
    seconds = _seconds(call)
    if not seconds or leg not in (0, 1) or (leg == 1 and seconds % 3):
        return None
    noise = Random(f"{call['id']} {leg}")  # noqa: S311 - reproducible on purpose
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 1, 8000, 0, "NONE", ""))
        sound.writeframes(noise.randbytes(800))
    return file.getvalue()


def transcription(call: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return one object a sentence. The docs (get-message-transcription) show a single object, clearly of one sentence.

    ``startTime`` and ``endTime`` are milliseconds.
    """
    seconds = _seconds(call)
    if seconds < SPOKEN_FROM:
        return None
    draw = Random(call["id"])  # noqa: S311 - reproducible on purpose
    step = seconds * 1000 // len(SENTENCES)
    return [
        {
            "mediaChannel": 1 + place % 2,
            "sentenceIndex": place,
            "startTime": place * step,
            "endTime": place * step + step - 200,
            "transcript": sentence,
            "confidence": round(draw.uniform(0.6, 0.99), 3),
        }
        for place, sentence in enumerate(SENTENCES)
    ]


def contact(talk: Talk, added: str, draw: Random) -> dict[str, Any]:
    """Return the object under ``contact`` of ``GET /contacts/{id}`` (HighLevel docs, apps/contacts.json)."""
    return {
        "id": talk.ids["contactId"],
        "locationId": talk.ids["locationId"],
        "firstName": talk.name,
        "lastName": draw.choice(LAST_NAMES),
        "email": talk.email,
        "phone": talk.phone,
        "tags": list(("customer", "newsletter", "vip")[: draw.randrange(4)]),
        "source": draw.choice(("form 1", "import", "facebook", None)),
        "timezone": draw.choice((*TIME_ZONES, None)),
        "companyName": draw.choice((None, None, "Acme Ltd")),
        "type": draw.choice(("lead", "customer")),
        "assignedTo": talk.user_id,
        "dnd": False,
        "dateAdded": added,
        "dateUpdated": later(added, minutes=draw.randrange(10_000)),
        "customFields": [{"id": talk.ids["contactId"][::-1], "value": draw.choice(("A", "B", 7, ["x", "y"]))}],
    }


def user(user_id: str, location_id: str, draw: Random) -> dict[str, Any]:
    """Return the answer of ``GET /users/{id}``, flat (HighLevel docs, apps/users.json)."""
    last = draw.choice(LAST_NAMES)
    return {
        "id": user_id,
        "name": f"Sam {last}",
        "firstName": "Sam",
        "lastName": last,
        "email": f"sam.{user_id[:6].lower()}@example.com",
        "phone": f"+1555{draw.randrange(10**7):07d}",
        "roles": {"type": "account", "role": draw.choice(("admin", "user")), "locationIds": [location_id]},
    }


def location(location_id: str, company_id: str, name: str, number: int) -> dict[str, Any]:
    """Return the object under ``location`` of ``GET /locations/{id}`` (HighLevel docs, apps/locations.json)."""
    return {
        "id": location_id,
        "companyId": company_id,
        "name": name,
        "timezone": TIME_ZONES[number % len(TIME_ZONES)],
        "email": "desk@example.com",
        "phone": "+15550100000",
        "address": "1 Harbour Street",
        "city": "Exampleton",
        "country": "US",
        "postalCode": "00001",
        "website": "https://example.com",
    }


def _seconds(call: Mapping[str, Any]) -> int:
    return int(call.get("meta", {}).get("call", {}).get("duration", 0))
