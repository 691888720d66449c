"""``etl serve`` as a process of its own, and what it stored."""

import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import text

from etl.database.connections import open_engine
from etl.sandbox.keys import SandboxKeys
from tests.command import inherited

MAX_LOG = 50_000_000
"""Characters of a log."""
TRIES = 50
"""How often an event is posted: a receiver that has no processor for 1.5 s asks for it again."""


class Warehouse:
    """The events that a receiver stored."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = open_engine(url)

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The result of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), parameters)]

    def events(self) -> int:
        """How many are kept."""
        ((count,),) = self.rows("SELECT count(*) FROM etl.webhook_events")
        return int(count)

    def outcomes(self, webhook_id: str) -> list[str]:
        """The outcome of the event of this id."""
        return [
            each
            for (each,) in self.rows("SELECT outcome FROM etl.webhook_events WHERE webhook_id = :id", id=webhook_id)
        ]

    def queued(self, location_id: str) -> list[tuple[str, str]]:
        """Kind and id of the items of a location."""
        query = "SELECT kind, message_id FROM etl.message_queue WHERE location_id = :id ORDER BY kind, message_id"
        return [(kind, name) for kind, name in self.rows(query, id=location_id)]

    def execute(self, statement: str, **parameters: Any) -> None:
        """Change something, as an operator with psql would."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), parameters)


class Receiver:
    """``etl serve`` as a process of its own; its log goes to a file, as a pipe that nobody reads would stop it."""

    def __init__(
        self,
        directory: Path,
        keys: SandboxKeys,
        environment: Mapping[str, str],
        *,
        port: int = 0,
        metrics_port: int | None = None,
        log: Path | None = None,
    ) -> None:
        self.keys = keys
        self._log = log or directory / f"{uuid.uuid4().hex}.log"
        private = [] if metrics_port is None else ["--metrics-port", str(metrics_port)]
        with self._log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "etl", "serve", "--port", str(port), *private],
                cwd=directory,
                env={**inherited(), **keys.environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        found = re.search(r"http://[\d.]+:(\d+)", self.greeting)
        assert found is not None, self.log
        self.url, self.port = found.group(), int(found.group(1))

    @property
    def log(self) -> str:
        """The log so far; cut off if it has no end, as in /dev/full."""
        with self._log.open() as log:
            return log.read(MAX_LOG)

    def get(self, path: str) -> requests.Response:
        """Ask it something."""
        return requests.get(self.url + path, timeout=10)

    def post(
        self,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        path: str = "/webhooks/highlevel",
        tries: int = TRIES,
    ) -> requests.Response:
        """Post bytes as they are; again after a 429, as HighLevel does."""
        sent = {"Content-Type": "application/json"} | dict(headers or {})
        answer = requests.post(self.url + path, data=body, headers=sent, timeout=10)
        if answer.status_code != 429 or tries <= 1:
            return answer
        time.sleep(0.1)
        return self.post(body, headers, path=path, tries=tries - 1)

    def say(self, **event: Any) -> int:
        """Post a signed event; returns the status."""
        return self._say(event, TRIES)

    def say_once(self, **event: Any) -> int:
        """The same by a sender that does not come again."""
        return self._say(event, 1)

    def stop(self) -> int:
        """End it as systemd would; returns its exit status."""
        self.process.terminate()
        return self._end()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self._end()

    def _say(self, event: Mapping[str, Any], tries: int) -> int:
        body = json.dumps(event).encode()
        return self.post(body, self.keys.sign(body), tries=tries).status_code

    def _end(self) -> int:
        self.process.communicate(timeout=20)
        return self.process.returncode


class Launch:
    """Starts a receiver on a database, for as long as a ``with`` block."""

    def __init__(self, keys: SandboxKeys, directory: Path) -> None:
        self._keys = keys
        self._directory = directory

    @contextmanager
    def __call__(
        self,
        database_url: str,
        *,
        port: int = 0,
        metrics_port: int | None = None,
        log: Path | None = None,
        **environment: str,
    ) -> Iterator[Receiver]:
        """Start one."""
        directory = self._directory / uuid.uuid4().hex
        directory.mkdir()
        given = {"DATABASE_URL": database_url} | environment
        receiver = Receiver(directory, self._keys, given, port=port, metrics_port=metrics_port, log=log)
        try:
            yield receiver
        finally:
            if receiver.process.poll() is None:
                receiver.kill()
