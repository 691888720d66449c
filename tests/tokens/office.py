"""A warehouse, a HighLevel look-alike, and an OAuth app between them."""

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from sqlalchemy import Engine, text

from etl.api.client import Client
from etl.api.oauth import Grant, OAuth
from etl.api.transport import Transport
from etl.app.composition import build_loop
from etl.config.jobs import Job
from etl.sandbox.server import RunningSandbox
from etl.state import locations, message_queue, stored_tokens
from etl.tokens import connecting
from etl.tokens.renewal import Renewal
from etl.tokens.renewal_threads import Renewals
from etl.tokens.routing import LocationTokens, TokenRouting
from etl.tokens.vault import Vault
from etl.worker.evidence import SharedEvidence
from etl.worker.loop import Loop
from etl.worker.run import Report, RunLimits, RunSpec
from tests.command import Command


class Pasting:
    """``etl connect --paste``, and a browser on another machine."""

    def __init__(self, etl: Command) -> None:
        self._etl = etl

    def __call__(self, query: str, paste: Callable[[str], str] = lambda address: address) -> tuple[int, str]:
        """Visit what it prints, and paste something made of where that led; returns exit code and all output."""
        with self._etl.start("connect", "--paste") as process:
            out = ""
            while "chooselocation" not in out:
                out += process.printed.readline()
            url = re.findall(r"http\S+", out)[0]
            address = requests.get(f"{url}&{query}", timeout=10, allow_redirects=False).headers["Location"]
            rest, err = process.communicate(paste(address), timeout=60)
        return process.returncode, out + rest + err


class Office:
    """A warehouse, a HighLevel look-alike, and an OAuth app between them."""

    def __init__(self, engine: Engine, sandbox: RunningSandbox, key: str) -> None:
        self._open = ExitStack()
        self.engine = engine
        self.sandbox = sandbox
        self.key = key
        self.vault = Vault([key])
        self.oauth = self.app()
        self.renewal = Renewal(engine=engine, vault=self.vault, oauth=self.oauth)
        self.first, self.second, self.third = sandbox.location_ids

    def app(self, *, url: str | None = None, client_secret: str | None = None) -> OAuth:
        return OAuth(
            self.transport(url),
            client_id=self.sandbox.client_id,
            client_secret=client_secret or self.sandbox.client_secret,
        )

    def transport(self, url: str | None = None) -> Transport:
        """Connections to the sandbox, or to another server."""
        transport = Transport(base_url=url or self.sandbox.url, pool_size=4, user_agent="tests")
        return self._open.enter_context(transport)

    def code(self, location_id: str | None = None, *, company: bool = False) -> str:
        """A code, as if somebody had chosen the location or the company in a browser."""
        query = {"client_id": self.sandbox.client_id, "redirect_uri": "http://127.0.0.1:1/back"}
        query |= {"sandbox_user_type": "Company"} if company else {"sandbox_location_id": location_id or self.first}
        url = f"{self.sandbox.url}/v2/oauth/chooselocation"
        answer = requests.get(url, params=query, timeout=10, allow_redirects=False)
        return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]

    def connect(self, location_id: str) -> Grant:
        grant = self.oauth.exchange(self.code(location_id))
        connecting.keep(self.engine, self.vault, grant, app_id=self.oauth.app_id)
        return grant

    def connect_company(self) -> Grant:
        grant = self.oauth.exchange(self.code(company=True))
        company_id = connecting.keep(self.engine, self.vault, grant, app_id=self.oauth.app_id).id
        connecting.list_company(self.engine, self.vault, self.oauth, company_id)
        return grant

    def connect_private(self, location_id: str) -> None:
        connecting.keep_private(self.engine, self.vault, location_id, self.sandbox.token(location_id))

    def expire(self, table: str = "locations") -> None:
        """Let every stored token expire, as far as we know."""
        statement = "UPDATE etl.locations SET token_expires_at = now() - interval '1 second'"
        self.execute(statement.replace("locations", table))

    def token(self, location_id: str) -> str:
        """The stored access token."""
        with self.engine.connect() as connection:
            return self.vault.decrypt(stored_tokens.statuses(connection, [location_id])[location_id].access_token or "")

    def status(self, location_id: str) -> int:
        """The API's answer to the stored token."""
        message_id = self.sandbox.dataset.ids(location_id)[0]
        return self.sandbox.get(message_id, token=self.token(location_id)).status_code

    def place(self, location_id: str) -> locations.Overview:
        with self.engine.connect() as connection:
            return {each.location_id: each for each in locations.overview(connection)}[location_id]

    def execute(self, statement: str, **parameters: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), parameters)

    def value(self, query: str, **parameters: Any) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(text(query), parameters).scalar_one()

    def enqueue(self, location_id: str, count: int = 5, *, named: str | None = None) -> None:
        """Queue messages of a location, named by it or otherwise."""
        ids = self.sandbox.dataset.ids(location_id)[:count]
        with self.engine.begin() as connection:
            message_queue.enqueue(connection, ids, kind="message", location_id=location_id if named is None else named)

    def tokens(
        self,
        *,
        routing: TokenRouting | None = None,
        renewal: Renewal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> LocationTokens:
        """Tokens that have resolved nothing yet; the pauses between renewals go by the clock."""
        renewals = self._open.enter_context(Renewals(renewal or self.renewal, clock))
        return LocationTokens(
            routing=routing or TokenRouting(), vault=self.vault, renewals=renewals, clock=time.monotonic
        )

    def close(self) -> None:
        """Let no renewal outlive the database."""
        self._open.close()

    def loop(
        self,
        tokens: LocationTokens | None = None,
        *,
        follow: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> Loop:
        """A run that has not started."""
        return build_loop(
            Client(self.transport(), api_version="2021-07-28"),
            tokens or self.tokens(),
            self.engine,
            RunSpec(
                Job(name="messages", max_attempts=3, concurrency=4, batch_size=20),
                RunLimits(max_seconds=100.0, follow=follow),
            ),
            listening=self.engine,
            shared=SharedEvidence(),
            clock=clock,
        )

    def run(self, tokens: LocationTokens | None = None) -> Report:
        """One whole run."""
        return self.loop(tokens).run()
