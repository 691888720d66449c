"""Rules of the architecture that import contracts cannot check."""

import ast
from pathlib import Path

import pytest

from etl.models import Base

SOURCES = sorted(Path("etl").rglob("*.py"))
ROOMS = {"etl": {"models", "state"}, "highlevel": {"models", "load", "kinds"}}
"""Which rooms use the tables of a schema: statements on ``etl`` are in ``state``, on ``highlevel`` in ``load``."""
SCHEMA_OF = {model.__name__: model.__table__.schema for model in Base.__subclasses__()}


def models_used(path: Path) -> set[str]:
    """The models that a module imports, or reaches through their package, in whatever form."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("etl.models")
        for alias in node.names
    }
    reached = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return (imported | reached) & SCHEMA_OF.keys()


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_one_room_has_the_statements_of_a_schema(path: Path) -> None:
    schemas = {schema for model in models_used(path) if (schema := SCHEMA_OF[model]) is not None}
    assert schemas == {schema for schema in schemas if path.parts[1] in ROOMS[schema]}


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
