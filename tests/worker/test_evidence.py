from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from etl.errors import (
    ApiMisconfiguredError,
    ForeignError,
    ItemError,
    LocationError,
    NotFoundError,
    NothingFoundError,
    RateLimitedError,
    RefusedError,
    SnoozedError,
    TokenError,
    TransformError,
    UngrantedError,
    UnreachableError,
)
from etl.kinds import all_kinds
from etl.kinds.kind import Options
from etl.state.message_queue import Item
from etl.tokens.routing import Token
from etl.worker.evidence import (
    ENOUGH,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_OPEN,
    REFUSED_ALONE,
    VOUCHED_SECONDS,
    Evidence,
    SharedEvidence,
)
from etl.worker.pipeline import Claimed

AWAY = UnreachableError("http_500", "…")
PAGE = RefusedError("not_json", "…")
ELSEWHERE = ApiMisconfiguredError("redirected", "…")
REFUSED = TokenError("token_refused", "…")
FOREIGN = ForeignError("not_authorized", "…")
MISSING = NotFoundError("not_found", "…")
BAD_ID = RefusedError("http_400", "…")
NOON = datetime(2026, 11, 14, 12, 0, tzinfo=UTC)


class Answers:
    """The answers of a run, given one after another, a second each."""

    def __init__(self, kind: str = "message", shared: SharedEvidence | None = None) -> None:
        self.evidence = Evidence(all_kinds(Options())[kind], shared or SharedEvidence())
        self.now = 0.0
        self._kind = kind
        self._numbers = count()

    def claimed(self, location_id: str = "LOC1", id_: str | None = None, cause: str | None = None) -> Claimed:
        item = Item(self._kind, id_ or f"ID{next(self._numbers)}", location_id, 1, 7, cause, NOON)
        return Claimed(item, Token(location_id, "pit-1", "1"), 0.0)

    def give(self, error: ItemError | None, times: int = 1, **of: Any) -> Claimed:
        """The answer to so many items, of which the last one is returned."""
        for _ in range(times):
            claimed = self.claimed(**of)
            self.evidence.saw(claimed, error, now=self.now)
            self.now += 1.0
        return claimed

    def meaning(self, error: ItemError, times: int = 1, **of: Any) -> ItemError:
        """The meaning of the last of these answers."""
        claimed = self.give(error, times, **of)
        return self.evidence.judged(claimed, error, now=self.now)

    def is_open(self, claimed: Claimed, error: ItemError | None) -> bool:
        return self.evidence.is_open(claimed, error, now=self.now)

    def room(self, location_id: str = "LOC1", *, unanswered: int = 0) -> int | None:
        return self.evidence.room(location_id, unanswered=unanswered, now=self.now)


@pytest.mark.parametrize("error", [AWAY, PAGE, ELSEWHERE])
def test_few_improper_answers_are_the_items_and_enough_are_the_locations(error: ItemError) -> None:
    answers = Answers()
    answers.give(None)
    assert answers.meaning(error, ENOUGH - 1) is error
    assert type(answers.meaning(error)) is SnoozedError


@pytest.mark.parametrize("error", [AWAY, REFUSED, FOREIGN])
def test_a_suspicious_answer_is_open_until_enough_say_the_same(error: ItemError) -> None:
    answers = Answers()
    states = [answers.is_open(answers.give(error), error) for _ in range(ENOUGH)]
    assert states == [True] * (ENOUGH - 1) + [False]


@pytest.mark.parametrize("error", [AWAY, REFUSED, FOREIGN, MISSING])
def test_what_is_found_meanwhile_contradicts_it(error: ItemError) -> None:
    answers = Answers()
    claimed = answers.give(error)
    answers.give(None)
    assert not answers.is_open(claimed, error)


@pytest.mark.parametrize("error", [BAD_ID, RateLimitedError(None), SnoozedError("lease_lapsed", "…"), None])
def test_an_answer_about_one_item_is_never_open(error: ItemError | None) -> None:
    answers = Answers()
    assert not answers.is_open(answers.give(error, ENOUGH), error)


@pytest.mark.parametrize("proper", [None, MISSING, BAD_ID, REFUSED, RateLimitedError(None)])
def test_one_proper_answer_ends_an_outage_even_if_it_is_an_error(proper: ItemError | None) -> None:
    answers = Answers()
    answers.give(AWAY, ENOUGH)
    assert (answers.room(), answers.evidence.is_silent) == (0, True)
    answers.give(proper)
    assert (answers.room(), answers.evidence.is_silent) == (None, False)


