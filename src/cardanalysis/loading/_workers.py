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
from ._worker import LONGEST_SECONDS, receive, send

__all__ = ["Workers", "close_workers", "workers"]

_START: Final = "import sys; sys.path[:] = sys.argv[1:]; from cardanalysis.loading._worker import main; main()"
_MOST_READINGS: Final = 100
"""After so many a process is ended, so that what its parsers leak does not add up."""


class _EndedIdle(Exception):
    """A process ended itself, having been idle, just when it was to be used again."""


@define(eq=False)
class _Worker:
    """One process."""

    process: subprocess.Popen[bytes]
    readings: int = 0

    @classmethod
    def start(cls) -> _Worker:
        if getattr(sys, "frozen", False) or not sys.executable:
            raise OSError("there is no Python to start")  # sys.executable of a frozen app is the app
        command = [sys.executable, "-c", _START, *sys.path]
        # In a group of its own on POSIX: Ctrl-C is the parent's to answer, also while the process still starts.
        group = None if sys.platform == "win32" else 0
        pipe = subprocess.PIPE
        return cls(subprocess.Popen(command, stdin=pipe, stdout=pipe, process_group=group))  # noqa: S603 - ourselves

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Close our ends of its pipes."""
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
            if cancellation.cancelled:  # nobody waits for it any more, and a process would be started to be killed
                raise DocumentError(reading.upload.name, "nobody waits for it", "Load it again.", code="cancelled")
            try:
                answer = self._read_in(self._take(reading), reading, cancellation)
            except _EndedIdle:
                answer = self._read_in(self._start(reading), reading, cancellation)
        if isinstance(answer, DocumentError):
            raise answer
        return answer

    def _read_in(self, worker: _Worker, reading: Reading, cancellation: Cancellation) -> Document | DocumentError:
        reusable = False
        try:
            with cancellation.ending(worker):
                answer = _read(worker, reading)
            reusable = not cancellation.cancelled
        finally:
            # Whatever interrupted it: half of an answer may be left in the pipe.
            self._give_back(worker) if reusable else worker.end()
        return answer

    def _start(self, reading: Reading) -> _Worker:
        try:
            return _Worker.start()
        except OSError as error:
            problem = f"no process can be started to read it in ({error})"
            remedy = "Pass DocumentLoader(isolate=False), which reads in a thread, without limits on time and memory."
            raise DocumentError(reading.upload.name, problem, remedy, code="no_process") from error

    def _take(self, reading: Reading) -> _Worker:
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return self._start(reading)
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
        for worker in self._idle:
            worker.process.returncode = 0  # the parent's to wait for
            worker.close()
        self._idle.clear()
        self._slots = threading.Semaphore(self.most)


def _read(worker: _Worker, reading: Reading) -> Document | DocumentError:
    """Let a process read an upload, and end it when it takes too long."""
    late = threading.Event()

    def end() -> None:
        late.set()
        worker.process.kill()

    timer = threading.Timer(min(reading.limits.seconds, LONGEST_SECONDS), end)
    timer.daemon = True
    timer.start()
    try:
        answer = worker.read(reading)
    except (OSError, EOFError):
        exit_code = worker.process.wait()
        if exit_code == 0 and worker.readings > 1 and not late.is_set():
            raise _EndedIdle from None
        raise _why(reading, late=late.is_set(), exit_code=exit_code) from None
    finally:
        timer.cancel()
        timer.join()
    if late.is_set():
        raise _why(reading, late=True, exit_code=0)
    return answer


def _anywhere(upload: Upload) -> Upload:
    """The upload for a process that may have been started in another folder, and cannot import what the caller can."""
    if type(upload) is not Upload:
        return Upload.from_bytes(upload.read(), upload.name, upload.media_type, context=upload.context)
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
