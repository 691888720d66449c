"""``etl connect``: stores tokens, from a browser, a pasted code or a pasted token. Prints no secret."""

import secrets
import sys
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import click

from etl.app.composition import client_of, oauth_of, transport_of
from etl.app.warehouse import load_settings, warehouse
from etl.cli.code_receiver import CodeReceiver, code_in, is_local
from etl.cli.options import read_stdin
from etl.config.settings import Settings
from etl.errors import ConfigurationError, LocationError
from etl.ids import is_fetchable, problem_of
from etl.output import print_line, print_lines
from etl.tokens import connecting, probe, vault

MARKETPLACE = "https://marketplace.gohighlevel.com/v2/oauth/chooselocation"
"""White labels: https://marketplace.leadconnectorhq.com/… (HighLevel docs, OAuth "Authorization")."""
API_HOST = "services.leadconnectorhq.com"
SCOPES = "conversations/message.readonly"
COMPANY_SCOPES = f"{SCOPES} oauth.readonly oauth.write"
WAIT = 300.0
"""Seconds that a person has to log in and choose."""
ASK = "-"
"""The value of --token without one."""


@click.command()
@click.option(
    "--token",
    is_flag=False,
    flag_value=ASK,
    help="Store a private integration token. Without a value, it asks for the token.",
)
@click.option("--location", "location_id", help="The location of --token.")
@click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Store the private integration tokens of many locations: a location and its token on each line; - reads them.",
)
@click.option("--company", is_flag=True, help="Connect a company (agency) with all its locations.")
@click.option("--paste", is_flag=True, help="For a browser on another machine: ask for the address at which it ends.")
@click.option(
    "--redirect-uri", default="http://localhost:8765/callback", show_default=True, help="The redirect URL of the app."
)
@click.option("--authorize-url", help="The installation URL of the app, for a white label.")
@click.option("--new-key", is_flag=True, help="Print a new key for ETL_SECRET_KEY and exit.")
def connect(
    token: str | None,
    location_id: str | None,
    redirect_uri: str,
    authorize_url: str | None,
    path: str | None,
    *,
    company: bool,
    paste: bool,
    new_key: bool,
) -> None:
    """Connect locations: store their tokens, encrypted. Tokens of an app are renewed.

    \b
    With an app:     etl connect
    A whole agency:  etl connect --company
    With a token:    etl connect --location ve9EPM428h8vShlRW1KT --token
    From a script:   etl connect --location … --token < token.txt
    Many locations:  etl connect --file tokens.csv
    """
    if new_key:
        print_line(vault.new_key())
        return
    settings = load_settings()
    if path is not None:
        _require(settings)
        sys.exit(_store(settings, _read_tokens(path)))
    if token is not None or location_id is not None:
        _connect_private(settings, token, location_id)
        return
    _require(settings, "HIGHLEVEL_CLIENT_ID", "HIGHLEVEL_CLIENT_SECRET")
    with warehouse(settings) as engine, transport_of(settings) as transport:
        app = oauth_of(settings, transport)
        assert app is not None  # noqa: S101 - just checked
        state = secrets.token_urlsafe(16)
        url = _authorize_url(settings, authorize_url, redirect_uri, state=state, company=company)
        code = _code(url, redirect_uri, state=state, paste=paste)
        keys = vault.Vault(settings.secret_keys)
        connected = connecting.connect(engine, keys, app, code, redirect_uri=redirect_uri)
        print_line(f"{connected.owner} {connected.id} is connected; its token is renewed automatically")
        if connected.owner == "company":
            count = connecting.list_company(engine, keys, app, connected.id)
            print_line(f"{count} of its locations have the app; their tokens are fetched with their first items")


def _connect_private(settings: Settings, token: str | None, location_id: str | None) -> None:
    if token is None or location_id is None:
        raise ConfigurationError("--token and --location go together")
    if not is_fetchable(location_id):
        raise ConfigurationError(f"--location {problem_of(location_id)}")
    _require(settings)
    pasted = _ask("Token", "--token") if token == ASK else token
    if _store(settings, {location_id: connecting.read_private(pasted, location_id)}):
        raise ConfigurationError("Nothing was stored.")


