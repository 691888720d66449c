"""Which token serves a location. Tokens never reach a log, an error or a repr; nothing here asks the network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection

from etl import location_tokens
from etl.bearer import fingerprint
from etl.errors import ItemError, LocationError, PutOffError, TokenError
from etl.extract.vault import UnreadableError, Vault

if TYPE_CHECKING:
    from etl.location_tokens import Standing

RENEWING = "renewing"
"""Why a location cannot be served right now: its next token is on its way."""
NO_TOKEN = "no_token"  # noqa: S105 - a cause, not a token
"""Why it cannot be served for the time being: its token cannot be had or read; the log says why."""


@dataclass(frozen=True, slots=True)
class StaticToken:
    """The one token of the environment.

    With its location known, it serves that location and items without one. Without, it serves every item, and all of
    them share one allowance.
    """

    token: str = field(repr=False)
    location_id: str = ""

    def look(self, connection: Connection, names: Sequence[str]) -> None:
        """Nothing to look up."""

    def serves(self, location_id: str) -> str | None:
        """The location whose token and allowance an item uses; None when nobody serves it."""
        if not self.location_id or location_id in ("", self.location_id):
            return self.location_id
        return None

    def waits(self, location_id: str) -> str | None:  # noqa: ARG002 - it is always at hand
        """Why the location's token cannot be used right now; None when it can."""
        return None

    def fingerprint(self, location_id: str) -> str:  # noqa: ARG002 - one token serves all
        """Tells one token from another without giving it away."""
        return fingerprint(self.token)

    def token_of(self, location_id: str) -> str:  # noqa: ARG002 - one token serves all
        """The token to send."""
        return self.token

    def refused(self, location_id: str, token: str, error: LocationError) -> ItemError:  # noqa: ARG002 - as above
        """What a refusal means: this token cannot be renewed, so the location pauses."""
        error.fingerprint = fingerprint(token)
        return error


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API refused a token before its time."""

    fingerprint: str
    detail: str


class Renewals(Protocol):
    """Gets tokens meanwhile; see :class:`etl.extract.renewal_threads.Renewals`."""

    def ask(self, location_id: str, refusal: Refusal | None = None) -> str:
        """See that the location gets its next token; RENEWING, or NO_TOKEN when that has failed for some time."""


@dataclass(frozen=True, slots=True)
class _Known:
    fingerprint: str
    token: str | None = field(repr=False)
    """None: no key decrypts it."""


class LocationTokens:
    """The environment's token and the stored ones.

    A connected location serves itself. The environment's token serves its own location, even if that is connected, and
    items without one; when its location is not known, also whatever was never connected. Without that token, items
    without a location belong to ``default_location``.

    The loop calls ``look``, then ``serves``, ``waits`` and ``fingerprint`` about what it looked at; the fetch threads
    call ``token_of`` and ``refused``, which never wait.
    """

    def __init__(
        self, *, static: StaticToken | None, default_location: str = "", vault: Vault, renewals: Renewals
    ) -> None:
        self._static = static
        self._default = default_location
        self._vault = vault
        self._renewals = renewals
        self._standings: dict[str, Standing] = {}
        self._known: dict[str, _Known] = {}
        self._refusals: dict[str, Refusal] = {}

    def look(self, connection: Connection, names: Sequence[str]) -> None:
        """Learn how these locations stand: one query, and another for tokens not seen before."""
        asked = {name for name in (*names, self._default) if name and not self._is_static(name)}
        found = location_tokens.connected(connection, sorted(asked))
        known = {name: each.fingerprint for name, each in self._known.items()}
        new = [name for name, each in found.items() if each.fingerprint and known.get(name) != each.fingerprint]
        for name, (mark, sealed) in (location_tokens.sealed(connection, new) if new else {}).items():
            self._known[name] = _Known(mark, self._open(sealed))
        for name in asked:
            if name in found:
                self._standings[name] = found[name]
            else:
                self._standings.pop(name, None)
                self._known.pop(name, None)

    def serves(self, location_id: str) -> str | None:
        """The location whose token and allowance an item uses; None when nobody serves it."""
        if self._is_static(location_id) or (location_id == "" and self._static is not None):
            return self._static.location_id if self._static else None
        name = location_id or self._default
        if name in self._standings:
            return None if self._standings[name].retired else name
        if self._static is not None and not self._static.location_id:
            return ""
        return None

    def waits(self, location_id: str) -> str | None:
        """Why the location's token cannot be used right now, RENEWING or NO_TOKEN; None when it can.

        Asks for the next one when it is time, or when the API refused this one.
        """
        standing = self._standings.get(location_id)
        if standing is None:
            return None
        known = self._known.get(location_id)
        if known is not None and known.token is None:
            return NO_TOKEN
        if standing.source == "private":
            return None
        refusal = self._refusals.get(location_id)
        if refusal is not None and known is not None and refusal.fingerprint == known.fingerprint:
            return self._renewals.ask(location_id, refusal)
        self._refusals.pop(location_id, None)
        if known is None or standing.seconds_left is None or standing.seconds_left <= 0:
            return self._renewals.ask(location_id)
        if standing.seconds_left < (standing.margin or 0.0):
            self._renewals.ask(location_id)
        return None

    def fingerprint(self, location_id: str) -> str:
        """Tells that location's token from another one."""
        if self._static is not None and location_id == self._static.location_id:
            return self._static.fingerprint(location_id)
        standing = self._standings.get(location_id)
        return (standing.fingerprint if standing else None) or ""

    def token_of(self, location_id: str) -> str:
        """The token to send.

        Raises:
            PutOffError: it was refused, or went away, since the item was claimed.
        """
        if self._static is not None and location_id == self._static.location_id:
            return self._static.token
        known, refusal = self._known.get(location_id), self._refusals.get(location_id)
        if known is None or known.token is None or (refusal is not None and refusal.fingerprint == known.fingerprint):
            raise PutOffError("token_renewing", "the location's token is being renewed")
        return known.token

    def refused(self, location_id: str, token: str, error: LocationError) -> ItemError:
        """What a refusal means: a token that can be renewed is renewed, once; else the location pauses."""
        error.fingerprint = fingerprint(token)
        standing, known = self._standings.get(location_id), self._known.get(location_id)
        renewable = standing is not None and standing.source != "private" and isinstance(error, TokenError)
        if not renewable or (self._static is not None and location_id == self._static.location_id):
            return error
        if known is not None and known.fingerprint == error.fingerprint:
            self._refusals[location_id] = Refusal(error.fingerprint, error.detail)
        return PutOffError("token_renewing", "the token was refused and is being renewed")

    def _is_static(self, location_id: str) -> bool:
        return self._static is not None and location_id != "" and location_id == self._static.location_id

    def _open(self, sealed: str) -> str | None:
        try:
            return self._vault.open(sealed)
        except UnreadableError:
            return None
