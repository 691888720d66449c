"""The routes beside the API: OAuth, and ``/sandbox``, which shows and changes what the sandbox does."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from etl.sandbox.endpoints import ENDPOINTS
from etl.sandbox.faults import FaultPlan
from etl.sandbox.limits import Limit
from etl.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, PIT, RefusedError, unauthorized
from etl.sandbox.world import World


def control_routes(world: World) -> Starlette:
    """An ASGI application for everything but the API's data."""
    routes = _Routes(world)
    return Starlette(
        routes=[
            Route("/oauth/token", routes.token, methods=["POST"]),
            Route("/oauth/locationToken", routes.location_token, methods=["POST"]),
            Route("/oauth/installedLocations", routes.installed_locations),
            Route("/oauth/reconnect", routes.reconnect, methods=["POST"]),
            Route("/v2/oauth/chooselocation", routes.choose_location),
            Route("/sandbox", routes.index),
            Route("/sandbox/ids", routes.ids),
            Route("/sandbox/stats", routes.stats),
            Route("/sandbox/faults", routes.faults, methods=["GET", "PUT"]),
            Route("/sandbox/limits", routes.limits, methods=["PUT"]),
            Route("/sandbox/data/{id}", routes.change, methods=["PUT", "DELETE"]),
            Route("/sandbox/{action}", routes.act, methods=["POST"]),
        ],
        exception_handlers={
            RefusedError: _refused,
            ValueError: _not_understood,
            TypeError: _not_understood,
            KeyError: _unknown,
        },
    )


class _Routes:
    def __init__(self, world: World) -> None:
        self.world = world

    async def token(self, request: Request) -> Response:
        """Exchange a code or a refresh token; no Version header needed (HighLevel docs, apps/oauth.json)."""
        return JSONResponse(self.world.authority.token(await _form(request)))

    async def location_token(self, request: Request) -> Response:
        """A location's token for the company's. It answers 201 (HighLevel docs, apps/oauth.json)."""
        form = await _form(request)
        return JSONResponse(self.world.authority.location_token(_bearer(request), form), status_code=201)

    async def installed_locations(self, request: Request) -> Response:
        return JSONResponse(self.world.authority.installed_locations(_bearer(request), self.world.dataset.name_of))

    async def reconnect(self, request: Request) -> Response:
        """Takes JSON too: the help article does not say which it is."""
        is_json = request.headers.get("content-type", "").startswith("application/json")
        return JSONResponse(self.world.authority.reconnect(await (request.json() if is_json else _form(request))))

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
        """What is served, for a human with curl."""
        dataset = self.world.dataset
        locations = [
            {
                "location_id": location_id,
                "name": dataset.name_of(location_id),
                "token": PIT + location_id,
                "messages": len(dataset.ids(location_id)),
                "example_ids": list(dataset.ids(location_id)[:3]),
                "examples": dataset.examples(location_id),
            }
            for location_id in dataset.location_ids
        ]
        others = [route for route in request.app.routes if isinstance(route, Route)]
        answer = {
            "base_url": str(request.base_url).rstrip("/"),
            "locations": locations,
            "company_id": dataset.company_id,
            "oauth": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            "limits": self.world.config.rate().model_dump(),
            "routes": [f"GET {each.path}" for each in ENDPOINTS]
            + [f"{' '.join(sorted(route.methods or ()))} {route.path}" for route in others],
        }
        return Response(json.dumps(answer, indent=2, ensure_ascii=False) + "\n", media_type="application/json")

    async def ids(self, request: Request) -> Response:
        """Message ids, one a line; ``location_id`` and ``limit`` narrow them."""
        query = request.query_params
        ids = self.world.dataset.ids(query.get("location_id"))
        limit = int(query.get("limit", len(ids)))
        return PlainTextResponse("".join(f"{known}\n" for known in ids[: max(0, limit)]))

    async def stats(self, request: Request) -> Response:
        return JSONResponse(self.world.stats.to_json(with_ids="ids" in request.query_params))

    async def faults(self, request: Request) -> Response:
        if request.method == "PUT":
            self.world.faults = FaultPlan.model_validate(await request.json())
        return JSONResponse(self.world.faults.model_dump())

    async def limits(self, request: Request) -> Response:
        """Change the limit of one location (``location_id``) or of all; keys left out have their first values."""
        settings = await request.json()
        location_id = settings.pop("location_id", None)
        limit = Limit.model_validate(self.world.config.rate().model_dump() | settings)
        self.world.limiter.change(limit, location_id)
        return JSONResponse(limit.model_dump())

    async def change(self, request: Request) -> Response:
        """Change or delete a message, email, contact, user or location."""
        known_id = request.path_params["id"]
        if request.method == "DELETE":
            self.world.delete(known_id)
            return Response(status_code=204)
        return JSONResponse(self.world.change(known_id, await request.json()))

    async def act(self, request: Request) -> Response:
        """Call one of these; the body holds its arguments."""
        actions: dict[str, Any] = {
            "reset": self.world.reset,
            "release": self.world.release,
            "revoke": self.world.authority.revoke,
            "lack": self.world.lack,
            "grow": self.world.grow,
            "expire_cursors": self.world.expire_cursors,
            "missing": self.world.faults.not_found.update,
        }
        return JSONResponse(actions[request.path_params["action"]](**json.loads(await request.body() or b"{}")))


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


def _bearer(request: Request) -> str:
    if "version" not in request.headers:
        raise unauthorized("version header was not found.")
    return request.headers.get("authorization", "").removeprefix("Bearer ")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - Starlette's types do not know which handler gets which
    return JSONResponse(error.answer, status_code=error.status)


async def _not_understood(_request: Request, error: Exception) -> Response:
    return JSONResponse({"statusCode": 400, "message": str(error)}, status_code=400)


async def _unknown(_request: Request, error: Exception) -> Response:
    return JSONResponse({"statusCode": 404, "message": f"No such thing: {error}"}, status_code=404)
