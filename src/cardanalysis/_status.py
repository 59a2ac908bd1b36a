"""The statuses of runs and items, and the only moves that exist between them.

Everything here is pure. Stores ask `is_legal` before they write; the engine asks `settled_status` when a run
has nothing left to do.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ItemStatus", "RunStatus"]


class RunStatus(StrEnum):
    """Where a run stands. A run that is not running can always be resumed by its id."""

    QUEUED = "queued"
    """Created; no item has been touched."""
    RUNNING = "running"
    """Somebody works on it, or died while working on it."""
    SUCCEEDED = "succeeded"
    """Every item is completed or skipped."""
    PARTIAL = "partial"
    """Some items have a result and some do not, or the run stopped before it knew all items."""
    FAILED = "failed"
    """No item is completed, and at least one was not skipped."""
    CANCELLED = "cancelled"
    """It was cancelled before every item had an outcome."""


class ItemStatus(StrEnum):
    """Where one item of a run stands."""

    PENDING = "pending"
    """Waiting for a worker."""
    LOADING = "loading"
    """Claimed; its input is being read."""
    ANALYZING = "analyzing"
    """The analyzer has it."""
    SAVING = "saving"
    """Its result is about to be committed."""
    COMPLETED = "completed"
    """Every part of it succeeded."""
    PARTIAL = "partial"
    """It keeps the results it has; what is missing is named in its error."""
    FAILED = "failed"
    """It has no result; its error says why."""
    SKIPPED = "skipped"
    """There was nothing to do for it, such as a second copy of the same content."""
    CANCELLED = "cancelled"
    """Somebody asked for it not to be done."""

    @property
    def is_terminal(self) -> bool:
        """Whether the item has its outcome and leaves it only by a retry."""
        return self in _TERMINAL

    @property
    def is_active(self) -> bool:
        """Whether a worker holds the item."""
        return self in ACTIVE


RESERVED_COUNTERS: Final = frozenset({*map(str, ItemStatus), "total"})
"""The counters of items: stores alone change them, and no kind of output may have such a name."""
ACTIVE: Final = (ItemStatus.LOADING, ItemStatus.ANALYZING, ItemStatus.SAVING)
_TERMINAL: Final = frozenset(
    {ItemStatus.COMPLETED, ItemStatus.PARTIAL, ItemStatus.FAILED, ItemStatus.SKIPPED, ItemStatus.CANCELLED}
)
_OUTCOMES: Final = frozenset({ItemStatus.COMPLETED, ItemStatus.PARTIAL, ItemStatus.FAILED, ItemStatus.CANCELLED})

_WITHOUT_RESULT: Final = (ItemStatus.PENDING, ItemStatus.FAILED, ItemStatus.CANCELLED)

MOVES: Final[Mapping[ItemStatus, frozenset[ItemStatus]]] = {
    ItemStatus.PENDING: frozenset({ItemStatus.LOADING, ItemStatus.SKIPPED, ItemStatus.CANCELLED, ItemStatus.FAILED}),
    # A worker that stops, or whose lease ended, hands the item back: any active status may return to pending.
    ItemStatus.LOADING: frozenset({ItemStatus.ANALYZING, ItemStatus.SAVING, ItemStatus.PENDING}) | _OUTCOMES,
    ItemStatus.ANALYZING: frozenset({ItemStatus.SAVING, ItemStatus.PENDING}) | _OUTCOMES,
    ItemStatus.SAVING: frozenset({ItemStatus.PENDING}) | _OUTCOMES,
    # Only a retry leaves a terminal status, and never one that holds a whole result.
    ItemStatus.PARTIAL: frozenset({ItemStatus.PENDING}),
    ItemStatus.FAILED: frozenset({ItemStatus.PENDING}),
    ItemStatus.CANCELLED: frozenset({ItemStatus.PENDING}),
    ItemStatus.COMPLETED: frozenset(),
    ItemStatus.SKIPPED: frozenset(),
}
"""From each status, where an item may go next."""

RUN_MOVES: Final[Mapping[RunStatus, frozenset[RunStatus]]] = {
    RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED}),
    RunStatus.RUNNING: frozenset(RunStatus) - {RunStatus.QUEUED, RunStatus.RUNNING},
    # Every end can be resumed: new uploads, a retry, or the rest after a cancel.
    RunStatus.SUCCEEDED: frozenset({RunStatus.RUNNING}),
    RunStatus.PARTIAL: frozenset({RunStatus.RUNNING}),
    RunStatus.FAILED: frozenset({RunStatus.RUNNING}),
    RunStatus.CANCELLED: frozenset({RunStatus.RUNNING}),
}
"""From each run status, where a run may go next."""


def is_legal(old: ItemStatus, new: ItemStatus) -> bool:
    """Whether an item may move from ``old`` to ``new``."""
    return new in MOVES[old]


def unfinished(counters: Mapping[str, int]) -> int:
    """How many items have no outcome, by a run's counters."""
    return sum(counters.get(status, 0) for status in (ItemStatus.PENDING, *ACTIVE))


def settled_status(counters: Mapping[str, int], *, stopped: bool = False) -> RunStatus | None:
    """The status of a run in which no item is in work.

    An item that is still pending counts as one without a result: whoever stopped did not come to it.

    Args:
        counters: The run's counters; those named by an item status are read.
        stopped: Whether the run came to a stop before its end, so that some items may not be known yet.

    Returns:
        The terminal status, or None while an item is in work.
    """
    if any(counters.get(status, 0) for status in ACTIVE):
        return None
    without = sum(counters.get(status, 0) for status in _WITHOUT_RESULT)
    partial = counters.get(ItemStatus.PARTIAL, 0)
    if not without and not partial and not stopped:
        return RunStatus.SUCCEEDED
    if not partial and not counters.get(ItemStatus.COMPLETED, 0):
        return RunStatus.FAILED
    return RunStatus.PARTIAL
