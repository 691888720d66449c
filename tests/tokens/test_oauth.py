import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from etl.api.oauth import (
    ClientRefusedError,
    Grant,
    GrantRefusedError,
    InactiveError,
    OAuth,
    OAuthError,
    OAuthUnavailableError,
)
from etl.api.transport import Transport
from tests.tokens.office import Office


@contextmanager
def app_at(url: str) -> Iterator[OAuth]:
    with Transport(base_url=url, pool_size=1, user_agent="tests") as transport:
        yield OAuth(transport, client_id="app-1", client_secret="hush")


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[OAuth]:
    """An app at a server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with app_at(f"http://127.0.0.1:{server.server_port}") as app:
            yield app
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refused_with(status: int, answer: object) -> OAuthError:
    with answering(status, json.dumps(answer).encode()) as app, pytest.raises(OAuthError) as raised:
        app.refresh("refresh-1", user_type="Location")
    return raised.value


def test_a_code_gives_the_tokens_of_its_location(office: Office) -> None:
    grant = office.oauth.exchange(office.code(office.second))
    assert ("Location", office.second) == (grant.user_type, grant.location_id)


def test_a_company_code_gives_the_tokens_of_the_company(office: Office) -> None:
    grant = office.oauth.exchange(office.code(company=True))
    assert ("Company", office.sandbox.dataset.company_id) == (grant.user_type, grant.company_id)


def test_a_refresh_token_gives_the_next_pair(office: Office) -> None:
    first = office.oauth.exchange(office.code())
    second = office.oauth.refresh(first.refresh_token or "", user_type="Location")
    assert first.access_token != second.access_token


def test_the_tokens_lifetime_is_in_seconds(office: Office) -> None:
    assert 86_399 == office.oauth.exchange(office.code()).expires_in


def test_a_company_token_gives_a_location_token_without_refresh_token(office: Office) -> None:
    company = office.oauth.exchange(office.code(company=True))
    grant = office.oauth.location_token(
        company_token=company.access_token, company_id=company.company_id or "", location_id=office.third
    )
    assert (office.third, None) == (grant.location_id, grant.refresh_token)


def test_the_locations_of_a_company_are_listed(office: Office) -> None:
    company = office.oauth.exchange(office.code(company=True))
    installed = office.oauth.installed_locations(
        company_token=company.access_token, company_id=company.company_id or ""
    )
    assert set(office.sandbox.location_ids) == set(installed)


def test_reconnecting_gives_a_code_of_the_location(office: Office) -> None:
    assert office.second == office.oauth.exchange(office.oauth.reconnect(location_id=office.second)).location_id


def test_an_unknown_code_is_refused(office: Office) -> None:
    with pytest.raises(GrantRefusedError, match="Authorization code not found"):
        office.oauth.exchange("nonsense")


def test_a_wrong_secret_is_the_apps_fault(office: Office) -> None:
    with pytest.raises(ClientRefusedError):
        office.app(client_secret="wrong").exchange(office.code())


def test_a_used_refresh_token_is_refused() -> None:
    answer = {"statusCode": 400, "message": "Invalid grant: refresh token is invalid"}
    assert GrantRefusedError is type(refused_with(400, answer))


def test_an_inactive_location_is_distinguished_from_a_bad_token() -> None:
    assert InactiveError is type(refused_with(400, {"message": "Location is not active"}))


@pytest.mark.parametrize("status", [302, 408, 429, 500, 503])
def test_a_server_in_trouble_refuses_nobody(status: int) -> None:
    assert OAuthUnavailableError is type(refused_with(status, {"message": "later"}))


def test_a_page_where_json_belongs_refuses_nobody() -> None:
    with answering(403, b"<html>blocked</html>") as app, pytest.raises(OAuthUnavailableError):
        app.refresh("refresh-1", user_type="Location")


def test_an_answer_cut_off_in_the_middle_refuses_nobody() -> None:
    with answering(200, b'{"access_token": "eyJ') as app, pytest.raises(OAuthUnavailableError):
        app.refresh("refresh-1", user_type="Location")


def test_no_server_refuses_nobody() -> None:
    with app_at("http://127.0.0.1:1") as app, pytest.raises(OAuthUnavailableError):
        app.refresh("refresh-1", user_type="Location")


def test_a_grant_in_the_other_dialect_is_understood() -> None:
    answer = {"accessToken": "a", "refreshToken": "r", "expiresIn": 60, "userType": "Location", "locationId": "L"}
    with answering(200, json.dumps(answer).encode()) as app:
        grant = app.refresh("refresh-1", user_type="Location")
    assert ("a", "r", 60.0, "L") == (grant.access_token, grant.refresh_token, grant.expires_in, grant.location_id)


@pytest.mark.parametrize("secret", ["hush", "refresh-1"])
def test_a_secret_that_the_server_repeats_is_not_in_the_error(secret: str) -> None:
    assert secret not in str(refused_with(400, {"message": "no: hush refresh-1"}))


def test_an_error_carries_no_chain_that_could_hold_the_request() -> None:
    with app_at("http://127.0.0.1:1") as app, pytest.raises(OAuthUnavailableError) as raised:
        app.refresh("refresh-1", user_type="Location")
    assert (None, True) == (raised.value.__cause__, raised.value.__suppress_context__)


def test_the_repr_of_a_grant_shows_no_token() -> None:
    grant = Grant("secret-a", "secret-r", 60.0, "Location", "L", "C", 0.0)
    assert "secret" not in repr(grant)
