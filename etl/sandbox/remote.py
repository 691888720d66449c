"""Talks to a running sandbox over HTTP and nothing else: what tests and the demo hold in their hands."""

import time
from types import TracebackType
from typing import Any, Self

import requests

from etl.sandbox.config import SandboxConfig
from etl.sandbox.oauth import AGENCY_PIT, CLIENT_ID, CLIENT_SECRET, PIT


class Sandbox:
    """A running sandbox, wherever it runs. Every method raises :class:`requests.RequestException` when refused.

    Attributes:
        url: its base URL, for ``HIGHLEVEL_BASE_URL``.
        dataset: the data it serves, made again here from the same configuration.
        client_id, client_secret: the OAuth app it knows.
        agency_token: a private token of the agency, which may not read messages.
    """

    client_id = CLIENT_ID
    client_secret = CLIENT_SECRET
    agency_token = AGENCY_PIT

    def __init__(self, url: str, config: SandboxConfig | None = None) -> None:
        self.url = url
        self.config = config or SandboxConfig()
        self.dataset = self.config.dataset()
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def location_ids(self) -> tuple[str, ...]:
        """The locations it serves."""
        return self.dataset.location_ids

    def token(self, location_id: str) -> str:
        """The private integration token of a location."""
        return PIT + location_id

    def get(self, message_id: str, *, token: str | None = None) -> requests.Response:
        """Ask for a message, by default with its own location's token; whatever the status."""
        owner = self.dataset.location_of(message_id) or self.dataset.location_ids[0]
        return self.ask(f"/conversations/messages/{message_id}", token=token or self.token(owner))

    def ask(self, path: str, *, token: str | None = None, **query: Any) -> requests.Response:
        """Ask for anything, by default with the first location's token; whatever the status."""
        headers = {"Authorization": f"Bearer {token or self.token(self.location_ids[0])}", "Version": "2021-07-28"}
        return self._session.get(self.url + path, params=query, headers=headers, timeout=30, allow_redirects=False)

    def faults(self, **plan: Any) -> None:
        """Replace what goes wrong; without arguments nothing does. The keys are those of ``etl.sandbox.faults``."""
        self._call("PUT", "faults", plan)

    def limits(self, location_id: str | None = None, **limit: Any) -> None:
        """Change the limit of one location or of all; keys: limit, interval, daily, window, retry_after."""
        self._call("PUT", "limits", limit if location_id is None else limit | {"location_id": location_id})

    def stats(self, *, ids: bool = False) -> dict[str, Any]:
        """What was counted so far; with ``ids`` the requests for each message too."""
        answer: dict[str, Any] = self._call("GET", "stats?ids=1" if ids else "stats").json()
        return answer

    def wait_for(self, *, requests: int = 0, held: int = 0, seconds: float = 60.0) -> None:
        """Return when so many requests have come, and so many answers are held.

        Raises:
            TimeoutError: they did not come within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while (stats := self.stats())["requests"] < requests or stats["held"] < held:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{stats['requests']} requests came, {stats['held']} answers are held")
            time.sleep(0.01)

    def reset(self) -> None:
        """Back to how it started."""
        self._call("POST", "reset")

    def release(self) -> None:
        """Let go of the answers that the fault ``hold`` holds."""
        self._call("POST", "release")

    def revoke(self, *, token: str | None = None, location_id: str | None = None) -> None:
        """Revoke one token, or every token of a location."""
        self._call("POST", "revoke", {"token": token, "location_id": location_id})

    def lack(self, location_id: str, *scopes: str) -> None:
        """Take these scopes from the tokens of a location, and give back any others."""
        self._call("POST", "lack", {"location_id": location_id, "scopes": scopes})

    def change(self, known_id: str, **patch: Any) -> None:
        """Change fields of a message, email, contact, user or location; None removes one."""
        self._call("PUT", f"data/{known_id}", patch)

    def delete(self, known_id: str) -> None:
        """Make one of these disappear upstream."""
        self._call("DELETE", f"data/{known_id}")

    def late_media(self, message_id: str) -> None:
        """Let a message come without its media (docs issues 212 and 299); :meth:`change` brings them."""
        self.change(message_id, attachments=None, body="")

    def grow(self, message_id: str) -> str:
        """Add an email to the thread of a message; returns its id."""
        return str(self._call("POST", "grow", {"message_id": message_id}).json())

    def expire_cursors(self) -> None:
        """Let every export that has begun die."""
        self._call("POST", "expire_cursors")

    def unready(self, message_id: str, *kinds: str) -> None:
        """Let a call have no ``recording`` or ``transcription`` yet, until :meth:`ready`."""
        self._call("POST", "missing", {f"{kind}/{message_id}": None for kind in kinds})

    def ready(self, message_id: str, *kinds: str) -> None:
        """The opposite of :meth:`unready`."""
        self._call("POST", "missing", {f"{kind}/{message_id}": 0 for kind in kinds})

    def close(self) -> None:
        """Stop talking to it; whoever started it also stops it here."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: str, path: str, body: object = None) -> requests.Response:
        response = self._session.request(method, f"{self.url}/sandbox/{path}", json=body, timeout=30)
        response.raise_for_status()
        return response
