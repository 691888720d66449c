from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from etl.exports import pages as asking
from etl.exports import walk
from etl.exports.pages import Exports, HaltedError, Manner, Page
from etl.exports.windows import Window
from etl.sandbox.messages import MESSAGE_TYPES
from etl.sandbox.server import RunningSandbox
from tests.exports.conftest import Opener, both_cursors

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def window(opener: Opener, channel: str | None = None) -> Window:
    return Window(opener.location_id, START, END, channel)


def expected(sandbox: RunningSandbox, *, emails: bool = False) -> set[str]:
    """What an export has."""
    messages = {known: sandbox.dataset.messages[known] for known in sandbox.dataset.ids()}
    return {known for known, each in messages.items() if (MESSAGE_TYPES[each["messageType"]][1] == "email") is emails}


class Altered(Exports):
    """An export whose pages differ from what the sandbox says; remembers what was asked."""

    def __init__(self, exports: Exports, alter: Callable[[Page, int], Page] = lambda page, _: page) -> None:
        vars(self).update(vars(exports))
        self._alter = alter
        self.asked: list[dict[str, str | int]] = []
        self.given: list[str | None] = []

    def page(self, location_id: str, *, stopping: Callable[[], bool], **query: str | int) -> Page:
        self.asked.append(query)
        self.given.append(None)
        page = self._alter(super().page(location_id, stopping=stopping, **query), len(self.asked))
        self.given[-1] = page.cursor
        return page


def walked(exports: Exports, asked: Window, act: Callable[[], None] = lambda: None) -> walk.Seen:
    """Walk a whole window, with something done after each page."""
    seen = walk.Seen()
    for _ in walk.pages(exports, asked, seen=seen):
        act()
    return seen


def see(opener: Opener, act: Callable[[], None] = lambda: None) -> walk.Seen:
    """Walk the whole window of everything but emails."""
    return walked(opener(), window(opener), act)


@both_cursors
def test_a_walk_has_every_message_but_emails(opener: Opener, large: RunningSandbox) -> None:
    seen = see(opener)
    assert (set(seen.dates), seen.missing) == (expected(large), 0)


@both_cursors
def test_emails_are_walked_for_alone(opener: Opener, large: RunningSandbox) -> None:
    seen = walked(opener(), window(opener, "Email"))
    assert set(seen.dates) == expected(large, emails=True)


@both_cursors
def test_a_walk_goes_on_when_its_cursor_dies_after_each_page(opener: Opener, large: RunningSandbox) -> None:
    seen = see(opener, act=large.expire_cursors)
    assert (set(seen.dates), seen.missing) == (expected(large), 0)


@both_cursors
def test_rows_that_come_twice_are_counted_once(opener: Opener, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{opener.location_id}": "repeat_rows"})
    seen = see(opener)
    assert (set(seen.dates), seen.total) == (expected(large), len(expected(large)))


def test_what_pages_skip_is_said_to_be_missing(opener: Opener, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{opener.location_id}": "skip_rows"})
    seen = see(opener)
    skipped = len(expected(large)) // 501
    assert (seen.missing, len(seen.dates)) == (skipped, len(expected(large)) - skipped)


@both_cursors
def test_each_cursor_is_sent_with_exactly_the_query_that_it_came_from(opener: Opener, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{opener.location_id}": {"kind": "huge", "times": 1, "after": 2}})
    exports = Altered(opener())

    def act() -> None:
        if len(exports.asked) == 5:
            large.expire_cursors()

    seen = walked(exports, window(opener), act)
    assert set(seen.dates) == expected(large)
    origins = dict(zip(exports.given, exports.asked, strict=True))
    queries = [{name: value for name, value in each.items() if name != "cursor"} for each in exports.asked]
    for query, asked in zip(queries, exports.asked, strict=True):
        if "cursor" in asked:
            origin = origins[str(asked["cursor"])]
            assert query == {name: value for name, value in origin.items() if name != "cursor"}
    # It begins, begins anew with smaller pages, and begins anew when its cursor has died.
    assert len([each for each in exports.asked if "cursor" not in each]) == 3


@pytest.mark.parametrize("total", [None, 0, 7, 1_000_000_000])
@both_cursors
def test_a_total_that_lies_changes_only_what_is_told(opener: Opener, large: RunningSandbox, total: int | None) -> None:
    see(opener)
    asked = large.stats()["requests"]
    seen = walked(Altered(opener(), lambda page, _: replace(page, total=total)), window(opener))
    assert (set(seen.dates), large.stats()["requests"]) == (expected(large), 2 * asked)
    assert (seen.total, seen.missing) == (total, max((total or 0) - len(expected(large)), 0))


@both_cursors
def test_a_short_page_and_an_empty_one_are_no_end(opener: Opener, large: RunningSandbox) -> None:
    def alter(page: Page, number: int) -> Page:
        # The second request got no rows and the cursor that leads to them; the third one gets them.
        return replace(page, rows=[], cursor=str(exports.asked[-1]["cursor"])) if number == 2 else page

    exports = Altered(opener(), alter)
    assert set(walked(exports, window(opener)).dates) == expected(large)


@pytest.mark.parametrize(("cursor", "sent"), [(7, "7"), ("a b&c=d", "a b&c=d")])
def test_a_cursor_of_whatever_kind_is_sent_again(
    opener: Opener, large: RunningSandbox, cursor: object, sent: str
) -> None:
    page = {"messages": [], "nextCursor": cursor, "total": "0"}
    large.faults(ids={f"export/{opener.location_id}": {"kind": "answer", "payload": page, "times": 1}})
    exports = Altered(opener())
    walked(exports, window(opener))
    assert exports.asked[1]["cursor"] == sent


def test_a_cursor_that_cannot_be_sent_is_no_end(opener: Opener, large: RunningSandbox) -> None:
    page = {"messages": [], "nextCursor": {"after": 1}, "total": 0}
    large.faults(ids={f"export/{opener.location_id}": {"kind": "answer", "payload": page}})
    with pytest.raises(HaltedError, match="nextCursor is neither"):
        see(opener)


@both_cursors
def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(opener: Opener, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{opener.location_id}": {"kind": "huge", "times": 1, "after": 2}})
    assert set(see(opener).dates) == expected(large)


def test_a_page_that_is_not_answered_is_asked_for_again(
    opener: Opener, large: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.0)
    large.faults(ids={f"export/{opener.location_id}": {"kind": "5xx", "times": 2, "after": 1}})
    seen = walked(opener(Manner(tries=3)), window(opener))
    assert set(seen.dates) == expected(large)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "5xx"}, "api_unreachable"),
        ({"kind": "html"}, "api_unreachable"),
        ({"kind": "422"}, "refused"),
        ({"kind": "redirect"}, "misconfigured"),
        ({"kind": "401", "text": "The token is not authorized for this scope."}, "refused"),
    ],
)
def test_a_walk_that_cannot_go_on_says_why(
    opener: Opener, large: RunningSandbox, fault: dict[str, Any], cause: str
) -> None:
    large.faults(ids={f"export/{opener.location_id}": fault})
    with pytest.raises(HaltedError) as halted:
        see(opener)
    assert halted.value.cause == cause


