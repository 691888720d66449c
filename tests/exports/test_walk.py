from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from etl.exports import pages as asking
from etl.exports import walk
from etl.exports.pages import HaltedError, Manner, Page
from etl.exports.windows import Window
from etl.sandbox.messages import MESSAGE_TYPES
from etl.sandbox.server import RunningSandbox
from tests.exports.conftest import Opener

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def window(opener: Opener, channel: str | None = None) -> Window:
    return Window(opener.location_id, START, END, channel)


def expected(sandbox: RunningSandbox, *, emails: bool = False) -> set[str]:
    """What an export has."""
    messages = {known: sandbox.dataset.messages[known] for known in sandbox.dataset.ids()}
    return {known for known, each in messages.items() if (MESSAGE_TYPES[each["messageType"]][1] == "email") is emails}


def see(opener: Opener, **between: Any) -> walk.Seen:
    """Walk the whole window, with something done after each page."""
    act = between.get("act", lambda: None)
    return walk.whole(opener(), window(opener), lambda _page: act())


def test_a_walk_has_every_message_but_emails(opener: Opener, large: RunningSandbox) -> None:
    seen = see(opener)
    assert (set(seen.ids), seen.missing) == (expected(large), 0)


def test_emails_are_walked_for_alone(opener: Opener, large: RunningSandbox) -> None:
    seen = walk.whole(opener(), window(opener, "Email"), lambda _page: None)
    assert seen.ids == expected(large, emails=True)


def test_a_walk_goes_on_when_its_cursor_dies_after_each_page(opener: Opener, large: RunningSandbox) -> None:
    seen = see(opener, act=large.expire_cursors)
    assert (set(seen.ids), seen.missing) == (expected(large), 0)


def test_rows_that_come_twice_are_counted_once(opener: Opener, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{opener.location_id}": "repeat_rows"})
    seen = see(opener)
    assert (set(seen.ids), seen.total) == (expected(large), len(expected(large)))


def test_a_window_whose_pages_skip_a_row_is_walked_again(opener: Opener, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{opener.location_id}": {"kind": "skip_rows", "after": 1, "times": 1}})
    seen = see(opener)
    assert (set(seen.ids), seen.missing) == (expected(large), 0)


def test_what_is_skipped_each_time_is_said_to_be_missing(opener: Opener, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{opener.location_id}": "skip_rows"})
    seen = see(opener)
    skipped = len(expected(large)) // 501
    assert (seen.missing, len(seen.ids)) == (skipped, len(expected(large)) - skipped)


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(opener: Opener, large: RunningSandbox) -> None:
    large.faults(ids={f"export/{opener.location_id}": {"kind": "huge", "times": 1, "after": 2}})
    assert see(opener).ids == expected(large)


def test_a_page_that_is_not_answered_is_asked_for_again(
    opener: Opener, large: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.0)
    large.faults(ids={f"export/{opener.location_id}": {"kind": "5xx", "times": 2, "after": 1}})
    seen = walk.whole(opener(Manner(tries=3)), window(opener), lambda _page: None)
    assert seen.ids == expected(large)


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


def test_a_page_that_is_not_in_order_is_no_place_to_go_on_from() -> None:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    rows = [{"dateAdded": (moment + timedelta(days=day)).isoformat()} for day in (2, 1)]
    assert walk.last_date(Page("LOC1", rows, None, 2, moment)) is None


def test_an_export_without_end_is_not_followed_for_ever(opener: Opener, large: RunningSandbox) -> None:
    page = {"messages": [{"id": "MSG1", "dateAdded": "2026-10-01T00:00:00.000Z"}], "nextCursor": "X", "total": 1}
    large.faults(ids={f"export/{opener.location_id}": {"kind": "answer", "payload": page}})
    assert see(opener).ids == {"MSG1"}
