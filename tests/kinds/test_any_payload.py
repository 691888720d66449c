"""Any answer of any kind becomes records or a transform error."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import TransformError
from etl.kinds import Options, Origin, all_kinds

FIELDS = (
    "id locationId dateAdded dateUpdated name firstName lastName email phone companyName tags type source timezone "
    "roles companyId city transcript startTime sentenceIndex from to cc bcc body contentType threadId attachments meta"
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.sampled_from(
        ["\0", "\ud800", "ID1", 10**400, "9" * 5000, "0001-01-01T00:00:00+14:00", "//[x", "<p>&#0;", "<a@b"]
    )
)
names = st.sampled_from(FIELDS.split()) | st.sampled_from(["role", "url", "name", "href"]) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=8
)
payloads = st.dictionaries(names, values).map(lambda payload: payload | {"id": "ID1"}) | st.dictionaries(names, values)


@pytest.mark.parametrize("kind", sorted(all_kinds(Options()).keys() - {"recording", "window"}))
@given(payload=payloads)
@settings(max_examples=100, deadline=None)
def test_any_object_is_records_or_a_transform_error(kind: str, payload: dict[str, Any]) -> None:
    payload = json.loads(json.dumps(payload))
    if kind == "conversation":
        payload = {"messages": list(payload.values())}
    origin = Origin("ID1", "LOC1", datetime(2026, 3, 1, tzinfo=UTC))
    try:
        records = all_kinds(Options())[kind].transform(payload, origin)
    except TransformError:
        return
    assert kind == "conversation" or len(records) == 1
