"""Reads a YAML file together with the line of each of its keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from etl.errors import ConfigurationError

Location: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value of the file, as pydantic names them."""


class Source:
    """A YAML file as plain values, with the line of each; problems that only YAML shows are listed here."""

    def __init__(self, path: Path, *, sections: Sequence[str]) -> None:
        """Read a file; problems under a name of ``sections`` are worded with it."""
        self._path = path
        self._sections = sections
        self._lines: dict[Location, int] = {}
        self.problems: list[str] = []
        self.document = self._plain(_composed(path), ())

    def at(self, loc: Location, reason: str) -> str:
        """Word a problem, with the line of the nearest key."""
        # A problem of a whole job gets the line of its kind.
        near = [(*loc, "kind"), *(loc[:n] for n in range(len(loc), 0, -1))]
        line = next((self._lines[each] for each in near if each in self._lines), 1)
        whose = f"job {loc[1]!r}: " if loc[:1] == ("jobs",) and len(loc) > 1 else ""
        whose = f"{loc[0]}: " if loc and loc[0] in self._sections else whose
        return f"{self._path}:{line}: {whose}{reason}"

    def complain(self, loc: Location, reason: str) -> None:
        """Note a problem that the models cannot see."""
        self.problems.append(self.at(loc, reason))

    def _plain(self, node: yaml.Node | None, loc: Location) -> Any:
        if not isinstance(node, yaml.MappingNode):
            try:
                return None if node is None else yaml.SafeLoader("").construct_document(node)
            except (yaml.YAMLError, ValueError, TypeError):
                return self.complain(loc, f"{loc[-1] if loc else 'the file'}: is not a value")
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in values:
                # YAML would let the last one win.
                self.problems.append(
                    f"{self._path}:{line}: {key!r} is defined twice, first in line {self._lines[(*loc, key)]}"
                )
                continue
            self._lines[(*loc, key)] = line
            values[key] = self._plain(value_node, (*loc, key))
        return values


def _composed(path: Path) -> yaml.Node | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"{path} cannot be read: {reason}. Set ETL_JOBS to your jobs file.") from error
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{line}: {getattr(error, 'problem', None) or 'is not YAML'}") from error
