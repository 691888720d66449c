"""What import contracts cannot see."""

import re
from pathlib import Path

import pytest

SOURCES = sorted(Path("etl").rglob("*.py"))
OWNERS = {
    "QueueItem": ["etl/message_queue"],
    "DeadLetter": ["etl/message_queue", "etl/dead_letters.py"],
    "Run": ["etl/runs.py"],
    "Backfill": ["etl/backfills.py"],
    "RateLimit": ["etl/extract/limits.py"],
    "RateUsage": ["etl/extract/limits.py"],
    "WebhookEvent": ["etl/receive/events.py"],
    "Message": ["etl/load", "etl/kinds"],
    "Attachment": ["etl/load", "etl/kinds"],
    "Meta": ["etl/load", "etl/kinds"],
}
"""Who uses each table's model."""


@pytest.mark.parametrize("model", OWNERS)
def test_a_table_has_one_owner(model: str) -> None:
    imports = re.compile(rf"^from etl\.models import .*\b{model}\b", re.MULTILINE)
    using = {str(path) for path in SOURCES if imports.search(path.read_text(encoding="utf-8"))}
    assert using == {path for path in using if path.startswith(tuple(OWNERS[model]))}


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_every_module_states_its_law(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.startswith(('"""', 'r"""'))


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_module_can_be_read_in_one_go(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 300 or path.parts[1] == "models"


def test_importing_the_package_does_nothing() -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    done = subprocess.run(
        [sys.executable, "-c", "import etl, sys; print([name for name in sys.modules if 'sqlalchemy' in name])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
