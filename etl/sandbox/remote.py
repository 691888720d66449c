"""Controls a running sandbox over HTTP, for tests and the demo."""

import time
from typing import Any, Self

import requests

from etl.sandbox.config import SandboxConfig
from etl.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, PIT


class Sandbox:
    """A running sandbox, wherever it runs. Every method raises :class:`requests.RequestException` when refused.

    Attributes:
        url: its base URL, for ``HIGHLEVEL_BASE_URL``.
        dataset: the data it serves, made again here from the same configuration.
        client_id, client_secret: the OAuth app it knows.
    """

    client_id = CLIENT_ID
    client_secret = CLIENT_SECRET

    def __init__(self, url: str, config: SandboxConfig | None = None) -> None:
        self.url = url
        self.config = config or SandboxConfig()
        self.dataset = self.config.dataset()
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def location_ids(self) -> tuple[str, ...]:
        """Return the locations it serves."""
        return self.dataset.location_ids

    def token(self, location_id: str) -> str:
        """Return the private integration token of a location."""
        return PIT + location_id

    def get(self, message_id: str, *, token: str | None = None) -> requests.Response:
        """Ask for a message, by default with its own location's token; whatever the status."""
        thing = self.dataset.things.get(message_id)
        owner = self.location_ids[0] if thing is None else thing.location_id
        return self.ask(f"/conversations/messages/{message_id}", token=token or self.token(owner))

    def ask(self, path: str, *, token: str | None = None, **query: Any) -> requests.Response:
        """Ask for anything, by default with the first location's token; whatever the status."""
        headers = {"Authorization": f"Bearer {token or self.token(self.location_ids[0])}", "Version": "2021-07-28"}
        return self._session.get(self.url + path, params=query, headers=headers, timeout=30, allow_redirects=False)

    def faults(self, **plan: Any) -> None:
        """Replace the faults; without arguments, remove all. The keys are those of ``etl.sandbox.faults``."""
        self._act("faults", **plan)

    def limits(self, **limit: Any) -> None:
        """Change the limit of every location; the keys are those of :class:`etl.sandbox.limits.Limit`."""
        self._act("limits", **limit)

    def stats(self) -> dict[str, Any]:
        """Return the counts so far."""
        return dict(self._session.get(f"{self.url}/sandbox/stats", timeout=30).json())

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
        """Restore the initial state."""
        self._act("reset")

    def release(self) -> None:
        """Release the answers that the fault ``hold`` holds."""
        self._act("release")

    def revoke(self, *, token: str | None = None, location_id: str | None = None) -> None:
        """Revoke one token, or every token of a location."""
        self._act("revoke", token=token, location_id=location_id)

    def change(self, known_id: str, **patch: Any) -> None:
        """Change fields of a message, email, contact, user or location; None removes one."""
        self._act("change", known_id=known_id, patch=patch)

    def delete(self, known_id: str) -> None:
        """Delete one of these in the sandbox."""
        self._act("delete", known_id=known_id)

    def expire_cursors(self) -> None:
        """Let every export that has begun die."""
        self._act("expire_cursors")

    def close(self) -> None:
        """Close the connection; where the sandbox was started here, stop it, too."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _act(self, action: str, **arguments: Any) -> Any:
        response = self._session.post(f"{self.url}/sandbox/{action}", json=arguments, timeout=30)
        response.raise_for_status()
        return response.json()
