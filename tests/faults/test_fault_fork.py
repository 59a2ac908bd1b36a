"""A store that is open when the process forks belongs to the parent: the child is told so, and harms nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fault_kit import check_file


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_store_does_not_outlive_a_fork(children: Any, path: Path, backend: str, busy: bool) -> None:
    """In the forked process every call raises StoreError with the code forked, also when the fork came amid a write.

    The parent goes on unharmed when the other one has tried everything, closed the store and ended.
    """
    parent = children.start("fork", path=path, backend=backend, busy=busy)
    said = parent.rest()
    assert said[:-1] == [*(f"{call} forked" for call in ("increment", "get_run", "claim", "events")), "closed"]
    assert said[-1] == "parent 1003"
    check_file(path)


def test_a_store_can_be_opened_anew_after_a_fork(children: Any, path: Path, backend: str) -> None:
    """In the forked process a store of its own on the same file works, and so does the parent's at the same time."""
    assert children.start("fork_anew", path=path, backend=backend).rest() == ["anew 2", "again 3", "parent 4"]
    check_file(path)
