"""Reads one JSON object field by field and remembers what no column holds; pure.

Only a bad id or creation date raises an error. Any other value of an unexpected type is converted where that is
obvious, else None; its raw form goes to ``extra`` under the API's own name and is reported as drift.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

from etl.errors import TransformError
from etl.transform.values import UnlikelyDateError, date_of, storable, text_of, texts_of

ENVELOPE_FIELDS = frozenset(("traceId",))
"""Fields of the answer, not of the thing: they differ in every answer. A flat answer has them beside the fields."""


T = TypeVar("T")


class Reader:
    """One object being read. Each field is read once; fields that were not read go to :meth:`extra`."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._left = {name: value for name, value in payload.items() if name not in ENVELOPE_FIELDS}
        self._odd: dict[str, Any] = {}
        self._drift: list[str] = []

    def take(self, name: str) -> Any:
        """Return a field unchanged; None when it is missing."""
        return self._left.pop(name, None)

    def read(self, name: str, reader: Callable[[Any], tuple[T, bool]]) -> T:
        """Return a field as converted by ``reader``; an unexpected value is kept as well."""
        value = self.take(name)
        read, expected = reader(value)
        if not expected:
            self.keep(name, value)
        return read

    def text(self, name: str) -> str | None:
        """Return a field as text."""
        return self.read(name, text_of)

    def texts(self, name: str) -> list[str] | None:
        """Return a field as a list of texts."""
        return self.read(name, texts_of)

    def word(self, name: str, known: Collection[str]) -> str | None:
        """Return a value of an enumeration; one that is not ``known`` is returned, too, and reported as drift."""
        value = self.text(name)
        if value is not None and value not in known:
            self.report(f"{name}:{value}")
        return value

    def date(self, name: str) -> datetime | None:
        """Return a field as a time."""
        value = self.take(name)
        try:
            return date_of(value)
        except ValueError:
            self.keep(name, value)
            return None

    def date_added(self) -> datetime | None:
        """Return when the thing was created: a row without it cannot be ordered.

        Raises:
            TransformError: the field is no date.
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
        """Report a value of an unexpected type as drift; it stays in ``extra``."""
        self._odd[name] = value
        self.report(f"kind:{name}")

    def keep_more(self, name: str, value: Any) -> None:
        """Report a part of a field that no column holds as drift; it stays in ``extra``."""
        self._odd[name] = value
        self.report(f"field:{name}[]")

    def report(self, entry: str) -> None:
        """Report something that this version does not know as drift."""
        self._drift.append(entry)

    def extra(self) -> dict[str, Any] | None:
        """Return the fields that no column holds, under the API's own names; None when there are none. Call it last."""
        for name in self._left:
            self.report(f"field:{name}")
        return storable(self._left | self._odd) or None

    def drift(self) -> tuple[str, ...]:
        """Return the drift entries, e.g. ``field:foo``, ``kind:to`` or ``status:teleported``."""
        return tuple(_named(entry) for entry in self._drift)


def _named(drift: str) -> str:
    """Return a drift entry for a report: short, without characters that only customers' words have."""
    return "".join(character if character.isalnum() or character in ":_.-[]" else "?" for character in drift[:80])
