"""Who holds a lease, and whether that process is still alive.

After ``kill -9`` a run should resume at once and not when the leases of the dead process end. So an owner's name tells
its host, boot, process namespace, process id and the time the process started; on the same host they are enough to know
that it is dead. Where that cannot be known (another host, a container, another platform) nobody is called dead and the
lease decides.
"""

from __future__ import annotations

import os
import platform
import uuid
from functools import cache
from pathlib import Path

__all__ = ["is_dead", "new_owner", "retire_owner"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SEPARATOR = "|"
_AT_WORK: set[str] = set()
"""The owners of this process that have not ended."""


def new_owner() -> str:
    """Make a name for one worker of this process, different from every other. It reads files: call it in a thread."""
    place = [*_machine(), str(os.getpid()), _own_start(os.getpid()), uuid.uuid4().hex[:12]]
    owner = _SEPARATOR.join(part.replace(_SEPARATOR, "_") for part in place)
    _AT_WORK.add(owner)
    return owner


def retire_owner(owner: str) -> None:
    """Tell that a worker of this process has ended, so that what it could not hand back is free at once."""
    _AT_WORK.discard(owner)


def is_dead(owner: str) -> bool:
    """Whether the owner is known to have ended. False also means that it cannot be known from here."""
    parts = owner.split(_SEPARATOR)
    if len(parts) != 6 or "unknown" in parts or tuple(parts[:3]) != _machine() or not parts[3].isdecimal():
        return False
    pid = int(parts[3])
    if pid == os.getpid():
        return owner not in _AT_WORK
    started = _started(pid)
    return _is_gone(pid) if started is None else started != parts[4]


@cache
def _machine() -> tuple[str, str, str]:
    """Host, boot and process namespace: process ids mean the same only where all three agree."""
    try:
        return platform.node(), _BOOT_ID.read_text().strip(), str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux, or /proc is hidden
        return platform.node(), "unknown", "unknown"


@cache
def _own_start(pid: int) -> str:
    return _started(pid) or "unknown"


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; never for a zombie; None for one that cannot be seen."""
    try:
        # The command name, in parentheses, may hold spaces; the fields behind it do not.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "never" if fields[0] in "ZX" else fields[19]


def _is_gone(pid: int) -> bool:
    """Whether a process that cannot be seen does not exist, and is not just hidden as another user's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
