"""Chooses the token that serves a location. No token reaches a log, an error or a repr. Sends no requests."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from sqlalchemy import Connection

from etl.bearer import fingerprint
from etl.errors import ItemError, LocationError, SnoozedError, TokenError
from etl.state import stored_tokens
from etl.state.outcomes import SkipCause
from etl.tokens.vault import UnreadableError, Vault

RENEWING, NO_TOKEN = SkipCause.RENEWING, SkipCause.NO_TOKEN


@dataclass(frozen=True, slots=True)
class TokenRouting:
    """The rule for whose token serves a location.

    A connected location serves itself. The environment's token serves its own location, even if that is connected, and
    items without a location. It serves no other location, even if its own is not known: anybody may have named that.
    """

    token: str | None = field(default=None, repr=False)
    """The environment's token, which is never renewed; None: there is none."""
    location_id: str = ""
    """The location of the environment's token; empty: not known."""

    def is_environment(self, location_id: str) -> bool:
        """Return whether the environment's token is that location's own."""
        return self.token is not None and location_id == self.location_id

    def token_location_id(self, location_id: str, *, uninstalled: Mapping[str, bool]) -> str | None:
        """Return the location whose token and allowance an item of ``location_id`` uses; None when nobody serves it.

        ``uninstalled`` has the connected locations, and whether the app was uninstalled from each.
        """
        name = location_id or self.location_id
        if self.is_environment(name):
            return name
        return name if uninstalled.get(name) is False else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API refused a token before it expired."""

    fingerprint: str
    detail: str


Renew = Callable[[str, Refusal | None], str]
"""Renews a location's token in the background; returns RENEWING, or NO_TOKEN after several failures."""


@dataclass(frozen=True, slots=True)
class _Known:
    fingerprint: str
    token: str | None = field(repr=False)
    """None: no key decrypts it."""


class LocationTokens:
    """The environment's token and the stored ones, by the rule of :class:`TokenRouting`.

    The loop calls ``look``, then ``token_location_id``, ``unavailable_reason`` and ``fingerprint`` about these
    locations; the fetch threads call ``token_of``, ``is_current`` and ``refused``, which never wait.
    """

    def __init__(self, *, routing: TokenRouting, vault: Vault, renew: Renew) -> None:
        self._routing = routing
        self._vault = vault
        self._renew = renew
        self._statuses: dict[str, stored_tokens.TokenStatus] = {}
        self._known: dict[str, _Known] = {}
        self._refusals: dict[str, Refusal] = {}
        self._expire_at: dict[str, float] = {}

    def look(self, connection: Connection, names: Sequence[str]) -> None:
        """Read the tokens of these locations."""
        given = {*names, self._routing.location_id}
        asked = {name for name in given if name and not self._routing.is_environment(name)}
        found = stored_tokens.statuses(connection, sorted(asked)) if asked else {}
        for name in asked - found.keys():
            self._statuses.pop(name, None)
            self._known.pop(name, None)
        for name, status in found.items():
            self._statuses[name] = status
            self._expire_at[name] = inf if status.seconds_left is None else time.monotonic() + status.seconds_left
            known = self._known.get(name)
            is_new = known is None or known.fingerprint != status.fingerprint
            if is_new and status.access_token is not None and status.fingerprint is not None:
                self._known[name] = _Known(status.fingerprint, self._decrypt(status.access_token))

    def token_location_id(self, location_id: str) -> str | None:
        """Return the location whose token and allowance an item uses; None when nobody serves it."""
        name = location_id or self._routing.location_id
        status = self._statuses.get(name)
        uninstalled = {name: status.is_uninstalled} if status else {}
        return self._routing.token_location_id(name, uninstalled=uninstalled)

    def unavailable_reason(self, location_id: str) -> str | None:
        """Return why the location's token cannot be used now, RENEWING or NO_TOKEN; None when it can.

        Starts a renewal when it is due or the API refused the token.
        """
        status = self._statuses.get(location_id)
        if status is None:
            return None
        known = self._known.get(location_id)
        if known is not None and known.token is None:
            return NO_TOKEN
        if status.source == "private":
            return None
        refusal = self._refusals.get(location_id)
        if refusal is not None and known is not None and refusal.fingerprint == known.fingerprint:
            return self._renew(location_id, refusal)
        self._refusals.pop(location_id, None)
        if known is None or status.seconds_left is None or status.seconds_left <= 0:
            return self._renew(location_id, None)
        if status.seconds_left < (status.margin or 0.0):
            self._renew(location_id, None)
        return None

    def fingerprint(self, location_id: str) -> str:
        """Return the fingerprint of the location's token."""
        if self._routing.token is not None and self._routing.is_environment(location_id):
            return fingerprint(self._routing.token)
        status = self._statuses.get(location_id)
        return (status.fingerprint if status else None) or ""

    def token_of(self, location_id: str) -> str:
        """Return the token to send.

        Raises:
            SnoozedError: the token was refused or removed since the item was claimed.
        """
        if self._routing.token is not None and self._routing.is_environment(location_id):
            return self._routing.token
        known, refusal = self._known.get(location_id), self._refusals.get(location_id)
        if known is None or known.token is None or (refusal is not None and refusal.fingerprint == known.fingerprint):
            raise SnoozedError("token_renewing", "the location's token is being renewed")
        return known.token

    def is_current(self, location_id: str, token: str) -> bool:
        """Return whether the API should accept a token: it is neither replaced nor expired."""
        if self._routing.is_environment(location_id):
            return True
        known = self._known.get(location_id)
        return known is not None and known.token == token and time.monotonic() < self._expire_at.get(location_id, inf)

    def refused(self, location_id: str, token: str, error: LocationError) -> ItemError:
        """Return the error for a refusal: a token that can be renewed is renewed once; else the location pauses."""
        error.fingerprint = fingerprint(token)
        return self.believed(location_id, error)

    def believed(self, location_id: str, error: LocationError) -> ItemError:
        """Return the error for a refusal that is certainly no fault of one item; ``error`` knows the token."""
        status, known = self._statuses.get(location_id), self._known.get(location_id)
        is_renewable = status is not None and status.source != "private" and isinstance(error, TokenError)
        if not is_renewable or self._routing.is_environment(location_id):
            return error
        if known is not None and known.fingerprint == error.fingerprint:
            self._refusals[location_id] = Refusal(error.fingerprint, error.detail)
        return SnoozedError("token_renewing", "the token was refused and is being renewed")

    def _decrypt(self, encrypted: str) -> str | None:
        try:
            return self._vault.decrypt(encrypted)
        except UnreadableError:
            return None
