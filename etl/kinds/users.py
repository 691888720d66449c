"""Kind ``user``: GET /users/{id}, a row of ``users``. Needs the scope users.readonly.

Shape: HighLevel docs, "Get user".
"""

from collections.abc import Mapping
from typing import Any

from etl.kinds.kind import Origin
from etl.kinds.names import person, record
from etl.models import User
from etl.models.record import Record
from etl.transform.reading import Reader
from etl.transform.values import id_of, object_of, text_of


def transform(payload: Mapping[str, Any], origin: Origin) -> list[Record]:
    """Normalize a user; one that works at several locations has a row at each.

    Raises:
        TransformError: it has no id.
    """
    reader = Reader(payload)
    row = {
        "location_id": id_of("locationId", origin.location_id),
        "user_id": id_of("id", reader.take("id")),
        **person(reader),
        "role": text_of(object_of(payload.get("roles")).get("role"))[0],
    }
    return [record(User, row, reader, origin)]