def test_a_refused_token_pauses_its_location(opener: Opener, large: RunningSandbox, engine: Engine) -> None:
    large.revoke(location_id=opener.location_id)
    causes = []
    for _ in range(2):
        with pytest.raises(HaltedError) as halted:
            see(opener)
        causes.append(halted.value.cause)
    with engine.connect() as connection:
        paused = connection.execute(text("SELECT location_id FROM etl.locations WHERE paused_at IS NOT NULL")).all()
    assert (causes, paused) == (["refused", "paused"], [(opener.location_id,)])
    assert large.stats()["requests"] == 1


def test_a_walk_ends_where_it_is_stopped(opener: Opener) -> None:
    seen: list[Page] = []
    with pytest.raises(HaltedError) as halted:
        seen.extend(walk.pages(opener(), window(opener), stopping=lambda: len(seen) == 2))
    assert (halted.value.cause, len(seen)) == ("stopped", 2)


def test_pages_are_asked_for_within_the_limit(opener: Opener, large: RunningSandbox) -> None:
    large.limits(limit=4, interval=0.5)
    for _ in range(2):
        see(opener)
    assert set(large.stats()["statuses"]) == {"200"}


@pytest.mark.parametrize(("is_behind", "outcome"), [(True, "rate"), (False, None)])
def test_a_request_behind_live_work_is_sent_only_while_half_of_the_allowance_is_free(
    opener: Opener, large: RunningSandbox, engine: Engine, *, is_behind: bool, outcome: str | None
) -> None:
    large.limits(limit=100, interval=1000)
    next(walk.pages(opener(), window(opener)))
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO etl.rate_usage (location_id, requests, expires_at) "
                "VALUES (:id, 60, now() + interval '1 hour')"
            ),
            {"id": opener.location_id},
        )
    try:
        next(walk.pages(opener(Manner(is_behind=is_behind, patience=0.0)), window(opener)))
        cause = None
    except HaltedError as halted:
        cause = halted.cause
    assert cause == outcome


def test_pages_that_are_not_in_order_are_no_place_to_go_on_from(opener: Opener, large: RunningSandbox) -> None:
    def shuffle(page: Page, number: int) -> Page:
        if number == 3:
            large.expire_cursors()
        return replace(page, rows=page.rows[::-1]) if number == 2 else page

    exports = Altered(opener(), shuffle)
    reached = [page.reached for page in walk.pages(exports, window(opener))]
    assert (reached[0] is None, set(reached[1:])) == (False, {None})
    assert [each["startDate"] for each in exports.asked if "cursor" not in each] == ["2026-01-01T00:00:00.000Z"] * 2


def test_an_export_without_end_is_given_up(opener: Opener, large: RunningSandbox) -> None:
    page = {"messages": [{"id": "MSG1", "dateAdded": "2026-10-01T00:00:00.000Z"}], "nextCursor": "X", "total": 1}
    large.faults(ids={f"export/{opener.location_id}": {"kind": "answer", "payload": page}})
    with pytest.raises(HaltedError, match="does not end"):
        see(opener)
    assert large.stats()["requests"] == 1 + walk.BARREN
