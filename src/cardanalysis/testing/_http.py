"""A small, strict HTTP/1.1 server on loopback, in a thread and an event loop of its own.

It knows requests, responses and connections; nothing of Claude. It reads bodies with a Content-Length and chunked
bodies, keeps connections alive, and notices at once when a client hangs up.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from attrs import frozen

__all__ = ["Connection", "HTTPRequest", "HTTPResponse", "LoopbackServer", "parse_head"]

_MAX_HEAD = 64 * 1024
"""The longest request head, in bytes; also how much of a body is buffered before it is taken."""

_BACKLOG = 1024
"""How many connections may wait to be accepted."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


class ProtocolError(Exception):
    """What came is no HTTP/1.1 request that this server reads; it is answered, then the connection is closed."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


@frozen(kw_only=True)
class HTTPRequest:
    """One whole request.

    Attributes:
        method: The method, as sent.
        path: The path, without the query.
        query: What follows the question mark, or the empty string.
        headers: The headers by lower-case name; repeated ones are joined by a comma.
        body: The body, or None when it is longer than the server takes.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes | None


@frozen(kw_only=True)
class HTTPResponse:
    """One response.

    Attributes:
        status: The status code.
        headers: The headers, without the ones that frame the body.
        pieces: The body, in the pieces in which it is sent.
        chunked: Whether each piece is sent as a chunk, instead of all under one Content-Length.
        pause_seconds: The pause before each piece.
        sent: How many of the pieces are sent before the connection is closed; None to send all and keep it open.
        stalled: Whether it is left open and silent instead of being closed, until the client hangs up.
    """

    status: int
    headers: Iterable[tuple[str, str]]
    pieces: tuple[bytes, ...]
    chunked: bool = False
    pause_seconds: float = 0.0
    sent: int | None = None
    stalled: bool = False


def parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Read a request head: the method, the target, and the headers by lower-case name.

    Args:
        head: The request line and headers, up to and with the empty line.

    Raises:
        ProtocolError: It is no head of an HTTP/1.1 request.
    """
    request_line, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, _, rest = request_line.partition(" ")
    target, _, version = rest.partition(" ")
    if not _TOKEN.fullmatch(method) or not target.startswith("/") or not version.startswith("HTTP/"):
        raise ProtocolError(400, "The request line is malformed.")
    if version != "HTTP/1.1":
        raise ProtocolError(505, "Only HTTP/1.1 is spoken here.")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise ProtocolError(400, "A header line is malformed.")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "host" not in headers:
        raise ProtocolError(400, "The Host header is missing.")
    return method, target, headers


async def _read_head(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise ProtocolError(431, "The request head is too long.") from None
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None  # an idle connection was closed, as it may be


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str], max_bytes: int) -> bytes | None:
    length, encoding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is not None and encoding is not None:
        raise ProtocolError(400, "A request has a Content-Length or a Transfer-Encoding, never both.")
    if encoding is not None:
        if encoding.lower() != "chunked":
            raise ProtocolError(501, "The only transfer encoding known here is chunked.")
        return await _read_chunks(reader, max_bytes)
    if length is None:
        return b""
    if not (length.isascii() and length.isdigit()):
        raise ProtocolError(400, "The Content-Length is not a number.")
    return await _read_exactly(reader, int(length), max_bytes)


async def _read_exactly(reader: asyncio.StreamReader, size: int, max_bytes: int) -> bytes | None:
    """The next bytes, or None when there are too many: they are read all the same, so that the client can finish."""
    if size <= max_bytes:
        return await reader.readexactly(size)
    while size:
        size -= len(await reader.readexactly(min(size, _MAX_HEAD)))
    return None


async def _read_chunks(reader: asyncio.StreamReader, max_bytes: int) -> bytes | None:
    chunks: list[bytes] = []
    room, oversized = max_bytes, False
    while size := await _read_chunk_size(reader):
        chunk = await _read_exactly(reader, size, room)
        if await reader.readexactly(2) != b"\r\n":
            raise ProtocolError(400, "A chunk does not end where it says.")
        if chunk is None:
            oversized, room = True, -1
        else:
            chunks.append(chunk)
            room -= size
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers are read over
    return None if oversized else b"".join(chunks)


async def _read_chunk_size(reader: asyncio.StreamReader) -> int:
    match = _CHUNK_SIZE.fullmatch(await reader.readuntil(b"\r\n"))
    if match is None:
        raise ProtocolError(400, "A chunk size is malformed.")
    return int(match[1], 16)


def _head(response: HTTPResponse) -> bytes:
    framing = (
        "transfer-encoding: chunked"
        if response.chunked
        else f"content-length: {sum(len(piece) for piece in response.pieces)}"
    )
    lines = [
        f"HTTP/1.1 {response.status} {_reason(response.status)}",
        *(f"{name}: {value}" for name, value in response.headers),
        framing,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"  # 529 has no phrase of its own


class _Reader(asyncio.StreamReader):
    """A stream that tells at once when the other side has hung up, even while nobody reads from it."""

    on_hang_up: Callable[[], object] | None = None

    def feed_eof(self) -> None:
        super().feed_eof()
        self._hang_up()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._hang_up()

    def _hang_up(self) -> None:
        if self.on_hang_up is not None:
            self.on_hang_up()


_Serve = Callable[[HTTPRequest, "Connection"], Awaitable[None]]


class Connection:
    """One client's connection: reads its requests one after the other and sends what is answered."""

    def __init__(
        self, reader: _Reader, writer: asyncio.StreamWriter, serve: _Serve, max_body_bytes: Callable[[str], int]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._serve = serve
        self._max_body_bytes = max_body_bytes
        self._open = True
        self._method = ""
        # With no room to buffer, drain() waits until everything is handed to the kernel: then it counts as sent.
        writer.transport.set_write_buffer_limits(high=0)

    async def run(self) -> None:
        """Serve this connection until either side closes it."""
        try:
            while self._open and (request := await self._next_request()) is not None:
                await self._serve_one(request)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client went away or talks nonsense in the middle of a request: nobody is left to tell

    async def send(self, response: HTTPResponse, before_last: Callable[[], object] | None = None) -> None:
        """Send a response, whole or in part as it says, and wait until it is on its way.

        Args:
            response: What to send.
            before_last: Called just before the last bytes go out, so that whoever has read them finds it done.
        """
        out = _head(response)
        for piece in response.pieces[: response.sent] if self._method != "HEAD" else ():
            if response.pause_seconds:
                await self._write(out)
                out = b""
                await asyncio.sleep(response.pause_seconds)
            out += b"%x\r\n%b\r\n" % (len(piece), piece) if response.chunked else piece
        if response.stalled:
            await self._write(out)
            await self.hang()
        if response.sent is not None:
            self.close()
        elif response.chunked:
            out += b"0\r\n\r\n"
        if before_last is not None:
            before_last()
        await self._write(out)

    async def hang(self) -> None:
        """Say nothing more until the client hangs up."""
        await asyncio.Event().wait()

    def close(self) -> None:
        """Close the connection once the request in hand is served."""
        self._open = False

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _next_request(self) -> HTTPRequest | None:
        try:
            return await self._read_request()
        except ProtocolError as error:
            headers = [("content-type", "text/plain"), ("connection", "close")]
            await self.send(HTTPResponse(status=error.status, headers=headers, pieces=(str(error).encode(),)))
            return None

    async def _read_request(self) -> HTTPRequest | None:
        head = await _read_head(self._reader)
        if head is None:
            return None
        self._method, target, headers = parse_head(head)
        path, _, query = target.partition("?")
        body = await _read_body(self._reader, headers, self._max_body_bytes(path))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return HTTPRequest(method=self._method, path=path, query=query, headers=headers, body=body)

    async def _serve_one(self, request: HTTPRequest) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - run() is always a task
        self._reader.on_hang_up = task.cancel
        try:
            await self._serve(request, self)
        finally:
            self._reader.on_hang_up = None


class LoopbackServer:
    """Listens on a free port of 127.0.0.1, in a thread of its own, from when it is made until it is closed.

    A client that connects before the thread runs is kept waiting by the kernel, not refused.

    Args:
        serve: Called with each request and its connection, on the server's own loop.
        max_body_bytes: Tells of a path the longest body that is kept; of a longer one the request says None.

    Attributes:
        port: The port.
    """

    def __init__(self, serve: _Serve, *, max_body_bytes: Callable[[str], int]) -> None:
        self._serve = serve
        self._max_body_bytes = max_body_bytes
        self._stop = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()  # a loop itself refers to its tasks weakly
        self._loop = asyncio.new_event_loop()
        listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.port: int = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(listener,), name="loopback-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Drop every connection, whatever it is doing, and join the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, listener: socket.socket) -> None:
        try:
            self._loop.run_until_complete(self._listen(listener))
        finally:
            self._loop.close()

    async def _listen(self, listener: socket.socket) -> None:
        server = await self._loop.create_server(self._accept, sock=listener, backlog=_BACKLOG)
        await self._stop.wait()
        # The loop's own tasks, which accept connections, must come to their end, or their sockets would be lost; and
        # they begin tasks of ours. So it is looked again until there is none, and only then nobody listens any more.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in self._connections:
                task.cancel()
            await asyncio.wait(tasks)
        server.close()
        await server.wait_closed()

    def _accept(self) -> asyncio.StreamReaderProtocol:
        reader = _Reader(limit=_MAX_HEAD, loop=self._loop)

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(Connection(reader, writer, self._serve, self._max_body_bytes).run())
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
            task.add_done_callback(lambda _: writer.transport.abort())  # a task may end without ever having run

        return asyncio.StreamReaderProtocol(reader, connected, loop=self._loop)
