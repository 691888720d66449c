"""Reads one JSON object field by field and remembers what no column holds; pure.

Only an id, or the date a thing was added, fails a reading. Any other value of an unexpected kind becomes what is
obvious, or None; its raw form goes to ``extra`` under the API's own name, and drift says so.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

from etl.errors import TransformError
from etl.transform.values import UnlikelyDateError, date_of, storable, text_of, texts_of

ENVELOPE_FIELDS = frozenset(("traceId",))
"""Of the answer rather than of the thing, and new in every answer; beside the fields when the answer is flat."""


T = TypeVar("T")


class Reader:
    """One object being read. Each field is read once; what is left at the end goes to :meth:`extra`."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._left = {name: value for name, value in payload.items() if name not in ENVELOPE_FIELDS}
        self._odd: dict[str, Any] = {}
        self._drift: list[str] = []

    def take(self, name: str) -> Any:
        """Return a field as it came; None when it is not there."""
        return self._left.pop(name, None)

    def read(self, name: str, reader: Callable[[Any], tuple[T, bool]]) -> T:
        """Return what ``reader`` makes of a field; what it does not expect is kept."""
        value = self.take(name)
        read, expected = reader(value)
        if not expected:
            self.keep(name, value)
        return read

    def text(self, name: str) -> str | None:
        """Return a text."""
        return self.read(name, text_of)

    def texts(self, name: str) -> list[str] | None:
        """Return a list of texts."""
        return self.read(name, texts_of)

    def word(self, name: str, known: Collection[str]) -> str | None:
        """Return a word of an enumeration; one that is not ``known`` is kept and is drift."""
        value = self.text(name)
        if value is not None and value not in known:
            self.report(f"{name}:{value}")
        return value

    def date(self, name: str) -> datetime | None:
        """Return a moment."""
        value = self.take(name)
        try:
            return date_of(value)
        except ValueError:
            self.keep(name, value)
            return None

    def date_added(self) -> datetime | None:
        """When the thing was created: a row without it cannot be ordered.

        Raises:
            TransformError: there is one that is no date.
        """
        value = self.take("dateAdded")
        try:
            return date_of(value)
        except UnlikelyDateError:
            self.keep("dateAdded", value)
            return None
        except ValueError:
            raise TransformError("dateAdded", "expected a date") from None

    def keep(self, name: str, value: Any) -> None:
        """Report a value of an unexpected kind as drift; it stays in ``extra``."""
        self._odd[name] = value
        self.report(f"kind:{name}")

    def keep_more(self, name: str, value: Any) -> None:
        """Report a part of a field that no column holds as drift; it stays in ``extra``."""
        self._odd[name] = value
        self.report(f"field:{name}[]")

    def report(self, entry: str) -> None:
        """Something that this version does not know."""
        self._drift.append(entry)

    def extra(self) -> dict[str, Any] | None:
        """Return what no column holds, under the API's own names; None when nothing. Call it last."""
        for name in self._left:
            self.report(f"field:{name}")
        return storable(self._left | self._odd) or None

    def drift(self) -> tuple[str, ...]:
        """Return what this version does not know, e.g. ``field:foo``, ``kind:to`` or ``status:teleported``."""
        return tuple(_named(entry) for entry in self._drift)


def _named(drift: str) -> str:
    """Return a drift entry fit for a report: short, and without any character that only prose would have."""
    return "".join(character if character.isalnum() or character in ":_.-[]" else "?" for character in drift[:80])
