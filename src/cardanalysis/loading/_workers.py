"""Reading an upload in a process of its own, which is ended when it takes too long.

Everything here blocks; it is called in worker threads. `anyio.to_process` would run the caller's main script again in
each process, which starts the whole work again where that is not guarded by ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import IO, Final, cast

from attrs import define, evolve, field

from .._documents import Block, Document
from .._errors import DocumentError
from .._uploads import Upload
from ._memory import EXIT_OUT_OF_MEMORY
from ._reading import Reading, out_of_memory
from ._worker import receive, send

__all__ = ["Workers", "close_workers", "workers"]

_START: Final = "import sys; sys.path[:] = sys.argv[1:]; from cardanalysis.loading._worker import main; main()"
_MOST_READINGS: Final = 100
"""After so many a process is ended, so that what its parsers leak does not add up."""


@define(eq=False)
class _Worker:
    """One process."""

    process: subprocess.Popen[bytes]
    readings: int = 0

    @classmethod
    def start(cls) -> _Worker:
        command = [sys.executable, "-c", _START, *sys.path]
        return cls(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))  # noqa: S603 - ourselves

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what it did not read any more
                cast("IO[bytes]", pipe).close()

    def read(self, reading: Reading) -> Document | DocumentError:
        """Let it read an upload, and return what comes of that.

        Raises:
            OSError: It is gone.
            EOFError: It is gone.
        """
        self.readings += 1
        send(cast("IO[bytes]", self.process.stdin), reading)
        answers = cast("IO[bytes]", self.process.stdout)
        answer: tuple[Document, int] | DocumentError = receive(answers)
        if isinstance(answer, DocumentError):
            return answer
        document, count = answer
        blocks: list[Block] = []
        while len(blocks) < count:
            blocks += receive(answers)
        return evolve(document, blocks=blocks)


@define(eq=False)
class Cancellation:
    """Ends a reading that nobody waits for any more, from another thread."""

    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _worker: _Worker | None = field(default=None, init=False)
    cancelled: bool = field(default=False, init=False)

    def cancel(self) -> None:
        """End the process that reads, or let none begin."""
        with self._lock:
            self.cancelled = True
            if self._worker is not None:
                self._worker.process.kill()

    @contextmanager
    def ending(self, worker: _Worker) -> Generator[None]:
        """While the block runs, the process reads."""
        with self._lock:
            self._worker = worker
            if self.cancelled:
                worker.process.kill()
        try:
            yield
        finally:
            with self._lock:
                self._worker = None


@define(eq=False)
class Workers:
    """Processes that wait for something to read. There are as many as were ever needed at once, up to a bound.

    Args:
        most: How many may work at once.
    """

    most: int
    _idle: deque[_Worker] = field(factory=deque[_Worker], init=False)
    _slots: threading.Semaphore = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._slots = threading.Semaphore(self.most)

    def read(self, reading: Reading, cancellation: Cancellation) -> Document:
        """Read an upload in one of the processes.

        Raises:
            DocumentError: It cannot be read, takes too long or too much memory.
        """
        reading = evolve(reading, upload=_anywhere(reading.upload))
        with self._slots:
            worker = self._take()
            reusable = False
            try:
                with cancellation.ending(worker):
                    answer = _read(worker, reading)
                reusable = not cancellation.cancelled
            finally:
                # Whatever interrupted it: half of an answer may be left in the pipe.
                self._give_back(worker) if reusable else worker.end()
        if isinstance(answer, DocumentError):
            raise answer
        return answer

    def _take(self) -> _Worker:
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return _Worker.start()
            if worker.alive:
                return worker
            worker.end()

    def _give_back(self, worker: _Worker) -> None:
        if worker.alive and worker.readings < _MOST_READINGS:
            self._idle.append(worker)
        else:
            worker.end()

    def close(self) -> None:
        """End the processes that wait."""
        while self._idle:
            self._idle.pop().end()

    def forget(self) -> None:
        """Leave the processes to another one: after a fork they are the parent's, and so are the locks."""
        self._idle.clear()
        self._slots = threading.Semaphore(self.most)


def _read(worker: _Worker, reading: Reading) -> Document | DocumentError:
    """Let a process read an upload, and end it when it takes too long."""
    late = threading.Event()

    def end() -> None:
        late.set()
        worker.process.kill()

    timer = threading.Timer(reading.limits.seconds, end)
    timer.daemon = True
    timer.start()
    try:
        answer = worker.read(reading)
    except (OSError, EOFError):
        raise _why(reading, late=late.is_set(), exit_code=worker.process.wait()) from None
    finally:
        timer.cancel()
        timer.join()
    if late.is_set():
        raise _why(reading, late=True, exit_code=0)
    return answer


def _anywhere(upload: Upload) -> Upload:
    """The upload for a process that may have been started in another folder."""
    return upload if upload.path is None else evolve(upload, path=upload.path.absolute())


def _why(reading: Reading, *, late: bool, exit_code: int) -> DocumentError:
    """What to say of an upload at which the process ended."""
    name, limits = reading.upload.name, reading.limits
    if late:
        problem = f"reading it takes longer than {limits.seconds:g} s"
        return DocumentError(name, problem, "Split it into parts, or raise Limits.seconds.", code="timeout")
    if exit_code == EXIT_OUT_OF_MEMORY:
        return out_of_memory(name, limits)
    problem = f"its parser ended with exit code {exit_code}: it is damaged, or takes too much memory"
    remedy = "Open it in the program it came from and save it again, or raise Limits.memory_bytes."
    return DocumentError(name, problem, remedy, code="crashed")


workers: Final = Workers(max(2, os.cpu_count() or 2))
"""Those of this process."""


def close_workers() -> None:
    """End the processes that wait for something to read. They are started again when they are needed."""
    workers.close()


atexit.register(close_workers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers.forget)
