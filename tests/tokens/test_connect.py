import re
import socket
from pathlib import Path
from typing import Any

import pytest
import requests

from etl.tokens.connecting import rekey
from etl.tokens.vault import Vault, new_key
from tests.command import Command
from tests.tokens.office import Office, Pasting

STATED = "https://x.example/back?code={code}&state=guessed"
KEY = {"ETL_SECRET_KEY": new_key()}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Connecting:
    """``etl connect`` as a process, with an OAuth app, a key, and no token in the environment."""

    def __init__(self, etl: Command, office: Office) -> None:
        self.etl, self.office = etl, office
        etl.environment |= {
            "HIGHLEVEL_TOKEN": "",
            "HIGHLEVEL_LOCATION_ID": "",
            "HIGHLEVEL_BASE_URL": office.sandbox.url,
            "HIGHLEVEL_CLIENT_ID": office.sandbox.client_id,
            "HIGHLEVEL_CLIENT_SECRET": office.sandbox.client_secret,
            "ETL_SECRET_KEY": office.key,
        }

    def browse(self, query: str) -> tuple[int, str, int]:
        """Start it, do what a browser would, and return the exit code, all output, and what the browser was told."""
        redirect = f"http://localhost:{free_port()}/callback"
        with self.etl.start("connect", "--redirect-uri", redirect) as process:
            out = ""
            while "chooselocation" not in out:
                out += process.printed.readline()
            url = re.findall(r"http\S+", out)[0]
            told = requests.get(f"{url}&{query}", timeout=10).status_code
            rest, err = process.communicate(timeout=60)
        return process.returncode, out + rest + err, told


@pytest.fixture
def connecting(etl: Command, office: Office) -> Connecting:
    return Connecting(etl, office)


def test_a_location_is_connected_through_the_browser(connecting: Any) -> None:
    office = connecting.office
    code, _, told = connecting.browse(f"sandbox_location_id={office.second}")
    assert (0, 200, 200) == (code, told, office.status(office.second))


def test_a_company_is_connected_with_all_its_locations(connecting: Any) -> None:
    code, out, _ = connecting.browse("sandbox_user_type=Company")
    assert (0, True) == (code, "3 of its locations have the app" in out)


def test_the_address_that_holds_the_code_may_be_pasted(connecting: Any) -> None:
    office = connecting.office
    code, _ = Pasting(connecting.etl)(f"sandbox_location_id={office.third}")
    assert (0, 200) == (code, office.status(office.third))


@pytest.mark.parametrize("form", ["{code}", "code={code}", "https://x.example/back?code={code}", STATED])
def test_a_code_that_answers_another_request_or_none_connects_nothing(connecting: Any, form: str) -> None:
    office = connecting.office
    # An attacker's, who wants messages of a location of his in our tables; the state of ours he does not know.
    forged = form.format(code=office.code(office.third))
    code, out = Pasting(connecting.etl)(f"sandbox_location_id={office.third}", lambda _: forged)
    assert (2, True) == (code, "That cannot be used" in out)
    assert 0 == office.value("SELECT count(*) FROM etl.locations")


def test_an_unknown_code_is_a_clear_sentence(connecting: Any) -> None:
    def paste(address: str) -> str:
        return re.sub(r"code=[^&]*", "code=nonsense", address)

    code, out = Pasting(connecting.etl)(f"sandbox_location_id={connecting.office.first}", paste)
    assert (2, True) == (code, "Authorization code not found" in out)


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("http://highlevel.invalid:8399", True),
        ("https://highlevel.invalid", False),
        ("http://127.0.0.2:9", False),
        ("http://[::1]:9", False),
        ("http://localhost:9", False),
    ],
)
def test_an_unencrypted_base_url_is_reported_before_a_token_goes_there(
    etl: Command, url: str, *, is_told: bool
) -> None:
    done = etl.alone("connect", "--location", "LOC1", "--token", "pit-secret", HIGHLEVEL_BASE_URL=url, **KEY)
    assert (is_told, "pit-secret" in done.stderr) == (f"Warning: tokens go to {url} unencrypted" in done.stderr, False)


def test_a_pasted_token_is_stored(connecting: Any) -> None:
    office = connecting.office
    token = office.sandbox.token(office.first)
    connecting.etl("connect", "--location", office.first, "--token", stdin=f"  Bearer {token}\n\n")
    assert token == office.token(office.first)


def test_a_pasted_token_that_the_api_refuses_is_not_stored(connecting: Any) -> None:
    office = connecting.office
    done = connecting.etl("connect", "--location", office.first, "--token", stdin="pit-unknown")
    stored = office.value("SELECT count(*) FROM etl.locations")
    assert (2, True, 0) == (done.returncode, "HighLevel refuses this token" in done.stderr, stored)


def test_a_location_without_a_token_is_named_with_the_cure(connecting: Any) -> None:
    office = connecting.office
    office.connect(office.first)
    office.enqueue(office.second)
    done = connecting.etl("run")
    assert (3, True) == (done.returncode, office.second in done.stderr and "etl connect" in done.stderr)


def test_a_run_with_the_environments_token_never_imports_cryptography(connecting: Any, tmp_path: Path) -> None:
    office = connecting.office
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['cryptography'] = None\n")
    office.enqueue(office.first, named="")
    done = connecting.etl("run", HIGHLEVEL_TOKEN=office.sandbox.token(office.first), PYTHONPATH=str(tmp_path))
    assert (0, 5) == (done.returncode, office.value("SELECT count(*) FROM highlevel.messages"))


def test_an_old_key_is_dropped_after_rekeying(office: Office) -> None:
    grant = office.connect(office.first)
    key = new_key()
    rekey(office.engine, Vault([key, office.key]))
    assert grant.access_token == Vault([key]).decrypt(office.value("SELECT access_token FROM etl.locations"))


def test_many_locations_are_connected_from_a_file(connecting: Connecting, office: Office) -> None:
    good = [f"{name}, {office.sandbox.token(name)}" for name in (office.first, office.second)]
    lines = ["# location, token", "", good[0], f"{office.third} pit-unknown  # of last year", good[1]]
    done = connecting.etl("connect", "--file", "-", stdin="\n".join(lines))
    assert (1, 2) == (done.returncode, done.stdout.count("is connected\n"))
    assert f"{office.third} is not connected: HighLevel refuses this token" in done.stderr
    assert [office.sandbox.token(name) for name in (office.first, office.second)] == [
        office.token(name) for name in (office.first, office.second)
    ]


def test_a_file_with_mistakes_stores_nothing_and_names_every_line_without_its_token(
    connecting: Connecting, office: Office
) -> None:
    lines = f"{office.first} pit-hush\nonlyalocation\na/b pit-hush\n{office.first} pit-hush\n"
    (connecting.etl.directory / "tokens.csv").write_text(lines)
    done = connecting.etl("connect", "--file", "tokens.csv")
    assert (2, False, 0) == (done.returncode, "hush" in done.stderr, office.value("SELECT count(*) FROM etl.locations"))
    assert ["tokens.csv:2", "tokens.csv:3", "tokens.csv:4"] == re.findall(r"tokens\.csv:\d", done.stderr)