def test_an_item_put_off_says_nothing_about_an_outage() -> None:
    answers = Answers()
    answers.give(AWAY, ENOUGH)
    answers.give(SnoozedError("lease_lapsed", "…"))
    assert (answers.room(), answers.evidence.is_silent) == (0, True)


def test_bad_ids_are_no_outage_however_many() -> None:
    answers = Answers()
    assert answers.meaning(BAD_ID, 20) is BAD_ID
    assert not answers.evidence.is_silent


def test_an_outage_is_one_locations() -> None:
    answers = Answers()
    answers.give(AWAY, 300, location_id="LOC1")
    answers.give(None, location_id="LOC2")
    assert (answers.room("LOC1"), answers.room("LOC2"), answers.evidence.is_silent) == (0, None, False)


def test_enough_locations_that_fail_once_are_an_outage_of_the_api() -> None:
    answers = Answers()
    answers.give(None, location_id="LOC")
    meanings = [answers.meaning(AWAY, location_id=f"LOC{number}") for number in range(ENOUGH)]
    assert ([type(each) for each in meanings], answers.evidence.is_silent) == (
        [UnreachableError] * (ENOUGH - 1) + [SnoozedError],
        True,
    )


def test_while_the_api_is_away_a_location_that_was_not_asked_yet_is_asked_for_one_item() -> None:
    answers = Answers()
    for number in range(ENOUGH):
        answers.give(AWAY, location_id=f"LOC{number}")
    assert (answers.room("NEW"), answers.room("NEW", unanswered=1)) == (1, 0)
    answers.give(None, location_id="NEW")
    assert answers.room("LOC1") is None


def test_probes_come_one_at_a_time_and_further_and_further_apart() -> None:
    answers = Answers()
    answers.give(AWAY, ENOUGH - 1)
    waits = []
    for _ in range(6):
        answers.give(AWAY)
        answers.now -= 1.0
        waits.append(answers.evidence.wait(now=answers.now))
        assert answers.room() == 0
        answers.now += waits[-1]
        assert (answers.room(), answers.room(unanswered=1)) == (1, 0)
    assert waits == [FIRST_PAUSE, 10.0, 20.0, 40.0, LONGEST_PAUSE, LONGEST_PAUSE]


def test_answers_that_were_under_way_when_an_outage_began_do_not_put_the_probe_off() -> None:
    answers = Answers()
    answers.give(AWAY, ENOUGH)
    began = answers.now - 1.0
    answers.give(AWAY, 3)
    assert answers.evidence.wait(now=began) == FIRST_PAUSE


@pytest.mark.parametrize("error", [REFUSED, FOREIGN, LocationError("not_authorized", "…")])
def test_a_token_that_is_refused_and_has_read_nothing_pauses_its_location(error: LocationError) -> None:
    assert isinstance(Answers().meaning(error), LocationError)


def test_the_only_item_that_was_refused_is_named() -> None:
    assert "message ID-X" in Answers().meaning(ForeignError("not_authorized", "…"), id_="ID-X").detail


def test_a_foreign_id_among_good_ones_is_refused_alone() -> None:
    answers = Answers()
    answers.give(None)
    assert type(answers.meaning(FOREIGN)) is RefusedError


@pytest.mark.parametrize("error", [REFUSED, LocationError("not_authorized", "…")])
def test_a_token_that_was_refused_for_one_item_is_tried_again_before_anything_is_paused(error: LocationError) -> None:
    answers = Answers()
    answers.give(None)
    asked_again = answers.meaning(error)
    assert (type(asked_again), asked_again.cause) == (SnoozedError, REFUSED_ALONE)


def test_an_item_that_is_refused_again_while_others_are_answered_fails_alone() -> None:
    answers = Answers()
    answers.give(None)
    answers.give(REFUSED, id_="X")
    answers.give(None)
    assert type(answers.meaning(REFUSED, id_="X", cause=REFUSED_ALONE)) is RefusedError


def test_a_token_that_is_refused_again_and_reads_nothing_meanwhile_pauses_its_location() -> None:
    answers = Answers()
    answers.give(None)
    answers.give(REFUSED, id_="X")
    assert answers.meaning(REFUSED, id_="X", cause=REFUSED_ALONE) is REFUSED


