"""Many processes at once on one file: they share a run exactly, and lose no increment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fault_kit import Notes, check_file, check_finished, count_of, names

PROCESSES = 4
UPLOADS = 2000
INCREMENTS = 5000


def test_processes_share_a_run(children: Any, path: Path, backend: str) -> None:
    """Four processes that analyze the same 2000 uploads, 16 at a time, complete each once, and all see the run end."""
    notes = Notes(path.with_suffix(".notes"))
    options = {"backend": backend, "count": UPLOADS, "limit": 16, "notes": notes.path}
    workers = [children.start("analyze", path=path, **options) for _ in range(PROCESSES)]
    assert [worker.rest() for worker in workers] == [["ended succeeded"]] * PROCESSES
    now = check_finished(path, UPLOADS)
    assert {item.attempts for item in now.items} == {1}
    for word in ("claimed", "call", "acknowledged"):
        assert count_of(notes.of(word)) == dict.fromkeys(names(UPLOADS), 1)
    assert notes.of("lost") == []


def test_processes_lose_no_increment_of_many(children: Any, path: Path, backend: str) -> None:
    """Four processes that add 5000 times each, many at a time, count 20000, and no two get the same answer."""
    workers = [children.start("count", path=path, backend=backend, times=INCREMENTS) for _ in range(PROCESSES)]
    for worker in workers:
        assert worker.line() == "ready"
    for worker in workers:
        worker.send()
    answers = [int(line) for worker in workers for line in worker.rest()]
    assert sorted(answers) == list(range(1, PROCESSES * INCREMENTS + 1))
    check_file(path)
