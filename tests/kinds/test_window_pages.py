"""Windows and their walks, against a sandbox with both readings of what a cursor means."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.api.client import Answer, Call, Client
from etl.api.transport import Transport
from etl.errors import (
    ApiMisconfiguredError,
    ItemError,
    LocationError,
    RefusedError,
    UnreachableError,
)
from etl.kinds import window_pages
from etl.kinds.window_pages import REQUESTS, Walk
from etl.sandbox.server import RunningSandbox
from etl.state.windows import MILLISECOND, WIDTH, Why, Window, slices
from tests.large import both_cursors

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
WINDOW = Window(Why.HISTORY, START, END)

Payload = dict[str, Any]
Alter = Callable[[Payload, int], Payload]


class Asking(Call):
    """The requests of one walk, whose answers may differ from what the sandbox says; remembers what was asked."""

    alter: Alter = staticmethod(lambda payload, _: payload)
    asked: list[dict[str, str | int]]
    given: list[Any]

    def get(self, path: str, **params: str | int) -> Answer:
        self.asked.append(params)
        self.given.append(None)
        answer = super().get(path, **params)
        answer = Answer(self.alter(answer.payload, len(self.asked)), answer.body)
        self.given[-1] = answer.payload.get("nextCursor")
        return answer


class Walker:
    """Walks windows of a sandbox's location."""

    def __init__(self, sandbox: RunningSandbox, transport: Transport) -> None:
        self.location_id = sandbox.location_ids[0]
        self.asked: list[dict[str, str | int]] = []
        self.given: list[Any] = []
        self.alter: Alter = lambda payload, _: payload
        self._token = sandbox.token(self.location_id)
        self._client = Client(transport, api_version="2021-07-28")

    def walk(self, window: Window, granted: int = REQUESTS) -> Walk:
        """One walk."""
        call = Asking(self._client, self._token, granted=granted)
        call.asked, call.given, call.alter = self.asked, self.given, self.alter
        walk = window_pages.extract(call, window.id, self.location_id).payload
        assert isinstance(walk, Walk)
        return walk

    def walks(self, window: Window, granted: int = REQUESTS) -> Iterator[Walk]:
        """All walks that a window takes."""
        left = [window]
        while left:
            walk = self.walk(left.pop(0), granted)
            left = [*walk.rest, *left]
            yield walk

    def ids(self, window: Window, granted: int = REQUESTS) -> set[str]:
        """The messages of a window."""
        return {id_ for walk in self.walks(window, granted) for id_ in walk.dates}


@pytest.fixture
def walker(large: RunningSandbox) -> Iterator[Walker]:
    with Transport(base_url=large.url, pool_size=1, user_agent="test") as transport:
        yield Walker(large, transport)


def expected(sandbox: RunningSandbox) -> set[str]:
    """What the exports have."""
    return set(sandbox.dataset.ids())


@both_cursors
def test_a_window_has_every_message_and_every_email(walker: Walker, large: RunningSandbox) -> None:
    assert walker.ids(WINDOW) == expected(large)
    assert {each.get("channel") for each in walker.asked} == {None, "Email"}


@pytest.mark.parametrize("granted", [2, 3, REQUESTS])
@both_cursors
def test_each_message_is_counted_once_however_few_pages_a_walk_has(
    walker: Walker, large: RunningSandbox, granted: int
) -> None:
    walks = list(walker.walks(WINDOW, granted))
    assert sum(walk.messages for walk in walks) == len(large.dataset.ids())
    parts = sorted((walk.window.since, walk.window.until) for walk in walks if not walk.is_divided)
    assert [START, *(until for _, until in parts)] == [*(since for since, _ in parts), END]
    assert sum(walk.missing for walk in walks) == 0


@both_cursors
def test_a_walk_goes_on_when_its_cursor_dies_after_each_page(walker: Walker, large: RunningSandbox) -> None:
    def alter(payload: Payload, _: int) -> Payload:
        large.expire_cursors()
        return payload

    walker.alter = alter
    assert walker.ids(WINDOW) == expected(large)


