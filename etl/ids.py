"""What an id must look like to be fetched; a leaf that both ends share."""

import re

ID_PATTERN = "^[A-Za-z0-9._~:@=+-]{1,128}$"
"""IDs become one segment of a URL path. HighLevel documents no format; those seen are 20 letters and digits or UUIDs,
so this is wide on purpose."""

ID_RULE = "an id is 1 to 128 letters, digits or . _ ~ : @ = + -, and not only dots"

_FETCHABLE = re.compile(ID_PATTERN.rstrip("$") + r"\Z")


def is_fetchable(value: str) -> bool:
    """Whether an id can be asked for; one of dots only would climb the URL's path."""
    return _FETCHABLE.match(value) is not None and value.strip(".") != ""


def problem_of(value: str) -> str | None:
    """Why an id is refused, in words for the one who typed it; None when it is fine."""
    if is_fetchable(value):
        return None
    if not value.strip():
        return f"an empty id ({ID_RULE})"
    shown = value if len(value) <= 40 else f"{value[:40]}…"
    return f"{shown!r}: {ID_RULE}"
