"""What import contracts cannot see."""

import re
from pathlib import Path

import pytest

SOURCES = sorted(Path("etl").rglob("*.py"))
OWNERS = {
    "message_queue": {"etl/message_queue.py"},
    "runs": {"etl/runs.py"},
    "rate_limits": {"etl/extract/limits.py", "etl/locations.py"},
}


@pytest.mark.parametrize(("table", "owners"), OWNERS.items(), ids=OWNERS.keys())
def test_a_table_is_written_by_the_module_that_owns_it(table: str, owners: set[str]) -> None:
    writing = re.compile(rf"(INSERT INTO|UPDATE|DELETE FROM)\s+etl\.{table}\b")
    # The demo and the docs of a command tell users that they may insert: that is text for people.
    told = {"etl/models.py", "etl/cli/demo.py"}
    found = {str(path) for path in SOURCES if writing.search(path.read_text(encoding="utf-8"))} - told
    assert found <= owners


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_every_module_states_its_law(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.startswith(('"""', 'r"""'))


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
