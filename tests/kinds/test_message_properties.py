import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from etl.errors import TransformError
from etl.kinds import Options, Origin, messages
from etl.load import loader
from etl.models.record import Record

FETCHED_AT = datetime(2026, 3, 1, tzinfo=UTC)

TEXT_FIELDS = (
    "conversationId",
    "contactId",
    "direction",
    "status",
    "source",
    "contentType",
    "body",
    "subject",
    "from",
    "to",
    "error",
    "userId",
    "conversationProviderId",
    "chatWidgetId",
    "altId",
    "replyToMessageId",
)
DATE_FIELDS = ("dateAdded", "dateUpdated")
KNOWN_FIELDS = (
    *TEXT_FIELDS,
    *DATE_FIELDS,
    "id",
    "locationId",
    "type",
    "messageType",
    "attachments",
    "meta",
    "mentions",
    "callDuration",
    "callStatus",
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())
    | st.sampled_from(["\0", "\ud800", "", "37", "2026-02-03T10:11:12Z", "0001-01-01T00:00:00+14:00", "1e999"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=8
)
calls = st.dictionaries(st.sampled_from(["duration", "status", "other"]), values)
metas = st.dictionaries(st.sampled_from(["call", "callDuration", "callStatus", "email", "x"]), values | calls)
attachments = st.lists(
    values | st.dictionaries(st.sampled_from(["url", "name", "type", "id"]), scalars) | st.text(min_size=1), max_size=3
)
texts = st.text(st.characters(), max_size=40)
dates = st.datetimes().map(datetime.isoformat) | st.integers(0, 2_000_000_000_000)
urls = st.text(min_size=1, max_size=40) | st.sampled_from(["https://a.example/x.pdf", "http://[x", "%00"])
files = st.lists(urls | st.fixed_dictionaries({"url": urls}, optional={"name": texts, "type": texts, "id": values}))
understood = {
    **dict.fromkeys(sorted(TEXT_FIELDS), texts | st.none()),
    **dict.fromkeys(sorted(DATE_FIELDS), dates | st.none()),
    "type": st.integers(-5, 120) | st.none(),
    "messageType": st.sampled_from(["SMS", "TYPE_CALL", "Custom", "TYPE_NEW"]) | texts | st.none(),
    "attachments": files | st.none(),
    "meta": st.fixed_dictionaries(
        {},
        optional={
            "call": st.fixed_dictionaries(
                {}, optional={"duration": st.integers(0, 9999), "status": texts, "x": values}
            ),
            "callDuration": st.integers(0, 9999) | st.integers(0, 9999).map(str),
            "callStatus": texts,
            "email": values,
        },
    ),
    "unknown": values,
}
good = st.fixed_dictionaries({"id": st.just("MSG1"), "locationId": st.just("LOC1")}, optional=understood)
# A good payload with some field replaced by anything at all: near the edge of what is understood, on either side.
mutated = st.builds(
    lambda payload, name, value: payload | {name: value},
    good,
    st.sampled_from(sorted(KNOWN_FIELDS)) | st.text(),
    values | metas | attachments,
)
payloads = mutated | st.dictionaries(st.sampled_from(sorted(KNOWN_FIELDS)) | st.text(), values, max_size=8)
keyed = (good | mutated).map(lambda payload: payload | {"id": "MSG1", "locationId": "LOC1"})


def attempt(payload: dict[str, Any]) -> Record | None:
    try:
        (record,) = messages.transform(payload, Origin("MSG1", "", FETCHED_AT), options=Options())
    except TransformError:
        return None
    return record


@given(payloads)
@settings(max_examples=300, deadline=None)
def test_any_object_is_a_record_or_a_transform_error(payload: dict[str, Any]) -> None:
    attempt(json.loads(json.dumps(payload)))


@given(good)
@settings(max_examples=100, deadline=None)
def test_every_understood_payload_is_a_record(payload: dict[str, Any]) -> None:
    assert attempt(payload) is not None


@given(st.lists(keyed, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_record_loads(engine: Engine, given_payloads: list[dict[str, Any]]) -> None:
    records = [record for record in map(attempt, given_payloads) if record is not None]
    with engine.begin() as connection:
        for record in records:
            loader.load(connection, [record])


@given(keyed)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_loading_any_record_twice_changes_nothing_the_second_time(engine: Engine, payload: dict[str, Any]) -> None:
    record = attempt(payload)
    if record is None:
        return
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE highlevel.messages, highlevel.attachments, highlevel.meta, highlevel.emails"))
    for is_written in (True, False):
        with engine.begin() as connection:
            assert loader.load(connection, [record]).has_written([record]) is is_written
