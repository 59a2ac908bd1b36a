"""What stands in a Word paragraph: its text as it finally reads, and what hangs on it.

Rules are those of ISO/IEC 29500-1, 17.3 (paragraphs and runs), 17.13 (annotations) and 17.16 (fields).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from xml.etree.ElementTree import Element

from attrs import define, field

from ._docx_styles import Styles
from ._docx_symbols import equation, symbol
from ._docx_xml import attribute, child, chosen, flag, local, number, value

_SOFT_HYPHEN = "\u00ad"
_CHANGED = frozenset({"ins", "del", "moveTo", "moveFrom"})
_LEFT_OUT = frozenset({"del", "moveFrom", "delText", "instrText", "delInstrText", "pPr", "rPr", "sdtPr", "sdtEndPr"})
_FIXED = {"tab": "\t", "ptab": "\t", "cr": "\n", "noBreakHyphen": "-"}
_REFERENCES = frozenset({"footnoteReference", "endnoteReference", "commentReference"})
_CHECKBOX = {True: "\u2612", False: "\u2610"}


class Attached(NamedTuple):
    """What hangs on a paragraph, and is read behind it.

    Attributes:
        kind: ``box`` for a text box, ``image`` for the description of a picture, ``diagram``, ``table`` for a table in
            a cell, or the name of a reference: ``footnoteReference``, ``endnoteReference`` or ``commentReference``.
        element: What is in the box, or the table.
        text: The description, or the id of what is referred to.
    """

    kind: str
    element: Element | None = None
    text: str = ""


@define
class Content:
    """What stands in a paragraph, in the order of reading."""

    visible: str
    hidden: str
    attached: list[Attached]
    page: int | None  # where it begins


@define
class Left:
    """How much of what was read is not in the text."""

    pictures: int = 0
    objects: int = 0
    charts: int = 0
    imported: int = 0
    diagrams: int = 0


@define
class Pages:
    """The page that is read, by the marks that Word left where it laid the pages out.

    Word marks the first text on each new page. Where a break that the author made has no mark behind it, the page it
    begins was left without text.
    """

    page: int = 1
    _pending: int = 0

    def mark(self) -> None:
        """Take a mark of Word's."""
        self.page += max(1, self._pending)
        self._pending = 0

    def break_page(self) -> None:
        """Take a break that the author made."""
        self._pending += 1

    def write(self) -> int:
        """Tell the page of text that comes now."""
        self.page += self._pending
        self._pending = 0
        return self.page


@define
class RunReader:
    """Reads paragraphs, and keeps count of what it cannot read.

    Attributes:
        styles: The document's.
        left: What was not read so far.
        changed: Whether changes were tracked.
    """

    styles: Styles
    left: Left = field(factory=Left)
    changed: bool = False

    def read(self, paragraphs: Iterable[Element], *, style_id: str | None, pages: Pages | None) -> Content:
        """Read a paragraph, or several that are one since the marks between them were deleted.

        Args:
            paragraphs: Their elements.
            style_id: The style of the last.
            pages: Counts pages; None where they are not known, and in text beside the pages' own.
        """
        reading = _Reading(self, pages, bool(self.styles.hidden(style_id, paragraph=True)))
        for paragraph in paragraphs:
            mark = child(paragraph, "pPr", "rPr")
            self.changed |= mark is not None and any(local(each.tag) in _CHANGED for each in mark)
            reading.descend(paragraph)
        return reading.content()