@both_cursors
def test_rows_that_come_twice_are_counted_once(walker: Walker, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{walker.location_id}": "repeat_rows"})
    assert sum(walk.messages for walk in walker.walks(WINDOW)) == len(expected(large))


def test_what_pages_skip_is_said_to_be_missing(walker: Walker, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{walker.location_id}": "skip_rows"})
    walk = walker.walk(WINDOW)
    assert (walk.missing > 0, walk.missing + walk.messages) == (True, len(expected(large)))


@both_cursors
def test_each_cursor_is_sent_with_exactly_the_query_that_it_came_from(walker: Walker, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{walker.location_id}": {"kind": "huge", "times": 1, "after": 2}})

    def alter(payload: Payload, number: int) -> Payload:
        if number == 4:
            large.expire_cursors()
        return payload

    walker.alter = alter
    assert walker.ids(WINDOW) == expected(large)
    origins = dict(zip(walker.given, walker.asked, strict=True))
    queries = [{name: value for name, value in each.items() if name != "cursor"} for each in walker.asked]
    for query, asked in zip(queries, walker.asked, strict=True):
        if "cursor" in asked:
            origin = origins[str(asked["cursor"])]
            assert query == {name: value for name, value in origin.items() if name != "cursor"}
    begun = [(each.get("channel"), each["startDate"], each["endDate"]) for each in walker.asked if "cursor" not in each]
    assert len(begun) == len(set(begun)) >= 3


@pytest.mark.parametrize("total", [None, 0, 7, 1_000_000_000, "7", "many"])
@both_cursors
def test_a_total_that_lies_changes_only_what_is_reported(walker: Walker, large: RunningSandbox, total: Any) -> None:
    walker.ids(WINDOW)
    asked = large.stats()["requests"]
    walker.alter = lambda payload, _: payload | {"total": total}
    walks = list(walker.walks(WINDOW))
    assert {id_ for walk in walks for id_ in walk.dates} == expected(large)
    assert large.stats()["requests"] == 2 * asked
    counted = total if isinstance(total, int) else 0
    # In each of the two exports.
    assert walks[-1].missing <= 2 * counted
    assert (walks[-1].missing > 0) is (counted > len(expected(large)))


@both_cursors
def test_a_short_page_and_an_empty_one_are_no_end(walker: Walker, large: RunningSandbox) -> None:
    def alter(payload: Payload, number: int) -> Payload:
        # The second request got no rows and the cursor that leads to them; the third one gets them.
        if number == 2:
            return payload | {"messages": [], "nextCursor": walker.asked[-1]["cursor"]}
        return payload

    walker.alter = alter
    assert walker.ids(WINDOW) == expected(large)


@pytest.mark.parametrize(("cursor", "sent"), [(7, "7"), ("a b&c=d", "a b&c=d")])
def test_a_cursor_of_whatever_kind_is_sent_again(
    walker: Walker, large: RunningSandbox, cursor: object, sent: str
) -> None:
    page = {"messages": [], "nextCursor": cursor, "total": "0"}
    large.faults(ids={f"export/{walker.location_id}": {"kind": "answer", "payload": page, "times": 1}})
    with pytest.raises(RefusedError):
        walker.walk(WINDOW)
    assert walker.asked[1]["cursor"] == sent


def test_a_cursor_that_cannot_be_sent_is_no_end(walker: Walker, large: RunningSandbox) -> None:
    page = {"messages": [], "nextCursor": {"after": 1}, "total": 0}
    large.faults(ids={f"export/{walker.location_id}": {"kind": "answer", "payload": page}})
    with pytest.raises(UnreachableError, match="nextCursor is neither"):
        walker.walk(WINDOW)


@both_cursors
def test_a_page_that_is_too_large_is_asked_for_in_smaller_windows(walker: Walker, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{walker.location_id}": {"kind": "huge", "times": 1}})
    assert walker.ids(WINDOW) == expected(large)


@pytest.mark.parametrize("kind", ["huge", "deep"])
def test_a_window_of_a_millisecond_that_cannot_be_read_is_refused(
    walker: Walker, large: RunningSandbox, kind: str
) -> None:
    large.faults(ids={f"export/{walker.location_id}": {"kind": kind}})
    with pytest.raises(RefusedError):
        walker.walk(Window(Why.HISTORY, START, START + MILLISECOND))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "5xx"}, UnreachableError),
        ({"kind": "html"}, RefusedError),
        ({"kind": "422"}, RefusedError),
        ({"kind": "redirect"}, ApiMisconfiguredError),
        ({"kind": "401", "text": "The token is not authorized for this scope."}, LocationError),
    ],
)
def test_a_walk_that_cannot_go_on_says_why(
    walker: Walker, large: RunningSandbox, fault: dict[str, Any], error: type[ItemError]
) -> None:
    large.faults(ids={f"export/{walker.location_id}": fault})
    with pytest.raises(error):
        walker.walk(WINDOW)
    assert large.stats()["requests"] == 1


def test_a_window_whose_pages_are_not_in_order_is_divided(walker: Walker) -> None:
    def shuffle(payload: Payload, number: int) -> Payload:
        return payload | {"messages": payload["messages"][::-1]} if number == 1 else payload

    walker.alter = shuffle
    walk = walker.walk(WINDOW, granted=2)
    assert (walk.is_divided, walk.rest, walk.pages) == (True, WINDOW.halves(), [])


def test_an_export_without_end_is_given_up(walker: Walker, large: RunningSandbox) -> None:
    page = {"messages": [{"id": "MSG1", "dateAdded": "2025-10-01T00:00:00.000Z"}], "nextCursor": "X", "total": 1}
    large.faults(ids={f"export/{walker.location_id}": {"kind": "answer", "payload": page}})
    with pytest.raises(RefusedError, match="does not end"):
        walker.walk(WINDOW)
    assert large.stats()["requests"] == REQUESTS - 1


def test_a_window_is_what_its_id_says() -> None:
    window = Window(Why.COMPARE, datetime(1, 1, 1, tzinfo=UTC), END + MILLISECOND)
    assert (Window.of(window.id), json.dumps(window.id)) == (window, f'"{window.id}"')


@pytest.mark.parametrize("id_", ["", "MSG1", "history:5:5", "history:x:9", "who:1:2", "history:1:9" + 30 * "9"])
def test_what_is_no_window_is_refused(id_: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of many kinds
        Window.of(id_)


def test_slices_follow_each_other_to_the_end() -> None:
    end = START + 2 * WIDTH + timedelta(hours=1)
    parts = [(START, START + WIDTH), (START + WIDTH, START + 2 * WIDTH), (START + 2 * WIDTH, end)]
    assert list(slices(START, end)) == parts
