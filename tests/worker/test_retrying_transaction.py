"""Waiting for Postgres: how long, for what, and what is said when it was too long."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from etl.database.connections import is_read_only, open_engine
from etl.database.failures import reading_errors
from etl.database.retrying_transaction import RetryingTransaction
from etl.errors import DatabaseUnavailableError
from etl.state import suppression_list
from tests.servers import OwnServer, administrator
from tests.waiting import await_


@pytest.fixture
def looking(engine: Engine) -> Iterator[int]:
    """Somebody who looks for erased contacts and stays in the transaction; the id of its process."""
    other = create_engine(engine.url, connect_args={"application_name": "psql"}, poolclass=NullPool)
    with other.connect() as connection:
        connection.execute(text("SELECT FROM etl.forgotten FOR KEY SHARE"))
        yield connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


def test_who_waits_in_vain_for_a_lock_is_told_for_whose(engine: Engine, looking: int) -> None:
    transact = RetryingTransaction(engine, patience=0.3, stopping=lambda: False)
    with pytest.raises(DatabaseUnavailableError, match=f"waits for a lock .*psql pid {looking} of"):
        transact(suppression_list.lock)


def test_a_command_that_waits_in_vain_for_a_lock_ends_with_the_same_error(engine: Engine, looking: int) -> None:
    told = f"waits for a lock .*psql pid {looking} of"
    with pytest.raises(DatabaseUnavailableError, match=told), reading_errors(engine), engine.begin() as connection:
        suppression_list.lock(connection)


@contextmanager
def read_only(server: OwnServer) -> Iterator[None]:
    """As long as the block lasts, it takes no writes, as one from which another took over."""
    _set_read_only(server, value="on")
    try:
        yield
    finally:
        _set_read_only(server, value="off")


def _set_read_only(server: OwnServer, *, value: str) -> None:
    with administrator(make_url(server.url).set(drivername="postgresql+psycopg")) as connection:
        connection.execute(text(f"ALTER SYSTEM SET default_transaction_read_only = {value}"))
        connection.execute(text("SELECT pg_reload_conf()"))


def is_read_only_now(engine: Engine) -> bool:
    with engine.connect() as connection:
        return is_read_only(connection)


def write(connection: Connection) -> int:
    connection.execute(text("INSERT INTO etl.message_queue (message_id) VALUES ('M1')"))
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_a_follower_waits_for_a_server_that_takes_writes(own_server: OwnServer) -> None:
    engine = open_engine(own_server.url)
    tried, done = Event(), list[int]()

    def work(connection: Connection) -> int:
        tried.set()
        return write(connection)

    transact = RetryingTransaction(engine, patience=None, stopping=lambda: False)
    follower = Thread(target=lambda: done.append(transact(work)))
    with engine.connect() as connection:
        before = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with read_only(own_server):
        await_(lambda: is_read_only_now(engine))
        follower.start()
        assert tried.wait(60)
    follower.join(60)
    engine.dispose()
    # A new connection may lead to another server.
    assert (len(done), before in done) == (1, False)


def test_a_run_that_ends_does_not(own_server: OwnServer) -> None:
    engine = open_engine(own_server.url)
    transact = RetryingTransaction(engine, patience=600.0, stopping=lambda: False)
    with read_only(own_server):
        await_(lambda: is_read_only_now(engine))
        with pytest.raises(DatabaseUnavailableError, match="takes no writes"):
            transact(write)
    engine.dispose()
