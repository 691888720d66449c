"""Stores what somebody connected: a private token, a location's grant, or a company's with its locations.

Everything is committed before it is used: losing a refresh token locks its customer out.
"""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from etl.api.oauth import ClientRefusedError, Grant, GrantRefusedError, OAuth, OAuthError, OAuthUnavailableError
from etl.bearer import claims, clean, fingerprint
from etl.errors import ApiUnavailableError, ConfigurationError
from etl.state import locations, stored_tokens
from etl.state.stored_tokens import EncryptedTokens, Owner
from etl.tokens.renewal import Renewal, encrypted
from etl.tokens.vault import Vault


@dataclass(frozen=True, slots=True)
class Connected:
    """The location or company that was connected."""

    owner: Owner
    id: str


def read_private(pasted: str, location_id: str) -> str:
    """Return the token in a pasted text, if it can be that location's.

    Raises:
        ConfigurationError: it cannot be; the text says why and never repeats the token.
    """
    try:
        token = clean(pasted)
    except ValueError as error:
        raise ConfigurationError(f"The token {error}. Nothing was stored.") from None
    said = claims(token)
    if said.get("authClass") == "Company":
        raise ConfigurationError(
            "This is the token of a company (agency), which may not read messages. Nothing was stored. "
            "Connect the company instead: etl connect --company"
        )
    owner = said.get("authClassId", location_id)
    if owner != location_id:
        raise ConfigurationError(f"This is the token of location {owner}, not of {location_id}. Nothing was stored.")
    left = _seconds_left(said)
    if left is not None and left <= 0:
        raise ConfigurationError("This token has expired. Nothing was stored. Make a new one in HighLevel.")
    return token


def keep_private(engine: Engine, vault: Vault, location_id: str, token: str) -> None:
    """Store a private integration token, which is never renewed, and unpause the location if its token was refused."""
    tokens = EncryptedTokens("private", vault.encrypt(token), fingerprint(token), seconds=_seconds_left(claims(token)))
    with engine.begin() as connection:
        stored_tokens.lock(connection, "location", location_id)
        locations.install(connection, location_id=location_id)
        stored_tokens.store(connection, "location", location_id, tokens)


def keep(engine: Engine, vault: Vault, grant: Grant, *, app_id: str) -> Connected:
    """Store the tokens of an authorization code, and end the pauses that a refused token had caused.

    Raises:
        GrantRefusedError: the answer does not name the tokens' owner.
    """
    owner: Owner = "company" if grant.user_type == "Company" else "location"
    id_ = grant.company_id if owner == "company" else grant.location_id
    if id_ is None:
        raise GrantRefusedError(f"the token endpoint did not say which {owner} it connected")
    with engine.begin() as connection:
        stored_tokens.lock(connection, owner, id_)
        location_id = id_ if owner == "location" else None
        locations.install(connection, location_id=location_id, company_id=grant.company_id, app_id=app_id)
        stored_tokens.store(connection, owner, id_, encrypted(vault, grant, source="app"))
    return Connected(owner, id_)


def connect(engine: Engine, vault: Vault, app: OAuth, code: str, *, redirect_uri: str) -> Connected:
    """Exchange an authorization code for tokens, and store them as :func:`keep` does.

    Raises:
        EtlError: HighLevel refuses the code or the app, or does not answer.
    """
    try:
        return keep(engine, vault, app.exchange(code, redirect_uri=redirect_uri), app_id=app.app_id)
    except OAuthUnavailableError as error:
        raise ApiUnavailableError(f"HighLevel does not answer properly: {error}") from None
    except ClientRefusedError as error:
        raise ConfigurationError(f"Check HIGHLEVEL_CLIENT_ID and HIGHLEVEL_CLIENT_SECRET: {error}") from None
    except OAuthError as error:
        says = "A code works once and not for long; start again."
        raise ConfigurationError(f"HighLevel refuses: {error}. {says}") from None


def list_company(engine: Engine, vault: Vault, app: OAuth, company_id: str) -> int:
    """Add the locations in which a connected company has the app; return how many there are.

    Their tokens are fetched with their first items.

    Raises:
        EtlError: HighLevel does not list them.
    """
    try:
        token = Renewal(engine=engine, vault=vault, oauth=app).company_token(company_id)
        if token is None:
            raise ConfigurationError(f"Company {company_id} is not connected. Run: etl connect --company")
        installed = app.installed_locations(company_token=token, company_id=company_id)
    except OAuthUnavailableError as error:
        raise ApiUnavailableError(f"HighLevel cannot list the locations of {company_id} now: {error}") from None
    except OAuthError as error:
        raise ConfigurationError(
            f"HighLevel does not list the locations of {company_id}: {error}. "
            "Give the app the scopes oauth.readonly and oauth.write, then: etl locations sync"
        ) from None
    with engine.begin() as connection:
        for location_id, name in sorted(installed.items()):
            locations.install(connection, location_id=location_id, company_id=company_id, app_id=app.app_id, name=name)
    return len(installed)


def rekey(engine: Engine, vault: Vault) -> int:
    """Encrypt every stored token with the newest key; returns how many owners had an older one.

    Raises:
        UnreadableError: no key decrypts some token; those before it are done.
    """
    with engine.connect() as connection:
        stored = stored_tokens.all_encrypted(connection)
    old = [(owner, id_) for owner, id_, texts in stored if not all(map(vault.is_current, texts))]
    for owner, id_ in old:
        with engine.begin() as connection:
            stored_tokens.lock(connection, owner, id_)
            tokens = stored_tokens.read(connection, owner, id_)
            if tokens is not None and tokens.access_token is not None:
                refresh = tokens.refresh_token
                stored_tokens.replace_texts(
                    connection,
                    owner,
                    id_,
                    access_token=vault.encrypt(vault.decrypt(tokens.access_token)),
                    refresh_token=None if refresh is None else vault.encrypt(vault.decrypt(refresh)),
                )
    return len(old)


def _seconds_left(said: dict[str, Any]) -> float | None:
    """Return the seconds until a token expires; None when it does not say."""
    expires = said.get("exp")
    return float(expires) - time.time() if isinstance(expires, (int, float)) else None
