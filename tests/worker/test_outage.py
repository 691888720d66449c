from etl.errors import NotFoundError, RefusedError, SnoozedError, UnreachableError
from etl.worker.outage import FIRST_PAUSE, LONGEST_PAUSE, OUTAGE_AFTER, Outage

AWAY = UnreachableError("http_500", "…")
PAGE = RefusedError("not_json", "…")


def away(outage: Outage, times: int, *, now: float = 0.0) -> list[bool]:
    return [outage.saw(AWAY, now=now) for _ in range(times)]


def test_improper_answers_in_a_row_make_an_outage() -> None:
    assert away(Outage(), OUTAGE_AFTER + 1) == [False] * (OUTAGE_AFTER - 1) + [True, False]


def test_a_page_where_json_belongs_is_improper_too() -> None:
    outage = Outage()
    for _ in range(OUTAGE_AFTER):
        outage.saw(PAGE, now=0.0)
    assert outage.lasts


def test_one_proper_answer_ends_it_even_if_it_is_an_error_of_the_item() -> None:
    outage = Outage()
    away(outage, OUTAGE_AFTER)
    outage.saw(NotFoundError("not_found", "…"), now=0.0)
    assert not outage.lasts


def test_an_item_put_off_says_nothing_about_it() -> None:
    outage = Outage()
    away(outage, OUTAGE_AFTER)
    outage.saw(SnoozedError("lease_lapsed", "…"), now=0.0)
    assert (True, True) == (outage.lasts, outage.total)


def test_failures_of_some_items_among_answers_are_no_outage() -> None:
    outage = Outage()
    for _ in range(OUTAGE_AFTER):
        away(outage, OUTAGE_AFTER - 1)
        outage.saw(None, now=0.0)
    assert not outage.lasts


def test_probes_come_further_and_further_apart() -> None:
    outage = Outage()
    away(outage, OUTAGE_AFTER)
    waits, now = [], 0.0
    for _ in range(6):
        waits.append(outage.wait(now=now))
        now += waits[-1]
        away(outage, 1, now=now)
    assert waits == [FIRST_PAUSE, 10.0, 20.0, 40.0, LONGEST_PAUSE, LONGEST_PAUSE]


def test_answers_that_were_under_way_when_it_began_do_not_put_the_probe_off() -> None:
    outage = Outage()
    away(outage, OUTAGE_AFTER + 20)
    assert outage.wait(now=0.0) == FIRST_PAUSE
