"""Turn business documents into requirement cards with Claude: a few at a time, durably, with evidence.

>>> from cardanalysis import SQLiteStore, Upload, analyze_cards

Every name below is loaded when it is first used, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._analyze import analyze_cards, load_run
    from ._context import QuestionAnswer, UploadContext
    from ._convert import from_dict, to_dict
    from ._documents import Block, BlockKind, Document, Location
    from ._errors import (
        AnalyzerError,
        CardAnalysisError,
        ConfigurationError,
        DocumentError,
        RunNotFound,
        RunStopped,
        StoreError,
        VersionConflict,
    )
    from ._models import (
        Analysis,
        AnalysisRequest,
        Card,
        Event,
        Evidence,
        Item,
        ItemError,
        Priority,
        RejectedQuote,
        Run,
        Usage,
    )
    from ._status import ItemStatus, RunStatus
    from ._uploads import Upload
    from ._version import __version__
    from .abc import Analyzer, Loader, Store
    from .analysis import ClaudeAnalyzer, OutlineAnalyzer
    from .stores.memory import MemoryStore
    from .stores.sqlite import SQLiteStore

__all__ = [
    "Analysis",
    "AnalysisRequest",
    "Analyzer",
    "AnalyzerError",
    "Block",
    "BlockKind",
    "Card",
    "CardAnalysisError",
    "ClaudeAnalyzer",
    "ConfigurationError",
    "Document",
    "DocumentError",
    "Event",
    "Evidence",
    "Item",
    "ItemError",
    "ItemStatus",
    "Loader",
    "Location",
    "MemoryStore",
    "OutlineAnalyzer",
    "Priority",
    "QuestionAnswer",
    "RejectedQuote",
    "Run",
    "RunNotFound",
    "RunStatus",
    "RunStopped",
    "SQLiteStore",
    "Store",
    "StoreError",
    "Upload",
    "UploadContext",
    "Usage",
    "VersionConflict",
    "__version__",
    "analyze_cards",
    "from_dict",
    "load_run",
    "to_dict",
]

_HOMES = {
    "_analyze": ("analyze_cards", "load_run"),
    "_convert": ("from_dict", "to_dict"),
    "_documents": ("Block", "BlockKind", "Document", "Location"),
    "_context": ("QuestionAnswer", "UploadContext"),
    "_uploads": ("Upload",),
    "_errors": (
        "AnalyzerError",
        "CardAnalysisError",
        "ConfigurationError",
        "DocumentError",
        "RunNotFound",
        "RunStopped",
        "StoreError",
        "VersionConflict",
    ),
    "_models": (
        "Analysis",
        "AnalysisRequest",
        "Card",
        "Event",
        "Evidence",
        "Item",
        "ItemError",
        "Priority",
        "RejectedQuote",
        "Run",
        "Usage",
    ),
    "_status": ("ItemStatus", "RunStatus"),
    "_version": ("__version__",),
    "abc": ("Analyzer", "Loader", "Store"),
    "analysis": ("ClaudeAnalyzer", "OutlineAnalyzer"),
    "stores.memory": ("MemoryStore",),
    "stores.sqlite": ("SQLiteStore",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    try:
        module = import_module(f".{_HOME_OF[name]}", __name__)
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
