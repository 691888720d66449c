import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from etl.state.message_queue import Item
from etl.tokens.renewal import Renewal
from etl.tokens.vault import Vault
from etl.worker.pipeline import Claimed
from tests.command import Command
from tests.tokens.office import Office, Pasting

# Prints every exception whole, and everything any library logs.
SITECUSTOMIZE = """
import logging
logging.basicConfig(level=logging.DEBUG)
import click, sys, traceback
echo = click.echo
def echo_with_traceback(*arguments, **named):
    if sys.exc_info()[0] is not None:
        traceback.print_exc()
    echo(*arguments, **named)
click.echo = echo_with_traceback
"""


def dump(office: Office) -> str:
    """Every row of every table, as text."""
    with office.engine.connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('etl', 'highlevel')"
        ).scalars()
        return "\n".join(
            str(row)
            for table in tables
            for row in connection.exec_driver_sql(
                f"SELECT t::text, CASE WHEN to_jsonb(t) ? 'payload' "  # noqa: S608 - our own tables' names
                f"THEN encode(decode(substr(to_jsonb(t) ->> 'payload', 3), 'hex'), 'escape') END FROM {table} AS t"
            )
        )


class Secrets:
    """Every secret of a whole story, to be searched for."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def add(self, *secrets: str | None) -> None:
        self.known |= {secret for secret in secrets if secret}

    def found_in(self, text: str) -> list[str]:
        return sorted(secret[:12] for secret in self.known if secret in text)


@pytest.fixture
def story(etl: Command, engine: Engine, key: str, office: Office, tmp_path: Path) -> tuple[str, str, Secrets]:
    """All output of a story in which everything goes wrong that can, all tables, and the secrets that were in it."""
    secrets = Secrets()
    config = SandboxConfig(limit=None, daily=None, messages=60)
    with RunningSandbox(config) as sandbox, closing(type(office)(engine, sandbox, key)) as place:
        (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
        static = sandbox.token(place.first)
        etl.environment |= {
            "HIGHLEVEL_TOKEN": static,
            "HIGHLEVEL_LOCATION_ID": place.first,
            "HIGHLEVEL_BASE_URL": sandbox.url,
            "HIGHLEVEL_CLIENT_ID": sandbox.client_id,
            "HIGHLEVEL_CLIENT_SECRET": sandbox.client_secret,
            "ETL_SECRET_KEY": key,
            "LOG_LEVEL": "debug",
            "PYTHONPATH": str(tmp_path),
        }
        secrets.add(static, key, sandbox.client_secret, sandbox.token(place.third))
        out = "".join(_tell(etl, place, secrets))
    return out, dump(place), secrets


def _tell(etl: Command, place: Office, secrets: Secrets) -> Iterator[str]:
    sandbox = place.sandbox

    def run(*arguments: str, stdin: str | None = None, **given: str) -> str:
        done = etl.alone(*arguments, stdin=stdin, **given)
        return f"{arguments[:2]}: {done.returncode}\n{done.stdout}{done.stderr}"

    codes: list[str] = []

    def paste(address: str) -> str:
        """The first time what is right, then with the same code again."""
        codes.extend(re.findall(r"code=([^&]+)", address))
        secrets.add(*codes)
        return address.replace(codes[-1], codes[0])

    for _ in range(2):
        yield "connect --paste: {}\n{}".format(*Pasting(etl)(f"sandbox_location_id={place.second}", paste))
    yield run("connect", "--location", place.third, "--token", stdin=sandbox.token(place.third))
    yield run("connect", "--location", place.third, "--token", sandbox.token(place.third) + "-wrong")
    _learn(place, secrets)
    place.enqueue(place.second, 8)
    place.expire()
    secrets.add("wrong-secret-of-mine")
    yield run("run", HIGHLEVEL_CLIENT_SECRET="wrong-secret-of-mine")
    place.enqueue(place.first, 8)
    # Fewer than make an outage, which would end the run before the second location has its token.
    place.enqueue(place.third, 4)
    # The server repeats the token in whatever it answers.
    texts = [f"Invalid JWT {sandbox.token(place.first)}", f"no scope {place.token(place.second)}", "Bad Request"]
    ids = {}
    for kind, text, name in zip(("401", "403", "422"), texts, sandbox.location_ids, strict=True):
        for message_id in sandbox.dataset.ids(name)[:8]:
            ids[message_id] = {"kind": kind, "text": f"{text} {sandbox.token(name)}"}
    sandbox.faults(ids=ids)
    place.expire()
    yield run("run", "--json")
    _learn(place, secrets)
    for command in (("status", "--json"), ("locations", "list", "--json"), ("doctor", "--json")):
        yield run(*command)
    yield run("dead", "show", sandbox.dataset.ids(place.third)[0])


def _learn(place: Office, secrets: Secrets) -> None:
    """Note the tokens that are stored now."""
    with place.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT access_token, refresh_token FROM etl.locations").all()
    secrets.add(*(place.vault.decrypt(sealed) for row in rows for sealed in row if sealed))


def test_no_secret_is_in_any_output_or_table(story: tuple[str, str, Secrets]) -> None:
    out, tables, secrets = story
    shown = ("Traceback", "urllib3.connectionpool", "Authorization code not found", "token_not_renewed", "[secret]")
    assert [] == [word for word in shown if word not in out]
    assert [] == [word for word in ("token_refused", "not_authorized", "http_422") if word not in tables]
    assert [] == secrets.found_in(out)
    assert [] == secrets.found_in(tables)


def test_no_repr_shows_a_secret(office: Office) -> None:
    office.connect(office.first)
    tokens = office.tokens()
    with office.engine.connect() as connection:
        served, _ = tokens.resolve(connection, [office.first])
    shown = " ".join(
        repr(each)
        for each in (
            tokens,
            vars(tokens),
            Claimed(Item("message", "MSG1", office.first, 1, 1, None, datetime.now(UTC)), served[office.first], 0.0),
            office.oauth,
            office.vault,
            Renewal(engine=office.engine, vault=office.vault, oauth=office.oauth),
            Vault([office.key]),
        )
    )
    secrets = (office.token(office.first), office.key, office.sandbox.client_secret)
    assert [] == [secret for secret in secrets if secret in shown]
