"""Builds the parts of a run from the settings."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from ipaddress import ip_address

from sqlalchemy import Engine

from etl import __version__
from etl.api.client import Client
from etl.api.oauth import OAuth
from etl.api.transport import Transport
from etl.app.warehouse import direct_url
from etl.config.jobs import Job
from etl.config.settings import Settings
from etl.database.connections import open_engine
from etl.database.failures import reading_errors
from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.errors import ConfigurationError, EtlError
from etl.kinds import Options, all_kinds, audio
from etl.kinds.audio import AudioStore
from etl.output import print_sentence
from etl.privacy.message_erasure import MessageErasure
from etl.state import stored_tokens
from etl.state.windows import KIND
from etl.tokens.renewal import Renewal
from etl.tokens.renewal_threads import Renewals
from etl.tokens.routing import LocationTokens, TokenRouting
from etl.tokens.vault import Vault
from etl.worker.backlogs import WALKERS, Backlogs
from etl.worker.claims import Claims
from etl.worker.evidence import Evidence, SharedEvidence
from etl.worker.loop import Loop
from etl.worker.pipeline import Pipeline
from etl.worker.run import RunContext, RunSpec
from etl.worker.settlement import Settlement
from etl.worker.verdicts import Verdicts

NO_TOKENS = (
    "There is no token: HIGHLEVEL_TOKEN is not set and no location is connected. Make a private integration token in "
    "HighLevel (Settings > Private Integrations, scope conversations/message.readonly) and export it or put it into "
    ".env; or connect locations with: etl connect"
)


def address_of(settings: Settings) -> str:
    """Return the API's address without the credentials that a URL may hold."""
    url = settings.highlevel_base_url
    return f"{url.scheme}://{url.host}:{url.port}{(url.path or '').rstrip('/')}"


def transport_of(settings: Settings, *, pool_size: int = 1) -> Transport:
    """Return a transport to HighLevel, which closes its connections at the end of a block."""
    base_url = str(settings.highlevel_base_url)
    if settings.highlevel_base_url.scheme == "http" and not _is_this_machine(settings.highlevel_base_url.host or ""):
        _warn_of_plain_http(address_of(settings))
    return Transport(base_url=base_url, pool_size=pool_size, user_agent=f"highlevel-etl/{__version__}")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@cache
def _warn_of_plain_http(address: str) -> None:
    """Warn once in a process, before a token is sent there."""
    warning = f"tokens go to {address} unencrypted, and everybody on the way can read them"
    print_sentence(f"Warning: {warning}. Let HIGHLEVEL_BASE_URL begin with https://", err=True)


def client_of(settings: Settings, transport: Transport) -> Client:
    """Return a client of the API."""
    return Client(transport, api_version=settings.highlevel_api_version)


def oauth_of(settings: Settings, transport: Transport) -> OAuth | None:
    """Return the OAuth app, if it is set up."""
    if settings.highlevel_client_id is None or settings.highlevel_client_secret is None:
        return None
    secret = settings.highlevel_client_secret.get_secret_value()
    return OAuth(transport, client_id=settings.highlevel_client_id, client_secret=secret)


def routing_of(settings: Settings) -> TokenRouting:
    """Return the rule for whose token serves a location."""
    token = settings.highlevel_token
    return TokenRouting(token.get_secret_value() if token else None, settings.highlevel_location_id)


def require_known_recordings_urls(chosen: Iterable[Job]) -> None:
    """Check the ``recordings_url`` of jobs, without connecting.

    Raises:
        ConfigurationError: one is not supported; the text names the cure.
    """
    for job in chosen:
        if job.recordings_url is not None:
            audio.require_known(job.recordings_url, job=job.name)


def audio_problem(job: Job) -> str | None:
    """Return why a job's ``recordings_url`` takes no audio, after writing a small file and removing it."""
    try:
        require_known_recordings_urls([job])
        AudioStore(job.recordings_url or "").probe()
    except EtlError as error:
        return str(error)
    return None


@contextmanager
def open_loops(
    settings: Settings,
    engine: Engine,
    specs: Sequence[RunSpec],
    *,
    shared: SharedEvidence | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[Loop]]:
    """Yield runs, ready to start, that share the connections to HighLevel; those are closed at the end.

    With ``shared``, they go on with the evidence of earlier runs. They wait for notifications past a pooler, if
    DATABASE_DIRECT_URL is set.

    Raises:
        ConfigurationError: there is no token, neither in the environment nor stored.
    """
    if not specs:
        yield []
        return
    routing, vault = routing_of(settings), Vault(settings.secret_keys)
    if routing.token is None:
        with reading_errors(engine), engine.connect() as connection:
            if not stored_tokens.any_connected(connection):
                raise ConfigurationError(NO_TOKENS)
    shared = shared or SharedEvidence()
    with ExitStack() as opened:
        listening = engine
        if settings.database_direct_url is not None:
            listening = open_engine(direct_url(settings), pool_size=len(specs))
            opened.callback(listening.dispose)
        pool_size = sum(each.job.concurrency + WALKERS for each in specs)
        transport = opened.enter_context(transport_of(settings, pool_size=pool_size))
        renewal = Renewal(engine=engine, vault=vault, oauth=oauth_of(settings, transport))
        renewals = opened.enter_context(Renewals(renewal, clock))
        client = client_of(settings, transport)
        loops = []
        for each in specs:
            # Each loop has its own tokens, which it reads again with every claim.
            tokens = LocationTokens(routing=routing, vault=vault, renewals=renewals, clock=clock)
            loops.append(build_loop(client, tokens, engine, each, listening=listening, shared=shared, clock=clock))
        yield loops


def build_loop(
    client: Client,
    tokens: LocationTokens,
    engine: Engine,
    spec: RunSpec,
    *,
    listening: Engine,
    shared: SharedEvidence,
    clock: Callable[[], float],
) -> Loop:
    """Return a run on parts that the caller closes."""
    job = spec.job
    kinds = all_kinds(Options(job.status_checks, job.media_checks, job.recordings_url))
    kind, walks = kinds[job.kind], kinds[KIND]
    context = RunContext(clock, tokens.routing.location_id, {name: kinds[name].table for name in spec.limits.taken})
    # A page answers as many items as it holds, so a limit is kept by single requests alone.
    walks_backlogs = job.kind == "message" and job.bulk == "auto" and spec.limits.limit is None
    verdicts = Verdicts(Evidence(kind, shared), tokens)
    return Loop(
        engine=engine,
        listening=listening,
        claims=Claims(kind, tokens, clock, verdicts=verdicts, windows=spec.windows),
        pipeline=Pipeline({job.kind: kind, KIND: walks}, client, clock),
        settlement=Settlement(kind, job.max_attempts, context),
        spec=spec,
        verdicts=verdicts,
        backlogs=Backlogs(walks, tokens, context) if walks_backlogs else None,
    )


def message_erasure_of(engine: Engine, chosen: Iterable[Job]) -> MessageErasure:
    """Return the part that erases messages and the audio that these jobs kept."""
    transact = RetryingTransaction(engine, patience=PATIENCE, stopping=lambda: False)
    recordings_urls = [job.recordings_url for job in chosen if job.recordings_url]
    return MessageErasure(transact, partial(audio.remove, recordings_urls=recordings_urls))
