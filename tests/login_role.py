"""A role of Postgres that a test makes, with a password, and that is gone afterwards."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

PASSWORD = "a password of a test"


@contextmanager
def login_role(engine: Engine, grant: Callable[[Connection, str], bool]) -> Iterator[tuple[str, str]]:
    """The name of a role that was granted something, and the URL with which it logs in to this database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with engine.begin() as connection:
        grant(connection, name)
        connection.execute(text(f"ALTER ROLE {name} PASSWORD '{PASSWORD}'"))
    url = make_url(str(engine.url.render_as_string(hide_password=False))).set(username=name, password=PASSWORD)
    try:
        yield name, url.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {name}"))
            connection.execute(text(f"DROP ROLE {name}"))


class Login:
    """Somebody who logged in with a role."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        # Without the options of our own connections: those of the role hold.
        self._engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), pool_size=1)

    def is_refused(self, statement: str) -> bool:
        """Whether Postgres says that the role may not do that; nothing is changed."""
        with self._engine.connect() as connection:
            try:
                connection.execute(text(statement))
            except DBAPIError as error:
                return getattr(error.orig, "sqlstate", "") in ("42501", "25006")
            finally:
                connection.rollback()
        return False

    def rows(self, *statements: str) -> list[tuple[Any, ...]]:
        """The result of the last of these statements."""
        with self._engine.connect() as connection:
            *_, result = [connection.exec_driver_sql(statement) for statement in statements]
            return [tuple(row) for row in result]

    def shows(self, setting: str) -> str:
        """A setting of its session."""
        with self._engine.connect() as connection:
            return str(connection.execute(text(f"SHOW {setting}")).scalar_one())

    def close(self) -> None:
        """Log out."""
        self._engine.dispose()
