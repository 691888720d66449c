"""Who may ask for what: tokens, their lifetimes and their exchange. Reads no clock and performs no I/O.

Refresh tokens are single use, with the grace HighLevel announced: the same client, secret and refresh token inside 30
seconds give the same new pair (changelog, label api). Access tokens live 86,399 seconds. Private integration tokens are
static: ``pit-sandbox-<location id>``.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any, Literal

UserType = Literal["Location", "Company"]

PIT = "pit-sandbox-"
AGENCY_PIT = "pit-sandbox-agency"
CLIENT_ID = "6650a1b2c3d4e5f607182930-sandbox"
CLIENT_SECRET = "00000000-5a4d-4b0c-8000-000000000001"  # noqa: S105 - made up, and printed at start
SCOPES = "conversations.readonly conversations/message.readonly oauth.readonly oauth.write"


class RefusedError(Exception):
    """A token or a token request was refused; carries the status and the JSON to answer."""

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a bearer token speaks for: a location, or the company when ``location_id`` is None."""

    location_id: str | None
    oauth: bool


@dataclass(slots=True)
class _Code:
    user_type: UserType
    location_id: str | None


@dataclass(slots=True)
class _Access:
    principal: Principal
    expires: float


@dataclass(slots=True)
class _Refresh:
    code: _Code
    used_at: float | None = None
    successor: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Rules:
    """How long tokens last, in seconds.

    Attributes:
        lifetime: an access token is good for so long.
        grace: for so long a used refresh token still gives the pair it gave first.
    """

    lifetime: float = 86_399
    grace: float = 30


