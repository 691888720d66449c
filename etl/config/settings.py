"""The settings: declared once, read once, frozen. Only the command line reads them; everything else gets arguments."""

import os
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from etl.bearer import clean
from etl.errors import ConfigurationError
from etl.ids import ID_RULE, is_fetchable

SHORTEST_SECRET = 16
QUOTED = "is in quotes, which Docker's --env-file takes for a part of it; write it without them"
PREFIXES = ("HIGHLEVEL_", "ETL_", "WEBHOOK_", "DATABASE_", "LOG_")
"""Prefixes of the names of settings."""
SIMILAR = 0.85
"""The similarity, from 0 to 1, from which a name counts as misspelt; one letter in eight may be wrong."""


def _token(value: SecretStr) -> SecretStr:
    """Return a token without what people paste with it: a newline, spaces, the word Bearer."""
    return SecretStr(clean(value.get_secret_value()))


def _fernet_keys(value: SecretStr) -> SecretStr:
    """Check keys separated by commas: each is 32 bytes in URL-safe base64, as Fernet needs them."""
    for key in value.get_secret_value().split(","):
        try:
            good = len(urlsafe_b64decode(key.strip())) == 32
        except ValueError:
            good = False
        if not good:
            raise ValueError("holds something that is not a Fernet key; make one with: etl connect --new-key")
    return value


def _location(value: str) -> str:
    if value and not is_fetchable(value):
        raise ValueError(f"is not a location id ({ID_RULE})")
    return value


def _workflow_secret(value: SecretStr) -> SecretStr:
    """Check that a secret is long enough, and fit for a header."""
    secret = value.get_secret_value().strip()
    if len(secret) < SHORTEST_SECRET or not secret.isascii() or not secret.isprintable():
        raise ValueError(f"must have at least {SHORTEST_SECRET} letters, digits or signs; try: openssl rand -hex 32")
    return SecretStr(secret)


def _words(value: object) -> object:
    """Split words at commas and spaces."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _secrets(value: object) -> object:
    """Split addresses, which may hold commas, at spaces."""
    return tuple(map(SecretStr, value.split())) if isinstance(value, str) else value


Token = Annotated[SecretStr, AfterValidator(_token)]
LocationId = Annotated[str, AfterValidator(_location)]


class Settings(BaseModel):
    """The settings in the environment. Field names are the variables' names in lower case."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: SecretStr | None = Field(
        None, description="postgresql://… of the warehouse; unset: an embedded Postgres."
    )
    database_direct_url: SecretStr | None = Field(
        None, description="If DATABASE_URL is a pooler: Postgres itself, for db upgrade and for waking --follow."
    )
    etl_home: Path = Field(Path(".etl"), description="Where the embedded server and other local state live.")
    etl_jobs: Path | None = Field(None, description="The jobs file; unset: jobs.yaml, or the built-in jobs.")
    highlevel_token: Token | None = Field(None, description="Bearer token of one location.")
    highlevel_location_id: LocationId = Field("", description="The location of that token.")
    highlevel_base_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://services.leadconnectorhq.com"), description="Address of the API."
    )
    highlevel_api_version: str = Field("2021-07-28", pattern=r"^[A-Za-z0-9_.-]+$", description="The Version header.")
    highlevel_client_id: str | None = Field(None, pattern=r"^[!-~]+$", description="OAuth app, for many locations.")
    highlevel_client_secret: Token | None = Field(None, description="The secret of that app.")
    etl_secret_key: Annotated[SecretStr, AfterValidator(_fernet_keys)] | None = Field(
        None, description="Fernet keys that encrypt stored tokens, separated by commas, the newest first."
    )
    webhook_ed25519_public_key: str | None = Field(
        None, description="Keys of X-GHL-Signature: PEM text or paths; unset: HighLevel's."
    )
    webhook_rsa_public_key: str | None = Field(
        None, description="Keys of X-WH-Signature: PEM text or paths; unset: HighLevel's; none: not accepted."
    )
    webhook_workflow_secret: Annotated[SecretStr, AfterValidator(_workflow_secret)] | None = Field(
        None, description="Shared secret of the workflow endpoint; unset: off."
    )
    webhook_app_id: str | None = Field(
        None, description="Your app; events of other apps are refused; unset: HIGHLEVEL_CLIENT_ID up to its dash."
    )
    webhook_locations: Annotated[tuple[LocationId, ...], BeforeValidator(_words)] = Field(
        (), description="Locations, separated by commas; events of others are ignored; unset: all."
    )
    webhook_drop_types: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(
        ("LCEmailStats",), description="Types of events that are answered, but not stored, separated by commas."
    )
    webhook_max_age: float | None = Field(
        # Off, because genuine retries come late: up to 70 minutes after the event under the policy of 6 attempts, later
        # under that of 12, and a manual resend after days (HighLevel webhook guide). Replays are caught by webhookId.
        None,
        gt=0,
        allow_inf_nan=False,
        description="Seconds; events that are older are refused; unset: never.",
    )
    webhook_keep_days: float = Field(30, gt=0, le=3650, description="For how many days events are kept.")
    etl_page_password: Annotated[SecretStr, AfterValidator(_workflow_secret)] | None = Field(
        None, description="Password of the page that etl serve shows at /; unset: no page."
    )
    etl_notify_urls: Annotated[tuple[SecretStr, ...], BeforeValidator(_secrets)] = Field(
        (), description="Addresses for notices, in Apprise's form, separated by spaces; added to those of jobs.yaml."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lambda v: str(v).lower())] = (
        "info"
    )
    log_format: Annotated[Literal["auto", "console", "json"], BeforeValidator(lambda v: str(v).lower())] = "auto"

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The Fernet keys, the newest first."""
        keys = self.etl_secret_key.get_secret_value() if self.etl_secret_key else ""
        return tuple(key.strip() for key in keys.split(",") if key.strip())

    @property
    def app_id(self) -> str | None:
        """Our app; None: not known. A client id is the app's id, a dash and more (HighLevel docs, "OAuth 2.0")."""
        return self.webhook_app_id or (self.highlevel_client_id or "").partition("-")[0] or None

    @property
    def embedded_directory(self) -> Path:
        """Return the directory of the embedded server's data."""
        return self.etl_home / "postgres"


