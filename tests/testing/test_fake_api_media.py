"""What the fake Messages API refuses of images and documents, as the API would."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from cardanalysis.testing._media_checks import MOST_MEDIA
from cardanalysis.testing._request_checks import check_body
from cardanalysis.testing._routes import RequestRefused

PNG, PDF = b"\x89PNG\r\n\x1a\nrest", b"%PDF-1.7 rest"


def sent(kind: str, media_type: str, data: bytes | str) -> dict[str, Any]:
    text = data if isinstance(data, str) else base64.b64encode(data).decode()
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": text}}


def check(*blocks: dict[str, Any]) -> None:
    body = {"model": "claude-x", "max_tokens": 1, "messages": [{"role": "user", "content": list(blocks)}]}
    check_body({"content-type": "application/json"}, body)


@pytest.mark.parametrize(
    "block",
    [
        sent("image", "image/png", PNG),
        sent("image", "image/jpeg", b"\xff\xd8\xff\xe0"),
        sent("image", "image/gif", b"GIF89a"),
        sent("image", "image/webp", b"RIFF1234WEBP"),
        sent("document", "application/pdf", PDF),
        {"type": "image", "source": {"type": "url", "url": "http://x"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
    ],
)
def test_what_is_right_is_taken(block: dict[str, Any]) -> None:
    """Images and PDF files that are what they say are taken, and other sources are not looked at."""
    check(block)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (sent("image", "image/tiff", b"II*\0"), "image/png' or 'image/jpeg"),
        (sent("document", "text/plain", b"x"), "application/pdf"),
        (sent("image", "image/png", "no base64!"), "Invalid base64"),
        (sent("image", "image/png", ""), "data: Field required"),
        (sent("image", "image/png", b"\xff\xd8\xff"), "is not of the type"),
        (sent("document", "application/pdf", PNG), "PDF specified was not valid"),
        (sent("image", "image/png", PNG + bytes(8_000_000)), "10 MB"),
    ],
)
def test_what_is_wrong_is_refused(block: dict[str, Any], problem: str) -> None:
    """The message says where it is and what is wrong with it."""
    with pytest.raises(RequestRefused, match=r"messages\.0\.content\.0\.") as caught:
        check(block)
    assert problem in str(caught.value)
    assert caught.value.status == 400


def test_there_may_be_so_many() -> None:
    """A request holds a hundred images and pages and no more."""
    check(*[sent("image", "image/png", PNG)] * MOST_MEDIA)
    with pytest.raises(RequestRefused, match="Too many"):
        check(*[sent("image", "image/png", PNG)] * (MOST_MEDIA + 1))
