"""URLs of databases: read, shown to people without their secrets, and handed to programs."""

import re

from psycopg.pq import Conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from etl.errors import ConfigurationError

SHOWN = ("host", "hostaddr", "port", "user", "dbname", "service")
"""The options of a URL that may be shown."""
USER = re.compile(r"[\w+]+://(?:[^:/]*(?::[^@]*)?@)?")
"""The part of a URL before the host."""


def parse_url(url: str) -> URL:
    """Read a ``postgresql://`` URL and pin the driver.

    Raises:
        ConfigurationError: it is not one. The text never repeats the URL, which holds a password.
    """
    if "@" in USER.sub("", url, count=1):
        # Text after the first @ would count as the host, which errors show.
        raise ConfigurationError("DATABASE_URL has more than one @. Write %40 for one within the password")
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError("DATABASE_URL is not a URL. Example: postgresql://user:password@host/name") from error
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigurationError(
            f"DATABASE_URL starts with {parsed.drivername}://, but only PostgreSQL is supported: postgresql://…"
        )
    return parsed.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """Return a URL for people: where the database is and who logs in. Whatever else a URL holds may be secret."""
    query = {name: value for name, value in url.query.items() if name in SHOWN}
    place = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    return place.render_as_string()


def without_secrets(url: URL) -> tuple[URL, str]:
    """Return a URL that everybody on the machine may read, as the argument of a program; and its password."""
    secret = [option.keyword.decode() for option in Conninfo.get_defaults() if option.dispchar]
    password = url.normalized_query.get("password", [url.password or ""])[-1]
    # SQLAlchemy's set() takes None for "as it is".
    return url.difference_update_query(secret)._replace(drivername="postgresql", password=None), password
