"""The routes that are not hot: OAuth, and ``/sandbox``, which shows and changes what the sandbox does."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from etl.sandbox.config import SandboxConfig
from etl.sandbox.faults import FaultPlan
from etl.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, PIT, RefusedError, UserType, unauthorized
from etl.sandbox.world import World

_LIMIT_KEYS = ("limit", "interval", "daily", "window", "retry_after")


def control_routes(world: World) -> Starlette:
    """An ASGI application for everything but the messages."""
    routes = _Routes(world)
    return Starlette(
        routes=[
            Route("/oauth/token", routes.token, methods=["POST"]),
            Route("/oauth/locationToken", routes.location_token, methods=["POST"]),
            Route("/oauth/installedLocations", routes.installed_locations),
            Route("/oauth/reconnect", routes.reconnect, methods=["POST"]),
            Route("/oauth/chooselocation", routes.choose_location),
            Route("/v2/oauth/chooselocation", routes.choose_location),
            Route("/sandbox", routes.index),
            Route("/sandbox/ids", routes.ids),
            Route("/sandbox/stats", routes.stats),
            Route("/sandbox/faults", routes.faults, methods=["GET", "PUT"]),
            Route("/sandbox/limits", routes.limits, methods=["PUT"]),
            Route("/sandbox/reset", routes.reset, methods=["POST"]),
            Route("/sandbox/release", routes.release, methods=["POST"]),
            Route("/sandbox/tokens/revoke", routes.revoke, methods=["POST"]),
            Route("/sandbox/messages/{id}", routes.change, methods=["PUT"]),
            Route("/sandbox/messages/{id}", routes.delete, methods=["DELETE"]),
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
        _require_version(request)
        form = await _form(request)
        return JSONResponse(self.world.authority.location_token(_bearer(request), form), status_code=201)

    async def installed_locations(self, request: Request) -> Response:
        _require_version(request)
        return JSONResponse(self.world.authority.installed_locations(_bearer(request), self.world.dataset.name_of))

    async def reconnect(self, request: Request) -> Response:
        """Takes JSON too: the help article does not say which it is."""
        is_json = request.headers.get("content-type", "").startswith("application/json")
        return JSONResponse(self.world.authority.reconnect(await (_object if is_json else _form)(request)))

    async def choose_location(self, request: Request) -> Response:
        """Goes back at once, as if somebody had agreed; ``sandbox_user_type=Company`` installs for the company."""
        query = request.query_params
        if query.get("client_id") != CLIENT_ID or "redirect_uri" not in query:
            return JSONResponse({"statusCode": 400, "message": "Invalid client_id or redirect_uri"}, status_code=400)
        company = query.get("sandbox_user_type", "Location").lower() == "company"
        user_type: UserType = "Company" if company else "Location"
        location_id = query.get("sandbox_location_id", self.world.dataset.location_ids[0])
        answer = {"code": self.world.authority.authorize(user_type, location_id)}
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
            }
            for location_id in dataset.location_ids
        ]
        routes = [f"{' '.join(sorted(route.methods or ()))} {route.path}" for route in _paths(request)]
        answer = {
            "base_url": str(request.base_url).rstrip("/"),
            "locations": locations,
            "company_id": dataset.company_id,
            "oauth": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            "limits": _limit_of(self.world.config),
            "routes": ["GET /conversations/messages/{id}", *routes],
        }
        return Response(json.dumps(answer, indent=2, ensure_ascii=False) + "\n", media_type="application/json")

    async def ids(self, request: Request) -> Response:
        """Message ids, one a line; ``location_id``, ``limit`` and ``offset`` narrow them."""
        query = request.query_params
        offset = int(query.get("offset", 0))
        ids = self.world.dataset.ids(query.get("location_id"))
        limit = int(query.get("limit", len(ids)))
        if offset < 0 or limit < 0:
            raise ValueError("limit and offset are not negative")
        return PlainTextResponse("".join(f"{known}\n" for known in ids[offset : offset + limit]))

    async def stats(self, request: Request) -> Response:
        return JSONResponse(self.world.stats.to_json(with_ids=request.query_params.get("ids") == "1"))

    async def faults(self, request: Request) -> Response:
        if request.method == "PUT":
            self.world.faults = FaultPlan.from_json(await request.json())
        return JSONResponse(self.world.faults.to_json())

    async def limits(self, request: Request) -> Response:
        """Change the limit of one location (``location_id``) or of all; keys left out have their first values."""
        settings = await _object(request)
        location_id = settings.pop("location_id", None)
        if not settings.keys() <= set(_LIMIT_KEYS):
            raise ValueError(f"a limit has the keys {', '.join(_LIMIT_KEYS)}")
        config = replace(self.world.config, **settings)
        self.world.limiter.change(config.rate(), location_id)
        return JSONResponse(_limit_of(config))

    async def reset(self, _request: Request) -> Response:
        self.world.reset()
        return Response(status_code=204)

    async def release(self, _request: Request) -> Response:
        """Let go of the answers that the fault ``hold`` holds."""
        self.world.release()
        return Response(status_code=204)

    async def revoke(self, request: Request) -> Response:
        """Revoke ``token``, or every token of ``location_id``."""
        settings = await _object(request)
        revoked = self.world.authority.revoke(token=settings.get("token"), location_id=settings.get("location_id"))
        return JSONResponse({"revoked": revoked})

    async def change(self, request: Request) -> Response:
        return JSONResponse(self.world.change(request.path_params["id"], await _object(request)))

    async def delete(self, request: Request) -> Response:
        self.world.delete(request.path_params["id"])
        return Response(status_code=204)


def _limit_of(config: SandboxConfig) -> dict[str, Any]:
    return {key: getattr(config, key) for key in _LIMIT_KEYS}


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


async def _object(request: Request) -> dict[str, Any]:
    value = await request.json()
    if not isinstance(value, dict):
        raise ValueError("a JSON object is expected")  # noqa: TRY004 - the request is wrong, not the program
    return value


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _require_version(request: Request) -> None:
    if "version" not in request.headers:
        raise unauthorized("version header was not found.")


def _paths(request: Request) -> list[Route]:
    return [route for route in request.app.routes if isinstance(route, Route)]


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - Starlette's types do not know which handler gets which
    return JSONResponse(error.answer, status_code=error.status)


async def _not_understood(_request: Request, error: Exception) -> Response:
    return JSONResponse({"statusCode": 400, "message": str(error)}, status_code=400)


async def _unknown(_request: Request, error: Exception) -> Response:
    return JSONResponse({"statusCode": 404, "message": f"No such message: {error}"}, status_code=404)
