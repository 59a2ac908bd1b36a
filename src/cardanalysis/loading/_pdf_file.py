"""A PDF file by way of PDFium: the one module that imports pypdfium2.

PDFium runs no script of a document here: the builds in pypdfium2's wheels have no JavaScript engine.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Generator
from contextlib import closing, contextmanager
from functools import partial
from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from .._documents import Media
from .._errors import DocumentError
from ._formats import Source
from ._images import LONGEST_SIDE, jpeg
from ._pdf_lines import Line, Outline, line_text, title_key

_MOST_TITLES = 10_000
_MOST_OBJECTS = 20_000
_DEEPEST_FORM = 5
_HYPHEN = "\x02"  # PDFium's mark for one that ends a line


def _packages() -> tuple[Any, Any]:
    """pypdfium2, and PDFium's own functions; neither has types."""
    import pypdfium2  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
    import pypdfium2.raw as pdfium  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

    return pypdfium2, pdfium


class Remark(NamedTuple):
    """A comment or the value of a form field.

    Attributes:
        label: A line that tells what it is.
        text: What it says.
        hidden: Whether readers do not see it.
    """

    label: str
    text: str
    hidden: bool


class Page(NamedTuple):
    """What a page holds.

    Attributes:
        lines: Its text.
        pictures: How much of the page each picture covers, from 0 to 1.
        drawings: What else it shows that is no text.
        remarks: Its comments and form fields.
        files: Files that are attached to it.
    """

    lines: list[Line]
    pictures: list[float]
    drawings: int
    remarks: list[Remark]
    files: int


