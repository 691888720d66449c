"""A month small enough to count by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from tests.marts import refresh

MARCH = Path(__file__).parent / "march.sql"


@pytest.fixture
def march(engine: Engine) -> Iterator[Connection]:
    """A connection to a warehouse that holds march.sql, in a session whose own time zone is far away."""
    with engine.connect() as connection:
        # On Citus, one transaction may read what it wrote to several nodes only so. Elsewhere that means nothing.
        connection.exec_driver_sql("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
        connection.exec_driver_sql(MARCH.read_text(encoding="utf-8"), execution_options={"no_parameters": True})
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'Pacific/Auckland'")
        refresh(connection)
        yield connection
