"""Which token serves a location. Tokens never reach a log, an error or a repr."""

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StaticToken:
    """The one token of the environment.

    With its location known, it serves that location and items without one. Without, it serves every item, and all of
    them share one allowance.
    """

    token: str = field(repr=False)
    location_id: str = ""

    def serves(self, location_id: str) -> str | None:
        """The location whose token and allowance an item uses; None when nobody serves it."""
        if not self.location_id or location_id in ("", self.location_id):
            return self.location_id
        return None

    def fingerprint(self, location_id: str) -> str:  # noqa: ARG002 - one token serves all
        """Tells one token from another without giving it away."""
        return hashlib.sha256(self.token.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def token_of(self, location_id: str) -> str:  # noqa: ARG002 - one token serves all
        """The token to send."""
        return self.token
