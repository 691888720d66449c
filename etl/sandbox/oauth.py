"""Tokens of the sandbox: their rights, their lifetimes and their exchange. Reads no clock and performs no I/O.

Refresh tokens are single use, with the grace HighLevel announced: the same client, secret and refresh token inside 30
seconds give the same new pair (changelog, label api). Access tokens live 86,399 seconds. Private integration tokens are
static: ``pit-sandbox-<location id>``.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any

from etl.sandbox.replies import RefusedError

PIT = "pit-sandbox-"
APP_ID = "6650a1b2c3d4e5f607182930"
CLIENT_ID = f"{APP_ID}-sandbox"
CLIENT_SECRET = "00000000-5a4d-4b0c-8000-000000000001"  # noqa: S105 - made up, and printed at start
NO_SCOPE = "The token is not authorized for this scope."
SCOPES = (
    "conversations.readonly conversations/message.readonly contacts.readonly users.readonly locations.readonly"
    " oauth.readonly oauth.write"
)


@dataclass(slots=True)
class _Token:
    """An access or refresh token, of the company if ``location_id`` is None."""

    location_id: str | None
    expires: float = float("inf")
    used_at: float | None = None
    successor: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass
class Authority:
    """Issues tokens to the one app it knows, ``CLIENT_ID``, and recognizes them; raises RefusedError when it does not.

    Attributes:
        company_id, locations: the company, and all of its locations by their ids, with their names.
        clock: gives the time in seconds since 1970.
        lifetime: seconds that an access token is good for.
        grace: seconds in which a used refresh token still gives the pair it gave first.
    """

    company_id: str
    locations: Mapping[str, str]
    clock: Callable[[], float]
    lifetime: float = 86_399
    grace: float = 30
    _codes: dict[str, str | None] = field(default_factory=dict, repr=False)
    _refresh: dict[str, _Token] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._access = {PIT + location_id: _Token(location_id) for location_id in self.locations}

    def location_of(self, token: str) -> str | None:
        """Return the location of a token; None: it is the company's."""
        known = self._access.get(token)
        if known is None or self.clock() >= known.expires:
            raise RefusedError(401, "Invalid Private Integration token" if token.startswith("pit-") else "Invalid JWT")
        return known.location_id

    def authorize(self, location_id: str | None) -> str:
        """Make an authorization code, as if the app was installed in one location or (None) for the company."""
        if location_id is not None and location_id not in self.locations:
            raise RefusedError(400, "Location not found")
        code = token_urlsafe(24)
        self._codes[code] = location_id
        return code

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """``POST /oauth/token``: exchange a code, or refresh."""
        grant = form.get("grant_type")
        if grant not in ("authorization_code", "refresh_token"):
            raise RefusedError(422, ["grant_type must be a valid enum value"])
        # The code is looked at before the client is (public probe).
        if grant == "authorization_code" and form.get("code") not in self._codes:
            raise _no_token("Authorization code not found")
        self._check_client(form.get("client_id"), form.get("client_secret"))
        if grant == "authorization_code":
            return self._issue(self._codes.pop(form["code"]))
        return self._renew(form.get("refresh_token", ""))

    def location_token(self, bearer: str, form: Mapping[str, str]) -> dict[str, Any]:
        """``POST /oauth/locationToken``: a location's token for the company's; the old dialect has no refresh token."""
        self._check_company(bearer)
        location_id = form.get("locationId", "")
        if form.get("companyId") != self.company_id or location_id not in self.locations:
            raise RefusedError(400, "Location not found")
        answer = self._issue(location_id)
        del self._refresh[answer.pop("refresh_token")]
        return answer

    def installed_locations(self, bearer: str) -> dict[str, Any]:
        """``GET /oauth/installedLocations``, all on one page."""
        self._check_company(bearer)
        locations = [{"_id": known, "name": name, "isInstalled": True} for known, name in self.locations.items()]
        return {"locations": locations, "count": len(locations), "installToFutureLocations": False}

    def reconnect(self, form: Mapping[str, str]) -> dict[str, Any]:
        """``POST /oauth/reconnect``: a new code for whoever lost the refresh token (help article "reconnect")."""
        self._check_client(form.get("clientKey"), form.get("clientSecret"))
        location_id = form.get("locationId")
        if location_id is None and form.get("companyId") != self.company_id:
            raise RefusedError(400, "Company not found")
        return {"authorizationCode": self.authorize(location_id), "expiresAt": round((self.clock() + 300) * 1000)}

    def revoke(self, *, token: str | None = None, location_id: str | None = None) -> None:
        """Make one token, or all of a location, invalid."""

        def is_left(key: str, held: _Token) -> bool:
            return key != token and (location_id is None or held.location_id != location_id)

        self._access = {key: held for key, held in self._access.items() if is_left(key, held)}
        self._refresh = {key: held for key, held in self._refresh.items() if is_left(key, held)}

    def _issue(self, location_id: str | None) -> dict[str, Any]:
        user_type = "Company" if location_id is None else "Location"
        access, refresh = _jwt(user_type, location_id or self.company_id), token_urlsafe(48)
        self._access[access] = _Token(location_id, self.clock() + self.lifetime)
        self._refresh[refresh] = _Token(location_id)
        answer = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "refresh_token": refresh,
            "scope": SCOPES,
            "userType": user_type,
            "companyId": self.company_id,
            "userId": "sandboxUser000000000",
            "refreshTokenId": refresh[:24],
        }
        return answer if location_id is None else answer | {"locationId": location_id}

    def _renew(self, token: str) -> dict[str, Any]:
        held = self._refresh.get(token)
        if held is None or (held.used_at is not None and self.clock() - held.used_at >= self.grace):
            raise RefusedError(400, "Invalid grant: refresh token is invalid")
        if held.used_at is None:
            held.used_at = self.clock()
            held.successor = self._issue(held.location_id)
        return held.successor

    def _check_client(self, client_id: str | None, client_secret: str | None) -> None:
        if (client_id, client_secret) != (CLIENT_ID, CLIENT_SECRET):
            raise _no_token("Invalid client credentials")

    def _check_company(self, bearer: str) -> None:
        if self.location_of(bearer) is not None:
            raise RefusedError(401, NO_SCOPE)


def _no_token(description: str) -> RefusedError:
    return RefusedError(401, description, {"error": "UnAuthorized!", "error_description": description})


def _jwt(auth_class: str, auth_class_id: str) -> str:
    """Make a text that looks like a JWT, with authClass and authClassId as real ones have, but a random signature."""
    claims = {"authClass": auth_class, "authClassId": auth_class_id, "jti": token_urlsafe(12)}
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join((*encoded, token_urlsafe(32)))
