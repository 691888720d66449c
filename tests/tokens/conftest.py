from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sqlalchemy import Engine, text

from etl import location_tokens, locations, message_queue
from etl.extract import connecting
from etl.extract.client import Client
from etl.extract.oauth import Grant, OAuth
from etl.extract.renewal import Renewal
from etl.extract.renewal_threads import PAUSES, Renewals
from etl.extract.tokens import LocationTokens, StaticToken
from etl.extract.vault import Vault, new_key
from etl.pipeline import DatabaseClock, Pipeline
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from etl.worker.claims import Claims
from etl.worker.loop import Loop, Plan, Report
from etl.worker.settlement import Settlement


class Office:
    """A warehouse, a HighLevel look-alike, and an OAuth app between them."""

    def __init__(self, engine: Any, sandbox: RunningSandbox, key: str) -> None:
        self.engine: Engine = engine
        self.sandbox = sandbox
        self.key = key
        self.vault = Vault([key])
        self.oauth = self.app()
        self.renewal = Renewal(engine=engine, vault=self.vault, oauth=self.oauth)
        self.first, self.second, self.third = sandbox.location_ids
        self._renewals: list[Renewals] = []

    def app(self, *, url: str | None = None, client_secret: str | None = None) -> OAuth:
        return OAuth(
            base_url=url or self.sandbox.url,
            client_id=self.sandbox.client_id,
            client_secret=client_secret or self.sandbox.client_secret,
            user_agent="tests",
        )

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
        connecting.add_locations(self.engine, self.oauth, company_id=company_id, company_token=grant.access_token)
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
            return self.vault.open(location_tokens.sealed(connection, [location_id])[location_id][1])

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
        static: StaticToken | None = None,
        default_location: str = "",
        renewal: Renewal | None = None,
        pauses: tuple[float, ...] = PAUSES,
    ) -> LocationTokens:
        renewals = Renewals((renewal or self.renewal).renew, pauses=pauses)
        self._renewals.append(renewals)
        return LocationTokens(static=static, default_location=default_location, vault=self.vault, renewals=renewals)

    def close(self) -> None:
        """Let no renewal outlive the database."""
        for renewals in self._renewals:
            renewals.close()

    def run(self, tokens: LocationTokens | None = None, **plan: Any) -> Report:
        """One whole run."""
        chosen = tokens or self.tokens()
        clock = DatabaseClock()
        client = Client(base_url=self.sandbox.url, api_version="2021-07-28", pool_size=4, user_agent="tests")
        pipeline = Pipeline(client=client, token_of=chosen.token_of, clock=clock, refused=chosen.refused)
        return Loop(
            engine=self.engine,
            claims=Claims(kind="message", tokens=chosen),
            process=pipeline.process,
            settlement=Settlement(max_attempts=3, fingerprint=chosen.fingerprint),
            clock=clock,
            plan=Plan("messages", 4, 20, **({"max_seconds": 20.0} | plan)),
        ).run()


@pytest.fixture(scope="session")
def _token_sandbox() -> Iterator[RunningSandbox]:
    with RunningSandbox(SandboxConfig(limit=None, daily=None, messages=200)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def key() -> str:
    return new_key()


@pytest.fixture
def office(engine: Engine, _token_sandbox: RunningSandbox, key: str) -> Iterator[Office]:
    """Three locations, none of them connected."""
    _token_sandbox.reset()
    office = Office(engine, _token_sandbox, key)
    yield office
    office.close()


@pytest.fixture
def app(_token_sandbox: RunningSandbox, key: str) -> Office:
    """The same without a warehouse: only an app at HighLevel."""
    _token_sandbox.reset()
    return Office(None, _token_sandbox, key)
