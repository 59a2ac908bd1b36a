"""What the fault tests have: a server that forks processes quickly, and the processes of a test, which end with it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent
_PATIENCE_SECONDS = 120.0
"""How long a process may be silent before it is taken for one that hangs."""

sys.path.insert(0, str(_HERE))
pytest.register_assert_rewrite("fault_kit")


class Server:
    """Has processes forked by one that has imported everything: each is there in a few thousandths of a second."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-W", "error", str(_HERE / "fault_child.py"), str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._socket.settimeout(_PATIENCE_SECONDS)

    def fork(self, job: str, options: dict[str, Any], files: list[int]) -> int:
        """Start a job with its standard input, output and error, and return its process id."""
        pid: int = self._ask({"job": job, "options": options}, files)
        return pid

    def wait(self, pid: int) -> int:
        """The return code of a process that has ended, as subprocess tells it."""
        code: int = self._ask({"wait": pid}, [])
        return code

    def _ask(self, request: dict[str, Any], files: list[int]) -> Any:
        socket.send_fds(self._socket, [json.dumps(request).encode()], files)
        return json.loads(self._socket.recv(65536))

    def close(self) -> None:
        """End the server, which ends what it started."""
        self._socket.close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()


class Child:
    """A process of a test. Whoever reads from it waits for it, and fails if it says nothing for long."""

    def __init__(self, server: Server, job: str, options: dict[str, Any]) -> None:
        self._server = server
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        theirs_in, self._stdin = os.pipe()
        self._stdout, theirs_out = os.pipe()
        self._read = b""
        self._code: int | None = None
        self.pid = server.fork(job, options, [theirs_in, theirs_out, self._errors.fileno()])
        os.close(theirs_in)
        os.close(theirs_out)

    def line(self) -> str:
        """The next line that it prints."""
        while b"\n" not in self._read:
            more = self._more()
            assert more, f"it ended with {self.wait()}: {self.errors()}"
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def send(self, line: str = "go") -> None:
        """Give it a line to read."""
        os.write(self._stdin, f"{line}\n".encode())

    def kill(self, sign: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it."""
        if self._code is None:
            os.kill(self.pid, sign)

    def wait(self) -> int:
        """Wait for its end, and return its return code, negative for a signal."""
        while self._code is None:
            more = self._more()
            self._read += more
            if not more:  # nobody is left who could write
                self._code = self._server.wait(self.pid)
        return self._code

    def rest(self, *warnings: str) -> list[str]:
        """Wait for its good end, and return the lines that were not read.

        Args:
            warnings: What a line on standard error may hold; others must not be there.
        """
        code = self.wait()
        unexpected = [line for line in self.errors().splitlines() if not any(each in line for each in warnings)]
        if code or unexpected:
            pytest.fail(f"it ended with {code}, printed {self._read.decode()!r} and said: {self.errors()}")
        lines, self._read = self._read.decode().splitlines(), b""
        return lines

    def errors(self) -> str:
        """What it said on standard error."""
        self._errors.seek(0)
        return self._errors.read().decode()

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._errors.closed:
            return
        try:
            self.kill()
            self.wait()
        finally:
            self._errors.close()
            os.close(self._stdin)
            os.close(self._stdout)

    def _more(self) -> bytes:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        ready, _, _ = select.select([self._stdout], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"process {self.pid} says nothing: {self.errors()}"
        return os.read(self._stdout, 65536)


class Children:
    """Starts the processes of one test."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._started: list[Child] = []

    def start(self, job: str, **options: Any) -> Child:
        """Start a function of ``fault_child.py``."""
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
        self._started.append(Child(self._server, job, plain))
        return self._started[-1]

    def close(self) -> None:
        """Kill what still runs."""
        with ExitStack() as ends:
            for child in self._started:
                ends.callback(child.close)


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def children(_server: Server) -> Iterator[Children]:
    """Starts processes; what still runs at the end of the test is killed."""
    children = Children(_server)
    yield children
    children.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cards.db"


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
