"""Kinds ``contact``, ``user`` and ``location``: names for the ids that messages hold. Pure.

Each needs a scope of its own: contacts.readonly, users.readonly, locations.readonly. Shapes: HighLevel docs, "Get
contact", "Get user", "Get location".
"""

from collections.abc import Mapping
from typing import Any

from etl.api.client import Answer, Call, segment
from etl.kinds.kind import Absence, Kind, Options, Origin
from etl.models import Contact, LocationProfile, User
from etl.models.record import Record, Row
from etl.transform.reading import Reader
from etl.transform.values import id_of, object_of, text_of

UNKNOWN = Absence(is_failure=False)
"""A name that is not there any more is no failure."""


def contact(_options: Options) -> Kind:
    """Return the kind ``contact``."""
    return Kind("contact", Contact, get_contact, contact_records, UNKNOWN, named_in_messages_as="contact_id")


def user(_options: Options) -> Kind:
    """Return the kind ``user``."""
    return Kind("user", User, get_user, user_records, UNKNOWN)


def location(_options: Options) -> Kind:
    """Return the kind ``location``."""
    return Kind("location", LocationProfile, get_location, location_records, UNKNOWN)


def get_contact(call: Call, contact_id: str, _location_id: str) -> Answer:
    """GET /contacts/{id}, which answers ``{"contact": {…}}``. Raises ItemError."""
    return call.get(f"/contacts/{segment(contact_id)}").unwrapped("contact").about(contact_id)


def get_user(call: Call, user_id: str, _location_id: str) -> Answer:
    """GET /users/{id}, which answers the user. Raises ItemError."""
    return call.get(f"/users/{segment(user_id)}").unwrapped("user").about(user_id)


def get_location(call: Call, location_id: str, _location_id: str) -> Answer:
    """GET /locations/{id}, which answers ``{"location": {…}}``. Raises ItemError."""
    return call.get(f"/locations/{segment(location_id)}").unwrapped("location").about(location_id)


def contact_records(payload: Mapping[str, Any], origin: Origin) -> list[Record]:
    """Normalize a contact.

    Raises:
        TransformError: it has no id, or a date that cannot be read.
    """
    reader = Reader(payload)
    row = {
        "location_id": id_of("locationId", reader.take("locationId") or origin.location_id),
        "contact_id": id_of("id", reader.take("id")),
        **_person(reader),
        "company_name": reader.text("companyName"),
        "tags": reader.texts("tags"),
        "contact_type": reader.text("type"),
        "source": reader.text("source"),
        "time_zone": reader.text("timezone"),
        "date_added": reader.date_added(),
        "date_updated": reader.date("dateUpdated"),
    }
    return [_record(Contact, row, reader, origin)]


def user_records(payload: Mapping[str, Any], origin: Origin) -> list[Record]:
    """Normalize a user; one that works at several locations has a row at each.

    Raises:
        TransformError: it has no id.
    """
    reader = Reader(payload)
    row = {
        "location_id": id_of("locationId", origin.location_id),
        "user_id": id_of("id", reader.take("id")),
        **_person(reader),
        "role": text_of(object_of(payload.get("roles")).get("role"))[0],
    }
    return [_record(User, row, reader, origin)]


def location_records(payload: Mapping[str, Any], origin: Origin) -> list[Record]:
    """Normalize a location.

    Raises:
        TransformError: it has no id.
    """
    reader = Reader(payload)
    row = {
        "location_id": id_of("id", reader.take("id")),
        "name": reader.text("name"),
        "time_zone": reader.text("timezone"),
        "company_id": reader.text("companyId"),
        "email": reader.text("email"),
        "phone": reader.text("phone"),
        "city": reader.text("city"),
        "country": reader.text("country"),
    }
    return [_record(LocationProfile, row, reader, origin)]


def _person(reader: Reader) -> Row:
    first, last = reader.text("firstName"), reader.text("lastName")
    given = reader.text("name") or reader.text("contactName") or reader.text("fullNameLowerCase")
    return {
        "name": given or " ".join(part for part in (first, last) if part) or None,
        "first_name": first,
        "last_name": last,
        "email": reader.text("email"),
        "phone": reader.text("phone"),
    }


def _record(table: Any, row: Row, reader: Reader, origin: Origin) -> Record:
    # What these hold beside the columns (custom fields, settings …) is theirs to grow: it is kept, and is no drift.
    row |= {"extra": reader.extra(), "fetched_at": origin.fetched_at}
    return Record(table, row)