def _store(settings: Settings, tokens: Mapping[str, str]) -> int:
    """Store tokens that HighLevel does not refuse; returns 1 if it refuses any."""
    refused = 0
    with warehouse(settings) as engine, transport_of(settings) as transport:
        for location_id, token in tokens.items():
            problem = probe.refusal(client_of(settings, transport), token)
            if isinstance(problem, LocationError):
                refused = 1
                print_line(f"{location_id} is not connected: HighLevel refuses this token: {problem.detail}", err=True)
                continue
            connecting.keep_private(engine, vault.Vault(settings.secret_keys), location_id, token)
            print_line(f"{location_id} is connected" + (f"; not checked: {problem.detail}" if problem else ""))
    return refused


def _read_tokens(path: str) -> dict[str, str]:
    """Read lines of a location and its token, with a comma or spaces between; the rest after # is a comment.

    Raises:
        ConfigurationError: all problems, with their lines and without a token.
    """
    try:
        with click.open_file(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__})") from None
    tokens: dict[str, str] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        location_id, _, token = line.partition("#")[0].replace(",", " ").strip().partition(" ")
        if not location_id:
            continue
        if location_id in tokens:
            problems.append(f"{path}:{number}: names a location again")
        elif not is_fetchable(location_id):
            problems.append(f"{path}:{number}: {problem_of(location_id)}")
        else:
            try:
                tokens[location_id] = connecting.read_private(token, location_id)
            except ConfigurationError as error:
                problems.append(f"{path}:{number}: {error}")
    if problems or not tokens:
        raise ConfigurationError(*(problems or [f"{path} names no location"]))
    return tokens


def _require(settings: Settings, *needed: str) -> None:
    """Check that these settings, and the key for tokens, are there.

    Raises:
        ConfigurationError: with all that are missing.
    """
    unset = [name for name in needed if getattr(settings, name.lower()) is None]
    missing = [f"{name} is not set; it is in the app's settings, HighLevel Marketplace" for name in unset]
    if not settings.secret_keys:
        missing.append(
            "ETL_SECRET_KEY is not set, and tokens are only stored encrypted. Make one with: etl connect --new-key"
        )
    if missing:
        raise ConfigurationError(*missing)


def _authorize_url(settings: Settings, given: str | None, redirect_uri: str, *, state: str, company: bool) -> str:
    base = given or MARKETPLACE
    if given is None and settings.highlevel_base_url.host != API_HOST:
        base = str(settings.highlevel_base_url).rstrip("/") + urlsplit(MARKETPLACE).path
    parts = urlsplit(base)
    query = {
        "response_type": "code",
        "client_id": settings.highlevel_client_id or "",
        "scope": COMPANY_SCOPES if company else SCOPES,
    }
    query |= dict(parse_qsl(parts.query)) | {"redirect_uri": redirect_uri, "state": state}
    return urlunsplit(parts._replace(query=urlencode(query)))


def _code(url: str, redirect_uri: str, *, state: str, paste: bool) -> str:
    receiver = CodeReceiver(redirect_uri, state=state) if is_local(redirect_uri) and not paste else None
    print_lines(f"Open this in a browser, and choose what to connect:\n\n{url}\n\n")
    sys.stdout.flush()
    if receiver is not None:
        code = receiver.wait(WAIT)
        if code is None:
            raise ConfigurationError(
                f"No code came to {redirect_uri} within {WAIT:.0f} s. If the browser is on another machine: --paste"
            )
        return code
    pasted = _ask("The address you were sent to", "--paste").strip()
    if "state=" not in pasted:
        raise ConfigurationError(
            "That cannot be used: it does not say which request it answers. Start again, and paste the whole address."
        )
    try:
        return code_in(pasted if "?" in pasted else f"?{pasted}", state=state)
    except ValueError as error:
        raise ConfigurationError(f"That cannot be used: {error}") from None


def _ask(what: str, option: str) -> str:
    """Return a secret, typed unseen or from standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True))
    given = read_stdin(f", for {option}")
    if not given.strip():
        raise ConfigurationError(f"Nothing came from standard input, for {option}")
    return given