@define
class _Reading:
    """One paragraph that is being read."""

    owner: RunReader
    pages: Pages | None
    hides: bool  # its style hides text that does not say otherwise
    hidden: bool = False  # what is read now is hidden
    page: int | None = None
    visible: list[str] = field(factory=list[str])
    concealed: list[str] = field(factory=list[str])
    attached: list[Attached] = field(factory=list[Attached])
    codes: list[bool] = field(factory=list[bool])  # of each open field, whether its code is read now, not its result

    def content(self) -> Content:
        page = self.page if self.page is not None or self.pages is None else self.pages.page
        return Content("".join(self.visible), "".join(self.concealed), self.attached, page)

    def descend(self, element: Element) -> None:
        for each in element:
            self.take(each, local(each.tag))

    def take(self, element: Element, name: str) -> None:
        """Read what can stand in a paragraph, or in what wraps a part of one."""
        if name in _CHANGED:
            self.owner.changed = True
        if name in _LEFT_OUT:
            return
        if name == "r":
            self.run(element)
        elif name == "t":
            self.write((element.text or "").replace("\n", " ").replace(_SOFT_HYPHEN, ""))
        elif name in _FIXED:
            self.write(_FIXED[name])
        elif name in _REFERENCES:
            self.attached.append(Attached(name, text=attribute(element, "id") or ""))
        elif name in ("drawing", "pict", "object"):
            self.attached.extend(_Graphic(self.owner.left).read(element, embedded=name == "object"))
        elif name in ("oMath", "oMathPara"):
            self.write(equation(element))
        else:
            self.take_rarer(element, name)

    def take_rarer(self, element: Element, name: str) -> None:
        match name:
            case "br":
                self.line_break(element)
            case "fldChar":
                self.field_mark(element)
            case "sym":
                self.write(symbol(attribute(element, "font") or "", attribute(element, "char") or ""))
            case "lastRenderedPageBreak":
                if self.pages is not None:
                    self.pages.mark()
            case "AlternateContent":
                self.descend(chosen(element))
            case "ruby":
                self.ruby(element)
            case _:
                self.descend(element)

    def run(self, element: Element) -> None:
        properties = child(element, "rPr")
        hidden = None
        if properties is not None:
            hidden = flag(properties, "vanish")
            if hidden is None:
                hidden = self.owner.styles.hidden(value(properties, "rStyle"))
        before, self.hidden = self.hidden, self.hides if hidden is None else hidden
        self.descend(element)
        self.hidden = before

    def write(self, text: str) -> None:
        if not text or any(self.codes):
            return
        (self.concealed if self.hidden else self.visible).append(text)
        if self.pages is not None and not self.hidden and not text.isspace():
            page = self.pages.write()
            self.page = page if self.page is None else self.page

    def line_break(self, element: Element) -> None:
        self.write("\n")
        if self.pages is not None and attribute(element, "type") == "page":
            self.pages.break_page()

    def field_mark(self, element: Element) -> None:
        """Go into the code of a field, to its result, or out of it.

        Fields may go on over paragraphs, codes do not: one that does not end with its paragraph hides no more.
        """
        match attribute(element, "fldCharType"):
            case "begin":
                self.write(_form_field(child(element, "ffData")))
                self.codes.append(True)
            case "separate" if self.codes:
                self.codes[-1] = False
            case "end" if self.codes:
                self.codes.pop()
            case _:
                pass

    def ruby(self, element: Element) -> None:
        """Read annotated characters, and how they are spoken in brackets behind them."""
        for name, begin, end in (("rubyBase", "", ""), ("rt", "(", ")")):
            found = child(element, name)
            if found is not None:
                self.write(begin)
                self.descend(found)
                self.write(end)


def _form_field(data: Element | None) -> str:
    """What an old form field shows that has no result: a check box or a list."""
    box = child(data, "checkBox")
    if box is not None:
        checked = flag(box, "checked")
        return _CHECKBOX[bool(flag(box, "default") if checked is None else checked)]
    choices = child(data, "ddList")
    if choices is None:
        return ""
    entries = [attribute(each, "val") or "" for each in choices if local(each.tag) == "listEntry"]
    at = number(value(choices, "result") or value(choices, "default") or "0")
    return entries[at] if at is not None and at < len(entries) else ""


@define
class _Graphic:
    """One picture, drawing or object: what can be read of it."""

    left: Left
    pictures: int = 0
    texts: dict[str, None] = field(factory=dict[str, None])  # the descriptions, each once
    attached: list[Attached] = field(factory=list[Attached])

    def read(self, element: Element, *, embedded: bool) -> list[Attached]:
        """Read it, and count what is not.

        Args:
            element: The drawing.
            embedded: Whether its pictures only show what an embedded object looks like.
        """
        self.descend(element)
        if embedded:
            self.left.objects += 1
        else:
            self.left.pictures += max(0, self.pictures - len(self.texts))
        return [*(Attached("image", text=each) for each in self.texts), *self.attached]

    def descend(self, element: Element) -> None:
        for each in element:
            self.take(each, local(each.tag))

    def take(self, element: Element, name: str) -> None:
        match name:
            case "txbxContent":
                self.attached.append(Attached("box", element))
                return
            case "docPr" | "cNvPr":
                self.describe(element, "descr", "title")
            case "shape" | "group" | "rect" | "roundrect" | "oval":
                self.describe(element, "alt")
            case "textpath":
                self.describe(element, "string")
            case "pic" | "imagedata":
                self.pictures += 1
            case "decorative":
                self.pictures -= flag(element) or False
            case "chart":
                self.left.charts += 1
            case "relIds":
                self.attached.append(Attached("diagram", text=attribute(element, "dm") or ""))
            case "control":
                self.left.objects += 1
            case _:
                pass
        self.descend(chosen(element) if name == "AlternateContent" else element)

    def describe(self, element: Element, *names: str) -> None:
        text = next(filter(None, (attribute(element, each) for each in names)), "")
        if text.strip():
            self.texts[text.strip()] = None
