"""The routes beside the API: OAuth, and ``/sandbox``, which shows and changes what the sandbox does."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from etl.sandbox.endpoints import ENDPOINTS
from etl.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, PIT, RefusedError, unauthorized
from etl.sandbox.world import World


def control_routes(world: World) -> list[Route]:
    """Everything but the API's data."""
    routes = _Routes(world)
    return [
        Route("/oauth/token", routes.token, methods=["POST"]),
        Route("/oauth/locationToken", routes.location_token, methods=["POST"]),
        Route("/oauth/installedLocations", routes.installed_locations),
        Route("/oauth/reconnect", routes.reconnect, methods=["POST"]),
        Route("/v2/oauth/chooselocation", routes.choose_location),
        Route("/sandbox", routes.index),
        Route("/sandbox/ids", routes.ids),
        Route("/sandbox/stats", routes.stats),
        Route("/sandbox/{action}", routes.act, methods=["PUT", "POST"]),
    ]


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
                "example_ids": dataset.ids(location_id)[:3],
                "examples": dataset.examples(location_id),
            }
            for location_id in dataset.location_ids
        ]
        answer = {
            "base_url": str(request.base_url).rstrip("/"),
            "locations": locations,
            "company_id": dataset.company_id,
            "oauth": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            "limits": self.world.config.limits(),
            "faults": self.world.faults.model_dump(),
            "routes": [f"GET {each.path}" for each in ENDPOINTS]
            + [f"{' '.join(sorted(each.methods or ()))} {each.path}" for each in control_routes(self.world)],
        }
        return Response(json.dumps(answer, indent=2, ensure_ascii=False) + "\n", media_type="application/json")

    async def ids(self, request: Request) -> Response:
        """Message ids, one a line; ``location_id`` and ``limit`` narrow them."""
        query = request.query_params
        ids = self.world.dataset.ids(query.get("location_id"))
        limit = int(query.get("limit", len(ids)))
        return PlainTextResponse("".join(f"{known}\n" for known in ids[: max(0, limit)]))

    async def stats(self, _request: Request) -> Response:
        return JSONResponse(self.world.stats.to_json())

    async def act(self, request: Request) -> Response:
        """Call one of these; the body holds its arguments."""
        world = self.world
        actions: dict[str, Any] = {
            "faults": world.spoil,
            "limits": world.limit,
            "lack": world.lack,
            "revoke": world.authority.revoke,
            "change": world.change,
            "delete": world.delete,
            "grow": world.grow,
            "expire_cursors": world.expire_cursors,
            "release": world.release,
            "reset": world.reset,
        }
        return JSONResponse(actions[request.path_params["action"]](**json.loads(await request.body() or b"{}")))


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


def _bearer(request: Request) -> str:
    if "version" not in request.headers:
        raise unauthorized("version header was not found.")
    return request.headers.get("authorization", "").removeprefix("Bearer ")


async def _failed(_request: Request, error: Exception) -> Response:
    if isinstance(error, RefusedError):
        return JSONResponse(error.answer, error.status)
    status = 404 if isinstance(error, KeyError) else 400
    return JSONResponse({"statusCode": status, "message": str(error)}, status)


HANDLERS: Any = dict.fromkeys((RefusedError, ValueError, TypeError, KeyError), _failed)
