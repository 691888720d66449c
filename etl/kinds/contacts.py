"""Kind ``contact``: GET /contacts/{id}, a row of ``contacts``. Needs the scope contacts.readonly.

Shape: HighLevel docs, "Get contact".
"""

from collections.abc import Mapping
from typing import Any

from etl.kinds.kind import Origin
from etl.kinds.names import person, record
from etl.models import Contact
from etl.models.record import Record
from etl.transform.reading import Reader
from etl.transform.values import id_of


def transform(payload: Mapping[str, Any], origin: Origin) -> list[Record]:
    """Normalize a contact.

    Raises:
        TransformError: the contact has no id, or a date that cannot be read.
    """
    reader = Reader(payload)
    row = {
        "location_id": id_of("locationId", reader.take("locationId") or origin.location_id),
        "contact_id": id_of("id", reader.take("id")),
        **person(reader),
        "company_name": reader.text("companyName"),
        "tags": reader.texts("tags"),
        "contact_type": reader.text("type"),
        "source": reader.text("source"),
        "time_zone": reader.text("timezone"),
        "date_added": reader.date_added(),
        "date_updated": reader.date("dateUpdated"),
    }
    return [record(Contact, row, reader, origin)]
