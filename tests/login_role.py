"""A role of Postgres that a test makes, with a password, and that is gone afterwards."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, make_url, text

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
