"""Lists of messages: each row stands or falls alone."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.kinds import Options, Origin, conversations
from etl.kinds.kind import PartlyReadError

GOOD = {"id": "MSG1", "locationId": "LOC1", "dateAdded": "2026-02-03T12:00:00Z"}


def listed(*rows: Any) -> tuple[list[str], list[str], bool | None]:
    """The result for a list: the messages that are read, those that are queued, and whether others are lost."""
    origin = Origin("CNV1", "LOC1", datetime(2026, 3, 1, tzinfo=UTC))
    try:
        records = conversations.transform({"messages": list(rows)}, origin, options=Options())
    except PartlyReadError as partly:
        singly = [each.id for each in partly.follow_ups if (each.kind, each.conversation_id) == ("message", "CNV1")]
        return [each.row["message_id"] for each in partly.records], singly, partly.is_lossy
    return [each.row["message_id"] for each in records], [], None


def test_rows_of_a_list_are_messages() -> None:
    assert listed(GOOD, GOOD | {"id": "MSG2"}) == (["MSG1", "MSG2"], [], None)


@pytest.mark.parametrize("odd", [{"dateAdded": "soon"}, {"locationId": "a/b"}, {"dateAdded": {}}])
def test_a_row_that_cannot_be_read_is_asked_for_singly(odd: dict[str, Any]) -> None:
    assert listed(GOOD | {"id": "MSG2"} | odd, GOOD) == (["MSG1"], ["MSG2"], False)


@pytest.mark.parametrize("odd", [GOOD | {"id": ""}, GOOD | {"id": "a/b"}, {}, None, "MSG2", []])
def test_a_row_that_cannot_be_asked_for_is_reported(odd: Any) -> None:
    assert listed(odd, GOOD, GOOD | {"id": "MSG2", "dateAdded": "soon"}) == (["MSG1"], ["MSG2"], True)


def test_the_error_names_the_first_such_row_and_no_value() -> None:
    with pytest.raises(PartlyReadError) as caught:
        conversations.transform(
            {"messages": [GOOD, GOOD | {"dateAdded": "call Ann"}, {}]},
            Origin("CNV1", "LOC1", datetime(2026, 3, 1, tzinfo=UTC)),
            options=Options(),
        )
    assert str(caught.value) == "transform: messages[1].dateAdded: cannot be read (2 of the list)"


@given(
    st.lists(
        st.none()
        | st.text()
        | st.dictionaries(st.sampled_from(["id", "locationId", "dateAdded", "body"]), st.integers() | st.text("a1/"))
    )
)
@settings(deadline=None)
def test_every_row_is_read_or_asked_for_or_told(rows: list[Any]) -> None:
    read, singly, is_lossy = listed(*json.loads(json.dumps(rows)))
    assert len(read) + len(singly) == len(rows) or is_lossy
