import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from etl.bearer import claims, clean, fingerprint
from etl.config.settings import read
from etl.errors import ConfigurationError
from etl.tokens.connecting import read_private


def jwt(**said: Any) -> str:
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, said)]
    return ".".join((*parts, "signature"))


@pytest.mark.parametrize(
    "pasted", ["pit-1", "  pit-1\n\n", "Bearer pit-1", "bearer  pit-1\r\n", "BEARER\tpit-1", "Bearer pit-1 "]
)
def test_a_token_is_taken_as_people_paste_it(pasted: str) -> None:
    assert "pit-1" == clean(pasted)


@pytest.mark.parametrize("pasted", ["pit-1", " Bearer pit-1\n"])
def test_the_environments_token_is_taken_as_people_paste_it(pasted: str) -> None:
    token = read({"HIGHLEVEL_TOKEN": pasted}, dotenv=None).highlevel_token
    assert token is not None
    assert "pit-1" == token.get_secret_value()


@pytest.mark.parametrize("name", ["HIGHLEVEL_TOKEN", "HIGHLEVEL_CLIENT_SECRET", "ETL_SECRET_KEY"])
def test_a_bad_secret_in_the_environment_is_named_and_not_repeated(name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read({name: "hush hush"}, dotenv=None)
    assert (True, False) == (str(raised.value).startswith(f"{name}: "), "hush" in str(raised.value))


@pytest.mark.parametrize("name", ["HIGHLEVEL_TOKEN", "HIGHLEVEL_CLIENT_SECRET"])
def test_the_repr_of_the_settings_shows_no_secret(name: str) -> None:
    assert "hush" not in repr(read({name: "hush"}, dotenv=None))


@pytest.mark.parametrize(
    ("pasted", "reason"),
    [
        ("pit-two parts", "has spaces or other characters that no token has"),
        ("pit-\u00fc", "has spaces or other characters that no token has"),
        ("Bearer", "is empty"),
        (jwt(authClass="Company", authClassId="C"), "the token of a company"),
        (jwt(authClass="Location", authClassId="elsewhere"), "the token of location elsewhere"),
        (jwt(authClass="Location", exp=1_000_000_000), "has expired"),
    ],
)
def test_a_token_that_cannot_be_the_locations_is_refused_with_the_reason(pasted: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        read_private(pasted, "place")


def test_a_refusal_does_not_repeat_the_token() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_private("pit-two parts", "place")
    assert "parts" not in str(raised.value)


@pytest.mark.parametrize("token", ["pit-1", "a.b.c", "a.WyJsaXN0Il0.c", "..", "a.\u00fc.c"])
def test_a_token_that_says_nothing_of_itself_has_no_claims(token: str) -> None:
    assert {} == claims(token)


def test_a_fingerprint_does_not_hold_the_token() -> None:
    assert "pit" not in fingerprint("pit-1")
