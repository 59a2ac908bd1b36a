"""What of a foreign exception's text may be told: nothing that looks like a key or that stands in the document."""

from __future__ import annotations

import re

__all__ = ["safe_message"]

_MOST = 300
_WINDOW = 16
"""Characters in a row that count as a quote of the document."""
_SECRET = re.compile(
    r"(?i)\b(sk-[\w-]{4,}|bearer\s+\S+|(?:x-)?api[-_]?key\S*\s*[:=]\s*\S+|authorization\S*\s*[:=]\s*\S+)"
)


def safe_message(error: BaseException, text: str) -> str:
    """Name an exception with so much of its message as is safe to store and show.

    Args:
        error: Any exception, also one whose `str` fails.
        text: The document it may quote.
    """
    name = type(error).__qualname__
    try:
        message = str(error)
    except Exception:
        return name
    message = " ".join(_SECRET.sub("[secret]", message).split())[:_MOST]
    if not message:
        return name
    return f"{name} (its message quotes the document)" if _quotes(message, text) else f"{name}: {message}"


def _quotes(message: str, text: str) -> bool:
    """Whether the message shares a run of characters with the text, which is looked at with its white space folded."""
    if len(message) < _WINDOW:
        return message in text and len(message.split()) > 1
    folded = " ".join(text.split())
    step = _WINDOW // 2
    return any(message[start : start + _WINDOW] in folded for start in range(0, len(message) - _WINDOW + 1, step))
