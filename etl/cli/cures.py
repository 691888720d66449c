"""Which locations are not served, and what to do about it, in words; pure."""

from collections.abc import Iterable

from etl.locations import BY_HAND, Overview
from etl.tokens.serving import Serving

RESUME = "then: etl locations resume {id}"

ANY = "any source"
CHECK_APP = "Check that the app is installed and has the scope conversations/message.readonly; " + RESUME

CURES: dict[tuple[str, str | None], str] = {
    (BY_HAND, ANY): "Resume it: etl locations resume {id}",
    ("token_refused", None): "Put a valid token into HIGHLEVEL_TOKEN; the pause lifts by itself",
    ("token_refused", "private"): "Make a new token in HighLevel and store it: etl connect --location {id} --token",
    ("token_refused", "app"): CHECK_APP,
    ("token_refused", "company"): CHECK_APP,
    ("not_authorized", ANY): "Give the token the scope conversations/message.readonly, or the location a token of its "
    "own; " + RESUME,
    ("renewal_refused", ANY): "Connect it again: etl connect",
    ("location_inactive", ANY): "Reactivate the location in HighLevel; " + RESUME,
}
"""By the cause of a pause and where the location's token is from; None: the environment."""


def unserved(location_ids: Iterable[str], places: Iterable[Overview], serving: Serving) -> list[str]:
    """Those of the locations whose items no token serves."""
    retired = {place.location_id: place.retired_at is not None for place in places if place.connected}
    return sorted(each for each in location_ids if serving.token_location_id(each, retired=retired) is None)


def cure_of(place: Overview) -> str | None:
    """How to have a location served again; None when it is served."""
    name = shown(place.location_id)
    if place.paused_at is not None:
        cause = place.pause_cause or ""
        known = CURES.get((cause, place.token_source)) or CURES.get((cause, ANY), "Mend the cause; " + RESUME)
        return known.format(id=name)
    return f"Install the app again, or: etl locations resume {name}" if place.retired_at is not None else None


def in_words(cause: str | None) -> str:
    """A cause as people say it."""
    return (cause or "").replace("_", " ")


def state_of(place: Overview) -> str:
    """How it stands with a location, in a few words."""
    if place.paused_at is not None:
        return f"paused: {in_words(place.pause_cause)}"
    if place.retired_at is not None:
        return "retired: app uninstalled"
    return in_words(place.blocked_cause) or "served"


def advice_on(place: Overview) -> str | None:
    """What is wrong with a location, and how to have it served again; None when it is served."""
    mend = cure_of(place)
    if mend is None:
        return None
    said = in_words(place.pause_cause)
    detail = f" ({place.pause_detail})" if place.pause_detail not in (None, "", f"paused {said}") else ""
    return f"{shown(place.location_id)} is {state_of(place)}{detail}. {mend}"


def shown(location_id: str) -> str:
    """A location id as it is shown, and typed."""
    return location_id or "(default)"
