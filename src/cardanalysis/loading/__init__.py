"""Turns uploads of all formats into documents, with the exact place of every block.

`load` does the work and blocks while it does; `DocumentLoader` does the same in a worker thread.
"""

from __future__ import annotations

from .._documents import Media
from ._formats import Limits
from ._loader import DocumentLoader, load

__all__ = ["DocumentLoader", "Limits", "Media", "load"]
