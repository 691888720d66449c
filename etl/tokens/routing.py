"""Resolves which token serves a location. No token reaches a log, an error or a repr. Sends no requests."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from math import inf

from sqlalchemy import Connection

from etl.bearer import fingerprint
from etl.errors import ItemError, LocationError, SnoozedError, TokenError
from etl.state import locations, stored_tokens
from etl.state.outcomes import SkipCause
from etl.state.stored_tokens import TokenStatus
from etl.tokens.renewal import Refusal
from etl.tokens.renewal_threads import Renewals
from etl.tokens.vault import UnreadableError, Vault


@dataclass(frozen=True, slots=True)
class Token:
    """The token that is sent for the items of a location. The repr hides it."""

    location_id: str
    """The location whose token it is, and whose allowance it uses."""
    bearer: str = field(repr=False)
    fingerprint: str
    expires_at: float = inf
    """When it expires, on the clock of its run; of one that is never renewed, not known."""
    is_renewable: bool = False


@dataclass(frozen=True, slots=True)
class TokenRouting:
    """The rule for whose token serves a location.

    A connected location is served by its own token. The environment's token serves its own location, even if that is
    connected, and items without a location. It serves no other location, even if its own location is not known, because
    anybody may have named the other one.
    """

    token: str | None = field(default=None, repr=False)
    """The environment's token, which is never renewed; None: there is none."""
    location_id: str = ""
    """The location of the environment's token, and of items that name none; empty: not known."""

    def is_environment(self, location_id: str) -> bool:
        """Return whether the environment's token is that location's own."""
        return self.token is not None and location_id == self.location_id

    def token_location_id(self, location_id: str, *, connected: Container[str]) -> str | None:
        """Return the location whose token and allowance an item of ``location_id`` uses; None: no token serves it.

        ``connected`` are the locations with a token from which the app was not uninstalled.
        """
        name = location_id or self.location_id
        return name if self.is_environment(name) or name in connected else None


class LocationTokens:
    """The environment's token and the stored ones, by the rule of :class:`TokenRouting`. Belongs to one thread."""

    def __init__(
        self, *, routing: TokenRouting, vault: Vault, renewals: Renewals | None, clock: Callable[[], float]
    ) -> None:
        """Renew tokens with ``renewals``; None: renew none."""
        self.routing = routing
        self._vault = vault
        self._renewals = renewals
        self._clock = clock
        token = routing.token
        self._environment = None if token is None else Token(routing.location_id, token, fingerprint(token))
        self._stored: dict[str, Token] = {}
        self._refusals: dict[str, Refusal] = {}

    def resolve(
        self, connection: Connection, location_ids: Iterable[str]
    ) -> tuple[dict[str, Token], dict[str, list[str]]]:
        """Return the token that serves each of these locations, and, by cause, the locations that no token serves now.

        Reads the stored tokens once. Starts renewals that are due. A pause ends with the token that was refused.
        """
        own = {name: name or self.routing.location_id for name in location_ids}
        statuses = stored_tokens.statuses(connection, sorted({*own.values()})) if own else {}
        found = {name: self._resolve(connection, name, statuses.get(name)) for name in {*own.values()}}
        served: dict[str, Token] = {}
        stopped: dict[str, list[str]] = {}
        for name, location_id in own.items():
            token = found[location_id]
            if isinstance(token, Token):
                served[name] = token
            else:
                stopped.setdefault(token, []).append(name)
        return served, stopped

    def _resolve(self, connection: Connection, location_id: str, status: TokenStatus | None) -> Token | SkipCause:
        environment = self._environment if self.routing.is_environment(location_id) else None
        if status is None:
            return environment or SkipCause.NOT_CONNECTED
        if environment is None and not status.is_connected:
            return SkipCause.NOT_CONNECTED
        if status.is_paused:
            current = environment.fingerprint if environment else status.fingerprint or ""
            if status.paused_token in (None, current):
                return SkipCause.PAUSED
            locations.unpause(connection, location_id=location_id)
        return environment or self._read(location_id, status)

    def _read(self, location_id: str, status: TokenStatus) -> Token | SkipCause:
        """Return the stored token; start its renewal when that is due or the API refused it."""
        if status.access_token is None or status.fingerprint is None:
            return self._renew(location_id, None)
        last = self._stored.get(location_id)
        try:
            is_known = last is not None and last.fingerprint == status.fingerprint
            bearer = last.bearer if last is not None and is_known else self._vault.decrypt(status.access_token)
        except UnreadableError:
            return SkipCause.NO_TOKEN
        if status.source == "private":
            self._stored[location_id] = Token(location_id, bearer, status.fingerprint)
            return self._stored[location_id]
        left = status.seconds_left or 0.0
        token = Token(location_id, bearer, status.fingerprint, self._clock() + left, is_renewable=True)
        self._stored[location_id] = token
        refusal = self._refusals.get(location_id)
        if refusal is not None and refusal.fingerprint == token.fingerprint:
            return self._renew(location_id, refusal)
        self._refusals.pop(location_id, None)
        if left <= 0:
            return self._renew(location_id, None)
        if left < (status.margin or 0.0):
            self._renew(location_id, None)
        return token

    def _renew(self, location_id: str, refusal: Refusal | None) -> SkipCause:
        """Have the next token fetched; say what the location waits for."""
        return SkipCause.NO_TOKEN if self._renewals is None else self._renewals.ask(location_id, refusal)

    def is_outdated(self, token: Token) -> bool:
        """Return whether a refusal of the token says nothing: it was refused before, replaced, or has expired."""
        if not token.is_renewable:
            return False
        last, refusal = self._stored.get(token.location_id), self._refusals.get(token.location_id)
        is_last = last is not None and last.fingerprint == token.fingerprint
        is_refused = refusal is not None and refusal.fingerprint == token.fingerprint
        return not is_last or is_refused or self._clock() >= token.expires_at

    def after_refusal(self, token: Token, error: LocationError) -> ItemError:
        """Return the error for a refusal that is no fault of one item: a token that can be renewed is renewed once."""
        if not token.is_renewable or not isinstance(error, TokenError):
            return error
        if not self.is_outdated(token):
            self._refusals[token.location_id] = Refusal(token.fingerprint, error.detail)
        return SnoozedError("token_renewing", "the token was refused and is being renewed")
