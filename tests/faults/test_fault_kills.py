"""A process that is killed in the middle of a completion has done all of it or nothing; the next one ends the run."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from fault_kit import Notes, check_finished, completed, count_of, is_commit

SECOND = "0001.txt"
"""The document at whose completion the process dies; one is done before it and one comes after it."""


def test_a_kill_at_any_step_of_a_completion(children: Any, path: Path, backend: str) -> None:
    """Before and after each statement of a completion, a kill leaves it wholly undone or, from its COMMIT on, done."""
    same = {"backend": backend, "count": 3}
    traced = children.start("analyze", path=path, trace=SECOND, **same)
    assert traced.line() == "ended succeeded"
    statements = json.loads(traced.line())
    traced.rest()
    (commit,) = (place for place, sql in enumerate(statements) if is_commit(sql))
    assert commit >= 4, statements

    for place in range(len(statements) + 1):
        store, notes = path.with_name(f"{place}.db"), Notes(path.with_name(f"{place}.notes"))
        die_at = [SECOND, place, len(statements)]
        killed = children.start("analyze", path=store, notes=notes.path, die_at=die_at, **same)
        assert killed.wait() == -signal.SIGKILL
        committed = place > commit
        assert completed(store) == {"0000.txt", *([SECOND] if committed else [])}, (place, statements)
        check_resumed(children, store, notes, same, calls=1 if committed else 2)


def test_a_kill_around_a_completion(children: Any, path: Path, backend: str) -> None:
    """Killed when its claim is committed, when it asks to complete, or when it is told that it did: the run ends."""
    same = {"backend": backend, "count": 3}
    for word, calls in (("claimed", 1), ("call", 2), ("asked", 2), ("acknowledged", 1)):
        store, notes = path.with_name(f"{word}.db"), Notes(path.with_name(f"{word}.notes"))
        killed = children.start("analyze", path=store, notes=notes.path, die_at=[SECOND, word], **same)
        assert killed.wait() == -signal.SIGKILL
        assert completed(store) == {"0000.txt", *([SECOND] if word == "acknowledged" else [])}
        check_resumed(children, store, notes, same, calls=calls)


def check_resumed(children: Any, path: Path, notes: Notes, same: dict[str, Any], *, calls: int) -> None:
    """The same script again ends the run, and asks the analyzer only for what was not committed."""
    assert children.start("analyze", path=path, notes=notes.path, **same).rest() == ["ended succeeded"]
    now = check_finished(path, 3)
    assert count_of(notes.of("call")) == {"0000.txt": 1, SECOND: calls, "0002.txt": 1}
    claims = len([name for name in notes.of("claimed") if name == SECOND])
    assert [item.attempts for item in now.items] == [1, claims, 1]