class Authority:
    """Issues tokens to the one app it knows, ``CLIENT_ID``, and recognizes them.

    Args:
        company_id, location_ids: the company and all of its locations.
        clock: gives the time in seconds since 1970.
        rules: how long tokens last.
    """

    def __init__(
        self, company_id: str, location_ids: tuple[str, ...], *, clock: Callable[[], float], rules: Rules = Rules()
    ) -> None:
        self.company_id = company_id
        self.location_ids = location_ids
        self._clock = clock
        self._rules = rules
        self._private = {PIT + location_id: Principal(location_id, oauth=False) for location_id in location_ids}
        self._private[AGENCY_PIT] = Principal(None, oauth=False)
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, _Access] = {}
        self._refresh: dict[str, _Refresh] = {}

    def principal(self, token: str) -> Principal:
        """Whom the token speaks for.

        Raises:
            RefusedError: 401 with HighLevel's text for this kind of token (docs issue 213, public probes).
        """
        known = self._private.get(token)
        if known is not None:
            return known
        if token.startswith("pit-"):
            raise unauthorized("Invalid Private Integration token")
        access = self._access.get(token)
        if access is None or self._clock() >= access.expires:
            raise unauthorized("Invalid JWT")
        return access.principal

    def authorize(self, user_type: UserType, location_id: str | None) -> str:
        """An authorization code, as if somebody had installed the app for the company or for one location.

        Raises:
            RefusedError: 400, no such location.
        """
        if user_type == "Location" and location_id not in self.location_ids:
            raise RefusedError(400, {"statusCode": 400, "message": "Location not found", "error": "Bad Request"})
        code = token_urlsafe(24)
        self._codes[code] = _Code(user_type, location_id if user_type == "Location" else None)
        return code

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """``POST /oauth/token``: exchange a code, or refresh.

        Raises:
            RefusedError: 401 for an unknown code or client, 400 for a bad refresh token, 422 for a bad request.
        """
        grant = form.get("grant_type")
        if grant == "authorization_code":
            # The code is looked at before the client is (public probe).
            code = self._codes.get(form.get("code", ""))
            if code is None:
                raise _no_token("Authorization code not found")
            self._check_client(form)
            del self._codes[form["code"]]
            return self._issue(code)
        if grant == "refresh_token":
            self._check_client(form)
            return self._renew(form.get("refresh_token", ""))
        texts = ["grant_type must be a valid enum value"]
        raise RefusedError(422, {"statusCode": 422, "message": texts, "error": "Unprocessable Entity"})

    def location_token(self, bearer: str, form: Mapping[str, str]) -> dict[str, Any]:
        """``POST /oauth/locationToken``: a location's token for the company's; the old dialect has no refresh token.

        Raises:
            RefusedError: 401 for anything but a company's OAuth token, 400 for an unknown company or location.
        """
        self._check_company(bearer)
        location_id = form.get("locationId", "")
        if form.get("companyId") != self.company_id or location_id not in self.location_ids:
            raise RefusedError(400, {"statusCode": 400, "message": "Location not found", "error": "Bad Request"})
        answer = self._issue(_Code("Location", location_id))
        del self._refresh[answer.pop("refresh_token")]
        return answer

    def installed_locations(self, bearer: str, name_of: Callable[[str], str]) -> dict[str, Any]:
        """``GET /oauth/installedLocations``, all on one page.

        Raises:
            RefusedError: 401 for anything but a company's OAuth token.
        """
        self._check_company(bearer)
        locations = [{"_id": known, "name": name_of(known), "isInstalled": True} for known in self.location_ids]
        return {"locations": locations, "count": len(locations), "installToFutureLocations": False}

    def reconnect(self, form: Mapping[str, str]) -> dict[str, Any]:
        """``POST /oauth/reconnect``: a new code for whoever lost the refresh token (help article "reconnect").

        Raises:
            RefusedError: 401 for an unknown client, 400 for an unknown location or company.
        """
        self._check_client({"client_id": form.get("clientKey", ""), "client_secret": form.get("clientSecret", "")})
        location_id = form.get("locationId")
        if location_id is None and form.get("companyId") != self.company_id:
            raise RefusedError(400, {"statusCode": 400, "message": "Company not found", "error": "Bad Request"})
        code = self.authorize("Company" if location_id is None else "Location", location_id)
        return {"authorizationCode": code, "expiresAt": round((self._clock() + 300) * 1000)}

    def revoke(self, *, token: str | None = None, location_id: str | None = None) -> int:
        """Make one token, or all of a location, invalid; returns how many there were."""
        stores: tuple[tuple[dict[str, Any], Callable[[Any], str | None]], ...] = (
            (self._private, lambda held: held.location_id),
            (self._access, lambda held: held.principal.location_id),
            (self._refresh, lambda held: held.code.location_id),
        )
        revoked = 0
        for store, owner in stores:
            for key, held in list(store.items()):
                if key == token or (location_id is not None and owner(held) == location_id):
                    del store[key]
                    revoked += 1
        return revoked

    def _issue(self, code: _Code) -> dict[str, Any]:
        access, refresh = _jwt(code, self.company_id), token_urlsafe(48)
        self._access[access] = _Access(Principal(code.location_id, oauth=True), self._clock() + self._rules.lifetime)
        self._refresh[refresh] = _Refresh(code)
        answer = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self._rules.lifetime),
            "refresh_token": refresh,
            "scope": SCOPES,
            "userType": code.user_type,
            "companyId": self.company_id,
            "userId": "sandboxUser000000000",
            "refreshTokenId": refresh[:24],
        }
        return answer if code.location_id is None else answer | {"locationId": code.location_id}

    def _renew(self, token: str) -> dict[str, Any]:
        held = self._refresh.get(token)
        if held is not None and held.used_at is None:
            held.used_at = self._clock()
            held.successor = self._issue(held.code)
            return held.successor
        if held is not None and held.used_at is not None and self._clock() - held.used_at < self._rules.grace:
            return held.successor
        message = "Invalid grant: refresh token is invalid"
        raise RefusedError(400, {"statusCode": 400, "message": message, "error": "Bad Request"})

    def _check_client(self, form: Mapping[str, str]) -> None:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise _no_token("Invalid client credentials")

    def _check_company(self, bearer: str) -> None:
        principal = self.principal(bearer)
        if principal.location_id is not None or not principal.oauth:
            raise unauthorized("The token is not authorized for this scope.")


def unauthorized(message: str) -> RefusedError:
    """The 401 of every endpoint but the token endpoint (HighLevel docs, common schemas)."""
    return RefusedError(401, {"statusCode": 401, "message": message, "error": "Unauthorized"})


def _no_token(description: str) -> RefusedError:
    return RefusedError(401, {"error": "UnAuthorized!", "error_description": description})


def _jwt(code: _Code, company_id: str) -> str:
    """Looks like a JWT and carries authClass and authClassId as real ones do, but its signature is only random."""
    claims = {
        "authClass": code.user_type,
        "authClassId": code.location_id or company_id,
        "jti": token_urlsafe(12),
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join((*encoded, token_urlsafe(32)))
