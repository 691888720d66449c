from datetime import UTC, datetime, timedelta

import pytest

from etl.exports.windows import LEAST_WIDTH, MOST_WIDTH, Span, next_width, slices

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def span(*hours: tuple[int, int]) -> Span:
    """Items by hours after noon."""
    return Span([(NOON + timedelta(hours=hour), count) for hour, count in hours])


def test_a_window_that_had_twice_the_wanted_rows_is_followed_by_one_of_half_its_width() -> None:
    assert next_width(WEEK, 4000) == WEEK / 2


def test_a_window_that_had_few_rows_is_followed_by_one_of_four_times_its_width() -> None:
    assert next_width(WEEK, 3) == 4 * WEEK


@pytest.mark.parametrize(("rows", "width"), [(0, MOST_WIDTH), (10**9, LEAST_WIDTH)])
def test_a_window_is_never_wider_nor_narrower_than_that(rows: int, width: timedelta) -> None:
    assert next_width(WEEK * 4, rows) == width


def test_slices_follow_each_other_to_the_end() -> None:
    end = NOON + 2 * WEEK + timedelta(hours=1)
    assert list(slices(NOON, end)) == [(NOON, NOON + WEEK), (NOON + WEEK, NOON + 2 * WEEK), (NOON + 2 * WEEK, end)]


def test_a_span_is_cut_where_the_longest_time_without_items_is() -> None:
    assert span((0, 5), (1, 6), (9, 7), (12, 8)).halves() == [span((0, 5), (1, 6)), span((9, 7), (12, 8))]


def test_one_hour_cannot_be_cut() -> None:
    assert span((0, 500)).halves() == []


def test_what_is_left_of_a_span_begins_with_the_hour_that_was_reached() -> None:
    moment = NOON + timedelta(hours=1, minutes=30)
    assert span((0, 5), (1, 6), (2, 7)).after(moment) == span((1, 6), (2, 7))


def test_a_window_holds_its_whole_last_hour() -> None:
    window = span((0, 5), (2, 6)).window("LOC1", None)
    assert window.start < NOON < NOON + timedelta(hours=3) < window.end
