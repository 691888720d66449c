"""Writes contacts, users and locations as their endpoints answer them. Performs no I/O."""

from random import Random
from typing import Any

from etl.sandbox.messages import Talk, iso

LAST_NAMES = ("Lee", "Novák", "Öztürk", "Okafor", "Tanaka", "García", "O'Neill")
TIME_ZONES = ("America/New_York", "Europe/Berlin", "Asia/Tokyo")
DAY = 86_400_000


def contact(talk: Talk, draw: Random) -> dict[str, Any]:
    """The object under ``contact`` of ``GET /contacts/{id}`` (HighLevel docs, apps/contacts.json)."""
    added = talk.begun - draw.randrange(DAY)
    return {
        "id": talk.contact_id,
        "locationId": talk.location_id,
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
        "dateAdded": iso(added),
        "dateUpdated": iso(added + draw.randrange(8 * DAY)),
        "customFields": [{"id": talk.contact_id[::-1], "value": draw.choice(("A", "B", 7, ["x", "y"]))}],
    }


def user(user_id: str, location_id: str, draw: Random) -> dict[str, Any]:
    """The answer of ``GET /users/{id}``, flat (HighLevel docs, apps/users.json)."""
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
    """The object under ``location`` of ``GET /locations/{id}`` (HighLevel docs, apps/locations.json)."""
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
