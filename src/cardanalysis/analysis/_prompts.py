"""What the model is told: the instructions, and the document as fenced data. Everything here is pure.

The instructions are the readable file ``prompts/cards.md``. Its first line holds the version that is recorded on every
run; whoever changes the text raises it.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from importlib.resources import files
from itertools import count
from typing import Final

from .._documents import Document, UploadContext
from .._models import AnalysisRequest

__all__ = ["PROMPT_VERSION", "clean", "system_prompt", "user_content"]

_FIRST_LINE: Final = re.compile(r"<!-- version: (\S+) -->\n")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _read_prompt(name: str) -> tuple[str, str]:
    """The version and the text of a prompt file."""
    text = files("cardanalysis.analysis").joinpath("prompts", name).read_text(encoding="utf-8")
    found = _FIRST_LINE.match(text)
    if found is None:
        raise ValueError(f"prompts/{name} must begin with a line such as <!-- version: 1 -->.")
    return found[1], text[found.end() :].strip()


PROMPT_VERSION, _CARDS_PROMPT = _read_prompt("cards.md")


def system_prompt(max_cards: int) -> str:
    """The instructions.

    Args:
        max_cards: The most cards wanted, at least 1.
    """
    return _CARDS_PROMPT.replace("{max_cards}", str(max_cards))


def user_content(document: Document, request: AnalysisRequest) -> list[dict[str, str]]:
    """The message that holds the document, as text blocks: what is known about it, if anything, then itself.

    Each is fenced by a tag that does not occur in it, so that nothing in it can end the fence.
    """
    name = " ".join(html.escape(clean(document.name)).split())
    texts = [_fenced("document", document.text, f' name="{name}"')]
    known = _known(request.context)
    if known:
        texts.insert(0, f"What a colleague knows about the document:\n{_fenced('context', known)}")
    return [{"type": "text", "text": text} for text in texts]


def clean(text: str) -> str:
    """Replace each half of a surrogate pair, which is no text and cannot be sent, by U+FFFD; offsets stay."""
    return _SURROGATE.sub("\ufffd", text)


def _known(context: UploadContext | None) -> str:
    """What a person knows about the document, as JSON; empty if nothing."""
    values = context.to_dict() if context else {}
    # It says who may see the document, nothing about what the document means.
    values.pop("confidentiality", None)
    return json.dumps(values, ensure_ascii=False, indent=1) if values else ""


def _fenced(kind: str, text: str, attributes: str = "") -> str:
    text = clean(text)
    tag = f"{kind}-{_nonce(text)}"
    return f"<{tag}{attributes}>\n{text}\n</{tag}>"


def _nonce(text: str) -> str:
    """A code that does not occur in the text and is the same for the same text, so that caches still match."""
    data, lowered = text.encode(), text.lower()
    codes = (hashlib.sha256(b"%d:%b" % (salt, data)).hexdigest()[:16] for salt in count())
    return next(code for code in codes if code not in lowered)
