"""Renews a location's token: one process at a time, and committed before use.

A refresh token works once, so losing the answer locks the customer out. Guards against that:

* One at a time: a lock in Postgres spans reading the refresh token, the request and the commit.
* Killed between the answer and the commit: the used refresh token is still stored. For 30 seconds it gives the same
  pair again; after that the company's token, or ``/oauth/reconnect``, gives a new grant.
* Postgres gone between the answer and the commit: the pair is kept in memory and stored by the next attempt.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from etl.api.oauth import (
    ClientRefusedError,
    Grant,
    GrantRefusedError,
    InactiveError,
    OAuth,
    OAuthUnavailableError,
    UserType,
)
from etl.bearer import fingerprint
from etl.state import locations, stored_tokens
from etl.state.stored_tokens import EncryptedTokens, Owner, StoredTokens
from etl.tokens.vault import UnreadableError, Vault

log = structlog.get_logger("etl.tokens.renewal")

LOCK_TIMEOUT_MS = 20_000
"""Milliseconds to wait for another process that renews the same token."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API refused a token before it expired."""

    fingerprint: str
    detail: str


class RenewalFailedError(Exception):
    """The renewal failed and changed nothing. The text is a sentence without secrets."""


class Renewal:
    """Renews tokens of locations and companies, each in a transaction of its own; safe to share between threads."""

    def __init__(self, *, engine: Engine, vault: Vault, oauth: OAuth | None) -> None:
        self._engine = engine
        self._vault = vault
        self._oauth = oauth
        self._unsaved: dict[tuple[Owner, str], tuple[str | None, tuple[Grant, str]]] = {}

    def renew(self, location_id: str, refusal: Refusal | None = None) -> None:
        """Store the location's next token, unless another process did; pause the location when there can be none.

        ``refusal``: the API refused the stored token before it expired. The second time within an hour the
        location is paused: a new token does not help.

        Raises:
            RenewalFailedError: a later attempt may succeed.
        """
        try:
            with self._engine.begin() as connection:
                self._renew(connection, location_id, refusal)
            self._unsaved.pop(("location", location_id), None)
        except SQLAlchemyError as error:
            raise RenewalFailedError(f"Postgres did not store or give the token ({type(error).__name__})") from None
        except OAuthUnavailableError as error:
            raise RenewalFailedError(f"the token endpoint is not available: {error}") from None
        except ClientRefusedError as error:
            raise RenewalFailedError(f"check HIGHLEVEL_CLIENT_ID and HIGHLEVEL_CLIENT_SECRET: {error}") from None
        except UnreadableError as error:
            raise RenewalFailedError(f"the stored token cannot be read: {error}") from None

    def company_token(self, company_id: str, *, refused: str | None = None) -> str | None:
        """Return the company's token, renewed when due or when ``refused`` is its fingerprint; None: it has none.

        Raises:
            OAuthError, UnreadableError, SQLAlchemyError: the token could not be renewed, decrypted or stored.
        """
        with self._engine.begin() as connection:
            stored = _lock_and_read(connection, "company", company_id)
            if stored is None or stored.is_stopped or stored.access_token is None:
                return None
            if not _is_due(stored, refused):
                return self._vault.decrypt(stored.access_token)
            grant, source = self._next_grant("company", stored)
            stored_tokens.store(connection, "company", company_id, encrypted(self._vault, grant, source=source))
        self._unsaved.pop(("company", company_id), None)
        return grant.access_token

    def _renew(self, connection: Connection, location_id: str, refusal: Refusal | None) -> None:
        stored = _lock_and_read(connection, "location", location_id)
        if stored is None or stored.is_stopped or stored.source == "private":
            return
        refused = refusal.fingerprint if refusal else None
        if not _is_due(stored, refused):
            return
        too_early = refused == stored.fingerprint and (stored.seconds_left or 0.0) > 0
        if refusal is not None and too_early and stored.refused_lately:
            _pause(
                connection, stored, "token_refused", f"a token that was just renewed is refused too: {refusal.detail}"
            )
            return
        try:
            grant, source = self._next_grant("location", stored)
        except GrantRefusedError as error:
            _pause(connection, stored, "renewal_refused", str(error))
            return
        except InactiveError as error:
            _pause(connection, stored, "location_inactive", str(error))
            return
        tokens = encrypted(self._vault, grant, source=source)
        stored_tokens.store(connection, "location", location_id, tokens, after_refusal=too_early)
        log.info("token_renewed", location=location_id, source=source)

    def _next_grant(self, owner: Owner, stored: StoredTokens) -> tuple[Grant, str]:
        """Return a grant and its source: an earlier one that could not be stored, if no other was since."""
        basis, unsaved = self._unsaved.get((owner, stored.id), (None, None))
        if unsaved is None or basis != stored.refresh_token:
            unsaved = self._location_grant(stored) if owner == "location" else (self._company_grant(stored), "company")
            self._unsaved[owner, stored.id] = stored.refresh_token, unsaved
        return unsaved

    def _location_grant(self, stored: StoredTokens) -> tuple[Grant, str]:
        """Obtain a grant by the location's refresh token, else through its company, else by reconnecting."""
        reasons: list[str] = []
        for way, source in (
            (self._by_refresh_token, stored.source or "app"),
            (self._through_company, "company"),
            (self._by_reconnecting, "app"),
        ):
            try:
                grant = way(stored)
            except GrantRefusedError as error:
                reasons.append(str(error))
                continue
            if grant is not None:
                return _of_location(grant, stored.id), source
        raise GrantRefusedError("; ".join(reasons))

    def _by_refresh_token(self, stored: StoredTokens, user_type: UserType = "Location") -> Grant | None:
        if stored.refresh_token is None:
            return None
        refresh_token = self._vault.decrypt(stored.refresh_token)
        grant = self._app().refresh(refresh_token, user_type=user_type)
        return grant if grant.refresh_token is not None else replace(grant, refresh_token=refresh_token)

    def _through_company(self, stored: StoredTokens) -> Grant | None:
        company_id = stored.company_id
        token = self.company_token(company_id) if company_id else None
        if company_id is None or token is None:
            return None
        try:
            return self._app().location_token(company_token=token, company_id=company_id, location_id=stored.id)
        except GrantRefusedError as error:
            # "Invalid JWT", "Invalid token: …": the company's token was revoked before its time. Anything else, such
            # as a missing scope, would be refused to its next token too.
            if "invalid" not in str(error).lower():
                raise
        token = self.company_token(company_id, refused=fingerprint(token)) or token
        return self._app().location_token(company_token=token, company_id=company_id, location_id=stored.id)

    def _by_reconnecting(self, stored: StoredTokens) -> Grant:
        return self._app().exchange(self._app().reconnect(location_id=stored.id))

    def _company_grant(self, stored: StoredTokens) -> Grant:
        with suppress(GrantRefusedError):
            if (grant := self._by_refresh_token(stored, "Company")) is not None:
                return grant
        return self._app().exchange(self._app().reconnect(company_id=stored.id))

    def _app(self) -> OAuth:
        if self._oauth is None:
            raise ClientRefusedError("they are not set")
        return self._oauth


