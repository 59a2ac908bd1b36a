"""PDF: the text of each page as blocks, and pages whose text cannot be read as something to look at.

A page's text layer is taken, also one that a scanner's text recognition put behind the picture. A page is to be looked
at if that layer holds next to nothing though the page shows something, or nothing that makes sense: it becomes an
image block with a PDF file of that page. Text that it has all the same follows in blocks of that page. Whoever is
given the image block of a page need not be given its other blocks: they are there so that quotes are found in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import evolve

from .._documents import BlockKind, Media
from .._errors import DocumentError
from ._formats import Format, Parsed, Source
from ._pdf_file import Page, PdfFile, open_pdf
from ._pdf_lines import Layout
from ._pdf_streams import check_streams
from ._writing import BlockWriter

_LARGEST_PAGE = 8_000_000
"""Of a file of one page, in bytes: a request to the API has 32 MB, and base64 adds a third."""

_TRIES = 2
"""After so many pages with too large files, the others are rendered at once: to make such a file takes a second."""

_FEW_LETTERS = 30
_FEW_BESIDE_A_PICTURE = 100
_FEW_DRAWINGS = 20  # a frame, a rule and a table have fewer; letters that are drawn as lines have more
_MOST_RANGES = 20

# Control characters, and code points that mean something in one font only: of characters that a font does not name.
_BROKEN = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\ufff0-\uffff\ue000-\uf8ff]")
_WORD = re.compile(r"[^\W_]{2}|\d")


def _parse(source: Source) -> Parsed:
    with source.open() as file:
        data = file.read()
        check_streams(data, source)
        size = len(data)
        del data  # from here on it is read piece by piece
        with open_pdf(file, source) as pdf:
            if pdf.pages > source.limits.pages:
                raise source.too_large(f"it has more than {source.limits.pages:,} pages", "pages")
            return _PdfParser(source, pdf, size).parse()


class _PdfParser:
    def __init__(self, source: Source, pdf: PdfFile, size: int) -> None:
        self._source = source
        self._pdf = pdf
        self._size = size
        self._writer = BlockWriter(source)
        self._looked_at: list[int] = []
        self._unread: list[int] = []
        self._media_bytes = 0
        self._rendered = 0

    def parse(self) -> Parsed:
        pages = [self._pdf.page(number) for number in range(1, self._pdf.pages + 1)]
        if not any(pages):
            raise self._source.malformed("none of its pages can be read")
        layout = Layout([page.lines if page else () for page in pages], self._pdf.outline())
        for number, page in enumerate(pages, 1):
            if page is not None:
                self._write(number, page, layout)
        if self._unread and not self._writer.blocks:
            problem = "none of its pages has text that can be read"
            remedy = 'Have them looked at: let pages be "auto" or "picture".'
            raise DocumentError(self._source.name, problem, remedy, code="empty")
        missing = tuple(f"page {number}" for number, page in enumerate(pages, 1) if page is None)
        return evolve(self._writer.parsed(list(self._notes(pages))), missing=missing)

    def _write(self, number: int, page: Page, layout: Layout) -> None:
        makes_sense = _makes_sense(page)
        poor = not makes_sense or _shows_more(page)
        if self._source.pages == "picture" or (poor and self._source.pages == "auto"):
            self._looked_at.append(number)
            self._writer.add(BlockKind.IMAGE, f"[Page {number} is a picture]", media=self._media(number), page=number)
        elif poor:
            self._unread.append(number)
        if makes_sense:
            for kind, text, level in layout.pieces(number, page.lines):
                self._writer.add(kind, text, level=level, page=number)
        for remark in page.remarks:
            self._writer.label(remark.label)
            self._writer.add(BlockKind.NOTE, remark.text, hidden=remark.hidden, page=number)

    def _media(self, number: int) -> Media:
        """A page to look at: a file of one page, unless what the pages share would make all of them too large."""
        most = min(_LARGEST_PAGE, 2 * self._size + 1_000_000 - self._media_bytes)
        if self._rendered < _TRIES:
            media = self._pdf.media(number, most)
            self._rendered += media.media_type != "application/pdf"
        else:
            media = self._pdf.rendered(number)
        self._media_bytes += len(media.data)
        allowed = self._source.limits.memory_bytes // 2
        if self._media_bytes > allowed:
            raise self._source.too_large(f"its pages to look at have more than {allowed:,} bytes", "memory_bytes")
        return media

    def _notes(self, pages: Sequence[Page | None]) -> Iterator[str]:
        damaged = [number for number, page in enumerate(pages, 1) if page is None]
        if damaged:
            yield f"Not read, since damaged: {_named(damaged)}."
        if self._unread:
            yield f"Not read, since without text that can be read: {_named(self._unread)}."
        if self._looked_at and self._source.pages == "picture":
            yield "All pages are given to the model as pages, as was asked for."
        elif self._looked_at:
            yield f"Given to the model as pages, since without text that can be read: {_named(self._looked_at)}."
        unseen = {number for number, page in enumerate(pages, 1) if page and _has_pictures(page)}
        unseen -= {*self._looked_at, *self._unread}
        if unseen:
            yield f"Only the text was read, and pictures were not looked at: {_named(sorted(unseen))}."
        yield from self._notes_on_the_file(sum(page.files for page in pages if page))

    def _notes_on_the_file(self, attached: int) -> Iterator[str]:
        files = self._pdf.files + attached
        if files:
            yield f"Files that are attached to it were not read: {files}."
        if self._pdf.scripts:
            yield "It has scripts; they were not run."
        if self._pdf.is_xfa:
            yield "It is a form that only Adobe's programs show in full (XFA); print it as PDF to have all of it read."


def _text(page: Page) -> str:
    return "\n".join(line.text for line in page.lines)


def _makes_sense(page: Page) -> bool:
    """Whether the text of a page is text: of characters with a meaning, most of them in words and numbers."""
    text = _text(page)
    broken = len(_BROKEN.findall(text))
    if broken > 0.3 * len("".join(text.split())):
        return False
    words = [word for word in text.split() if word.strip(".")]  # dots lead to page numbers
    return len(words) < 20 or sum(map(bool, map(_WORD.search, words))) > 0.35 * len(words)


def _shows_more(page: Page) -> bool:
    """Whether a page has next to no text and shows something else."""
    letters = sum(map(str.isalnum, _text(page)))
    covered = sum(page.pictures)
    if letters >= _FEW_LETTERS:
        return letters < _FEW_BESIDE_A_PICTURE and covered > 0.5
    if letters == 0:
        return bool(page.pictures or page.drawings)
    return covered > 0.05 or page.drawings >= _FEW_DRAWINGS


def _has_pictures(page: Page) -> bool:
    """Whether a page with text has pictures that tell something: no marks, and no scan of that text."""
    return any(0.02 < share < 0.8 for share in page.pictures)


def _named(pages: Sequence[int]) -> str:
    """Name pages: ``page 3``, ``pages 1-3, 7``; of very many, the first."""
    ranges: list[list[int]] = []
    for page in pages:
        if ranges and page == ranges[-1][1] + 1:
            ranges[-1][1] = page
        else:
            ranges.append([page, page])
    named = [f"{first}-{last}" if last > first else str(first) for first, last in ranges[:_MOST_RANGES]]
    rest = len(pages) - sum(last - first + 1 for first, last in ranges[:_MOST_RANGES])
    return f"{'pages' if len(pages) > 1 else 'page'} {', '.join(named)}{f' and {rest} more' if rest else ''}"


FORMAT = Format(
    title="PDF",
    media_types=("application/pdf", "application/x-pdf"),
    endings=(".pdf",),
    limit="document_bytes",
    parse=_parse,
    isolated=True,
)
