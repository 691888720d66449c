"""The routes that are not of the API: OAuth, and ``/sandbox``, which shows and changes the state of the sandbox."""

import json
from typing import Any, get_args
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from etl.sandbox.dataset import Kind
from etl.sandbox.endpoints import ENDPOINTS
from etl.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, PIT
from etl.sandbox.replies import RefusedError
from etl.sandbox.world import World


def controls(world: World) -> Starlette:
    """Return the application that serves these routes."""
    routes = _Routes(world)
    return Starlette(
        routes=[
            Route("/oauth/token", routes.token, methods=["POST"]),
            Route("/oauth/locationToken", routes.location_token, methods=["POST"]),
            Route("/oauth/installedLocations", routes.installed_locations),
            Route("/oauth/reconnect", routes.reconnect, methods=["POST"]),
            Route("/v2/oauth/chooselocation", routes.choose_location),
            Route("/sandbox", routes.index),
            Route("/sandbox/stats", routes.stats),
            Route("/sandbox/{action}", routes.act, methods=["PUT", "POST"]),
        ],
        exception_handlers=dict.fromkeys((RefusedError, ValueError, TypeError, KeyError), _failed),
    )


class _Routes:
    def __init__(self, world: World) -> None:
        self.world = world

    async def token(self, request: Request) -> Response:
        """Take a form, and no Version header (HighLevel docs, apps/oauth.json)."""
        return JSONResponse(self.world.authority.token(_form(await request.body())))

    async def location_token(self, request: Request) -> Response:
        """Answer 201 (HighLevel docs, apps/oauth.json)."""
        form = _form(await request.body())
        return JSONResponse(self.world.authority.location_token(_bearer(request), form), 201)

    async def installed_locations(self, request: Request) -> Response:
        return JSONResponse(self.world.authority.installed_locations(_bearer(request)))

    async def reconnect(self, request: Request) -> Response:
        """Take JSON; the help article does not say what it takes."""
        return JSONResponse(self.world.authority.reconnect(await request.json()))

    async def choose_location(self, request: Request) -> Response:
        """Goes back at once, as if somebody had agreed; ``sandbox_user_type=Company`` installs for the company."""
        query = request.query_params
        if query.get("client_id") != CLIENT_ID or "redirect_uri" not in query:
            raise ValueError("Invalid client_id or redirect_uri")
        company = query.get("sandbox_user_type") == "Company"
        location_id = query.get("sandbox_location_id", self.world.dataset.location_ids[0])
        answer = {"code": self.world.authority.authorize(None if company else location_id)}
        if "state" in query:
            answer["state"] = query["state"]
        target = query["redirect_uri"]
        return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{urlencode(answer)}", status_code=302)

    async def index(self, request: Request) -> Response:
        """Return the locations, tokens, ids and routes, for a person with curl."""
        dataset = self.world.dataset
        locations = [
            {"location_id": known, "token": PIT + known}
            | {f"{kind}_ids": dataset.ids_of(kind, known)[:3] for kind in get_args(Kind)}
            for known in dataset.location_ids
        ]
        answer = {
            "locations": locations,
            "oauth": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "company_id": dataset.company_id},
            "config": self.world.config.model_dump(),
            "routes": [each.path for each in (*ENDPOINTS, *request.app.routes)],
        }
        return Response(json.dumps(answer, indent=2) + "\n", media_type="application/json")

    async def stats(self, _request: Request) -> Response:
        return JSONResponse(vars(self.world.stats))

    async def act(self, request: Request) -> Response:
        """Call one of these; the body holds its arguments."""
        world = self.world
        actions: dict[str, Any] = {
            "faults": world.spoil,
            "limits": world.limit,
            "revoke": world.authority.revoke,
            "change": world.change,
            "delete": world.delete,
            "expire_cursors": world.expire_cursors,
            "release": world.release,
            "reset": world.reset,
        }
        return JSONResponse(actions[request.path_params["action"]](**json.loads(await request.body() or b"{}")))


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode()))


def _bearer(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


async def _failed(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        error = RefusedError(404 if isinstance(error, KeyError) else 400, str(error))
    return JSONResponse(error.answer, error.status)
