"""What the Messages API refuses of images and documents; pure.

The rules are those of the public documentation on vision and PDF support (August 2026). How many pixels an image has is
not looked at.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from ._json import is_object
from ._routes import RequestRefused

__all__ = ["MOST_MEDIA", "check_media"]

MOST_MEDIA: Final = 100
"""Images and pages of a request, for models whose window is below a million tokens."""
_MOST_IMAGE_BYTES: Final = 10 * 1024 * 1024
_BEGINNINGS: Final = {
    "image": {
        "image/png": (b"\x89PNG",),
        "image/jpeg": (b"\xff\xd8\xff",),
        "image/gif": (b"GIF8",),
        "image/webp": (b"RIFF",),
    },
    "document": {"application/pdf": (b"%PDF-",)},
}


def check_media(where: str, block: dict[str, Any]) -> None:
    """Check the source of an image or document that is sent with the request.

    Raises:
        RequestRefused: 400, the API would not take it.
    """
    kind, source = block["type"], block.get("source")
    if kind not in _BEGINNINGS or not is_object(source) or source.get("type") != "base64":
        return
    at = f"{where}.{kind}.source.base64"
    beginnings = _BEGINNINGS[kind].get(source.get("media_type", ""))
    if beginnings is None:
        known = "' or '".join(_BEGINNINGS[kind])
        raise RequestRefused(f"{at}.media_type: Input should be '{known}'")
    text = source.get("data")
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        raise RequestRefused(f"{at}.data: Invalid base64") from None
    if not data:
        raise RequestRefused(f"{at}.data: Field required")
    if kind == "image" and isinstance(text, str) and len(text) > _MOST_IMAGE_BYTES:
        raise RequestRefused(f"{at}: image exceeds 10 MB maximum: {len(text)} bytes > {_MOST_IMAGE_BYTES} bytes")
    if not data.startswith(beginnings):
        name = "PDF" if kind == "document" else "image"
        raise RequestRefused(f"{at}.data: The {name} specified was not valid, or is not of the type that is said")
