import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import URL, Engine, text

from etl.database.connections import open_engine
from etl.sandbox.keys import SandboxKeys
from tests.cli.browser import Browser, open_browser
from tests.receive.receiver import Launch, Receiver
from tests.servers import fresh_database
from tests.waiting import await_

PASSWORD = "correct horse battery"
AUTH = ("anybody", PASSWORD)
WORDS = "Tomorrow at nine"
FILL = """
INSERT INTO etl.locations (location_id, name, token_source, access_token, paused_at, pause_cause, pause_detail)
VALUES ('LOC1', 'Paws & <b>Claws</b>', 'private', 'gAAAAA-token', now() - interval '3 hours', 'token_refused', 'no');
INSERT INTO etl.message_queue (message_id, location_id, scheduled_at)
SELECT 'M' || n, 'LOC1', now() - interval '2 hours' FROM generate_series(1, 12) AS n;
INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail, payload)
SELECT 'message', 'D' || n, 'LOC1', 8, 'http_500', 'HTTP 500', 'Tomorrow at nine' FROM generate_series(1, 3) AS n;
INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
VALUES ('w1', now(), 'InboundMessage', 'LOC1', 'queued', 'Tomorrow at nine');
INSERT INTO etl.runs (job, host, pid, version, finished_at, outcome, loaded)
VALUES ('messages', 'h', 1, '1', now(), 'drained', 7);
INSERT INTO etl.samples
SELECT date_bin('5 min', now(), '2000-01-01') - n * interval '5 minutes',
       jsonb_build_object('due', n % 40, 'loaded_total', (2000 - n) * 30, 'answered_429_total', 2000 - n,
                          'answered_4xx_total', 0, 'answered_5xx_total', (2000 - n) / 9, 'unanswered_total', 0,
                          'retried_total', 2000 - n, 'dead_total', (2000 - n) / 50, 'lag_p50', 2 + n % 3,
                          'lag_p95', 9 + n % 5, 'allowance_left', 0.9 - (n % 288) / 500.0)
FROM generate_series(1, 2000) AS n;
"""


@pytest.fixture(scope="module")
def engine(server_url: URL, template: str) -> Iterator[Engine]:
    with fresh_database(server_url, template=template) as url:
        engine = open_engine(url.render_as_string(hide_password=False))
        with engine.begin() as connection:
            connection.exec_driver_sql(FILL, execution_options={"no_parameters": True})
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Launch:
    keys = SandboxKeys.load_or_create(tmp_path_factory.mktemp("keys"), rsa_bits=2048)
    return Launch(keys, tmp_path_factory.mktemp("receivers"))


@pytest.fixture(scope="module")
def receiver(launch: Launch, engine: Engine) -> Iterator[Receiver]:
    with launch(url_of(engine), ETL_PAGE_PASSWORD=PASSWORD) as receiver:
        await_(lambda: "<svg" in page(receiver).text)
        yield receiver


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, receiver: Receiver) -> Browser:
    chromium.forget()
    chromium.become()
    chromium.open(f"http://anybody:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{receiver.port}/")
    return chromium


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def page(receiver: Receiver, **options: object) -> requests.Response:
    return requests.get(f"{receiver.url}/", auth=AUTH, timeout=20, **options)  # type: ignore[arg-type]


def retry(receiver: Receiver, headers: dict[str, str], **fields: str) -> int:
    url = f"{receiver.url}/retry"
    return requests.post(url, data=fields, headers=headers, auth=AUTH, timeout=60, allow_redirects=False).status_code


def queued(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT message_id FROM etl.message_queue WHERE message_id LIKE 'D%'"))
        return set(rows.scalars())


def test_without_a_password_there_is_no_page(launch: Launch, engine: Engine) -> None:
    with launch(url_of(engine)) as receiver:
        assert (404, 404) == (receiver.get("/").status_code, receiver.get("/retry").status_code)


@pytest.mark.parametrize("auth", [None, ("anybody", "wrong"), ("", ""), (PASSWORD, "")])
def test_without_the_password_nothing_is_shown(receiver: Receiver, auth: tuple[str, str] | None) -> None:
    got = requests.get(f"{receiver.url}/", auth=auth, timeout=20)
    posted = requests.post(
        f"{receiver.url}/retry", data={"kind": "message", "cause": "http_500"}, auth=auth, timeout=20
    )
    assert (401, 401) == (got.status_code, posted.status_code)
    assert got.headers["WWW-Authenticate"].startswith("Basic ")
    assert "LOC1" not in got.text


def test_a_short_password_is_refused(launch: Launch, engine: Engine, tmp_path: Path) -> None:
    del launch, tmp_path
    from etl.config.settings import read  # noqa: PLC0415
    from etl.errors import ConfigurationError  # noqa: PLC0415

    with pytest.raises(ConfigurationError, match="ETL_PAGE_PASSWORD: must have at least 16") as caught:
        read({"ETL_PAGE_PASSWORD": "short-secret", "DATABASE_URL": url_of(engine)}, dotenv=None)
    assert "short-secret" not in str(caught.value)


def test_the_page_allows_nothing_but_its_own_style(receiver: Receiver) -> None:
    answer = page(receiver)
    (policy,) = re.findall(r"[^,]+", answer.headers["Content-Security-Policy"])
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        policy,
    )
    assert "default-src 'none'; frame-ancestors 'none'" == receiver.get("/healthz").headers["Content-Security-Policy"]
    assert {} == dict(answer.cookies)
    assert "no-store" == answer.headers["Cache-Control"]


