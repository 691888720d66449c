"""Shared by the kinds ``contact``, ``user`` and ``location``, which give names to the ids in messages."""

from typing import Any

from etl.api.client import Answer, Call, segment
from etl.kinds.kind import Origin
from etl.models.record import Record, Row
from etl.transform.reading import Reader


def extract(call: Call, id_: str, _location_id: str, *, name: str) -> Answer:
    """GET /<name>s/{id}: the answer is the thing, or holds it under its name."""
    return call.get(f"/{name}s/{segment(id_)}").unwrapped(name).about(id_)


def person(reader: Reader) -> Row:
    """Read the name, email and phone of a contact or a user."""
    first, last = reader.text("firstName"), reader.text("lastName")
    given = reader.text("name") or reader.text("contactName") or reader.text("fullNameLowerCase")
    return {
        "name": given or " ".join(part for part in (first, last) if part) or None,
        "first_name": first,
        "last_name": last,
        "email": reader.text("email"),
        "phone": reader.text("phone"),
    }


def record(table: Any, row: Row, reader: Reader, origin: Origin) -> Record:
    """Make the record of a row. Other fields (custom fields, settings …) go to ``extra``; they are no drift."""
    row |= {"extra": reader.extra(), "fetched_at": origin.fetched_at}
    return Record(table, row)
