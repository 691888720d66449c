import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, text

from etl.database.connections import open_engine
from tests.cli.browser import Browser, open_browser
from tests.command import Command
from tests.marts import refresh
from tests.servers import fresh_database

SECRETS = ("Tomorrow at nine", "+15550001111", "ann@example.com", "Ann Lee", "Unknown handset of +1555")
FILL = """
INSERT INTO highlevel.locations (location_id, name, time_zone, fetched_at)
VALUES ('LOC1', 'Paws & <b>Claws</b>', 'Europe/Madrid', now()), ('LOC2', 'Harbour Street Dental', NULL, now());
INSERT INTO highlevel.contacts (location_id, contact_id, name, email, phone, fetched_at)
VALUES ('LOC1', 'CON1', 'Ann Lee', 'ann@example.com', '+15550001111', now());
INSERT INTO highlevel.messages (location_id, message_id, conversation_id, contact_id, message_type, direction, status,
    source, body, sender, error, date_added, fetched_at)
SELECT location_id, message_id, 'CNV1', 'CON1', message_type, direction, status, source, 'Tomorrow at nine',
    '+15550001111', 'Unknown handset of +1555', now() - ago, now()
FROM (VALUES
    ('LOC1', 'M1', 'TYPE_SMS', 'inbound', 'delivered', NULL, interval '50 hours'),
    ('LOC1', 'M2', 'TYPE_SMS', 'outbound', 'delivered', 'app', interval '48 hours'),
    ('LOC1', 'M3', 'TYPE_WHATSAPP', 'outbound', 'failed', 'workflow', interval '47 hours'),
    ('LOC1', 'M4', 'TYPE_CALL', 'inbound', 'no-answer', NULL, interval '46 hours'),
    ('LOC2', 'M5', 'TYPE_SMS', 'inbound', 'delivered', NULL, interval '200 days')
) AS g (location_id, message_id, message_type, direction, status, source, ago);
"""


