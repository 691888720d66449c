"""Why locations wait, and what to do about it, in words; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from etl.config.settings import Settings
from etl.output import counted
from etl.state.locations import BY_HAND, Overview
from etl.state.outcomes import RunOutcome, SkipCause
from etl.tokens.routing import TokenRouting

RESUME = "then: etl locations resume {id}"

ANY = "any source"
CHECK_APP = "Check that the app is installed and has the scope conversations/message.readonly; " + RESUME

CURES: dict[tuple[str, str | None], str] = {
    (BY_HAND, ANY): "Resume it: etl locations resume {id}",
    ("token_refused", None): "Put a valid token into HIGHLEVEL_TOKEN; the pause ends by itself",
    ("token_refused", "private"): "Make a new token in HighLevel and store it: etl connect --location {id} --token",
    ("token_refused", "app"): CHECK_APP,
    ("token_refused", "company"): CHECK_APP,
    ("not_authorized", ANY): "Give the token the scope conversations/message.readonly, or the location a token of its "
    "own; " + RESUME,
    ("renewal_refused", ANY): "Connect it again: etl connect",
    ("location_inactive", ANY): "Reactivate the location in HighLevel; " + RESUME,
}
"""The cure of a pause, by its cause and the source of the location's token; None: the environment."""

CONNECT = "Run etl connect, or set HIGHLEVEL_LOCATION_ID to the location of HIGHLEVEL_TOKEN"

REASONS: dict[str, tuple[str, str]] = {
    SkipCause.RATE: ("rate limit", ""),
    SkipCause.RATE_LIMITED: ("the API asked to wait", ""),
    SkipCause.LIMIT_TOO_LOW: ("the API allows fewer requests in an interval than one item may need", ""),
    SkipCause.RENEWING: ("its token is being renewed", ""),
    SkipCause.DAILY_BUDGET: ("daily budget spent", ""),
    SkipCause.PAUSED: ("paused", "See: etl locations list"),
    SkipCause.NOT_CONNECTED: ("no token serves it", CONNECT),
    SkipCause.NO_TOKEN: ("no valid token can be had for now", "See: etl doctor"),
    SkipCause.UNANSWERED: ("the API does not answer properly", ""),
    SkipCause.NOTHING_FOUND: (
        "the API finds nothing of it any more",
        "Meanwhile nothing becomes a dead letter or is marked deleted",
    ),
}
"""Why the items of a location wait, by the :class:`etl.state.outcomes.SkipCause`; and what to do."""
UNANSWERED: dict[str, str] = {
    RunOutcome.API_UNREACHABLE: "The API does not answer properly",
    RunOutcome.MISCONFIGURED: "The API refuses every request",
}
"""Why the items of all locations wait, by the outcome of a run."""

ANYBODY = (
    "Webhooks of every app and location are accepted. HighLevel signs those of all its customers with the same key, so "
    "anybody with an app there can send some: they are stored, and their messages are queued. "
    "Set WEBHOOK_APP_ID (or HIGHLEVEL_CLIENT_ID) to accept only those of your app, or WEBHOOK_LOCATIONS."
)
SHOWN = 10
"""Most names in one line."""


def unserved(location_ids: Iterable[str], overviews: Iterable[Overview], routing: TokenRouting) -> list[str]:
    """Return those of the locations whose items no token serves."""
    connected = {each.location_id for each in overviews if each.connected and each.retired_at is None}
    return sorted(each for each in location_ids if routing.token_location_id(each, connected=connected) is None)


def as_served(overviews: Iterable[Overview], routing: TokenRouting) -> list[Overview]:
    """Return the locations; that of the environment's token, which is no app's, never counts as uninstalled."""
    return [replace(each, retired_at=None) if routing.is_environment(each.location_id) else each for each in overviews]


def cure_of(location: Overview) -> str | None:
    """Return how to have a location served again; None when it is served."""
    name = shown(location.location_id)
    if location.paused_at is not None:
        cause = location.pause_cause or ""
        cure = CURES.get((cause, location.token_source)) or CURES.get((cause, ANY), "Fix the cause, " + RESUME)
        return cure.format(id=name)
    return f"Install the app again, or: etl locations resume {name}" if location.retired_at is not None else None


def whose_webhooks(settings: Settings) -> str:
    """Say whose webhooks the receiver takes, and what that means."""
    if settings.webhook_locations:
        return f"Webhooks of {counted(len(settings.webhook_locations), 'location')} are accepted, by WEBHOOK_LOCATIONS."
    if settings.app_id:
        more = "of those that name no app, only what is of a known location is queued"
        return f"Webhooks of the app {settings.app_id} are accepted; {more}."
    return ANYBODY


def in_words(cause: str | None) -> str:
    """Return a cause in words."""
    return (cause or "").replace("_", " ")


def ending(outcome: str | None, skipped: Mapping[str, object] | None) -> str:
    """Return how a run ended, in words; if it left items of paused or unserved locations, why."""
    cause = next((cause for cause in SkipCause if cause in (skipped or {}) and cause.outcome == outcome), None)
    return in_words(cause if outcome == RunOutcome.PAUSED and cause else outcome)


def state_of(location: Overview) -> str:
    """Return the state of a location in a few words."""
    if location.paused_at is not None:
        return f"paused: {in_words(location.pause_cause)}"
    if location.retired_at is not None:
        return "app uninstalled"
    return in_words(location.blocked_cause) or "served"


def advice_on(location: Overview) -> str | None:
    """Return what is wrong with a location, and how to have it served again; None when it is served."""
    fix = cure_of(location)
    if fix is None:
        return None
    words = in_words(location.pause_cause)
    detail = f" ({location.pause_detail})" if location.pause_detail not in (None, "", f"paused {words}") else ""
    return f"{shown(location.location_id)} is {state_of(location)}{detail}. {fix}"


def shown(location_id: str) -> str:
    """Return a location id as it is shown and typed; the default location has an empty one."""
    return location_id or "(default)"


def some(names: Sequence[str]) -> str:
    """Join names; of many name only the first."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def reason(cause: str, location_ids: Iterable[str], *, more: str = "") -> str:
    """Say why the items of these locations wait, and what to do; ``more`` adds to the cause."""
    says, cure = REASONS[cause]
    return f"location {some(sorted(map(shown, location_ids)))}: {says}{more}" + (f". {cure}" if cure else "")


def unanswered(cause: str, detail: str, *, address: str) -> str:
    """Say why no location was answered, and which address was asked."""
    cure = ". Check it, and HIGHLEVEL_API_VERSION" if cause == RunOutcome.MISCONFIGURED else ""
    return f"{UNANSWERED[cause]}: {detail}. HIGHLEVEL_BASE_URL is {address}{cure}"
