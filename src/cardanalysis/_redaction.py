"""What of a foreign exception's text may be told: nothing that looks like a key or that stands in the document."""

from __future__ import annotations

import re

__all__ = ["safe_message"]

_MOST = 300
_WINDOW = 16
_STEP = 4
"""Windows of the message are looked for in the document: of 19 characters in a row that both have, one is found."""
_SECRET = re.compile(
    r"""(?ix)
      \b sk-[\w-]{4,}
    | authorization \S* \s* [:=,] \s* (?:b?["'])? (?:\w+\s+)? \S+
    | \b bearer \s+ \S+
    | (?: api[-_ ]?key | access[-_]?token | auth[-_]?token | password | secret ) \S* \s* [:=,] \s* \S+
    """
)


def safe_message(error: BaseException, text: str) -> str:
    """Name an exception with so much of its message as is safe to store and show.

    Args:
        error: Any exception, also one whose `str` fails.
        text: The document it may quote.
    """
    name = type(error).__qualname__
    try:
        message = str(error).encode(errors="replace").decode()  # half of a surrogate pair cannot be stored
    except Exception:
        return name
    message = " ".join(_SECRET.sub("[secret]", message).split())[:_MOST]
    if not message:
        return name
    return f"{name} (its message quotes the document)" if _quotes(message, text) else f"{name}: {message}"


def _quotes(message: str, text: str) -> bool:
    """Whether the message shares several words or a run of characters with the text, white space folded in both."""
    folded, message = " ".join(text.split()), message.strip("'\"")
    if len(message) < _WINDOW:
        return " " in message and message in folded
    return any(message[start : start + _WINDOW] in folded for start in range(0, len(message) - _WINDOW + 1, _STEP))
