"""The process in which files are parsed that could hang a parser, or make it take all memory.

It reads requests from standard input and writes answers to what was its standard output, each as a pickle behind its
length. Both ends are ours: what a file holds reaches the parent only as the values of a `Document`.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import select
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from attrs import evolve

from .._documents import Document
from .._errors import DocumentError
from ._memory import limited
from ._reading import Reading, out_of_memory

__all__ = ["BLOCKS_AT_ONCE", "LONGEST_SECONDS", "main", "receive", "send"]

_LENGTH: Final = struct.Struct("<Q")
_IDLE_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 1_000_000.0
"""Longer than any reading; timers do not take everything."""
BLOCKS_AT_ONCE: Final = 500
"""Blocks in one message: what is unpickled in one go keeps every other thread of the parent waiting."""


def send(file: IO[bytes], message: object) -> None:
    """Write one message."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    file.write(_LENGTH.pack(len(data)))
    file.write(data)
    file.flush()


def receive(file: IO[bytes]) -> Any:
    """Read one message.

    Raises:
        EOFError: The other side is gone.
    """
    (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
    return pickle.loads(_exactly(file, length))  # noqa: S301 - the other side is this library


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def main() -> None:
    """Answer requests until there are no more, or none came for a while."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer, by ending this process
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        _silence()
        while _comes(requests):
            try:
                reading: Reading = receive(requests)
            except EOFError:
                return
            for message in _answer(reading):
                send(answers, message)


def _comes(requests: IO[bytes]) -> bool:
    """Wait for a request, or the end of them; not for ever, so that an idle notebook holds no idle processes."""
    if sys.platform == "win32":
        return True
    # Whoever asked has read all of the answer by now, so nothing of the next request can be in the buffer already.
    return bool(select.select([requests], [], [], _IDLE_SECONDS)[0])


def _silence() -> None:
    """Let nothing that a parser prints reach the parent, nor its terminal."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)


def _answer(reading: Reading) -> Iterator[object]:
    """The document without its blocks, and then the blocks; or the error."""
    # The parent ends this process when it is late; this is for when the parent was killed, and it holds in C code too.
    seconds = min(reading.limits.seconds, LONGEST_SECONDS)
    faulthandler.dump_traceback_later(seconds + _GRACE_SECONDS, exit=True)
    try:
        with limited(reading.limits.memory_bytes):
            document = reading.run()
    except DocumentError as error:
        yield error.with_traceback(None)
        return
    except MemoryError:
        yield out_of_memory(reading.upload.name, reading.limits)
        return
    finally:
        faulthandler.cancel_dump_traceback_later()
    yield evolve(document, blocks=()), len(document.blocks)
    yield from _pieces(document)


def _pieces(document: Document) -> Iterator[object]:
    for start in range(0, len(document.blocks), BLOCKS_AT_ONCE):
        yield document.blocks[start : start + BLOCKS_AT_ONCE]
