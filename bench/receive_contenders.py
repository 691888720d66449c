"""Receivers to measure ours beside, each a process.

``empty`` does nothing but log each request, as uvicorn does by default and ours must; ``silent`` does not even that.

``python -m bench.receive_contenders empty|silent PORT``
"""

import sys
from collections.abc import Callable
from functools import partial

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from etl import listening


async def _nothing(_request: Request) -> Response:
    return Response()


def empty(port: int, *, log: bool = True) -> None:
    """Starlette on uvicorn as they are, with a route that answers at once."""
    app = Starlette(routes=[Route("/webhooks/highlevel", _nothing, methods=["POST"])])
    print("ready", flush=True)
    # uvicorn logs requests to standard output, of which nobody reads more than the line above.
    sys.stdout = sys.stderr
    with listening.listen("127.0.0.1", port) as listener:
        configuration = uvicorn.Config(app, http="h11", lifespan="off", access_log=log)
        uvicorn.Server(configuration).run(sockets=[listener])


if __name__ == "__main__":
    contenders: dict[str, Callable[[int], None]] = {"empty": empty, "silent": partial(empty, log=False)}
    contenders[sys.argv[1]](int(sys.argv[2]))