def read(environ: Mapping[str, str] = os.environ, *, dotenv: Path | None = Path(".env")) -> Settings:
    """Read the environment and, for what is not set there, a ``.env`` file; ``NAME_FILE`` names a file with the value.

    Raises:
        ConfigurationError: with all problems, and no secret.
    """
    written = _dotenv(dotenv)
    values: dict[str, Any] = {}
    problems = [f"{dotenv}: {problem}" for problem in _misspelt(written)]
    for field in Settings.model_fields:
        name = field.upper()
        # The environment's NAME_FILE wins over the file's NAME, too.
        given = _non_empty(environ, name) or _non_empty(written, name)
        if len(given) > 1:
            problems.append(f"{name} and {name}_FILE are both set; remove one of them")
        if name in given:
            values[field] = given[name]
        elif f"{name}_FILE" in given:
            try:
                values[field] = Path(given[f"{name}_FILE"]).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
                problems.append(f"{name}_FILE: {given[f'{name}_FILE']} cannot be read: {reason}")
    for field, value in values.items():
        if len(value) > 1 and value[0] == value[-1] in "\"'":
            problems.append(f"{field.upper()}: {QUOTED}")
            values[field] = value[1:-1]
    try:
        settings = Settings(**values)
    except ValidationError as error:
        wrong = [(each["loc"][0], each["msg"]) for each in error.errors(include_input=False, include_url=False)]
        problems += [f"{str(field).upper()}: {message.removeprefix('Value error, ')}" for field, message in wrong]
    if problems:
        raise ConfigurationError(*problems)
    return settings


def outside_of(dotenv: Path, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the settings that the environment has and a ``.env`` file lacks, so that cron does not see them."""
    written = _dotenv(dotenv)
    names = [field.upper() for field in Settings.model_fields]
    return [name for name in names if _non_empty(environ, name) and not _non_empty(written, name)]


def _non_empty(source: Mapping[str, str], name: str) -> dict[str, str]:
    return {each: value for each in (name, f"{name}_FILE") if (value := source.get(each, "").strip())}


def _dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.is_file():
        return {}
    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__})") from error


def _misspelt(names: Iterable[str]) -> list[str]:
    """Return misspelt names of settings. Only in the ``.env`` file: the environment holds other programs', too."""
    names_of_settings = [name for field in Settings.model_fields for name in (field.upper(), f"{field.upper()}_FILE")]
    problems = []
    for name in names:
        is_prefixed = name.startswith(PREFIXES)
        nearest = get_close_matches(name.upper(), names_of_settings, n=1, cutoff=0.6 if is_prefixed else SIMILAR)
        if name not in names_of_settings and (is_prefixed or nearest):
            problems.append(f"{name} is no setting" + (f"; did you mean {nearest[0]}?" if nearest else ""))
    return problems
