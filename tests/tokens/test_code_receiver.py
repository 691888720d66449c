import socket
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import requests

from etl.cli.code_receiver import CodeReceiver, is_local
from etl.errors import ConfigurationError


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def visit(*paths: str) -> tuple[list[int], str | None]:
    """The answers to a browser at these paths, and the code that was received."""
    uri = f"http://localhost:{free_port()}/callback"
    receiver = CodeReceiver(uri, state="state-1")
    with ThreadPoolExecutor(1) as pool:
        code: Future[str | None] = pool.submit(receiver.wait, 90.0)
        base = uri.removesuffix("/callback")
        told = [requests.get(base + path, timeout=10).status_code for path in paths]
        return told, code.result()


def test_the_code_is_received() -> None:
    assert ([200], "code-1") == visit("/callback?code=code-1&state=state-1")


@pytest.mark.parametrize("query", ["code=code-1&state=state-2", "code=code-1", "state=state-1&error=access_denied"])
def test_an_answer_to_another_request_or_without_a_code_is_not_taken(query: str) -> None:
    assert ([400, 200], "code-1") == visit(f"/callback?{query}", "/callback?code=code-1&state=state-1")


def test_a_code_that_does_not_come_is_not_waited_for_longer() -> None:
    assert CodeReceiver(f"http://localhost:{free_port()}/", state="state-1").wait(0.0) is None


def test_a_browser_that_asks_for_an_icon_first_does_no_harm() -> None:
    assert ([404, 200], "code-1") == visit("/favicon.ico", "/callback?code=code-1&state=state-1")


def test_a_port_that_is_taken_is_a_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ConfigurationError, match="--redirect-uri"):
        CodeReceiver(f"http://localhost:{listener.getsockname()[1]}/", state="state-1")


@pytest.mark.parametrize(
    ("uri", "local"),
    [("http://127.0.0.1:1/x", True), ("http://localhost/", True), ("https://localhost/", False), ("http://x/", False)],
)
def test_only_plain_http_on_this_machine_is_listened_for(uri: str, *, local: bool) -> None:
    assert local == is_local(uri)
