"""Single values out of JSON."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.transform.values import UnlikelyDateError, date_of

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [1770120000000, "1770120000000", " 1770120000000 ", 1770120000, "1770120000", "2026-02-03T12:00:00Z"]
)
def test_an_epoch_number_is_read_in_milliseconds_or_seconds_as_a_number_or_as_text(value: Any) -> None:
    assert date_of(value) == NOON


def test_milliseconds_as_text_are_no_date_of_another_century() -> None:
    assert date_of("1701020312345") == datetime(2023, 11, 26, 17, 38, 32, 345000, tzinfo=UTC)


def test_eight_digits_are_a_date_without_dashes() -> None:
    assert date_of("20260203") == datetime(2026, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("value", ["1970-01-01T00:00:00Z", 0, "2099-12-31T23:59:59Z", "2026-02-03T12:00:00-12:00"])
def test_dates_from_1970_to_2099_are_believed(value: Any) -> None:
    assert date_of(value) is not None


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        "2099-12-31T23:59:59-12:00",
        "1969-12-31T23:59:59Z",
        -1,
        200_000_000_000_000,
    ],
)
def test_a_date_that_nothing_can_have_is_distinguished_from_one_that_is_none(value: Any) -> None:
    with pytest.raises(UnlikelyDateError):
        date_of(value)


@pytest.mark.parametrize(
    "value", ["yesterday", "1770120000.5", "9" * 5000, 10**18, 10**400, float("inf"), float("nan"), True, [], {}]
)
def test_what_is_no_date_cannot_be_read(value: Any) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - that it is no subclass is what is tested
        date_of(value)
    assert not isinstance(caught.value, UnlikelyDateError)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text("0123456789-+:TZ. "))
def test_any_value_is_a_date_of_the_calendar_or_a_value_error(value: Any) -> None:
    try:
        moment = date_of(value)
    except ValueError:
        return
    assert moment is None or 1970 <= moment.year < 2100
