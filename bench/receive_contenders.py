"""Receivers to measure ours beside, each a process.

``each`` commits every request by itself; ``empty`` does nothing but log each request, as uvicorn does by default and
ours must; ``silent`` does not even that.

``python -m bench.receive_contenders each|empty|silent PORT``
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from etl.database import open_async_engine, open_engine
from etl.logging_setup import configure
from etl.receive import events, public_keys, server
from etl.receive.app import build_app
from etl.receive.inbox import Inbox
from etl.receive.metrics import Metrics
from etl.receive.storing import Storage
from etl.receive.webhook import Event, Policy
from etl.settings import read

THREADS = 16
"""Connections, and requests that commit at the same time."""


class CommitEach(Inbox):
    """Stores each event as it comes, in a transaction of its own, in one of several threads."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self._each = open_engine(url, pool_size=THREADS)
        super().__init__(Storage(open_async_engine(url), metrics=metrics, keep_days=30), metrics)
        self._threads = ThreadPoolExecutor(THREADS)

    async def put(self, event: Event) -> str:
        """Store one event."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._put, event)

    def _put(self, event: Event) -> str:
        with self._each.begin() as connection:
            return events.store(connection, [event])[0]


def each(port: int) -> None:
    """Our application, without our inbox."""
    found = read(dotenv=None)
    configure(found.log_level, found.log_format)
    if found.database_url is None:
        raise SystemExit("set DATABASE_URL")
    metrics = Metrics()
    app = build_app(
        inbox=CommitEach(found.database_url.get_secret_value(), metrics),
        keys=public_keys.read(found.webhook_ed25519_public_key, found.webhook_rsa_public_key),
        policy=Policy(),
        workflow_secret=None,
        metrics=metrics,
    )
    server.serve(app, server.listen("127.0.0.1", port), on_ready=lambda: print("ready", flush=True))


async def _nothing(_request: Request) -> Response:
    return Response()


def empty(port: int, *, log: bool = True) -> None:
    """Starlette on uvicorn as they are, with a route that answers at once."""
    app = Starlette(routes=[Route("/webhooks/highlevel", _nothing, methods=["POST"])])
    print("ready", flush=True)
    # uvicorn logs requests to standard output, of which nobody reads more than the line above.
    sys.stdout = sys.stderr
    with server.listen("127.0.0.1", port) as listener:
        configuration = uvicorn.Config(app, http="httptools", lifespan="off", access_log=log)
        uvicorn.Server(configuration).run(sockets=[listener])


if __name__ == "__main__":
    contenders: dict[str, Callable[[int], None]] = {"each": each, "empty": empty, "silent": partial(empty, log=False)}
    contenders[sys.argv[1]](int(sys.argv[2]))
