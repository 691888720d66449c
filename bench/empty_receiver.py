"""A receiver to measure ours beside: Starlette on uvicorn as they are, with a route that answers at once.

It logs each request, as uvicorn does by default and ours must. Prints its port.
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from etl import listening


async def _nothing(_request: Request) -> Response:
    return Response()


def main() -> None:
    app = Starlette(routes=[Route("/webhooks/highlevel", _nothing, methods=["POST"])])
    with listening.listen() as listener:
        print(listener.getsockname()[1], flush=True)
        # uvicorn logs requests to standard output, from which only the line above is read.
        sys.stdout = sys.stderr
        uvicorn.Server(uvicorn.Config(app, http="h11", lifespan="off")).run(sockets=[listener])


if __name__ == "__main__":
    main()
