"""What the outcomes of a run mean: an error may wait for the answers to other items of its location. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import structlog

from etl.errors import LocationError
from etl.tokens.routing import LocationTokens
from etl.worker.evidence import Evidence, is_improper
from etl.worker.pipeline import Claimed, Outcome

log = structlog.get_logger("etl.worker")


class Verdicts:
    """The items of a run that are asked for, and the outcomes whose meaning is open.

    Attributes:
        evidence: what the answers show.
        detail: what the last improper answer was.
    """

    def __init__(self, evidence: Evidence, tokens: LocationTokens) -> None:
        self.evidence = evidence
        self._tokens = tokens
        self._unanswered: Counter[str] = Counter()
        self._open: list[Outcome] = []
        self.detail = ""

    @property
    def is_all_answered(self) -> bool:
        """Return whether no request is open."""
        return not self._unanswered.total()

    def expect(self, items: Iterable[Claimed]) -> None:
        """Note items that will be requested."""
        self._unanswered.update(each.token_location_id for each in items if not each.is_backlog)

    def forgo(self, items: Iterable[Claimed]) -> None:
        """Drop items that will not be requested after all."""
        self._unanswered.subtract(each.token_location_id for each in items if not each.is_backlog)

    def room(self, location_id: str, *, now: float) -> int | None:
        """Return how many items to fetch with a location's token; None: no limit."""
        return self.evidence.room(location_id, unanswered=self._unanswered[location_id], now=now)

    def decide(self, outcomes: Sequence[Outcome], *, now: float) -> list[Outcome]:
        """Return the outcomes, these and earlier ones, whose meaning is known now, with their final errors."""
        outcomes = [self._unless_outdated(each) for each in outcomes]
        decided = [each for each in outcomes if each.claimed.is_backlog]
        outcomes = [each for each in outcomes if not each.claimed.is_backlog]
        for outcome in outcomes:
            self._hear(outcome, now)
        given, self._open = [*self._open, *outcomes], []
        for each in given:
            claimed, error = each.claimed, each.error
            if error is None:
                decided.append(each)
            elif self._unanswered[claimed.token_location_id] and self.evidence.is_open(claimed, error, now=now):
                self._open.append(each)
            else:
                meaning = self.evidence.judged(claimed, error, now=now)
                if isinstance(meaning, LocationError):
                    meaning = self._tokens.after_refusal(claimed.token, meaning)
                decided.append(replace(each, error=meaning))
        return decided

    def _unless_outdated(self, outcome: Outcome) -> Outcome:
        """Return the outcome; of a token that is being renewed anyway, a refusal says nothing."""
        error, token = outcome.error, outcome.claimed.token
        if not isinstance(error, LocationError) or not self._tokens.is_outdated(token):
            return outcome
        return replace(outcome, error=self._tokens.after_refusal(token, error))

    def _hear(self, outcome: Outcome, now: float) -> None:
        by, error = outcome.claimed.token_location_id, outcome.error
        self._unanswered[by] -= 1
        if error is not None and is_improper(error):
            self.detail = error.detail
        if self.evidence.saw(outcome.claimed, error, now=now):
            log.warning("api_unreachable", location_id=by, detail=self.detail)
