"""More senders at once than anybody counts on, and clients that only hold connections."""

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from sqlalchemy import Engine, text
from starlette.responses import Response
from starlette.routing import Route, Router

from etl.listening import listen
from etl.receive import server
from etl.sandbox.keys import SandboxKeys
from tests.receive.burst import connections, post_at_once, signed_post, statuses
from tests.receive.receiver import Launch, Receiver

HALF = b"POST /webhooks/highlevel HTTP/1.1\r\nHost: a\r\nX-GHL-"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def test_of_two_thousand_posts_at_once_only_the_excess_is_asked_to_come_again(
    launch: Launch, database_url: str, engine: Engine, keys: SandboxKeys
) -> None:
    left = [signed_post(keys, webhookId=f"event-{number}") for number in range(2000)]
    with launch(database_url) as receiver:
        while left:
            answers = post_at_once(receiver.port, left)
            found = statuses(answers)
            assert {200, 429} >= set(found)
            assert found[200] > 0
            assert all(b"\r\nretry-after: " in head.lower() for status, head in answers if status == 429)
            left = [each for each, (status, _) in zip(left, answers, strict=True) if status == 429]
    with engine.connect() as connection:
        assert 2000 == connection.execute(text("SELECT count(*) FROM etl.webhook_events")).scalar_one()


@pytest.mark.parametrize("sent", [b"", HALF, WHOLE], ids=["nothing", "half a header", "a request and no other"])
def test_connections_that_only_wait_hold_nobody_up(launch: Launch, database_url: str, sent: bytes) -> None:
    with launch(database_url) as receiver:
        # More than it may have, of which there are always as many as somebody cares to open.
        resource.prlimit(receiver.process.pid, resource.RLIMIT_NOFILE, (1000, 1000))
        with connections(receiver.port, 1200, sent):
            assert 200 == receiver.say(webhookId="between them")


@pytest.mark.parametrize("sent", [b"", HALF, WHOLE + HALF], ids=["nothing", "half a header", "half a second header"])
def test_who_does_not_send_a_whole_header_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.1)
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 0.1)
    with serving() as port, connections(port, 1, sent) as (client,):
        assert sent.startswith(WHOLE) == (b"204" in everything_on(client))


@contextmanager
def serving() -> Iterator[int]:
    """The receiver's server around an application that answers at once; its port."""
    with listen() as listener:
        ours = server.server_of(Router([Route("/healthz", lambda _request: Response(status_code=204))]))
        thread = Thread(target=ours.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ours.should_exit = True
            thread.join()


def everything_on(client: socket.socket) -> bytes:
    """Everything that comes until the other side hangs up."""
    received = b""
    while some := client.recv(4096):
        received += some
    return received


def test_a_connection_that_cannot_be_read_stops_no_other(receiver: Receiver) -> None:
    chunked = b"POST /webhooks/highlevel HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connections(receiver.port, 30, chunked) as clients:
        assert all(client.recv(4096).startswith(b"HTTP/1.1 401") for client in clients)
        for client in clients:
            client.sendall(b"no chunk\r\n")
        assert 200 == receiver.say_once(webhookId="after them")
