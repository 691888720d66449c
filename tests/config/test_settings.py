from pathlib import Path

import pytest

from etl.config import settings
from etl.config.settings import Settings
from etl.errors import ConfigurationError


def read(**environ: str) -> Settings:
    return settings.read(environ, dotenv=None)


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(**environ)
    return str(caught.value).splitlines()


def token(found: Settings) -> str | None:
    return found.highlevel_token.get_secret_value() if found.highlevel_token else None


def test_nothing_has_to_be_set() -> None:
    found = read()
    assert (found.database_url, str(found.etl_home), str(found.highlevel_base_url), found.highlevel_api_version) == (
        None,
        ".etl",
        "https://services.leadconnectorhq.com/",
        "2021-07-28",
    )


@pytest.mark.parametrize("pasted", ["pit-1", " pit-1\n", "Bearer pit-1", "  Bearer  pit-1 \r\n"])
def test_a_token_is_taken_as_people_paste_it(pasted: str) -> None:
    assert token(read(HIGHLEVEL_TOKEN=pasted)) == "pit-1"


@pytest.mark.parametrize("pasted", ["pit 1", "pit\n1", "pït", "pit\x001"])
def test_a_token_with_something_else_in_it_is_refused(pasted: str) -> None:
    (problem,) = problems(HIGHLEVEL_TOKEN=pasted)
    assert problem.startswith("HIGHLEVEL_TOKEN: has spaces or other characters")


def test_an_empty_variable_is_not_set() -> None:
    assert token(read(HIGHLEVEL_TOKEN="  ")) is None


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("pit-1\n")
    assert token(read(HIGHLEVEL_TOKEN_FILE=str(tmp_path / "token"))) == "pit-1"


def test_a_file_that_cannot_be_read_is_named() -> None:
    assert problems(HIGHLEVEL_TOKEN_FILE="/nowhere/token") == [
        "HIGHLEVEL_TOKEN_FILE: /nowhere/token cannot be read: No such file or directory"
    ]


def test_a_dotenv_file_fills_what_the_environment_does_not_say(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HIGHLEVEL_TOKEN=pit-file\nHIGHLEVEL_LOCATION_ID=LOC1\n")
    found = settings.read({"HIGHLEVEL_TOKEN": "pit-environment"}, dotenv=tmp_path / ".env")
    assert (token(found), found.highlevel_location_id) == ("pit-environment", "LOC1")


def test_everything_that_is_wrong_is_listed_at_once() -> None:
    found = problems(HIGHLEVEL_BASE_URL="nowhere", LOG_LEVEL="loud", HIGHLEVEL_LOCATION_ID="a b")
    assert [problem.split(":")[0] for problem in found] == ["HIGHLEVEL_LOCATION_ID", "HIGHLEVEL_BASE_URL", "LOG_LEVEL"]


def test_no_secret_is_in_an_error_or_a_repr() -> None:
    found = read(HIGHLEVEL_TOKEN="marked-secret", DATABASE_URL="postgresql://u:marked-secret@h/d")
    assert "marked-secret" not in repr(found)
    assert not any("marked-secret" in problem for problem in problems(HIGHLEVEL_TOKEN="marked-secret here"))


def test_a_misspelt_name_in_the_env_file_is_reported_with_the_nearest_right_one(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HIGHLEVEL_TOKN=x\nPATH=/bin\n")
    with pytest.raises(ConfigurationError, match=r"HIGHLEVEL_TOKN is no setting; did you mean HIGHLEVEL_TOKEN\?"):
        settings.read({}, dotenv=tmp_path / ".env")


@pytest.mark.parametrize("name", ["DATABSE_URL", "DATABASEURL", "database_url", "HIGHLEVL_TOKEN_FILE", "LOGLEVEL"])
def test_a_name_in_the_env_file_that_resembles_a_setting_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"{name}=x\nPGDATABASE=y\nPOSTGRES_PASSWORD=z\n")
    with pytest.raises(ConfigurationError) as caught:
        settings.read({}, dotenv=tmp_path / ".env")
    (problem,) = caught.value.args
    assert f"{name} is no setting; did you mean " in problem


def test_a_value_and_a_file_for_it_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql:///other")
    path = str(tmp_path / "url")
    both = "DATABASE_URL and DATABASE_URL_FILE are both set; remove one of them"
    assert [both] == problems(DATABASE_URL="postgresql:///one", DATABASE_URL_FILE=path)


def test_the_environment_s_file_wins_over_the_env_file_s_value(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("pit-environment")
    (tmp_path / ".env").write_text("HIGHLEVEL_TOKEN=pit-file\n")
    found = settings.read({"HIGHLEVEL_TOKEN_FILE": str(tmp_path / "token")}, dotenv=tmp_path / ".env")
    assert "pit-environment" == token(found)


@pytest.mark.parametrize("name", ["HIGHLEVEL_TOKEN", "DATABASE_URL", "HIGHLEVEL_LOCATION_ID", "ETL_JOBS", "LOG_LEVEL"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_value_are_reported_with_the_cure(name: str, quote: str) -> None:
    (problem,) = problems(**{name: f" {quote}warning{quote}\n"})
    assert problem.startswith(f"{name}: is in quotes, which Docker's --env-file takes for a part of it")


def test_quotes_in_a_dotenv_file_are_none(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HIGHLEVEL_TOKEN=\"pit-1\"\nHIGHLEVEL_LOCATION_ID='LOC1'\n")
    found = settings.read({}, dotenv=tmp_path / ".env")
    assert (token(found), found.highlevel_location_id) == ("pit-1", "LOC1")


def test_blanks_around_a_value_are_none() -> None:
    found = read(HIGHLEVEL_LOCATION_ID=" LOC1\r\n", HIGHLEVEL_API_VERSION=" 2021-07-28 ", LOG_LEVEL=" debug ")
    assert (found.highlevel_location_id, found.highlevel_api_version, found.log_level) == (
        "LOC1",
        "2021-07-28",
        "debug",
    )
