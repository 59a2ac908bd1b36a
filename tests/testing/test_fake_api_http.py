"""The small HTTP server below the fake Messages API, spoken to byte by byte."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cardanalysis.testing import FakeMessagesAPI, Reply
from cardanalysis.testing._http import ProtocolError, parse_head

BODY = json.dumps({"model": "claude-x", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}).encode()
HEAD = (
    b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\nanthropic-version: 2026-10-21\r\n"
    b"Content-Type: application/json\r\n"
)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
PLAIN = HEAD + LENGTH + b"\r\n" + BODY
CHUNKED = (
    HEAD
    + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    + b"5;name=value\r\n%b\r\n%X\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:])
)


@pytest.fixture(scope="module")
def api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI() as running:
        yield running


def connect(api: FakeMessagesAPI) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(api.base_url.rpartition(":")[2])), timeout=10)


def read_response(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one response with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        assert received, "the connection ended"
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(status_line.split(" ")[1]), headers, body


def answer(api: FakeMessagesAPI, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with connect(api) as connection:
        connection.sendall(request)
        return read_response(connection)


@pytest.mark.parametrize("request_", [PLAIN, CHUNKED], ids=["length", "chunked"])
def test_both_framings_of_a_body_are_read(api: FakeMessagesAPI, request_: bytes) -> None:
    """A body with its length and one in chunks, with extensions and trailers, are the same to the API."""
    status, headers, body = answer(api, request_)
    assert status == 200
    assert headers["request-id"] == api.requests[-1].request_id
    assert json.loads(body)["type"] == "message"
    assert api.requests[-1].text == "Hello"
    assert (api.requests[-1].path, api.requests[-1].query) == ("/v1/messages", "beta=true")


def test_a_connection_is_kept_alive(api: FakeMessagesAPI) -> None:
    """Requests that follow on one connection, even sent in one go, are answered in order."""
    with connect(api) as connection:
        connection.sendall(PLAIN)
        assert read_response(connection)[0] == 200
        connection.sendall(CHUNKED)
        assert read_response(connection)[0] == 200


def test_connection_close_is_kept(api: FakeMessagesAPI) -> None:
    """A client that asks to close gets its response, and then the end."""
    with connect(api) as connection:
        connection.sendall(HEAD + b"Connection: close\r\n" + LENGTH + b"\r\n" + BODY)
        assert read_response(connection)[0] == 200
        assert connection.recv(1) == b""


def test_a_head_request_gets_no_body(api: FakeMessagesAPI) -> None:
    """HEAD is not allowed, and its answer has no body that would be taken for the next response."""
    with connect(api) as connection:
        connection.sendall(b"HEAD /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        received = connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
        assert received.endswith(b"\r\n\r\n")
        connection.sendall(PLAIN)
        assert read_response(connection)[0] == 200


@given(st.lists(st.integers(1, len(CHUNKED) - 1), max_size=6).map(sorted))
@example(list(range(1, len(CHUNKED))))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_request_may_come_in_any_pieces(api: FakeMessagesAPI, cuts: list[int]) -> None:
    """However the bytes of a request are spread over packets, it is read the same."""
    with connect(api) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in zip([0, *cuts], [*cuts, len(CHUNKED)], strict=True):
            connection.sendall(CHUNKED[start:end])
        assert read_response(connection)[0] == 200
    assert api.requests[-1].text == "Hello"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (b"x" * 70_000), 431),
        (HEAD + b"Content-Length: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + "Content-Length: ²\r\n\r\n".encode("latin-1"), 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", 400),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused(api: FakeMessagesAPI, request_: bytes, status: int) -> None:
    """Bytes that are no HTTP/1.1 request get a 4xx or 5xx, and the connection is closed."""
    before = len(api.requests)
    with connect(api) as connection:
        connection.sendall(request_)
        code, headers, body = read_response(connection)
        assert (code, headers["connection"]) == (status, "close")
        assert body
        assert connection.recv(1) == b""
    assert len(api.requests) == before


@pytest.mark.parametrize("request_", [HEAD, PLAIN[:-1], CHUNKED[:-20], CHUNKED[:-2]], ids=range(4))
def test_a_client_that_goes_away_in_the_middle_does_no_harm(api: FakeMessagesAPI, request_: bytes) -> None:
    """A request that never ends is forgotten, and the next client is served."""
    before = len(api.requests)
    with connect(api) as connection:
        connection.sendall(request_)
    assert answer(api, PLAIN)[0] == 200
    assert len(api.requests) == before + 1


@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_goes_away_before_its_answer_is_noticed(api: FakeMessagesAPI, reset: bool) -> None:
    """A client that sends its request and hangs up, or resets, is recorded as one whose request was not answered."""
    api.script(Reply.default().after(3600))
    before = len(api.requests)
    with connect(api) as connection:
        connection.sendall(PLAIN)
        request = api.wait_for_requests(before + 1)[before]
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    api.wait_until_idle()
    assert api.requests[before].finished is not None
    assert (api.requests[before].status, request.text) == (None, "Hello")


@pytest.mark.parametrize("chunks", [1, 3])
def test_chunks_above_the_limit_are_read_and_refused(api: FakeMessagesAPI, chunks: int) -> None:
    """A body in chunks that is too long in all gets its 413, and the connection lives."""
    size = 33 * 1024 * 1024 // chunks
    chunk = b"%x\r\n%b\r\n" % (size, b" " * size)
    with connect(api) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * chunks + b"1\r\nx\r\n0\r\n\r\n")
        assert read_response(connection)[0] == 413
        connection.sendall(PLAIN)
        assert read_response(connection)[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"max_tokens": NaN}', b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900]
)
def test_bodies_that_are_no_json_are_refused(api: FakeMessagesAPI, body: bytes) -> None:
    """A body that cannot be decoded gets the API's own 400."""
    status, _, error = answer(api, HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    assert status == 400
    assert json.loads(error)["error"]["type"] == "invalid_request_error"


def test_deeply_nested_content_is_refused(api: FakeMessagesAPI) -> None:
    """Content that is JSON but too deep to be looked through gets a 400, and does not end the connection."""
    statuses: list[int] = []
    with connect(api) as connection:
        for depth in range(400, 520, 2):  # somewhere on the way the limit of the JSON decoder comes into reach, too
            deep = b'{"type":"tool_result","tool_use_id":"x","content":[' * depth + b"]}" * depth
            body = b'{"model":"claude-x","max_tokens":1,"messages":[{"role":"user","content":[%b]}]}' % deep
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            status, _, answered = read_response(connection)
            statuses.append(status)
            assert json.loads(answered)["type"] == ("message" if status == 200 else "error")
    assert set(statuses) == {200, 400}
    assert statuses == sorted(statuses)


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y")
def test_any_bytes_as_a_head_are_judged(head: bytes) -> None:
    """Whatever comes as a head is read or refused; none makes the parser itself fail."""
    with suppress(ProtocolError):
        method, target, headers = parse_head(head + b"\r\n\r\n")
        assert method
        assert target.startswith("/")
        assert all(name == name.lower() for name in headers)


def test_repeated_headers_are_joined() -> None:
    """A header that comes twice is one with both values."""
    assert parse_head(b"GET /a?b HTTP/1.1\r\nHost: x\r\nA: 1\r\na:  2 \r\n\r\n") == (
        "GET",
        "/a?b",
        {"host": "x", "a": "1, 2"},
    )
