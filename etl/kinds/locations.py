"""Kind ``location``: GET /locations/{id}, a row of ``locations``. Needs the scope locations.readonly.

Shape: HighLevel docs, "Get location".
"""

from collections.abc import Mapping
from typing import Any

from etl.kinds.kind import Origin
from etl.kinds.names import record
from etl.models import LocationProfile
from etl.models.record import Record
from etl.transform.reading import Reader
from etl.transform.values import id_of


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
