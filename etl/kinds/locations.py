"""Kind ``location``: GET /locations/{id}, a row of ``locations``. Needs the scope locations.readonly.

Shape: HighLevel docs, "Get location".
"""

from collections.abc import Mapping
from typing import Any

from etl.api.client import Answer, Call, segment
from etl.kinds.kind import Kind, Options, Origin
from etl.kinds.names import UNKNOWN, record
from etl.models import LocationProfile
from etl.models.record import Record
from etl.transform.reading import Reader
from etl.transform.values import id_of


def kind(_options: Options) -> Kind:
    """Return the kind, as jobs.yaml wants it."""
    return Kind("location", LocationProfile, extract, transform, UNKNOWN)


def extract(call: Call, location_id: str, _location_id: str) -> Answer:
    """GET /locations/{id}, which answers ``{"location": {…}}``. Raises ItemError."""
    return call.get(f"/locations/{segment(location_id)}").unwrapped("location").about(location_id)


def transform(payload: Mapping[str, Any], origin: Origin) -> list[Record]:
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
    return [record(LocationProfile, row, reader, origin)]
