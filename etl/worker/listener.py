"""Wakes the loop when something is queued: LISTEN on a separate connection, in a separate thread."""

import threading
from collections.abc import Callable
from typing import Self

import psycopg
import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from etl.database.connections import is_pooled

log = structlog.get_logger("etl.worker")

CHANNEL = "etl_message_queue"
"""Where a trigger of etl.message_queue sends a notification; migration 0001 creates it."""
CHECK_SECONDS = 1.0
"""How soon the thread notices that it is no longer needed, or a lost connection is tried again."""


class Listener:
    """Calls ``wake`` for each notification, from its thread.

    A missed notification, as while Postgres restarts, costs only delay: the loop also polls. Behind a
    pooler there are none.
    """

    def __init__(self, engine: Engine, wake: Callable[[], None]) -> None:
        self._engine = engine
        self._wake = wake
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                self._listen_once()
            except (DBAPIError, psycopg.Error, OSError):
                # psycopg raises its own errors where it waits, outside SQLAlchemy's wrapping.
                self._ended.wait(CHECK_SECONDS)

    def _listen_once(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if is_pooled(connection):
                log.info(
                    "not_woken_behind_a_pooler", cure="set DATABASE_DIRECT_URL; until then --follow looks by itself"
                )
                self._ended.set()
                return
            connection.execute(text(f"LISTEN {CHANNEL}"))
            driver = connection.connection.driver_connection
            if driver is None:
                return
            self._wake()
            try:
                while not self._ended.is_set():
                    for _ in driver.notifies(timeout=CHECK_SECONDS, stop_after=1):
                        self._wake()
            finally:
                connection.invalidate()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=2 * CHECK_SECONDS)
