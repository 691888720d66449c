"""The transport against servers that drip, break and fall silent, byte by byte."""

import gzip
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Event

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from etl.api import answers, connections
from etl.api.rate_headers import RateHeaders
from etl.api.transport import Bounds, LostRequestError, NoAnswerError, Stream, Transport
from tests.tcp import Serve, Server, answer, answering, heard, reset

BOUNDS = Bounds(total_seconds=60.0, max_bytes=1_000_000)
HASTY = Bounds(total_seconds=0.3, max_bytes=1_000_000)
DRIPS = 500
"""Bytes that a dripping server has: enough for ten seconds."""


def silent(server: Server) -> Serve:
    def serve(_connection: socket.socket, _number: int) -> None:
        server.ended.wait()

    return serve


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def transport(server: Server) -> Iterator[Transport]:
    with Transport(base_url=server.url, pool_size=4, user_agent="tests") as transport:
        yield transport


def get(transport: Transport, *, bounds: Bounds = BOUNDS) -> bytes:
    return transport.send("GET", "/", bounds=bounds).body


def dripping(server: Server, head: bytes, drip: bytes) -> Event:
    """Let each answer drip; returns what is set when one has come to its end."""
    complete = Event()

    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(head)
        for _ in range(DRIPS):
            connection.sendall(drip)
            if server.ended.wait(0.02):
                return
        complete.set()

    server.serve = serve
    return complete


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % DRIPS, b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["status", "header", "continue", "body", "chunks", "body without a length"],
)
def test_an_answer_that_drips_has_its_total_time_and_no_more(
    server: Server, transport: Transport, head: bytes, drip: bytes
) -> None:
    complete = dripping(server, head, drip)
    with pytest.raises(NoAnswerError, match="it took too long"):
        get(transport, bounds=HASTY)
    assert not complete.is_set()


def test_a_server_that_says_nothing_has_its_time_too(
    server: Server, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SILENCE_SECONDS", 0.1)
    server.serve = silent(server)
    with pytest.raises(NoAnswerError, match="it took too long"):
        get(transport)


def test_what_is_under_way_ends_when_it_is_no_longer_awaited(server: Server, transport: Transport) -> None:
    complete = dripping(server, b"HTTP/1.1 200 OK\r\n\r\n", b"x")
    with transport.open("GET", "/", bounds=BOUNDS) as stream:
        transport.end_within(0.2)
        with pytest.raises(LostRequestError):
            stream.read(DRIPS)
    with pytest.raises(LostRequestError):
        get(transport)
    assert not complete.is_set()


def test_the_answer_to_a_post_is_awaited_all_the_same(transport: Transport) -> None:
    transport.end_within(0.0)
    assert transport.send("POST", "/", bounds=BOUNDS).body == b"yes"


@pytest.mark.parametrize("line", [b"X-RateLimit-Max:25", b"x-ratelimit-max: 25 ", b"X-RATELIMIT-MAX: \t25\t "])
def test_a_limit_is_read_with_blanks_around_it(server: Server, transport: Transport, line: bytes) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 0\r\n\r\n" % line)

    server.serve = serve
    headers = transport.send("GET", "/", bounds=BOUNDS).headers
    assert RateHeaders.from_headers(headers) == RateHeaders(max_requests=25)


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", True),
        (b"HTTP/1.1 200\nContent-Length:3\n\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\ny\r\n2\r\nes\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: <>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", True),
    ],
)
def test_an_answer_says_how_long_it_is_and_whether_more_follows(
    server: Server, transport: Transport, head: bytes, *, is_kept: bool
) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        while heard(connection):
            connection.sendall(head if b"Chunked" in head else head + b"yes")

    server.serve = serve
    assert [get(transport), get(transport), server.connections] == [b"yes", b"yes", 1 if is_kept else 2]


@pytest.mark.parametrize(
    "said",
    [
        b"220 mail.example.com ESMTP\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n" + 70_000 * b"x" + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + 1000 * b"X-More: 1\r\n" + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nyes",
    ],
    ids=["mail", "no status", "broken off", "long line", "many lines", "two lengths"],
)
def test_what_is_no_http_is_no_answer(server: Server, transport: Transport, said: bytes) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(said)

    server.serve = serve
    with pytest.raises(NoAnswerError) as caught:
        get(transport)
    assert type(caught.value) is NoAnswerError


