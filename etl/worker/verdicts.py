"""What the outcomes of a run mean: an error may wait for the answers to other items of its location."""

from collections import Counter
from collections.abc import Iterable, Sequence

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
        self._unanswered.update(each.token_location_id for each in items)

    def forgo(self, items: Iterable[Claimed]) -> None:
        """Drop items that will not be requested after all."""
        self._unanswered.subtract(each.token_location_id for each in items)

    def room(self, location_id: str, *, now: float) -> int | None:
        """Return how many items to fetch with a location's token; None: no limit."""
        return self.evidence.room(location_id, unanswered=self._unanswered[location_id], now=now)

    def decide(self, outcomes: Sequence[Outcome], *, now: float) -> list[Outcome]:
        """Return the outcomes, these and earlier ones, whose meaning is known now, with their final errors.

        Windows of backlogs say nothing of other items.
        """
        given, self._open = self._open, []
        decided: list[Outcome] = []
        for each in outcomes:
            token = each.claimed.token
            if isinstance(each.error, LocationError) and self._tokens.is_outdated(token):
                # Of a token that is being renewed anyway, a refusal says nothing.
                each.error = self._tokens.after_refusal(token, each.error)
            if each.claimed.is_backlog:
                decided.append(each)
            else:
                self._hear(each, now)
                given.append(each)
        for each in given:
            claimed, error = each.claimed, each.error
            is_awaited = self._unanswered[claimed.token_location_id] > 0
            if is_awaited and self.evidence.is_open(claimed, error, now=now):
                self._open.append(each)
                continue
            if error is not None:
                each.error = self.evidence.judged(claimed, error, now=now)
                if isinstance(each.error, LocationError):
                    each.error = self._tokens.after_refusal(claimed.token, each.error)
            decided.append(each)
        return decided

    def _hear(self, outcome: Outcome, now: float) -> None:
        by, error = outcome.claimed.token_location_id, outcome.error
        self._unanswered[by] -= 1
        if error is not None and is_improper(error):
            self.detail = error.detail
        if self.evidence.saw(outcome.claimed, error, now=now):
            log.warning("api_unreachable", location_id=by, detail=self.detail)