def test_the_page_says_what_is_wrong_and_no_word_of_a_customer(receiver: Receiver) -> None:
    told = page(receiver).text
    assert "<strong>location LOC1</strong>: paused: token refused, since " in told
    assert "3 items became dead letters: 3 http_500" in told
    assert "Paws &amp; &lt;b&gt;Claws&lt;/b&gt;" in told
    assert [] == [each for each in (WORDS, "gAAAAA-token") if each in told]


def test_it_shows_in_a_browser_without_complaint(browser: Browser, receiver: Receiver) -> None:
    assert [f"http://127.0.0.1:{receiver.port}/"] == [
        each.replace(f"anybody:{PASSWORD.replace(' ', '%20')}@", "") for each in browser.requests()
    ]
    assert [] == browser.complaints()
    assert 12 == browser.ask("document.querySelectorAll('svg').length")
    # The style is applied, though only its hash is allowed.
    assert "10px" == browser.ask("getComputedStyle(document.querySelector('section')).borderTopLeftRadius")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser: Browser, scheme: str) -> None:
    browser.become(scheme=scheme)
    colours = browser.ask("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    ink, ground = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (ink > ground + 400) if scheme == "dark" else (ground > ink + 400)


def test_nothing_is_wider_than_a_phone(browser: Browser) -> None:
    browser.become(width=360)
    assert 360 == browser.ask("document.documentElement.scrollWidth")


def test_the_keyboard_retries_a_dead_letter(browser: Browser, engine: Engine) -> None:
    labels: list[str] = []
    while not labels or labels[-1] != "Retry":
        browser.press("\ue004")  # Tab
        labels.append(browser.ask("document.activeElement.textContent.trim()"))
        assert len(labels) < 30
    assert "Retry all of these" in labels
    browser.press("\ue007")  # Enter
    await_(lambda: 1 == len(queued(engine)))
    await_(lambda: browser.ask("document.body.textContent.includes('retried 20')"))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.example"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_a_form_of_another_site_has_no_effect(receiver: Receiver, engine: Engine, headers: dict[str, str]) -> None:
    before = queued(engine)
    assert 403 == retry(receiver, headers, kind="message", cause="http_500")
    assert before == queued(engine)


def test_a_form_of_our_own_retries_all_of_a_cause(receiver: Receiver, engine: Engine) -> None:
    own = {"Origin": receiver.url}
    assert 405 == requests.get(f"{receiver.url}/retry", auth=AUTH, timeout=20).status_code
    assert 400 == retry(receiver, own)
    assert 400 == retry(receiver, own, kind="message")
    assert 413 == retry(receiver, own, kind="m" * 5000, cause="http_500")
    assert 303 == retry(receiver, own, kind="message", cause="http_500")
    assert {"D1", "D2", "D3"} == queued(engine)


def test_beside_a_private_port_the_page_is_only_there(launch: Launch, engine: Engine) -> None:
    with launch(url_of(engine), metrics_port=0, ETL_PAGE_PASSWORD=PASSWORD) as receiver:
        private = re.findall(r"http://[\d.]+:\d+", receiver.greeting)[1]
        assert 404 == page(receiver).status_code
        assert 200 == requests.get(f"{private}/", auth=AUTH, timeout=20).status_code


def test_while_postgres_is_away_the_page_says_so(launch: Launch) -> None:
    with launch("postgresql://nobody@127.0.0.1:1/none", ETL_PAGE_PASSWORD=PASSWORD) as receiver:
        await_(lambda: "The figures cannot be read now" in page(receiver).text)
