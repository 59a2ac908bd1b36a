"""What a form's fields show."""

from __future__ import annotations

from collections.abc import Mapping

from ._html_survey import clean

__all__ = ["value_of"]

_UNSEEN = frozenset({"hidden", "password"})  # what is in them is for the server, or a secret


def value_of(attributes: Mapping[str, str | None]) -> str:
    """What an input element shows: whether it is ticked, its value, or what it asks for."""
    kind = (attributes.get("type") or "text").lower()
    if kind in _UNSEEN:
        return ""
    if kind in ("checkbox", "radio"):
        return "[x] " if "checked" in attributes else "[ ] "
    shown = attributes.get("value") or attributes.get("placeholder") or ""
    return f" {clean(shown)} " if shown else ""
