"""A bound on the memory of this process, as far as the operating system has one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["EXIT_OUT_OF_MEMORY", "limited"]

EXIT_OUT_OF_MEMORY: Final = 77
"""The exit code of a process that ended itself because it took too much."""
_LOOKS_EVERY_SECONDS: Final = 0.05


@contextmanager
def limited(more_bytes: int) -> Generator[None]:
    """Let the block take so much memory more than is taken now.

    On Linux what is asked for beyond that is refused, which raises `MemoryError` or ends the process. On macOS, which
    refuses nothing, the process ends itself with `EXIT_OUT_OF_MEMORY` once it has taken more. On Windows nothing holds.
    """
    if sys.platform == "win32":
        yield
    elif sys.platform == "linux":
        with _refusing(more_bytes):
            yield
    else:
        with _watching(more_bytes):
            yield


if sys.platform != "win32":
    import resource

    @contextmanager
    def _refusing(more_bytes: int) -> Generator[None]:
        # RLIMIT_DATA counts private memory that can be written to, as /proc/self/status does under VmData. RLIMIT_AS
        # would count mapped files and address space that is only reserved, too.
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = _data_bytes() + more_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    def _data_bytes() -> int:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
        return 0

    @contextmanager
    def _watching(more_bytes: int) -> Generator[None]:
        ended = threading.Event()
        most = _peak_bytes() + more_bytes

        def watch() -> None:
            while not ended.wait(_LOOKS_EVERY_SECONDS):
                if _peak_bytes() > most:
                    os._exit(EXIT_OUT_OF_MEMORY)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _peak_bytes() -> int:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
