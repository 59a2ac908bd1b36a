"""One file of each format out of the same paragraphs, for measuring."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

from .office_files import deck, sheets
from .page_files import flowing
from .text_files import mail_of


def _text(paragraphs: Sequence[str]) -> bytes:
    return "\n\n".join(paragraphs).encode()


def _markdown(paragraphs: Sequence[str]) -> bytes:
    chapters = (["## Chapter", *lines] for lines in _pieces(paragraphs, 10))
    return "\n\n".join(line for lines in chapters for line in lines).encode()


def _table(paragraphs: Sequence[str]) -> bytes:
    rows = (f'{number},"{text}",open' for number, text in enumerate(paragraphs, 1))
    return "\n".join(["id,text,state", *rows]).encode()


def _page(paragraphs: Sequence[str]) -> bytes:
    chapters = ("<h2>Chapter</h2>" + "".join(f"<p>{text}</p>\n" for text in lines) for lines in _pieces(paragraphs, 10))
    return f"<!DOCTYPE html><html><body>{''.join(chapters)}</body></html>".encode()


def _word(paragraphs: Sequence[str]) -> bytes:
    import docx

    document = docx.Document()
    for lines in _pieces(paragraphs, 10):
        document.add_heading("Chapter", 2)
        for line in lines:
            document.add_paragraph(line)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def _slides(paragraphs: Sequence[str]) -> bytes:
    return deck(list(_pieces(paragraphs, 10)))


def _workbook(paragraphs: Sequence[str]) -> bytes:
    cells = {"A1": "Id", "B1": "Text", "C1": "State"}
    for number, text in enumerate(paragraphs, 2):
        cells |= {f"A{number}": f"R{number}", f"B{number}": text, f"C{number}": "open"}
    return sheets({"Sheet": cells})


def _pieces(paragraphs: Sequence[str], size: int) -> list[Sequence[str]]:
    return [paragraphs[start : start + size] for start in range(0, len(paragraphs), size)]


LARGE: Mapping[str, Callable[[Sequence[str]], bytes]] = {
    ".txt": _text,
    ".md": _markdown,
    ".csv": _table,
    ".html": _page,
    ".eml": mail_of,
    ".docx": _word,
    ".pptx": _slides,
    ".xlsx": _workbook,
    ".pdf": flowing,
}
"""What makes a file of each format, by its ending."""
