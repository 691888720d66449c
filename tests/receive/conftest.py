import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import URL

from etl.sandbox.keys import SandboxKeys
from tests.receive.receiver import Launch, Receiver, Warehouse
from tests.servers import fresh_database


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SandboxKeys:
    return SandboxKeys.load_or_create(tmp_path_factory.mktemp("keys"), rsa_bits=2048)


@pytest.fixture(scope="session")
def other_keys(tmp_path_factory: pytest.TempPathFactory) -> SandboxKeys:
    """Keys that a receiver does not know by default."""
    return SandboxKeys.load_or_create(tmp_path_factory.mktemp("other-keys"), rsa_bits=2048)


@pytest.fixture(scope="session")
def warehouse(server_url: URL, template: str) -> Iterator[Warehouse]:
    """A migrated database that all receivers share which do not disturb each other."""
    with fresh_database(server_url, template=template) as url:
        warehouse = Warehouse(url.render_as_string(hide_password=False))
        yield warehouse
        warehouse.engine.dispose()


@pytest.fixture(scope="session")
def launch(keys: SandboxKeys, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """Starts receivers."""
    return Launch(keys, tmp_path_factory.mktemp("receivers"))


@pytest.fixture(scope="session")
def receiver(launch: Launch, warehouse: Warehouse) -> Iterator[Receiver]:
    """A receiver that takes every app and location, and posts of workflows."""
    with launch(warehouse.url, WEBHOOK_WORKFLOW_SECRET="a secret of thirty-two characters") as receiver:
        yield receiver


@pytest.fixture(scope="session")
def picky(launch: Launch, warehouse: Warehouse) -> Iterator[Receiver]:
    """A receiver that takes events of one app about two locations, and no posts of workflows."""
    with launch(warehouse.url, WEBHOOK_APP_ID="APP1", WEBHOOK_LOCATIONS="LOC1,LOC2") as receiver:
        yield receiver


@pytest.fixture
def unique() -> str:
    """A name that no other test uses."""
    return uuid.uuid4().hex
