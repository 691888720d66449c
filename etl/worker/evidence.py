"""Decides whether an error is the fault of an item, its location or the API; pure, with the clock passed in.

For each location, it counts the answers in a row that may be the location's fault. An answer that contradicts them sets
the count back to 0. While the count is low, the answers to other items of the location decide. When it is high enough,
the fault is the location's:

* improper (none, a 5xx, a page, a redirect): any proper answer contradicts them. Enough are an outage.
* refused (the token): a thing that was found contradicts them. Enough pause the location.
* missing (different ids): a thing that was found contradicts them. Enough say nothing about any id.

Why: docs/decisions, "Other answers of the location show what an answer means".
"""

from dataclasses import dataclass, field
from itertools import islice
from math import inf
from threading import Lock

from etl.errors import (
    ApiMisconfiguredError,
    ForeignError,
    ItemError,
    LocationError,
    NotFoundError,
    NothingFoundError,
    RefusedError,
    SnoozedError,
    TokenError,
    TransformError,
    UngrantedError,
    UnreachableError,
    WorkerLostError,
)
from etl.kinds import Kind
from etl.worker.pipeline import Claimed

ENOUGH = 8
"""Answers in a row that are believed: fewer than a first claim takes, so that the first batch can decide."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
"""Seconds between two probes."""
MOST_OPEN = 100
"""Missing ids that wait for unanswered requests, even if they are enough: nothing is lost by that."""
MOST_MISSING = 1000
"""Most missing ids remembered for a location."""
VOUCHED_SECONDS = 10.0
"""How long a found thing proves that the API finds things of its location. An id is tried for 40 seconds before
its absence is final, so what was found before the API began to find nothing does not show it."""
MAIN = ("message", "window")
"""Kinds that every token must be able to read."""
REFUSED_ALONE = "refused_alone"
"""The cause of an item that is retried because only its token was refused."""


@dataclass(slots=True)
class SharedEvidence:
    """Evidence shared by all runs of a process; threads only ever set values."""

    is_api: bool = False
    """Whether some request was neither redirected nor refused for its version."""
    found_at: dict[str, float] = field(default_factory=dict)
    """When a thing of a location was last found."""
    turn: Lock = field(default_factory=Lock)
    """Held by the run that has claimed a suspect: with two in a process, a crash could not be attributed."""


@dataclass(slots=True)
class _LocationEvidence:
    """The answers of one location."""

    improper: int = 0
    probe_at: float = 0.0
    pause: float = 0.0
    refused: set[str] = field(default_factory=set)
    is_refused_again: bool = False
    """Whether a token was refused twice for one id."""
    are_refusals_believed: bool = False
    """Whether the location was stopped because of them."""
    has_found: bool = False
    """Whether the token read something since the run began or the location was paused."""
    missing: dict[str, float] = field(default_factory=dict)
    """When these ids were first missing, the latest last."""


class Evidence:
    """The evidence in the answers of one run, by the location whose token was sent.

    Attributes:
        turn: as in :class:`SharedEvidence`.
    """

    def __init__(self, kind: Kind, shared: SharedEvidence) -> None:
        self._kind = kind
        self._shared = shared
        self.turn = shared.turn
        self._locations: dict[str, _LocationEvidence] = {}
        self._failing: set[str] = set()
        self._is_answered = False

    def saw(self, claimed: Claimed, error: ItemError | None, *, now: float) -> bool:
        """Count an answer; return True when it begins an outage of its location."""
        if isinstance(error, (SnoozedError, WorkerLostError)):
            # No request was sent, or its answer was about a token that is being renewed.
            return False
        location_id, id_ = claimed.token_location_id, claimed.item.message_id
        answers = self._locations.setdefault(location_id, _LocationEvidence())
        if not isinstance(error, ApiMisconfiguredError):
            self._shared.is_api = True
        if is_improper(error):
            return self._saw_improper(location_id, answers, now)
        self._is_answered = True
        self._failing.clear()
        answers.improper, answers.pause, answers.probe_at = 0, 0.0, 0.0
        if isinstance(error, LocationError):
            if answers.are_refusals_believed:
                answers.refused.clear()
                answers.is_refused_again = answers.are_refusals_believed = answers.has_found = False
            answers.is_refused_again |= isinstance(error, TokenError) and id_ in answers.refused
            answers.refused.add(id_)
        elif isinstance(error, NotFoundError) and not self._kind.not_found.is_usual:
            answers.missing.setdefault(id_, now)
            if len(answers.missing) > MOST_MISSING:
                del answers.missing[next(iter(answers.missing))]
        elif error is None or isinstance(error, TransformError):
            answers.has_found, answers.is_refused_again = True, False
            answers.refused.clear()
            answers.missing.pop(id_, None)
            self._shared.found_at[location_id] = now
        return False

    def _saw_improper(self, location_id: str, answers: _LocationEvidence, now: float) -> bool:
        answers.improper += 1
        self._failing.add(location_id)
        # Answers to requests from before the outage say nothing new; a failed probe does.
        if (answers.improper >= ENOUGH or self.is_api_away) and now >= answers.probe_at:
            answers.pause = min(answers.pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
            answers.probe_at = now + answers.pause
        return answers.improper == ENOUGH

    def _answers_against_location(self, claimed: Claimed, error: ItemError | None, now: float) -> int:
        """Return how many answers show that an error is its location's fault; 0 when others contradict that."""
        location_id, id_ = claimed.token_location_id, claimed.item.message_id
        if is_improper(error):
            return ENOUGH if self.is_api_away else self._locations[location_id].improper
        if isinstance(error, LocationError):
            answers = self._locations[location_id]
            return ENOUGH if answers.is_refused_again else len(answers.refused)
        if isinstance(error, NotFoundError) and not self._kind.not_found.is_usual:
            first_missing_at = self._locations[location_id].missing.get(id_, inf)
            is_contradicted = self._shared.found_at.get(location_id, -inf) >= min(
                first_missing_at, now - VOUCHED_SECONDS
            )
            return 0 if is_contradicted else self._missing(location_id, most=MOST_OPEN)
        return 0

    def _missing(self, location_id: str, *, most: int) -> int:
        """Return how many ids were missing since something was found, up to ``most``."""
        found_at = self._shared.found_at.get(location_id, -inf)
        return sum(at > found_at for at in islice(reversed(self._locations[location_id].missing.values()), most))

    def is_open(self, claimed: Claimed, error: ItemError | None, *, now: float) -> bool:
        """Return whether the meaning of an error depends on the location's next answers."""
        most = MOST_OPEN if isinstance(error, NotFoundError) else ENOUGH
        return error is not None and 0 < self._answers_against_location(claimed, error, now) < most

    def judged(self, claimed: Claimed, error: ItemError, *, now: float) -> ItemError:
        """Return the error that the evidence makes of an error."""
        against = self._answers_against_location(claimed, error, now)
        if isinstance(error, LocationError):
            return self._refusal(claimed, error, against)
        if isinstance(error, NotFoundError) and against >= ENOUGH:
            return NothingFoundError(error.cause, error.detail, payload=error.payload)
        if is_improper(error) and (against >= ENOUGH or self.ends_all):
            return SnoozedError(error.cause, error.detail)
        return error

    def _refusal(self, claimed: Claimed, error: LocationError, against: int) -> ItemError:
        """Return the error for a refused token.

        It is the location's fault unless the token reads other things. Then an id of another location fails at once;
        for any other the token is tried once more.
        """
        answers = self._locations[claimed.token_location_id]
        if not answers.has_found or against >= ENOUGH:
            answers.are_refusals_believed = True
            if self._kind.name not in MAIN and not isinstance(error, TokenError):
                return UngrantedError(error.cause, error.detail)
            if against == 1:
                error.detail += f" (asked for {self._kind.name} {claimed.item.message_id})"
            return error
        if isinstance(error, ForeignError) or claimed.item.cause == REFUSED_ALONE:
            return RefusedError(error.cause, f"{error.detail}; others are answered", payload=error.payload)
        return SnoozedError(REFUSED_ALONE, error.detail)

    @property
    def is_api_away(self) -> bool:
        """Return whether enough locations got no proper answer since the last proper one."""
        return len(self._failing) >= ENOUGH

    @property
    def is_silent(self) -> bool:
        """Return whether no request was answered properly: at all, or lately at any location."""
        if not self._failing:
            return False
        is_away = all(answers.improper >= ENOUGH for answers in self._locations.values())
        return not self._is_answered or is_away or self.is_api_away

    @property
    def is_misconfigured(self) -> bool:
        """Return whether every request of this process was redirected or refused for its version."""
        return bool(self._failing) and not self._shared.is_api

    @property
    def ends_all(self) -> bool:
        """Whether that ends all runs of this process: not by a few things of a kind whose endpoint may do so alone."""
        return self.is_misconfigured and (
            self._kind.name in MAIN or any(answers.improper >= ENOUGH for answers in self._locations.values())
        )

    def room(self, location_id: str, *, unanswered: int, now: float) -> int | None:
        """Return how many items to fetch with a location's token; None: no limit. An outage is probed with one."""
        answers = self._locations.get(location_id)
        if answers is not None and (answers.improper >= ENOUGH or (answers.improper and self.is_api_away)):
            return 0 if unanswered or now < answers.probe_at else 1
        return max(1 - unanswered, 0) if self.is_api_away else None

    def wait(self, *, now: float) -> float:
        """Return the seconds until the next probe."""
        return max(
            min((answers.probe_at for answers in self._locations.values() if answers.improper), default=now) - now,
            0.0,
        )

    def nothing_found(self) -> set[str]:
        """Return the locations where the API finds nothing any more."""
        return {
            location_id
            for location_id, answers in self._locations.items()
            if len(answers.missing) >= ENOUGH <= self._missing(location_id, most=ENOUGH)
        }


def is_improper(error: ItemError | None) -> bool:
    """Return whether an answer may be an outage: none, a 5xx, a page where JSON or audio belongs, a redirect."""
    return isinstance(error, UnreachableError) or (
        isinstance(error, RefusedError) and error.cause in ("not_json", "not_audio")
    )
