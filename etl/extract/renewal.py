"""Gets a location's next token: one process at a time, and committed before anybody uses it.

A refresh token works once, so whoever loses the answer locks its customer out. What guards against that:

* One at a time: a lock in Postgres spans reading the refresh token, the request and the commit.
* Killed between the answer and the commit: the used refresh token is still stored. For 30 seconds it gives the same
  pair again; after that the company's token, or ``/oauth/reconnect``, gives a new grant.
* Postgres gone between the answer and the commit: the pair is kept in memory and stored by the next attempt.
"""

from collections.abc import Callable
from dataclasses import replace

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from etl import location_tokens, locations
from etl.bearer import fingerprint
from etl.extract.oauth import (
    ClientRefusedError,
    Grant,
    GrantRefusedError,
    InactiveError,
    OAuth,
    OAuthUnavailableError,
    UserType,
)
from etl.extract.tokens import Refusal
from etl.extract.vault import UnreadableError, Vault
from etl.location_tokens import Held, Owner, Sealed

log = structlog.get_logger("etl.extract.renewal")

LOCK_TIMEOUT_MS = 20_000
"""Milliseconds to wait for another process that renews the same token."""


class RenewalFailedError(Exception):
    """No token could be had this time; nothing changed. Its text is a sentence without secrets."""


class Renewal:
    """Renews tokens of locations and companies, each in a transaction of its own; safe to share between threads."""

    def __init__(self, *, engine: Engine, vault: Vault, oauth: OAuth | None) -> None:
        self._engine = engine
        self._vault = vault
        self._oauth = oauth
        self._unsaved: dict[tuple[Owner, str], tuple[str | None, tuple[Grant, str]]] = {}

    def renew(self, location_id: str, refusal: Refusal | None = None) -> None:
        """Store the location's next token, unless somebody else already did; pause it when none is to be had.

        ``refusal`` tells that the API refused the stored token before its time. The second time within an hour the
        location is paused: a new token does not help it.

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
        """The company's token, renewed when it is time or ``refused`` is its fingerprint; None: it has none.

        Raises:
            OAuthError, UnreadableError, SQLAlchemyError: as they came.
        """
        with self._engine.begin() as connection:
            held = _lock_and_read(connection, "company", company_id)
            if held is None or held.stopped or held.access_token is None:
                return None
            if not _is_due(held, refused):
                return self._vault.open(held.access_token)
            grant, source = self._once(("company", company_id), held, lambda: self._company_grant(held))
            location_tokens.store_company(connection, company_id, seal(self._vault, grant, source=source))
        self._unsaved.pop(("company", company_id), None)
        return grant.access_token

    def _renew(self, connection: Connection, location_id: str, refusal: Refusal | None) -> None:
        held = _lock_and_read(connection, "location", location_id)
        if held is None or held.stopped or held.source == "private":
            return
        refused = refusal.fingerprint if refusal else None
        if not _is_due(held, refused):
            return
        too_early = refused == held.fingerprint and (held.seconds_left or 0.0) > 0
        if refusal is not None and too_early and held.refused_lately:
            _pause(connection, held, "token_refused", f"a token that was just renewed is refused too: {refusal.detail}")
            return
        try:
            grant, source = self._once(("location", location_id), held, lambda: self._location_grant(held))
        except GrantRefusedError as error:
            _pause(connection, held, "renewal_refused", str(error))
            return
        except InactiveError as error:
            _pause(connection, held, "location_inactive", str(error))
            return
        sealed = seal(self._vault, grant, source=source)
        location_tokens.store(connection, location_id, sealed, after_refusal=too_early)
        log.info("token_renewed", location=location_id, source=source)

    def _once(self, key: tuple[Owner, str], held: Held, obtain: Callable[[], tuple[Grant, str]]) -> tuple[Grant, str]:
        """What ``obtain`` gives, or gave when it could not be stored and nobody else has stored anything since."""
        basis, unsaved = self._unsaved.get(key, (None, None))
        if unsaved is None or basis != held.refresh_token:
            unsaved = obtain()
            self._unsaved[key] = (held.refresh_token, unsaved)
        return unsaved

    def _location_grant(self, held: Held) -> tuple[Grant, str]:
        """By its own refresh token, else through its company, else by reconnecting."""
        reasons: list[str] = []
        ways: tuple[tuple[Callable[[Held], Grant | None], str], ...] = (
            (self._by_refresh_token, held.source or "app"),
            (self._through_company, "company"),
            (self._by_reconnecting, "app"),
        )
        for way, source in ways:
            try:
                grant = way(held)
            except GrantRefusedError as error:
                reasons.append(str(error))
                continue
            if grant is not None:
                return _of_location(grant, held.id), source
        raise GrantRefusedError("; ".join(reasons))

    def _by_refresh_token(self, held: Held, user_type: UserType = "Location") -> Grant | None:
        if held.refresh_token is None:
            return None
        refresh_token = self._vault.open(held.refresh_token)
        grant = self._app().refresh(refresh_token, user_type=user_type)
        return grant if grant.refresh_token is not None else replace(grant, refresh_token=refresh_token)

    def _through_company(self, held: Held) -> Grant | None:
        company_id = held.company_id
        token = self.company_token(company_id) if company_id else None
        if company_id is None or token is None:
            return None
        try:
            return self._app().location_token(company_token=token, company_id=company_id, location_id=held.id)
        except GrantRefusedError as error:
            # "Invalid JWT", "Invalid token: …": the company's token was revoked before its time. Anything else, such
            # as a missing scope, would be refused to its next token too.
            if "invalid" not in str(error).lower():
                raise
        token = self.company_token(company_id, refused=fingerprint(token)) or token
        return self._app().location_token(company_token=token, company_id=company_id, location_id=held.id)

    def _by_reconnecting(self, held: Held) -> Grant:
        return self._app().exchange(self._app().reconnect(location_id=held.id))

    def _company_grant(self, held: Held) -> tuple[Grant, str]:
        try:
            grant = self._by_refresh_token(held, "Company")
        except GrantRefusedError:
            grant = None
        if grant is None:
            grant = self._app().exchange(self._app().reconnect(company_id=held.id))
        return grant, "company"

    def _app(self) -> OAuth:
        if self._oauth is None:
            raise ClientRefusedError("they are not set")
        return self._oauth


def seal(vault: Vault, grant: Grant, *, source: str) -> Sealed:
    """A grant as it is stored.

    Raises:
        ConfigurationError: there is no key.
    """
    return Sealed(
        source,
        vault.seal(grant.access_token),
        fingerprint(grant.access_token),
        None if grant.refresh_token is None else vault.seal(grant.refresh_token),
        grant.seconds_left(),
    )


def _pause(connection: Connection, held: Held, cause: str, detail: str) -> None:
    locations.pause(connection, held.id, cause=cause, detail=detail, token=held.fingerprint or "")
    log.warning("location_paused", location=held.id, cause=cause)


def _lock_and_read(connection: Connection, owner: Owner, id_: str) -> Held | None:
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
    location_tokens.lock_tokens(connection, owner, id_)
    return location_tokens.held(connection, owner, id_)


def _is_due(held: Held, refused: str | None) -> bool:
    """Whether the token must be renewed: missing, about to expire, or refused and still the stored one."""
    if held.access_token is None or held.seconds_left is None or held.margin is None:
        return True
    return held.seconds_left < held.margin or (refused is not None and refused == held.fingerprint)


def _of_location(grant: Grant, location_id: str) -> Grant:
    if grant.user_type != "Location" or grant.location_id not in (None, location_id):
        raise GrantRefusedError("the token endpoint gave a token of somebody else")
    return grant
