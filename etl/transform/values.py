"""Single values out of JSON; pure. Each reader returns what a column can hold or raises a TransformError."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.errors import TransformError
from etl.ids import is_fetchable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_INTEGER = 2**31 - 1
REPLACEMENT = "\ufffd"
_REFUSED = re.compile("[\\0\ud800-\udfff]")


def text_or_none(field: str, value: Any) -> str | None:
    """Text that Postgres can hold."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TransformError(field, f"expected text, got {_kind(value)}")
    return _storable_text(value)


def integer_or_none(field: str, value: Any) -> int | None:
    """A whole number, given as a number or as text. A fraction is rounded; an empty text is nothing."""
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
        try:
            value = float(value)
        except ValueError:
            raise TransformError(field, "expected a number") from None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TransformError(field, f"expected a number, got {_kind(value)}")
    if not abs(value) <= MAX_INTEGER:
        raise TransformError(field, "the number is out of range")
    return round(value)


def date_or_none(field: str, value: Any) -> datetime | None:
    """A moment: ISO 8601 with or without milliseconds or offset (none means UTC), or epoch milliseconds.

    Message endpoints answer ISO text, search endpoints epoch milliseconds: HighLevel docs, conversations.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value.strip())
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return EPOCH + timedelta(milliseconds=value)
    except (ValueError, OverflowError):
        raise TransformError(field, "expected a date") from None
    raise TransformError(field, f"expected a date, got {_kind(value)}")


def fetchable_id(field: str, value: Any) -> str:
    """An id that can key a row and be asked for again."""
    if not isinstance(value, str) or not is_fetchable(value):
        raise TransformError(field, "missing" if value in (None, "") else "not an id")
    return value


def storable(value: Any) -> Any:
    """The same JSON without what ``jsonb`` refuses: NUL characters, lone surrogates, infinities.

    The characters become U+FFFD, the number a text. https://www.postgresql.org/docs/current/datatype-json.html
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


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "text", bool: "true or false"}.get(type(value), "a number")
