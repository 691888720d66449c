from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from etl.report import charts
from etl.state import samples
from etl.state.samples import Taken
from etl.watch.plots import PLOTS, bars_of, draw, is_newer

NOW = datetime(2026, 11, 28, 12, 34, tzinfo=UTC)
MINUTES = timedelta(minutes=5)
PLOT = {each.title: each for each in PLOTS}


def taken(*figures: dict[str, float], every: timedelta = MINUTES) -> list[Taken]:
    """Samples of which the last one is of now."""
    return [Taken(NOW - every * (len(figures) - 1 - place), each) for place, each in enumerate(figures)]


def test_a_bar_shows_the_largest_value_of_its_hour() -> None:
    bars = bars_of(PLOT["Due items"], taken({"due": 3}, {"due": 9}, {"due": 1}), span="day", now=NOW)
    assert {NOW.replace(minute=0): {"due": 9}} == bars


def test_of_a_total_it_shows_the_growth_a_minute_also_after_a_gap() -> None:
    given = taken({"loaded_total": 100}, {"loaded_total": 100}, {"loaded_total": 160})
    assert {NOW.replace(minute=0): {"loaded_total": 1.0}} == bars_of(
        PLOT["Loaded a minute"], given, span="day", now=NOW
    )


def test_a_total_that_falls_is_no_growth() -> None:
    given = taken({"loaded_total": 100}, {"loaded_total": 5})
    assert {NOW.replace(minute=0): {"loaded_total": 0.0}} == bars_of(
        PLOT["Loaded a minute"], given, span="day", now=NOW
    )


def test_what_is_older_than_its_span_is_not_shown() -> None:
    given = taken({"due": 7}, {"due": 1}, every=timedelta(hours=24))
    assert 1 == len(bars_of(PLOT["Due items"], given, span="day", now=NOW))
    assert 2 == len(bars_of(PLOT["Due items"], given, span="week", now=NOW))


def test_the_95th_percentile_stands_upon_the_median() -> None:
    (bar,) = bars_of(PLOT["From message to row"], taken({"lag_p50": 2.0, "lag_p95": 9.0}), span="day", now=NOW).values()
    assert {"lag_p50": 2.0, "lag_p95": 7.0} == bar


def test_where_nothing_is_known_nothing_is_drawn() -> None:
    assert "" == draw(PLOT["Due items"], [], span="day", now=NOW)


def test_a_drawing_is_named_and_has_no_style_of_its_own() -> None:
    svg = draw(PLOT["Due items"], taken({"due": 3}), span="day", now=NOW)
    assert svg.startswith('<svg role="img" aria-label="Due items, last day"')
    assert "style=" not in svg
    assert "hour" in charts.AXIS


def test_only_a_new_sample_is_drawn_anew() -> None:
    given = taken({"due": 1})
    assert (True, False) == (is_newer(given, None), is_newer(given, NOW))
    assert is_newer(given, NOW - MINUTES)
    assert not is_newer([], None)


def test_five_minutes_have_one_sample_and_old_ones_go(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO etl.samples VALUES (now() - interval '9 days', '{}')"))
        samples.add(connection, {"due": 1.0})
        samples.add(connection, {"due": 2.0})
        kept = samples.since(connection, NOW - timedelta(days=10_000))
    assert [{"due": 1.0}] == [each.figures for each in kept]
