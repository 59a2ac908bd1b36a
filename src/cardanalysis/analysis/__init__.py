"""Analyzers: what turns a document into cards."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._batch_requests import BatchOptions
    from ._claude import ClaudeAnalyzer
    from ._outline import OutlineAnalyzer
    from ._prices import LIST_PRICES, Price, PriceTable, TokenCounts
    from ._prompts import default_prompt
    from ._retries import RetryPolicy
    from ._sdk import default_model

__all__ = [
    "LIST_PRICES",
    "BatchOptions",
    "ClaudeAnalyzer",
    "OutlineAnalyzer",
    "Price",
    "PriceTable",
    "RetryPolicy",
    "TokenCounts",
    "default_model",
    "default_prompt",
]

# The SDK takes most of a second to import, so only those who use Claude wait for it.
_HOME_OF = {
    "ClaudeAnalyzer": "_claude",
    "default_model": "_sdk",
    "default_prompt": "_prompts",
    "BatchOptions": "_batch_requests",
    "RetryPolicy": "_retries",
    "OutlineAnalyzer": "_outline",
    "LIST_PRICES": "_prices",
    "Price": "_prices",
    "PriceTable": "_prices",
    "TokenCounts": "_prices",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
