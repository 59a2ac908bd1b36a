"""Where an SQLite file stands, and whether it is still the one that was opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from .._errors import StoreError

__all__ = ["IN_MEMORY", "SQLitePlace"]

IN_MEMORY: Final = ":memory:"
_MOUNTS: Final = Path("/proc/self/mounts")
_NETWORK: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gpfs"}
    | {"lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)
"""File systems whose memory-mapped files are not shared between hosts, which the write-ahead log needs."""


class SQLitePlace:
    """The place of one database file.

    Args:
        path: The file, or ``:memory:``.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._largest = 0

    def check_local(self) -> None:
        """Refuse a network file system, where it can be told.

        Raises:
            StoreError: With code ``network_path``.
        """
        if self._path == IN_MEMORY:
            return
        share = os.name == "nt" and self._path.startswith(("\\\\", "//"))
        kind = "a share" if share else _file_system(self._path)
        if share or kind in _NETWORK:
            raise StoreError(
                f"{Path(self._path).name} is on a network file system ({kind}), on which SQLite's log does not work. "
                "Choose a path on a disk of this machine.",
                code="network_path",
            )

    def remember(self) -> None:
        """Take the file that is there now for the right one."""
        self._seen, self._largest = self._look()

    def check_same(self) -> bool:
        """Make sure that the file was not deleted or replaced: SQLite would go on writing to what nobody finds again.

        Returns:
            Whether the file has become smaller, so that it has to be looked into.

        Raises:
            StoreError: With code ``replaced``.
        """
        seen, size = self._look()
        if self._seen != seen:
            raise StoreError(
                f"{Path(self._path).name} was deleted, moved or replaced while it was open. Put it back, or open the "
                "store anew, and resume.",
                code="replaced",
            )
        if size < self._largest:
            return True
        self._largest = size
        return False

    @property
    def size(self) -> int:
        """How large the file is now, in bytes."""
        return self._look()[1]

    def _look(self) -> tuple[tuple[int, int] | None, int]:
        """Which file is there, and its size."""
        if self._path == IN_MEMORY:
            return None, 0
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - for every commit
        except OSError:
            return (0, 0), 0
        return (stat.st_dev, stat.st_ino), stat.st_size


def _file_system(path: str) -> str | None:
    """The type of the file system that holds a path, or None where it cannot be told."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
        real = str(Path(path).resolve())
    except OSError:
        return None
    found: tuple[int, str | None] = (0, None)
    for mount in mounts:
        _, point, kind, *_ = mount.split(" ")
        # The kernel writes blanks in names as octal.
        point = point.replace("\\040", " ").rstrip("/")
        if (real == point or real.startswith(f"{point}/")) and len(point) >= found[0]:
            found = (len(point), kind)
    return found[1]
