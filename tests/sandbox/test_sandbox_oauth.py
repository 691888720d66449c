from base64 import urlsafe_b64decode
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from etl.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, Authority
from etl.sandbox.replies import RefusedError
from etl.sandbox.server import RunningSandbox

APP = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(clock: Clock) -> Authority:
    return Authority("company", {"place": "Here", "other": "There"}, clock=clock)


def install(authority: Authority, location_id: str | None = "place") -> dict[str, str]:
    code = authority.authorize(location_id)
    return authority.token(APP | {"grant_type": "authorization_code", "code": code})


def refresh(authority: Authority, token: str, **changes: str) -> dict[str, str]:
    return authority.token(APP | {"grant_type": "refresh_token", "refresh_token": token} | changes)


def test_a_code_gives_a_token_of_its_location(authority: Authority) -> None:
    assert "place" == authority.location_of(install(authority)["access_token"])


def test_a_company_code_gives_a_token_of_the_company(authority: Authority) -> None:
    assert authority.location_of(install(authority, None)["access_token"]) is None


def test_the_answer_has_the_documented_keys(authority: Authority) -> None:
    documented = {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "scope",
        "userType",
        "companyId",
        "userId",
    }
    assert documented | {"locationId", "refreshTokenId"} == set(install(authority))


def test_a_token_says_whose_it_is_like_a_jwt(authority: Authority) -> None:
    claims = urlsafe_b64decode(install(authority)["access_token"].split(".")[1] + "==")
    assert b'"authClass": "Location", "authClassId": "place"' in claims


def test_a_code_works_once(authority: Authority) -> None:
    code = authority.authorize("place")
    authority.token(APP | {"grant_type": "authorization_code", "code": code})
    with pytest.raises(RefusedError, match="401"):
        authority.token(APP | {"grant_type": "authorization_code", "code": code})


def test_an_access_token_lives_a_day(authority: Authority, clock: Clock) -> None:
    token = install(authority)["access_token"]
    clock.now += 86_398
    assert "place" == authority.location_of(token)


def test_an_access_token_does_not_live_longer_than_a_day(authority: Authority, clock: Clock) -> None:
    token = install(authority)["access_token"]
    clock.now += 86_399
    with pytest.raises(RefusedError) as refused:
        authority.location_of(token)
    assert "Invalid JWT" == refused.value.answer["message"]


def test_refreshing_gives_a_new_pair(authority: Authority) -> None:
    first = install(authority)
    second = refresh(authority, first["refresh_token"])
    assert {first["access_token"], first["refresh_token"]} & {second["access_token"], second["refresh_token"]} == set()


def test_within_thirty_seconds_the_same_refresh_token_gives_the_same_pair(authority: Authority, clock: Clock) -> None:
    first = install(authority)
    second = refresh(authority, first["refresh_token"])
    clock.now += 29.9
    assert second == refresh(authority, first["refresh_token"])


def test_after_thirty_seconds_a_used_refresh_token_is_refused(authority: Authority, clock: Clock) -> None:
    first = install(authority)
    refresh(authority, first["refresh_token"])
    clock.now += 30
    with pytest.raises(RefusedError) as refused:
        refresh(authority, first["refresh_token"])
    assert (400, "Invalid grant: refresh token is invalid") == (refused.value.status, refused.value.answer["message"])


def test_the_new_refresh_token_goes_on_working(authority: Authority, clock: Clock) -> None:
    second = refresh(authority, install(authority)["refresh_token"])
    clock.now += 3600
    assert "place" == refresh(authority, second["refresh_token"])["locationId"]


def test_another_client_cannot_refresh(authority: Authority) -> None:
    with pytest.raises(RefusedError, match="401"):
        refresh(authority, install(authority)["refresh_token"], client_secret="wrong")


def test_an_unknown_code_is_reported_before_an_unknown_client(authority: Authority) -> None:
    with pytest.raises(RefusedError) as refused:
        authority.token({"grant_type": "authorization_code", "code": "nonsense", "client_id": "nobody"})
    assert {"error": "UnAuthorized!", "error_description": "Authorization code not found"} == refused.value.answer


def test_an_unknown_grant_type_is_a_list_of_complaints(authority: Authority) -> None:
    with pytest.raises(RefusedError) as refused:
        authority.token(APP | {"grant_type": "password"})
    assert (422, ["grant_type must be a valid enum value"]) == (refused.value.status, refused.value.answer["message"])