def test_connections_that_close_without_a_word_lose_one_request_only(
    server: Server, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SURE_SECONDS", 1000.0)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 1000.0)
    closed = Event()

    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        answer(connection)
        connection.close()
        closed.set()

    server.serve = serve
    get(transport)
    assert closed.wait(10.0)
    with pytest.raises(LostRequestError):
        get(transport)
    for _ in range(3):
        closed.clear()
        assert get(transport) == b"yes"
        assert closed.wait(10.0)


def test_an_answer_without_a_length_is_read_to_its_end(server: Server, transport: Transport) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + 200_000 * b"x")

    server.serve = serve
    assert get(transport) == 200_000 * b"x"


def test_connections_are_used_again(server: Server, transport: Transport) -> None:
    assert [get(transport) for _ in range(3)] == [b"yes"] * 3
    assert server.connections == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    server: Server, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    get(transport)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    assert (get(transport), server.connections) == (b"yes", 2)


def dying(connection: socket.socket, number: int) -> None:
    """Answer once; the first connections die when they are used again, a later one lives."""
    heard(connection)
    answer(connection)
    if number >= 2:
        answering(connection, number)
    elif heard(connection):
        reset(connection)


def test_a_request_on_a_connection_that_had_died_is_lost_and_the_next_one_goes_on_a_new_one(
    server: Server, transport: Transport
) -> None:
    server.serve = dying
    with transport.open("GET", "/", bounds=BOUNDS) as stream:
        get(transport)
        stream.read(100)
    with pytest.raises(LostRequestError):
        get(transport)
    # The other one of the first two was idle as long, and is not tried.
    with transport.open("GET", "/", bounds=BOUNDS) as stream:
        assert (get(transport), stream.read(100).body, server.connections) == (b"yes", b"yes", 4)


def test_a_new_connection_that_breaks_is_no_answer(server: Server, transport: Transport) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        reset(connection)

    server.serve = serve
    with pytest.raises(NoAnswerError) as caught:
        get(transport)
    assert type(caught.value) is NoAnswerError


def test_an_answer_that_breaks_off_on_a_used_connection_is_no_answer(server: Server, transport: Transport) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        answer(connection)
        heard(connection)
        connection.sendall(b"HTTP/1.1 2")

    server.serve = serve
    get(transport)
    with pytest.raises(NoAnswerError) as caught:
        get(transport)
    assert type(caught.value) is NoAnswerError


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/", "ftp://127.0.0.1:9/", "file:///etc/hosts"])
def test_no_redirect_leaves_https(transport: Transport, target: str) -> None:
    redirect = Stream(302, {"Location": target}, iter(()), "https://services.example/x")
    with pytest.raises(NoAnswerError, match="from https"), transport.follow(redirect, bounds=BOUNDS):
        pass


@pytest.mark.parametrize(
    ("status", "location", "is_elsewhere"),
    [
        (302, "https://storage.example/x", True),
        (307, "//storage.example/x", True),
        (302, "https://services.example/y", False),
        (302, "http://services.example/x", False),
        (302, "/y", False),
        (302, "http://[x", False),
        (302, "", False),
        (304, "https://storage.example/x", False),
        (200, "https://storage.example/x", False),
    ],
)
def test_only_another_host_is_elsewhere(status: int, location: str, *, is_elsewhere: bool) -> None:
    answer = Stream(status, {"Location": location}, iter(()), "https://services.example/x")
    assert answer.is_elsewhere == is_elsewhere


