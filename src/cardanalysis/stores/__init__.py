"""Stores: where runs are kept. `MemoryStore` in `cardanalysis.stores.memory`, `SQLiteStore` in `.sqlite`.

To write one of your own, begin with `RunState`: it is a run in memory with all that the verbs of a store do to it.
"""

from __future__ import annotations

from .run_state import RunState

__all__ = ["RunState"]
