"""HighLevel's OAuth endpoints: one method an endpoint, which returns a grant or raises an error.

Sends each request once and stores nothing. No error repeats or chains a request or an answer: both hold
secrets. Wire facts: HighLevel docs, apps/oauth.json and docs/oauth/Authorization.md, unless said.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from etl.api.transport import Bounds, NoAnswerError, Transport, reason_of

UserType = Literal["Location", "Company"]

BOUNDS = Bounds(total_seconds=15.0, max_bytes=4 * 1024 * 1024)
"""Bounded, because a used refresh token works once more within 30 seconds: a lost answer must be
noticed and requested again by then."""
PAGE = 100
"""Locations on one page."""
VERSION = "2021-07-28"


class OAuthError(Exception):
    """Base of the errors here; its text is a sentence without secrets."""


class GrantRefusedError(OAuthError):
    """The code, refresh token or company token is not accepted: invalid, expired, used, or revoked."""


class InactiveError(OAuthError):
    """The location is not active. The same refresh token works again once it is reactivated (HighLevel docs, v3)."""


class ClientRefusedError(OAuthError):
    """The client id or secret is wrong, so no token can be requested."""


class OAuthUnavailableError(OAuthError):
    """No proper answer: the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The tokens that the token endpoint issued."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    """None from ``/oauth/locationToken``, whose 2021 answer has none."""
    expires_in: float
    """Seconds from ``asked``."""
    user_type: UserType
    location_id: str | None
    company_id: str | None
    asked_at: float
    """``time.monotonic()`` of the request: the token lives at least from then on."""

    def seconds_left(self) -> float:
        """Return the seconds until the access token expires."""
        return self.expires_in - (time.monotonic() - self.asked_at)


class OAuth:
    """One app at one HighLevel host; safe to share between threads. Its repr hides the secret."""

    def __init__(self, transport: Transport, *, client_id: str, client_secret: str) -> None:
        self._transport = transport
        self._client_id = client_id
        self._client_secret = client_secret

    @property
    def app_id(self) -> str:
        """Return the app's id: the client id up to the dash (public codebases)."""
        return self._client_id.partition("-")[0]

    def exchange(self, code: str, *, redirect_uri: str | None = None) -> Grant:
        """POST /oauth/token for an authorization code, which works once.

        Raises:
            OAuthError: a subclass that says what to do; this holds for every method here.
        """
        form = {"grant_type": "authorization_code", "code": code}
        if redirect_uri is not None:
            form["redirect_uri"] = redirect_uri
        return self._token(form)

    def refresh(self, refresh_token: str, *, user_type: UserType) -> Grant:
        """POST /oauth/token for the next pair of tokens, which uses up the refresh token.

        Within 30 seconds the same call returns the same pair again (HighLevel changelog, label api).
        """
        return self._token({"grant_type": "refresh_token", "refresh_token": refresh_token, "user_type": user_type})

    def reconnect(self, *, location_id: str | None = None, company_id: str | None = None) -> str:
        """POST /oauth/reconnect: a new authorization code after the refresh token was lost.

        Announced as temporary, later documented as permanent (HighLevel help center, "reconnect").
        """
        body = {"clientKey": self._client_id, "clientSecret": self._client_secret}
        body |= {"locationId": location_id} if location_id is not None else {"companyId": company_id or ""}
        answer = self._send("POST", "/oauth/reconnect", secrets=(self._client_secret,), json=body)
        code = answer.get("authorizationCode")
        if not isinstance(code, str) or not code:
            raise OAuthUnavailableError("/oauth/reconnect answered without an authorization code")
        return code

    def location_token(self, *, company_token: str, company_id: str, location_id: str) -> Grant:
        """POST /oauth/locationToken: a location's token for its company's (scope oauth.write). It answers 201."""
        asked_at = time.monotonic()
        answer = self._send(
            "POST",
            "/oauth/locationToken",
            secrets=(company_token,),
            data={"companyId": company_id, "locationId": location_id},
            headers=_bearer(company_token),
        )
        owner = {"userType": "Location", "locationId": location_id, "companyId": company_id}
        return _grant(answer | owner, asked_at=asked_at)

    def installed_locations(self, *, company_token: str, company_id: str) -> dict[str, str | None]:
        """GET /oauth/installedLocations, all pages (scope oauth.readonly).

        Return the names of a company's locations in which the app is installed, by id.
        """
        found: dict[str, str | None] = {}
        while True:
            answer = self._send(
                "GET",
                "/oauth/installedLocations",
                secrets=(company_token,),
                params={
                    "companyId": company_id,
                    "appId": self.app_id,
                    "isInstalled": "true",
                    "limit": str(PAGE),
                    "skip": str(len(found)),
                },
                headers=_bearer(company_token),
            )
            listed = answer.get("locations")
            before = len(found)
            for each in listed if isinstance(listed, list) else []:
                if isinstance(each, dict) and isinstance(each.get("_id"), str) and each.get("isInstalled", True):
                    found[each["_id"]] = each.get("name")
            # A server that ignores paging repeats the same locations: a page with nothing new is the last one.
            if len(found) - before < PAGE:
                return found

    def _token(self, form: dict[str, str]) -> Grant:
        # No Version header: "v3" would change the names in request and answer.
        form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        secrets = [form[name] for name in ("client_secret", "code", "refresh_token") if name in form]
        asked_at = time.monotonic()
        return _grant(self._send("POST", "/oauth/token", secrets=secrets, data=form), asked_at=asked_at)

    def _send(self, method: str, path: str, *, secrets: Sequence[str], **request: Any) -> dict[str, Any]:
        try:
            response = self._transport.send(method, path, bounds=BOUNDS, **request)
        except NoAnswerError as error:
            raise OAuthUnavailableError(f"{path} gave no complete answer ({error.reason})") from None
        reason = reason_of(response.body, secrets)
        if reason is None or not response.is_whole:
            raise OAuthUnavailableError(f"{path} answered {response.status} with something that is not a JSON object")
        if response.status not in (200, 201):
            raise _refusal(path, response.status, reason)
        answer: dict[str, Any] = json.loads(response.body)
        return answer


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Version": VERSION}


def _refusal(path: str, status: int, message: str) -> OAuthError:
    """Return the error for a refusal. Sources of its texts: HighLevel docs (v3), public probes of the endpoint."""
    text = f"{path} answered {status}: {message}"
    words = message.lower()
    if status >= 500 or status in (408, 425, 429) or 300 <= status < 400:
        return OAuthUnavailableError(text)
    if "not active" in words:
        return InactiveError(text)
    if "client" in words:
        return ClientRefusedError(text)
    return GrantRefusedError(text)


def _grant(answer: Mapping[str, Any], *, asked_at: float) -> Grant:
    """Return the grant in an answer of either dialect: an issued grant must not be lost."""

    def get(name: str, camel: str) -> Any:
        return answer.get(name, answer.get(camel))

    access, refresh = get("access_token", "accessToken"), get("refresh_token", "refreshToken")
    if not isinstance(access, str) or not access:
        raise OAuthUnavailableError("the answer has no access token")
    seconds = get("expires_in", "expiresIn")
    return Grant(
        access_token=access,
        refresh_token=refresh if isinstance(refresh, str) and refresh else None,
        expires_in=float(seconds) if isinstance(seconds, (int, float)) and seconds > 0 else 86_399.0,
        user_type="Company" if answer.get("userType") == "Company" else "Location",
        location_id=answer.get("locationId") or None,
        company_id=answer.get("companyId") or None,
        asked_at=asked_at,
    )
