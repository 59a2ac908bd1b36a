"""What is left of a store after a power loss.

The power is not cut here. SQLite's own calls are watched instead: of each file the bytes are kept that it had when
SQLite last synced it, and the process is killed at a moment that nobody chose. A disk that keeps what it was told to
keep has these bytes, and some of what was written since. What this cannot show is a disk that lies about its syncs,
and file systems that lose names which were made before a sync of their folder.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from fault_kit import Notes, check_file, check_finished, completed, snapshot
from fault_power import find_vfs

UPLOADS = 200
ROUNDS = 3

pytestmark = pytest.mark.skipif(find_vfs() is None, reason="the SQLite of this Python cannot be watched")


class Crash:
    """A run that ends in the middle, with what was synced of its store."""

    def __init__(self, children: Any, path: Path, backend: str, *, synchronous: str, acknowledged: int) -> None:
        self.path = path
        self.synced = path.with_name("synced")
        self.synced.mkdir(parents=True)
        self.notes = Notes(path.with_name("notes"))
        options = {"backend": backend, "count": UPLOADS, "limit": 8, "padding": 2_000, "notes": self.notes.path}
        # With NORMAL nothing is synced but when the log is written back, which is never here.
        rows = 400 if synchronous == "FULL" else 1_000_000
        power = {"synchronous": synchronous, "keep_synced": self.synced, "rows_in_log": rows}
        child = children.start("analyze", path=path, say_at=acknowledged, **power, **options)
        self.level = child.line()
        assert child.line() == f"{acknowledged} acknowledged"
        child.kill()
        child.wait()
        assert child.errors() == ""
        self.acknowledged = set(self.notes.of("acknowledged"))
        assert len(self.acknowledged) >= acknowledged

    def image(self, name: str, log: bytes | None = None) -> Path:
        """A store of what was synced, with another log if one is given."""
        folder = self.path.with_name(name)
        folder.mkdir()
        for file in ("cards.db", "cards.db-wal"):
            if (self.synced / file).exists():
                shutil.copy(self.synced / file, folder / file)
        if log is not None:
            (folder / "cards.db-wal").write_bytes(log)
        return folder / "cards.db"

    def more_written(self, moments: random.Random) -> bytes | None:
        """The log with some of what was written to it since it was synced; None if it was begun anew since."""
        synced = (self.synced / "cards.db-wal").read_bytes()
        written = self.path.with_name("cards.db-wal").read_bytes()
        if not written.startswith(synced):
            return None
        return written[: moments.randint(len(synced), len(written))]


@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_what_was_acknowledged_outlives_a_power_loss(children: Any, tmp_path: Path, backend: str, attempt: int) -> None:
    """With FULL, what was synced holds all that was acknowledged, with or without what was written since."""
    moments = random.Random(f"power on {backend} {attempt}")
    crash = Crash(
        children,
        tmp_path / "store" / "cards.db",
        backend,
        synchronous="FULL",
        acknowledged=moments.randint(1, UPLOADS - 30),
    )
    assert crash.level == "synchronous 2"
    images = [crash.image("as-synced")]
    if (log := crash.more_written(moments)) is not None:
        images.append(crash.image("more-written", log))
    images.append(crash.path)
    for image in images:
        assert completed(image) >= crash.acknowledged
        check_file(image)
        snapshot(image)
    options = {"backend": backend, "count": UPLOADS, "limit": 64}
    notes = Notes(tmp_path / "resumed")
    assert children.start("analyze", path=images[0], notes=notes.path, **options).rest() == ["ended succeeded"]
    check_finished(images[0], UPLOADS)
    assert not crash.acknowledged & set(notes.of("call"))


def test_the_simulation_loses_what_is_not_synced(children: Any, tmp_path: Path, backend: str) -> None:
    """With NORMAL, which promises less, a power loss does lose something, and leaves the file whole all the same."""
    path = tmp_path / "store" / "cards.db"
    crash = Crash(children, path, backend, synchronous="NORMAL", acknowledged=150)
    assert crash.level == "synchronous 1"
    image = crash.image("as-synced")
    assert crash.acknowledged - completed(image)
    check_file(image)
    assert completed(crash.path) >= crash.acknowledged
    snapshot(crash.path)
