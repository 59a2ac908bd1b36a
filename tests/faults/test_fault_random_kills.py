"""A run that is killed again and again, at moments that nobody chose, loses nothing and does nothing twice."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from fault_kit import Notes, check_finished, completed, count_of

KILLS = int(os.environ.get("CARDANALYSIS_KILLS", "200"))
"""How many, in all; half of them on each event loop."""
UPLOADS = 100
LONGEST_SECONDS = 0.2


class Life:
    """One run, from its first process to its end.

    Attributes:
        done: What was found completed after a kill.
    """

    def __init__(self, children: Any, path: Path, backend: str) -> None:
        self._children = children
        self._path = path
        self._backend = backend
        self._notes = Notes(path.with_suffix(".notes"))
        self._read = 0
        self.done: set[str] = set()

    def lives(self, kill_after: float | None) -> bool:
        """Let a process work on it for so long, and check what it left. False when it ended before it was killed."""
        options = {"backend": self._backend, "count": UPLOADS, "limit": 4, "latency": 0.002}
        child = self._children.start("analyze", path=self._path, notes=self._notes.path, **options)
        if kill_after is not None:
            time.sleep(kill_after)  # not to wait for anything: this is the moment
            child.kill()
        code = child.wait()
        assert child.errors() == ""
        self._check()
        child.close()
        assert code in (0, -signal.SIGKILL)
        return code != 0

    def _check(self) -> None:
        """What was acknowledged is there, what was there still is, and nothing of that was asked for again."""
        now = completed(self._path)
        asked = self._notes.of("call", after=self._read)
        self._read = len(self._notes.read())
        assert not self.done & set(asked)
        assert self.done <= now
        assert set(self._notes.of("acknowledged")) <= now
        self.done = now

    def end(self) -> int:
        """Check the run that has ended, and return how many items were interrupted."""
        now = check_finished(self._path, UPLOADS)
        assert max(count_of(self._notes.of("acknowledged")).values()) == 1
        claims = count_of(self._notes.of("claimed"))
        assert all(item.attempts >= claims[item.name] for item in now.items)
        return sum(item.attempts > 1 for item in now.items)


def test_a_run_outlives_kills_at_random_moments(children: Any, tmp_path: Path, backend: str) -> None:
    """After every kill what was acknowledged is there; at the end of each run every item was completed exactly once."""
    moments = random.Random(f"kills on {backend}")
    kills = ended = 0
    life = Life(children, tmp_path / "0.db", backend)
    while kills < KILLS // 2:
        if life.lives(moments.uniform(0.0, LONGEST_SECONDS)):
            kills += 1
        else:
            life.end()
            ended += 1
            life = Life(children, tmp_path / f"{ended}.db", backend)
    assert not life.lives(None)
    life.end()