def test_a_proxy_of_the_environment_gets_the_whole_address(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def serve(connection: socket.socket, _number: int) -> None:
        asked.append(heard(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    server.serve = serve
    monkeypatch.setenv("HTTP_PROXY", server.url.replace("http://", "http://user:word@"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with Transport(base_url="http://api.example", pool_size=1, user_agent="tests") as transport:
        assert transport.send("GET", "/a", bounds=BOUNDS, params={"x": "1 2"}).body == b"{}"
    head = asked[0].split(b"\r\n")
    assert (head[0], b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in head) == (
        b"GET http://api.example/a?x=1+2 HTTP/1.1",
        True,
    )


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key, and its certificate for this machine."""
    key, path = ec.generate_private_key(ec.SECP256R1()), tmp_path / "tls.pem"
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    alternatives = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1)
    ).add_extension(alternatives, critical=False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + built.sign(key, SHA256()).public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("is_proxied", [False, True], ids=["directly", "through a proxy"])
def test_https_is_spoken(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch, *, is_proxied: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked: list[bytes] = []

    def serve(connection: socket.socket, number: int) -> None:
        if is_proxied:
            asked.append(heard(connection))
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as secure:
            answering(secure, number)

    server.serve = serve
    url = server.url.replace("http:", "https:")
    if is_proxied:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        url = "https://127.0.0.1:9"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with Transport(base_url=url, pool_size=1, user_agent="tests") as transport:
        assert [get(transport), get(transport), server.connections] == [b"yes", b"yes", 1]
    assert [line.split(b" HTTP")[0] for line in asked] == ([b"CONNECT 127.0.0.1:9"] if is_proxied else [])


def test_a_request_is_sent_whole_with_its_host_and_length(server: Server, transport: Transport) -> None:
    asked: list[list[bytes]] = []

    def serve(connection: socket.socket, _number: int) -> None:
        while request := heard(connection):
            asked.append(request.split(b"\r\n"))
            answer(connection)

    server.serve = serve
    transport.send("GET", "/a", bounds=BOUNDS)
    transport.send("POST", "/b", bounds=BOUNDS, data={"name": "é"})
    host = server.url.replace("http://", "Host: ").encode()
    assert [(lines[0], host in lines) for lines in asked] == [(b"GET /a HTTP/1.1", True), (b"POST /b HTTP/1.1", True)]
    assert asked[1][-3:] == [b"Content-Length: 11", b"", b"name=%C3%A9"]


@pytest.mark.parametrize("value", ["a\r\nX-More: b", "a\nb", "a\0"])
def test_nothing_is_sent_that_would_begin_another_header(server: Server, transport: Transport, value: str) -> None:
    with pytest.raises(NoAnswerError):
        transport.send("GET", "/", bounds=BOUNDS, headers={"Version": value})
    assert server.connections == 0


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"yes"), b"gzip"),
        (gzip.compress(b"y") + gzip.compress(b"es"), b"GZIP"),
        (gzip.compress(b"yes"), b"x-gzip"),
        (b"yes", b"identity"),
    ],
)
def test_a_compressed_answer_is_inflated(server: Server, transport: Transport, body: bytes, encoding: bytes) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
        while heard(connection):
            connection.sendall(head + body)

    server.serve = serve
    assert [get(transport), get(transport), server.connections] == [b"yes", b"yes", 1]


def test_little_is_read_of_what_inflates_to_a_lot(server: Server, transport: Transport) -> None:
    body = gzip.compress(bytes(50_000_000))

    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)

    server.serve = serve
    response = transport.send("GET", "/", bounds=BOUNDS)
    assert (response.is_whole, len(response.body) <= BOUNDS.max_bytes + answers.CHUNK) == (False, True)


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(b"yes")[:-1] + b"x"], ids=["not compressed", "wrong checksum"]
)
def test_what_is_not_compressed_as_it_says_is_no_answer(server: Server, transport: Transport, body: bytes) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)

    server.serve = serve
    with pytest.raises(NoAnswerError, match="not compressed"):
        get(transport)


def test_a_body_shorter_than_its_length_is_no_answer(server: Server, transport: Transport) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nyes")

    server.serve = serve
    with pytest.raises(NoAnswerError, match="the connection broke"):
        get(transport)


def test_an_answer_that_is_not_read_to_its_end_leaves_no_connection(server: Server, transport: Transport) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        while heard(connection):
            answer(connection, 200_000 * b"x")

    server.serve = serve
    with transport.open("GET", "/", bounds=BOUNDS) as stream:
        stream.read(1)
    assert (len(get(transport)), server.connections) == (200_000, 2)


def test_after_its_end_a_transport_keeps_no_connection(server: Server) -> None:
    with Transport(base_url=server.url, pool_size=4, user_agent="tests") as transport:
        get(transport)
    # So does a thread that comes late, as one that renews a token.
    assert [get(transport) for _ in range(2)] == [b"yes"] * 2
    assert server.connections == 3