@pytest.mark.parametrize("error", [REFUSED, FOREIGN])
def test_enough_items_in_a_row_that_are_refused_pause_a_location_that_was_read_before(error: LocationError) -> None:
    answers = Answers()
    answers.give(None)
    assert answers.meaning(error, ENOUGH) is error


def test_a_location_that_is_served_again_is_judged_again() -> None:
    answers = Answers()
    answers.give(None)
    answers.meaning(FOREIGN, ENOUGH)
    claimed = answers.give(FOREIGN)
    assert answers.is_open(claimed, FOREIGN)
    answers.give(None)
    assert type(answers.evidence.judged(claimed, FOREIGN, now=answers.now)) is RefusedError


def test_a_scope_that_is_missing_for_another_kind_pauses_nothing() -> None:
    assert type(Answers("contact").meaning(LocationError("not_authorized", "…"))) is UngrantedError


def test_a_token_that_is_refused_for_another_kind_pauses_its_location() -> None:
    assert Answers("contact").meaning(REFUSED) is REFUSED


def test_a_few_ids_that_are_missing_are_missing() -> None:
    assert Answers().meaning(MISSING, ENOUGH - 1) is MISSING


def test_ids_that_are_missing_like_all_others_say_nothing() -> None:
    answers = Answers()
    assert type(answers.meaning(MISSING, ENOUGH)) is NothingFoundError
    assert answers.evidence.nothing_found() == {"LOC1"}


def test_one_id_that_is_asked_for_again_and_again_is_one() -> None:
    assert Answers().meaning(MISSING, 3 * ENOUGH, id_="X") is MISSING


def test_what_is_found_of_any_kind_shows_that_ids_are_missing() -> None:
    shared = SharedEvidence()
    messages, contacts = Answers("message", shared), Answers("contact", shared)
    claimed = messages.give(MISSING, 3 * ENOUGH)
    contacts.now = messages.now
    contacts.give(None)
    messages.now += 1000.0
    meaning = messages.evidence.judged(claimed, MISSING, now=messages.now)
    assert (meaning, messages.evidence.nothing_found()) == (MISSING, set())


def test_what_was_found_long_before_does_not() -> None:
    answers = Answers()
    answers.give(None)
    answers.now += VOUCHED_SECONDS
    assert type(answers.meaning(MISSING, ENOUGH)) is NothingFoundError


def test_what_was_found_at_the_same_time_does() -> None:
    answers = Answers()
    answers.give(None)
    assert answers.meaning(MISSING, ENOUGH) is MISSING


def test_missing_ids_wait_for_what_else_is_unanswered_even_if_they_are_enough() -> None:
    answers = Answers()
    claimed = answers.give(MISSING, MOST_OPEN - 1)
    assert answers.is_open(claimed, MISSING)
    claimed = answers.give(MISSING)
    assert not answers.is_open(claimed, MISSING)


@pytest.mark.parametrize("kind", ["recording", "transcription"])
def test_what_most_things_do_not_have_may_be_missing_as_often_as_it_likes(kind: str) -> None:
    assert Answers(kind).meaning(MISSING, 3 * ENOUGH) is MISSING


def test_requests_that_are_all_redirected_are_a_wrong_address() -> None:
    answers = Answers()
    assert type(answers.meaning(ELSEWHERE)) is SnoozedError
    assert (answers.evidence.is_misconfigured, answers.evidence.ends_all) == (True, True)


@pytest.mark.parametrize("other", [None, AWAY, MISSING, REFUSED])
def test_one_other_answer_of_any_run_shows_that_the_address_is_right(other: ItemError | None) -> None:
    shared = SharedEvidence()
    Answers("contact", shared).give(other)
    answers = Answers("message", shared)
    assert (answers.meaning(ELSEWHERE), answers.evidence.is_misconfigured) == (ELSEWHERE, False)


def test_a_few_redirects_of_another_kind_end_nobody_elses_run() -> None:
    answers = Answers("contact")
    assert (answers.meaning(ELSEWHERE), answers.evidence.ends_all) == (ELSEWHERE, False)
    answers.give(ELSEWHERE, ENOUGH)
    assert answers.evidence.ends_all


def test_a_payload_that_is_not_understood_was_found() -> None:
    answers = Answers()
    answers.give(TransformError("id", "…"))
    assert type(answers.meaning(FOREIGN)) is RefusedError


def test_a_letter_of_a_refused_item_keeps_what_was_received() -> None:
    answers = Answers()
    answers.give(None)
    error = ForeignError("not_authorized", "…", payload=b"no")
    assert answers.meaning(error).payload == b"no"