def test_a_location_cannot_ask_for_the_token_of_another(authority: Authority) -> None:
    with pytest.raises(RefusedError, match="401"):
        authority.location_token(install(authority)["access_token"], {"companyId": "company", "locationId": "other"})


def test_revoking_a_location_kills_its_refresh_tokens_too(authority: Authority) -> None:
    token = install(authority)["refresh_token"]
    authority.revoke(location_id="place")
    with pytest.raises(RefusedError, match="400"):
        refresh(authority, token)


def company_token(sandbox: RunningSandbox) -> str:
    back = choose(sandbox, sandbox_user_type="Company")
    form = APP | {"grant_type": "authorization_code", "code": back["code"][0], "user_type": "Company"}
    return str(requests.post(f"{sandbox.url}/oauth/token", data=form, timeout=10).json()["access_token"])


def choose(sandbox: RunningSandbox, **query: str) -> dict[str, list[str]]:
    query |= {"client_id": CLIENT_ID, "redirect_uri": "http://127.0.0.1:1/back?x=1", "state": "a b"}
    url = f"{sandbox.url}/v2/oauth/chooselocation"
    response = requests.get(url, params=query, timeout=10, allow_redirects=False)
    return parse_qs(urlsplit(response.headers["Location"]).query)


def location_token(sandbox: RunningSandbox, bearer: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {bearer}", "Version": "2021-07-28"}
    form = {"companyId": sandbox.dataset.company_id, "locationId": sandbox.location_ids[1]}
    return requests.post(f"{sandbox.url}/oauth/locationToken", data=form, headers=headers, timeout=10)


def test_choosing_a_location_goes_back_with_the_state(sandbox: RunningSandbox) -> None:
    back = choose(sandbox)
    assert (["a b"], ["1"]) == (back["state"], back["x"])


def test_the_code_that_comes_back_reads_messages(sandbox: RunningSandbox) -> None:
    place = sandbox.location_ids[1]
    code = choose(sandbox, sandbox_location_id=place)["code"][0]
    form = APP | {"grant_type": "authorization_code", "code": code}
    token = requests.post(f"{sandbox.url}/oauth/token", data=form, timeout=10).json()["access_token"]
    assert 200 == sandbox.get(sandbox.dataset.ids(place)[0], token=token).status_code


def test_a_companys_token_may_not_read_messages(sandbox: RunningSandbox) -> None:
    answer = sandbox.get(sandbox.dataset.ids()[0], token=company_token(sandbox)).json()
    assert answer["message"].startswith("This authClass type is not allowed to access this scope. ")


def test_a_companys_token_gives_a_location_token_that_reads_messages(sandbox: RunningSandbox) -> None:
    token = location_token(sandbox, company_token(sandbox)).json()["access_token"]
    assert 200 == sandbox.get(sandbox.dataset.ids(sandbox.location_ids[1])[0], token=token).status_code


def test_a_location_token_comes_with_201_and_without_refresh_token(sandbox: RunningSandbox) -> None:
    response = location_token(sandbox, company_token(sandbox))
    assert (201, False) == (response.status_code, "refresh_token" in response.json())


def test_the_installed_locations_are_listed(sandbox: RunningSandbox) -> None:
    headers = {"Authorization": f"Bearer {company_token(sandbox)}", "Version": "2021-07-28"}
    answer = requests.get(f"{sandbox.url}/oauth/installedLocations", headers=headers, timeout=10).json()
    assert list(sandbox.location_ids) == [place["_id"] for place in answer["locations"]]


def test_whoever_lost_the_refresh_token_gets_a_new_code(sandbox: RunningSandbox) -> None:
    body = {"clientKey": CLIENT_ID, "clientSecret": CLIENT_SECRET, "locationId": sandbox.location_ids[0]}
    code = requests.post(f"{sandbox.url}/oauth/reconnect", json=body, timeout=10).json()["authorizationCode"]
    form = APP | {"grant_type": "authorization_code", "code": code}
    answer = requests.post(f"{sandbox.url}/oauth/token", data=form, timeout=10).json()
    assert sandbox.location_ids[0] == answer["locationId"]


def test_a_token_request_as_json_is_refused(sandbox: RunningSandbox) -> None:
    body = APP | {"grant_type": "authorization_code", "code": choose(sandbox)["code"][0]}
    assert 422 == requests.post(f"{sandbox.url}/oauth/token", json=body, timeout=10).status_code
