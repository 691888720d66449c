from collections.abc import Iterator

import pytest

from etl.sandbox.config import SandboxConfig
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.server import RunningSandbox


@pytest.fixture(scope="session")
def running() -> Iterator[RunningSandbox]:
    with RunningSandbox(SandboxConfig(limit=None, daily=None)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    """A sandbox without limits, as fresh as when it started."""
    running.reset()
    return running


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SandboxKeys:
    return SandboxKeys.load_or_create(tmp_path_factory.mktemp("keys"), rsa_bits=2048)