def fill(url: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(FILL, execution_options={"no_parameters": True})
        refresh(connection)
    engine.dispose()


@pytest.fixture
def filled(database_url: str) -> None:
    fill(database_url)


@pytest.fixture(scope="module")
def page(server_url: URL, template: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that the tests only look at."""
    directory = tmp_path_factory.mktemp("report")
    with fresh_database(server_url, template=template) as database:
        url = database.render_as_string(hide_password=False)
        fill(url)
        done = Command(directory, {"DATABASE_URL": url})("report", "--out", "report.html")
    assert (0, "") == (done.returncode, done.stderr)
    return directory / "report.html"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, page: Path) -> Browser:
    chromium.forget()
    chromium.become()
    chromium.open(page)
    return chromium


def test_the_page_shows_in_a_browser_without_network_or_complaint(browser: Browser, page: Path) -> None:
    assert browser.requests() == [page.resolve().as_uri()]
    assert browser.complaints() == []
    assert browser.ask("document.querySelectorAll('section').length") == 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser: Browser, scheme: str) -> None:
    browser.become(scheme=scheme)
    colours = browser.ask("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    ink, ground = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (ink > ground + 400) if scheme == "dark" else (ground > ink + 400)
    labels = "[...document.querySelectorAll('.wide text')].filter(t => t.textContent)"
    assert "SMS" in browser.ask(f"{labels}.map(t => t.textContent)")
    assert browser.ask(f"{labels}.every(t => getComputedStyle(t).fill !== 'rgb(0, 0, 0)')")


def test_nothing_is_wider_than_a_phone(browser: Browser) -> None:
    browser.become(width=360)
    assert browser.ask("document.documentElement.scrollWidth") == 360
    wide = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') || e.matches('.scroll'))"
    assert browser.ask(f"{wide}.filter(e => e.getBoundingClientRect().right > 360).map(e => e.outerHTML)") == []


def test_a_table_opens_by_keyboard_and_says_what_its_plot_shows(browser: Browser) -> None:
    browser.press("\ue004")  # Tab
    assert browser.ask("document.activeElement.textContent") == "Messages by channel as a table"
    browser.press("\ue007")  # Enter
    table = "document.querySelector('details[open] table')"
    assert ["day", "SMS", "Call", "WhatsApp"] == browser.ask(f"[...{table}.rows[0].cells].map(c => c.textContent)")
    assert browser.ask("document.querySelectorAll('svg').length") == 2 * browser.ask(
        "document.querySelectorAll('table').length"
    )


def test_the_page_holds_no_words_and_numbers_of_customers(page: Path) -> None:
    written = page.read_text(encoding="utf-8")
    assert [each for each in SECRETS if each in written] == []


def test_a_name_of_a_location_is_text_and_never_markup(page: Path) -> None:
    written = page.read_text(encoding="utf-8")
    assert "<b>" not in written
    assert "Paws &amp; &lt;b&gt;Claws&lt;/b&gt;" in written


def test_the_page_counts_what_the_views_count(page: Path) -> None:
    told = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.read_text(encoding="utf-8")))
    assert told == {
        "Messages and calls": "4",
        "Inbound": "2",
        "Outbound": "2",
        "Median first answer": "2 h",
        "Known as delivered": "50%",
        "Missed calls": "1 of 1",
    }


def test_one_location_is_shown_alone(filled: None, etl: Command) -> None:  # noqa: ARG001
    done = etl("report", "--location", "LOC2", "--since", "2020-01-01", "--out", "report.html")
    written = (etl.directory / "report.html").read_text(encoding="utf-8")
    assert done.returncode == 0
    assert "<h1>Conversations of Harbour Street Dental</h1>" in written
    assert "Paws" not in written


TOMORROW = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "yesterday"], "--since yesterday is not a day."),
        (["--since", TOMORROW], f"--since {TOMORROW} is in the future."),
        (["--location", "LOC9"], "Location LOC9 has no messages."),
        (["--location", "LOC2"], "There is nothing since"),
        (["--out", "away/report.html"], "away/report.html cannot be written"),
        (["--out", "."], ". cannot be written"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_shown_is_one_message_and_nothing_is_written(
    arguments: list[str],
    says: str,
    filled: None,  # noqa: ARG001 - the rows have to be there
    etl: Command,
) -> None:
    before = sorted(etl.directory.iterdir())
    done = etl("report", "--out", "report.html", *arguments)
    assert 2 == done.returncode
    assert done.stderr.startswith(f"Error: {says}")
    assert 1 == len(done.stderr.splitlines())
    assert before == sorted(etl.directory.iterdir())


def test_a_full_disk_leaves_no_file(filled: None, etl: Command) -> None:  # noqa: ARG001
    import resource  # noqa: PLC0415 - Unix only
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    done = subprocess.run(
        [sys.executable, "-m", "etl", "report", "--out", "report.html"],
        cwd=etl.directory,
        # Python would keep what it compiled, cut where the disk was full.
        env=etl.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (2, "Error: report.html cannot be written: File too large.\n") == (done.returncode, done.stderr)
    assert list(etl.directory.glob("*.html")) == []


def test_a_report_is_for_its_owner_alone_and_written_through_no_link(filled: None, etl: Command) -> None:  # noqa: ARG001
    victim, out = etl.directory / "victim", etl.directory / "report.html"
    victim.write_text("dear")
    out.symlink_to(victim)
    # Commands of tests run in this process, so its number is what a local attacker would guess.
    (etl.directory / f".report.html.{os.getpid()}").symlink_to(victim)
    assert 0 == etl("report", "--out", "report.html").returncode
    assert ("dear", False, 0o600) == (victim.read_text(), out.is_symlink(), stat.S_IMODE(out.stat().st_mode))


def test_without_the_extra_that_draws_the_error_names_the_cure(filled: None, etl: Command) -> None:  # noqa: ARG001
    (etl.directory / "vl_convert.py").write_text("raise ImportError")
    done = etl.alone("report", "--out", "report.html")
    assert (2, "Error: To draw, install the report extra: pip install 'highlevel-etl[report]'\n") == (
        done.returncode,
        done.stderr,
    )


def test_a_database_without_messages_or_tables_is_reported(etl: Command, empty_database_url: str) -> None:
    empty = etl("report", "--out", "report.html")
    bare = etl("report", "--out", "report.html", DATABASE_URL=empty_database_url)
    assert (2, 2) == (empty.returncode, bare.returncode)
    assert empty.stderr.startswith("Error: No messages are loaded yet.")
    assert bare.stderr.startswith("Error: The database postgresql://")
    assert not (etl.directory / "report.html").exists()


def test_a_database_that_takes_no_writes_is_read(filled: None, etl: Command, engine: Engine) -> None:  # noqa: ARG001
    with engine.begin() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    assert 0 == etl("report", "--out", "report.html").returncode
