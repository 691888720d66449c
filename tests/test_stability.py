"""The columns that analysts build on change only with a line in docs/stability.md."""

import re
from pathlib import Path

from sqlalchemy import Engine

from etl.database import dictionary

Columns = dict[str, str]
"""Types by ``relation.column``."""
LINE = re.compile(r"^- (added to|removed from) `(\w+)`: ((?:.|\n  )*)", re.MULTILINE)
COLUMN = re.compile(r"`(\w+)` ([\w\[\] ]+)")


def there(engine: Engine) -> Columns:
    with engine.connect() as connection:
        relations = dictionary.read(connection, "highlevel")
    return {f"{each.name}.{column.name}": column.type for each in relations for column in each.columns}


def promised() -> Columns:
    """Those of before the list, with what the list adds and removes; newer releases are above older ones."""
    first = Path("tests/columns.txt").read_text(encoding="utf-8").splitlines()
    columns = dict(line.split(" ", 1) for line in first)
    page = Path("docs/stability.md").read_text(encoding="utf-8")
    for release in reversed(page.split("\n### ")[1:]):
        for what, relation, listed in LINE.findall(release):
            named = {f"{relation}.{name}": " ".join(type_.split()) for name, type_ in COLUMN.findall(listed)}
            if what == "added to":
                columns |= named
            else:
                columns = {name: type_ for name, type_ in columns.items() if name not in named}
    return columns


def test_a_change_of_a_column_is_in_the_list_of_changes(engine: Engine) -> None:
    found, listed = there(engine), promised()
    assert found == listed, "Write it into docs/stability.md: - added to `table`: `column` type"
