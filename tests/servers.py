"""The Postgres that tests use.

It is ``TEST_DATABASE_URL`` if set (its role must be allowed to create databases), else a ``postgres`` container if a
Docker engine answers, else the embedded one. ``TEST_CITUS_URL`` names the coordinator of a Citus instead, as a
superuser who may log in to its workers with the same password.
"""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from etl.database import embedded
from tests.waiting import await_

CITUS = os.environ.get("TEST_CITUS_URL")

# Tests lose nothing when the machine stops, and a database is made for each of them.
FAST = ("fsync", "full_page_writes", "synchronous_commit")
MEMORY = Path("/dev/shm")  # noqa: S108 - only a place: names in it are drawn
PLENTY = 4 << 30
"""Bytes free in memory from which on a Postgres may live there; each of several pytest workers has one."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for a Postgres: in memory if there is plenty, since a database is a thousand small files."""
    is_plenty = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= PLENTY
    with tempfile.TemporaryDirectory(prefix="etl-test-", dir=MEMORY if is_plenty else None) as directory:
        if os.geteuid() == 0:
            # Where we are root, Postgres is not.
            Path(directory).chmod(0o711)
        yield Path(directory)


@contextmanager
def shared_server() -> Iterator[URL]:
    """A superuser's URL on the server that all tests share."""
    given = CITUS or os.environ.get("TEST_DATABASE_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    with _container() if _docker_answers() else _embedded() as url:
        yield url


@contextmanager
def _embedded() -> Iterator[URL]:
    with scratch() as directory:
        data = directory / "postgres"
        url = make_url(embedded.start(data)).set(drivername="postgresql+psycopg")
        try:
            with administrator(url) as connection:
                for setting in FAST:
                    connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
                connection.execute(text("SELECT pg_reload_conf()"))
            yield url
        finally:
            embedded.stop(data)


@contextmanager
def _container() -> Iterator[URL]:
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - only with an engine

    command = "postgres " + " ".join(f"-c {setting}=off" for setting in FAST)
    image = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:17")
    with PostgresContainer(image, driver="psycopg").with_command(command) as container:
        yield make_url(container.get_connection_url())


def _docker_answers() -> bool:
    sockets = (Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock")
    # Asking for an engine that is not there leaves docker's own socket open, which fails whichever test runs then.
    if "DOCKER_HOST" not in os.environ and not any(socket.exists() for socket in sockets):
        return False
    import docker  # noqa: PLC0415 - slow to import
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()


@contextmanager
def administrator(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def fresh_database(server: URL, *, template: str = "template0", options: str = "") -> Iterator[URL]:
    """A database of its own, dropped at the end even if somebody is still connected; on Citus one on every node.

    A node finds its part by the database's name. So copies of one template on every node are a cluster of their own.
    """
    name = f"test_{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        for node in (*workers(server), server):
            connection = stack.enter_context(administrator(node))
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} {options}"))
            stack.callback(_drop, connection, name)
        yield server.set(database=name)


def _drop(connection: Connection, name: str) -> None:
    if CITUS:
        _close(connection, name)
    connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _close(connection: Connection, name: str) -> None:
    """Let nobody in any more: processes of Citus stay connected, and come back."""
    connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
    query = text("SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = :name")
    connection.execute(query, {"name": name})


def workers(coordinator: URL) -> list[URL]:
    """The nodes that the coordinator's own database names; none without Citus."""
    if not CITUS:
        return []
    with administrator(coordinator) as connection:
        nodes = connection.execute(text("SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0")).all()
    return [coordinator.set(host=host, port=port) for host, port in nodes]


def make_cluster(url: URL) -> None:
    """Make the databases of one name on all nodes a cluster."""
    nodes = workers(url.set(database=make_url(CITUS or "").database))
    for node in (url, *nodes):
        with administrator(node.set(database=url.database)) as connection:
            connection.execute(text("CREATE EXTENSION citus"))
    with administrator(url) as connection:
        connection.execute(text("SELECT citus_set_coordinator_host(:host, :port)"), _address(url))
        for node in nodes:
            connection.execute(text("SELECT citus_add_node(:host, :port)"), _address(node))


def _address(url: URL) -> dict[str, object]:
    return {"host": url.host or "localhost", "port": url.port or 5432}


def close(server: URL, template: str) -> None:
    """Make a database fit to be copied, on all nodes."""
    for node in (server, *workers(server)):
        with administrator(node) as connection:
            _close(connection, template)


class OwnServer:
    """A Postgres that a test may stop and start; its URL stays the same."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.url = embedded.start(data)

    def start(self) -> None:
        """Start it again."""
        embedded.start(self._data)

    def ask_for_passwords(self) -> None:
        """Let nobody in any more without one; the superuser has none."""
        (self._data / "pg_hba.conf").write_text("local all all scram-sha-256\n", encoding="utf-8")
        with administrator(make_url(self.url).set(drivername="postgresql+psycopg")) as connection:
            connection.execute(text("SELECT pg_reload_conf()"))
        await_(lambda: not self._lets_in())

    def _lets_in(self) -> bool:
        try:
            with administrator(make_url(self.url).set(drivername="postgresql+psycopg")):
                return True
        except OperationalError:
            return False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """As long as the block lasts it confirms whatever is sent, and says nothing."""
        with administrator(make_url(self.url).set(drivername="postgresql+psycopg")) as connection:
            pids = list(connection.execute(text("SELECT pid FROM pg_stat_activity")).scalars())
        pids.append(int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it, as a restart of the machine would."""
        embedded.stop(self._data)
