"""Reads the settings of this process, and opens the database that they name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from etl.config.logging_setup import configure
from etl.config.settings import Settings, read
from etl.database import schema
from etl.database.connections import open_engine, require_utf8, require_writable
from etl.database.failures import reading_errors
from etl.database.urls import parse_url, shown
from etl.errors import ConfigurationError
from etl.tokens.renewal_threads import WORKERS

RENEWING = 2 * WORKERS
"""Connections that renewals of tokens may take: two for each thread."""
RUNNING = 4
"""Connections of a run: for the loop, the leases, the listener, and progress."""


def load_settings() -> Settings:
    """Read the settings of this process, and set up logging as they say."""
    settings = read()
    configure(settings.log_level, settings.log_format)
    return settings


def database_url(settings: Settings, *, makes: bool = False) -> str:
    """Return the warehouse's URL. Where none is set, start the embedded server; with ``makes``, create it if need be.

    Raises:
        ConfigurationError: no URL is set, and there is no embedded server yet.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from etl.database import embedded

    directory = settings.embedded_directory.absolute()
    # A cron line without its .env must not create a second, empty warehouse.
    if not makes and not embedded.exists(directory):
        raise ConfigurationError(
            f"DATABASE_URL is not set, neither in the environment nor in {Path.cwd() / '.env'}, and there is no "
            f"embedded Postgres in {directory}. Set DATABASE_URL, or make one: etl db upgrade"
        )
    return embedded.start(directory)


def direct_url(settings: Settings, *, makes: bool = False) -> str:
    """Return the URL of the database past a pooler, for work that needs its own session."""
    direct = settings.database_direct_url
    return database_url(settings, makes=makes) if direct is None else direct.get_secret_value()


def described(settings: Settings) -> str:
    """Describe the database without secrets."""
    if settings.database_url is None:
        return f"the embedded Postgres in {settings.embedded_directory}"
    return shown(parse_url(settings.database_url.get_secret_value()))


@contextmanager
def warehouse(
    settings: Settings, *, migrated: bool = True, writes: bool = True, runs: int = 1, is_direct: bool = False
) -> Iterator[Engine]:
    """Yield an engine on a database that is reachable, UTF8 and, by default, at head and writable.

    It has connections for so many ``runs`` at once; with ``is_direct`` they go past a pooler. Where it need not be
    ``migrated``, an embedded server is made if there is none.

    Raises:
        EtlError: the database cannot be used.
    """
    url = (direct_url if is_direct else database_url)(settings, makes=not migrated)
    engine = open_engine(url, pool_size=RENEWING + runs * RUNNING)
    try:
        with reading_errors(engine):
            with engine.connect() as connection:
                require_utf8(connection)
                if migrated:
                    schema.require_head(connection)
                    if writes:
                        require_writable(connection)
            yield engine
    finally:
        engine.dispose()
