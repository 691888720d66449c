from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from etl.tokens.vault import new_key
from tests.tokens.office import Office


@pytest.fixture(scope="session")
def _token_sandbox() -> Iterator[RunningSandbox]:
    with RunningSandbox(SandboxConfig(limit=None, daily=None, messages=200)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def key() -> str:
    return new_key()


@pytest.fixture
def office(engine: Engine, _token_sandbox: RunningSandbox, key: str) -> Iterator[Office]:
    """Three locations, none of them connected."""
    _token_sandbox.reset()
    office = Office(engine, _token_sandbox, key)
    yield office
    office.close()