def encrypted(vault: Vault, grant: Grant, *, source: str) -> EncryptedTokens:
    """Return a grant encrypted for storing.

    Raises:
        ConfigurationError: there is no key.
    """
    return EncryptedTokens(
        source,
        vault.encrypt(grant.access_token),
        fingerprint(grant.access_token),
        None if grant.refresh_token is None else vault.encrypt(grant.refresh_token),
        grant.seconds_left(),
    )


def _pause(connection: Connection, stored: StoredTokens, cause: str, detail: str) -> None:
    locations.pause(connection, stored.id, cause=cause, detail=detail, token=stored.fingerprint or "")
    log.warning("location_paused", location=stored.id, cause=cause)


def _lock_and_read(connection: Connection, owner: Owner, id_: str) -> StoredTokens | None:
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
    stored_tokens.lock(connection, owner, id_)
    return stored_tokens.read(connection, owner, id_)


def _is_due(stored: StoredTokens, refused: str | None) -> bool:
    """Return whether to renew the token: missing, about to expire, or refused and still the stored one."""
    if stored.access_token is None or stored.seconds_left is None or stored.margin is None:
        return True
    return stored.seconds_left < stored.margin or (refused is not None and refused == stored.fingerprint)


def _of_location(grant: Grant, location_id: str) -> Grant:
    if grant.user_type != "Location" or grant.location_id not in (None, location_id):
        raise GrantRefusedError("the token endpoint gave a token of somebody else")
    return grant
