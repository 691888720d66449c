"""PgBouncer in transaction mode, between a test and its database."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url
from sqlalchemy.exc import OperationalError

from tests.servers import administrator
from tests.waiting import await_

INSTALL = "PgBouncer is needed. Debian: apt-get install pgbouncer"
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}{password} pool_mode=transaction
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listens_on}
unix_socket_dir =
auth_type = any
default_pool_size = {sessions}
{more}
"""


@contextmanager
def pooled(
    database_url: str, directory: Path, *, sessions: int = 1, more: str = "ignore_startup_parameters = options"
) -> Iterator[str]:
    """The URL of a database through a pooler that shares so many sessions; a machine without one fails the test."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.fail(INSTALL)
    url = make_url(database_url)
    host = url.host or str(url.query["host"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(
            host=host,
            port=url.port or 5432,
            user=url.username,
            password=f" password={url.password}" if url.password else "",
            listens_on=port,
            sessions=sessions,
            more=more,
        ),
        encoding="utf-8",
    )
    command: list[str | Path] = [program, "-q", configuration]
    if os.getuid() == 0:
        # It refuses to run as root; a socket may be for its owner only.
        command[1:1] = ["-u", Path(host).owner() if host.startswith("/") else "nobody"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    through = URL.create("postgresql", "anybody", host="127.0.0.1", port=port, database=url.database)
    try:
        await_(lambda: _lets_in(through))
        yield through.render_as_string()
    finally:
        process.terminate()
        process.wait()


def _lets_in(url: URL) -> bool:
    try:
        with administrator(url.set(drivername="postgresql+psycopg")):
            return True
    except OperationalError:
        return False
