"""Converts single JSON values; pure. Each reader returns a value for a column, and whether the input was as expected.

A value of an unexpected type raises no error: it is converted where that is obvious, else None. The caller keeps it.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.errors import TransformError
from etl.ids import is_fetchable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Dates from the epoch to before this are plausible: every time zone can show them."""
SECONDS = (10**9, 10**10)
"""Epoch numbers in this range are seconds: as milliseconds they would lie in the first months of 1970."""
MAX_INTEGER = 2**31 - 1
REPLACEMENT = "\ufffd"
SPEAKING = ("message", "text", "name", "value", "href", "url")
"""Keys under which an object holds a text, if it comes in place of that text."""
_REFUSED = re.compile("[\\0\ud800-\udfff]")
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{2})\Z", re.ASCII)


def text_of(value: Any) -> tuple[str | None, bool]:
    """Return a text that Postgres can hold, also of a list or an object of texts.

    An empty text becomes None: HighLevel sends it for a missing field (a public client converts it, too).
    """
    if value is None or value == "":
        return None, True
    if isinstance(value, str):
        return _storable_text(value), True
    if isinstance(value, bool):
        return None, False
    if isinstance(value, (int, float)):
        return str(value), False
    if isinstance(value, dict):
        return next((text_of(value[key])[0] for key in SPEAKING if isinstance(value.get(key), str)), None), False
    texts = [each for each in value if isinstance(each, str)]
    return (_storable_text(", ".join(texts)) or None if len(texts) == len(value) else None), False


def texts_of(value: Any) -> tuple[list[str] | None, bool]:
    """Return a list of texts; a single text becomes a list of one."""
    if value is None:
        return None, True
    if isinstance(value, list):
        read = [text_of(each) for each in value]
        return [text for text, _ in read if text], all(expected for _, expected in read)
    text, expected = text_of(value)
    return ([text] if text else None), expected


def integer_of(value: Any) -> tuple[int | None, bool]:
    """Return a whole number, given as a number or as text. A fraction is rounded; an empty text becomes None."""
    if value is None or value == "":
        return None, True
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None, False
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MAX_INTEGER:
        return None, False
    return round(value), True


def seconds_of(value: Any) -> tuple[int | None, bool]:
    """Return a number of seconds; also reads ``00:02:13`` and ``2:13`` (public codebases)."""
    clock = _CLOCK.match(value.strip()) if isinstance(value, str) else None
    if clock is None:
        return integer_of(value)
    hours, minutes, seconds = (int(part or 0) for part in clock.groups())
    return hours * 3600 + minutes * 60 + seconds, False


class UnlikelyDateError(ValueError):
    """A date outside of the plausible range."""


def date_of(value: Any) -> datetime | None:
    """Return a time in UTC: ISO 8601 with or without milliseconds or offset (none means UTC), or an epoch number.

    Message endpoints answer ISO text, search endpoints epoch milliseconds: HighLevel docs, conversations. A number may
    come as text, and ten digits are seconds.

    Raises:
        UnlikelyDateError: it is a date, but not one between 1970 and 2100.
        ValueError: it cannot be read.
    """
    given = value.strip() if isinstance(value, str) else value
    if given is None or given == "":
        return None
    # Eight digits are a date without dashes.
    if isinstance(given, str) and not (given.isdecimal() and len(given) > 8):
        parsed = datetime.fromisoformat(given)
        moment = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    elif isinstance(given, (int, float, str)) and not isinstance(given, bool):
        moment = _from_epoch(given)
    else:
        raise ValueError("expected a date")
    if not EPOCH <= moment < LATEST:
        raise UnlikelyDateError("out of range")
    return moment.astimezone(UTC)


def _from_epoch(given: float | str) -> datetime:
    try:
        number = float(given)
        return EPOCH + timedelta(milliseconds=number * 1000 if SECONDS[0] <= number < SECONDS[1] else number)
    except OverflowError:
        raise ValueError("out of range") from None


def id_of(field: str, value: Any) -> str:
    """Return an id that can key a row and be requested again.

    Raises:
        TransformError: the value is no such id.
    """
    if not isinstance(value, str) or not is_fetchable(value):
        raise TransformError(field, "missing" if value in (None, "") else "not an id")
    return value


def object_if_any(value: Any) -> tuple[Mapping[str, Any], bool]:
    """Return an object; an empty one where there is none."""
    return object_of(value), value is None or isinstance(value, dict)


def object_of(value: Any) -> Mapping[str, Any]:
    """Return an object; an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def storable(value: Any) -> Any:
    """Return the JSON without the values that ``jsonb`` refuses: NUL characters, lone surrogates, infinities.

    The characters become U+FFFD, an infinity a text. https://www.postgresql.org/docs/current/datatype-json.html
    """
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, dict):
        return {_storable_text(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _storable_text(value: str) -> str:
    if value.isascii() and "\0" not in value:
        return value
    return _REFUSED.sub(REPLACEMENT, value)