class PdfFile:
    """An open PDF file. Use `open_pdf`."""

    def __init__(self, pdf: Any) -> None:
        _, pdfium = _packages()
        self._pdf = pdf
        self._pdfium = pdfium
        self.pages: int = len(pdf)
        self.is_xfa = pdf.get_formtype() == pdfium.FORMTYPE_XFA_FULL
        self.files = max(0, pdfium.FPDFDoc_GetAttachmentCount(pdf))
        self.scripts = max(0, pdfium.FPDFDoc_GetJavaScriptActionCount(pdf))

    def outline(self) -> Outline:
        """The titles of the outline; of a circular or very long one the part that can be read."""
        levels: dict[tuple[int, str], int] = {}
        for title in islice(self._pdf.get_toc(max_depth=6), _MOST_TITLES):
            place = title.get_dest()
            index = None if place is None else place.get_index()
            key = title_key(title.get_title() or "")
            if index is not None and key:
                levels.setdefault((index + 1, key), title.level + 1)
        return levels

    def page(self, number: int) -> Page | None:
        """Read a page.

        Args:
            number: Counted from 1.

        Returns:
            The page; None if it is damaged.
        """
        pypdfium2, _ = _packages()
        try:
            page = self._pdf[number - 1]
            with closing(page), closing(page.get_textpage()) as text:
                return self._read(page, text)
        except pypdfium2.PdfiumError:
            return None

    def media(self, number: int, most: int) -> Media:
        """A page to look at.

        Args:
            number: Counted from 1.
            most: How many bytes a file of that page may have. A page whose file is larger becomes an image.

        Returns:
            A PDF file of one page, without a password, or a JPEG image.
        """
        pypdfium2, _ = _packages()
        with closing(pypdfium2.PdfDocument.new()) as new:
            new.import_pages(self._pdf, [number - 1])
            content = BytesIO()
            new.save(content)
        if content.tell() > most:
            return self.rendered(number)
        return Media(media_type="application/pdf", data=content.getvalue())

    def rendered(self, number: int) -> Media:
        """A page as a JPEG image."""
        with closing(self._pdf[number - 1]) as page:
            scale = LONGEST_SIDE / max(page.get_size())
            with closing(page.render(scale=scale, rev_byteorder=True, prefer_bgrx=True)) as bitmap:
                return jpeg(bytes(bitmap.buffer), bitmap.width, bitmap.height, bitmap.stride)

    def _read(self, page: Any, text: Any) -> Page:
        pictures, drawings = self._objects(page)
        remarks, files, drawn = self._remarks(page)
        return Page(_PageText(page, text).lines(), pictures, drawings + drawn, remarks, files)

    def _objects(self, page: Any) -> tuple[list[float], int]:
        """How much of the page each picture covers, and how many drawings there are."""
        pdfium = self._pdfium
        width, height = page.get_size()
        area = max(1.0, width * height)
        pictures: list[float] = []
        drawings = 0
        for each in islice(page.get_objects(max_depth=_DEEPEST_FORM), _MOST_OBJECTS):
            if each.type == pdfium.FPDF_PAGEOBJ_IMAGE:
                left, bottom, right, top = each.get_bounds()
                pictures.append(min(1.0, (right - left) * (top - bottom) / area))
            elif each.type in (pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_SHADING):
                drawings += 1
        return pictures, drawings

    # -- Comments and form fields

    def _remarks(self, page: Any) -> tuple[list[Remark], int, int]:
        """The comments and form fields of a page, how many files are attached to it, and how much is drawn by hand."""
        pdfium = self._pdfium
        remarks: dict[Remark, None] = {}  # in order, and once: a field may stand in several places
        files = drawn = 0
        for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
            annotation = pdfium.FPDFPage_GetAnnot(page, index)
            if not annotation:
                continue
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            files += kind == pdfium.FPDF_ANNOT_FILEATTACHMENT
            drawn += kind in (pdfium.FPDF_ANNOT_INK, pdfium.FPDF_ANNOT_STAMP)
            remark = self._field(annotation) if kind == pdfium.FPDF_ANNOT_WIDGET else self._comment(annotation, kind)
            if remark is not None:
                remarks[remark] = None
            pdfium.FPDFPage_CloseAnnot(annotation)
        return list(remarks), files, drawn

    def _comment(self, annotation: Any, kind: int) -> Remark | None:
        if kind in (self._pdfium.FPDF_ANNOT_LINK, self._pdfium.FPDF_ANNOT_POPUP):
            return None
        text = self._value(annotation, b"Contents")
        author = " ".join(self._value(annotation, b"T").split())
        return (
            Remark(f"[Comment by {author}]" if author else "[Comment]", text, self._is_hidden(annotation))
            if text
            else None
        )

    def _field(self, annotation: Any) -> Remark | None:
        pdfium, form = self._pdfium, self._pdf.formenv
        if form is None:
            return None
        kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
        if kind in (pdfium.FPDF_FORMFIELD_PUSHBUTTON, pdfium.FPDF_FORMFIELD_SIGNATURE):
            return None
        if kind in (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON):
            checked = pdfium.FPDFAnnot_IsChecked(form, annotation)
            value = self._of_form(pdfium.FPDFAnnot_GetFormFieldExportValue, annotation) or "yes" if checked else ""
        else:
            value = self._of_form(pdfium.FPDFAnnot_GetFormFieldValue, annotation)
        name = self._of_form(pdfium.FPDFAnnot_GetFormFieldAlternateName, annotation)
        name = name or self._of_form(pdfium.FPDFAnnot_GetFormFieldName, annotation)
        return Remark("[Form field]", f"{name}: {value}", self._is_hidden(annotation)) if value else None

    def _is_hidden(self, annotation: Any) -> bool:
        return bool(self._pdfium.FPDFAnnot_GetFlags(annotation) & self._pdfium.FPDF_ANNOT_FLAG_HIDDEN)

    def _of_form(self, get: Any, annotation: Any) -> str:
        return self._text(partial(get, self._pdf.formenv, annotation))

    def _value(self, annotation: Any, key: bytes) -> str:
        return self._text(partial(self._pdfium.FPDFAnnot_GetStringValue, annotation, key))

    def _text(self, get: Any) -> str:
        """What a function of PDFium writes into a buffer, which it is asked the size of first."""
        size = get(None, 0)
        if size <= 2:
            return ""
        buffer = (self._pdfium.FPDF_WCHAR * (size // 2))()
        get(buffer, size)
        text = bytes(buffer).decode("utf-16-le", errors="replace").rstrip("\0")
        return text.replace("\r\n", "\n").replace("\r", "\n").strip()


class _PageText:
    """The text of a page, as lines with their places."""

    def __init__(self, page: Any, text: Any) -> None:
        _, pdfium = _packages()
        self._pdfium = pdfium
        self._raw = text.raw
        self._turned = page.get_rotation()
        unicode = pdfium.FPDFText_GetUnicode
        self._characters = [chr(unicode(self._raw, index)) for index in range(max(0, text.count_chars()))]
        self._x, self._y = ctypes.c_double(), ctypes.c_double()

    def lines(self) -> list[Line]:
        """All lines that are not blank."""
        found: list[Line] = []
        begin = 0
        for index, character in enumerate(self._characters):
            if character in "\r\n":
                self._put(found, begin, index)
                begin = index + 1
            elif character == _HYPHEN:
                self._characters[index] = "-"
                self._put(found, begin, index + 1)
                begin = index + 1
        self._put(found, begin, len(self._characters))
        return found

    def _put(self, found: list[Line], begin: int, end: int) -> None:
        """Add what stands between two characters: one line, or several that PDFium took for one."""
        characters = self._characters
        while begin < end and characters[begin].isspace():
            begin += 1
        while end > begin and characters[end - 1].isspace():
            end -= 1
        if begin == end:
            return
        size, left, base = self._size((begin + end) // 2), *self._place(begin)
        for index in range(begin, end - 1):
            if characters[index] == " " and abs(self._place(index + 1)[1] - base) > 0.7 * size:
                self._put(found, begin, index)
                self._put(found, index + 1, end)
                return
        bold = self._is_bold(begin) and self._is_bold(end - 1)
        found.append(Line(line_text(_joined(characters[begin:end])), left, self._right(end - 1), base, size, bold))

    def _place(self, index: int) -> tuple[float, float]:
        """Where a character stands on the page as it is looked at."""
        self._pdfium.FPDFText_GetCharOrigin(self._raw, index, self._x, self._y)
        return self._as_seen(self._x.value, self._y.value)

    def _as_seen(self, x: float, y: float) -> tuple[float, float]:
        match self._turned:
            case 90:
                return y, -x
            case 180:
                return -x, -y
            case 270:
                return -y, x
            case _:
                return x, y

    def _right(self, index: int) -> float:
        box = self._pdfium.FS_RECTF()
        self._pdfium.FPDFText_GetLooseCharBox(self._raw, index, box)
        corners = (self._as_seen(box.left, box.bottom), self._as_seen(box.right, box.top))
        return max(x for x, _ in corners)

    def _size(self, index: int) -> float:
        """The size of a character's font on the page, in points."""
        matrix = self._pdfium.FS_MATRIX()
        size: float = self._pdfium.FPDFText_GetFontSize(self._raw, index)
        if self._pdfium.FPDFText_GetMatrix(self._raw, index, matrix):
            size *= math.hypot(matrix.c, matrix.d)
        return size if 0.5 < size < 5000 else 10.0

    def _is_bold(self, index: int) -> bool:
        name = ctypes.create_string_buffer(128)
        self._pdfium.FPDFText_GetFontInfo(self._raw, index, name, 128, None)
        heavy = self._pdfium.FPDFText_GetFontWeight(self._raw, index) >= 600
        return heavy or b"bold" in name.value.lower() or b"black" in name.value.lower()


def _joined(characters: list[str]) -> str:
    """Text of code points, of which those beyond the first 65,536 may come as two halves."""
    text = "".join(characters)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@contextmanager
def open_pdf(file: BinaryIO, source: Source) -> Generator[PdfFile, None, None]:
    """Open a PDF file until the context ends.

    Args:
        file: Its content, which stays open meanwhile.
        source: What it is, for errors.

    Raises:
        DocumentError: It needs a password (``encrypted``) or is damaged (``malformed``).
    """
    pypdfium2, pdfium = _packages()
    try:
        pdf = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            remedy = "Save it without the password."
            problem = "it is protected with a password"
            raise DocumentError(source.name, problem, remedy, code="encrypted") from None
        raise source.malformed("it is damaged: its end or the list of its parts is missing") from None
    with closing(pdf):
        pdf.init_forms()
        yield PdfFile(pdf)
