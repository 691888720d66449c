"""The proxies as docs/operations.md shows them, but without TLS, in front of a real receiver."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from etl.sandbox.keys import SandboxKeys
from tests.receive.burst import connections, post_at_once, signed_post, statuses
from tests.receive.receiver import Receiver
from tests.waiting import await_

DOCS = Path("docs/operations.md").read_text(encoding="utf-8")
HALF = b"POST /webhooks/highlevel HTTP/1.1\r\nHost: localhost\r\nX-GHL-"
MEBIBYTE = 1024 * 1024


def nginx(docs: str, directory: Path, port: int, behind: int) -> list[str]:
    """Write the configuration; the command that runs it."""
    main, site = re.findall(r"```nginx\n(.*?)```", docs, re.DOTALL)
    site = re.sub(r"ssl_certificate.*;", "", site).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    paths = [f"{name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    user = "user root;" if os.geteuid() == 0 else ""
    http = "\n".join(["http {", "access_log off;", *paths, site.replace("127.0.0.1:8080", f"127.0.0.1:{behind}"), "}"])
    file = directory / "nginx.conf"
    file.write_text(f"daemon off;\n{user}\npid {directory}/pid;\n{main}\n{http}")
    return [shutil.which("nginx", path=PATH) or "", "-e", "stderr", "-p", str(directory), "-c", str(file)]


def caddy(docs: str, directory: Path, port: int, behind: int) -> list[str]:
    """Write the configuration; the command that runs it."""
    (written,) = re.findall(r"```caddyfile\n(.*?)```", docs, re.DOTALL)
    written = written.replace("{\n", "{\n    admin off\n", 1).replace("127.0.0.1:8080", f"127.0.0.1:{behind}")
    file = directory / "Caddyfile"
    file.write_text(written.replace("hooks.example.com", f"http://127.0.0.1:{port}, http://localhost:{port}"))
    return [shutil.which("caddy", path=PATH) or "", "run", "--adapter", "caddyfile", "--config", str(file)]


PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
PROXIES: dict[str, Callable[[str, Path, int, int], list[str]]] = {"nginx": nginx, "caddy": caddy}


@contextmanager
def running(name: str, directory: Path, behind: int, *, docs: str = DOCS) -> Iterator[int]:
    """A proxy in front of a port; its own port."""
    if shutil.which(name, path=PATH) is None:
        pytest.skip(f"{name} is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    log = directory / "log"
    environment = os.environ | {"HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            PROXIES[name](docs, directory, port, behind), cwd=directory, env=environment, stdout=stderr, stderr=stderr
        )
    try:
        await_(lambda: process.poll() is not None or accepts(port))
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest, receiver: Receiver, tmp_path: Path) -> Iterator[int]:
    """The port of a proxy in front of a receiver."""
    with running(request.param, tmp_path, receiver.port) as port:
        yield port


def test_of_many_posts_at_once_only_the_excess_is_asked_to_come_again(
    proxy: int, keys: SandboxKeys, unique: str
) -> None:
    left = [signed_post(keys, webhookId=f"{unique}-{number}") for number in range(1500)]
    while left:
        answers = post_at_once(proxy, left)
        assert {200, 429} >= set(statuses(answers))
        assert statuses(answers)[200] > 0
        assert all(b"\r\nretry-after: " in head.lower() for status, head in answers if status == 429)
        left = [each for each, (status, _) in zip(left, answers, strict=True) if status == 429]


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("status", [500, 503, None], ids=["its 500", "its 503", "no answer"])
def test_what_the_receiver_does_not_take_is_asked_for_again(tmp_path: Path, name: str, status: int | None) -> None:
    with answering(status) as behind, running(name, tmp_path, behind) as port:
        answer = requests.post(f"http://127.0.0.1:{port}/webhooks/highlevel", data=b"{}", timeout=20)
    assert (429, "5") == (answer.status_code, answer.headers["Retry-After"])


@contextmanager
def answering(status: int | None) -> Iterator[int]:
    """The port of somebody who answers this to everything; of nobody, if it is None."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status or 0)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port: int = server.server_address[1]
        if status is not None:
            Thread(target=server.serve_forever, daemon=True).start()
        else:
            server.server_close()
        yield port
        if status is not None:
            server.shutdown()


def test_half_sent_requests_hold_nobody_up(proxy: int, keys: SandboxKeys, unique: str) -> None:
    with connections(proxy, 1010, HALF):
        (answer,) = post_at_once(proxy, [signed_post(keys, webhookId=unique)])
    assert 200 == answer[0]


@pytest.mark.parametrize("name", PROXIES)
def test_who_does_not_send_a_whole_header_is_hung_up_on(tmp_path: Path, receiver: Receiver, name: str) -> None:
    hurried = DOCS.replace(" 10s", " 1s")
    with (
        running(name, tmp_path, receiver.port, docs=hurried) as port,
        connections(port, 1, HALF) as (client,),
    ):
        while client.recv(4096):
            pass


def test_a_large_email_passes_byte_for_byte_and_a_larger_one_is_too_large(
    proxy: int, keys: SandboxKeys, unique: str
) -> None:
    event = {"webhookId": unique, "body": ""}
    body = json.dumps(event | {"body": "x" * (8 * MEBIBYTE - len(json.dumps(event)))}).encode()
    url = f"http://127.0.0.1:{proxy}/webhooks/highlevel"
    assert 200 == requests.post(url, data=body, headers=keys.sign(body), timeout=60).status_code
    assert 413 == requests.post(url, data=body + b" ", headers=keys.sign(body), timeout=60).status_code


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/webhooks/../metrics", "/webhooks/%2e%2e/metrics"])
def test_what_tells_about_the_receiver_is_not_shown(proxy: int, path: str) -> None:
    with socket.create_connection(("127.0.0.1", proxy), timeout=20) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert b" 404 " in client.recv(4096).split(b"\r\n")[0]
