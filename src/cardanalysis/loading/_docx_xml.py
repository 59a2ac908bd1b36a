"""The XML of Word documents, read without trust in it: bounded depth, one piece at a time.

Names are compared without their namespace. So transitional and strict files (ISO/IEC 29500-4 and -1), which differ in
nothing else that matters here, read the same, and so do the drawings' own paragraphs and texts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import IO
from xml.etree.ElementTree import Element, iterparse
from zipfile import ZipFile

from attrs import define

from ._formats import Source
from ._package import PARSED_FACTOR

DEEPEST = 256
"""Elements within each other; lxml's parser has the same bound. Word's own files stay below 100."""

Item = tuple[str, Element]
"""A piece of a document with its local name."""

_WHOLE = frozenset({"p", "tr", "sectPr", "altChunk", "subDoc", "oMath", "oMathPara", "AlternateContent"})
_PASSED = frozenset({"del", "moveFrom", "sdtPr", "sdtEndPr", "tblPr", "trPr", "tcPr"})
TABLE_END = "/tbl"


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]


def attribute(element: Element, name: str) -> str | None:
    """The attribute of a name, whatever its namespace."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return None


def child(element: Element | None, *path: str) -> Element | None:
    """The first child of a name, or further down along a path."""
    for name in path:
        if element is None:
            return None
        element = next((each for each in element if each.tag.rpartition("}")[2] == name), None)
    return element


def children(element: Element | None, *path: str) -> Iterator[Element]:
    """The children of an element, or of what is down a path; none where there is no such element."""
    found = child(element, *path)
    return iter(()) if found is None else iter(found)


def value(element: Element | None, *path: str) -> str | None:
    """The ``val`` of an element or of what is down a path; None where there is none."""
    found = child(element, *path)
    return None if found is None else attribute(found, "val")


def flag(element: Element | None, *path: str) -> bool | None:
    """Whether a property is on (ST_OnOff); None where nothing is said."""
    found = child(element, *path)
    if found is None:
        return None
    return (attribute(found, "val") or "true").lower() not in ("0", "false", "off")


def number(text: str | None) -> int | None:
    """A whole number of at most 9 digits, as written in attributes; None for anything else."""
    if text is None or len(text) > 9 or not text.isascii():
        return None
    return int(text) if text.isdigit() else None


def parse(source: Source, archive: ZipFile, name: str) -> Element:
    """Parse a part of a package that was checked.

    Raises:
        DocumentError: Its elements are nested too deeply.
        xml.etree.ElementTree.ParseError: It is no XML.
        zipfile.BadZipFile: It is not what the directory says.
    """
    root: Element | None = None
    with archive.open(name) as part:
        for element in _elements(source, part):
            root = element
    if root is None:  # cannot be: the parser refuses what has no element
        raise ValueError(name)
    return root


def _elements(source: Source, part: IO[bytes]) -> Iterator[Element]:
    """The elements of a part as they end."""
    depth = 0
    for event, element in iterparse(part, ("start", "end")):  # noqa: S314, check_package found no entities
        if event == "start":
            depth += 1
            if depth > DEEPEST:
                raise _too_deep(source)
        else:
            depth -= 1
            yield element


def _too_deep(source: Source) -> Exception:
    return source.malformed(f"its elements are nested more than {DEEPEST} deep")


@define
class _Meter:
    """Reads a part, and refuses it where one piece of it alone would fill the memory."""

    source: Source
    part: IO[bytes]
    taken: int = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self.part.read(size)
        self.taken += len(data)
        most = self.source.limits.memory_bytes // PARSED_FACTOR
        if self.taken > most:
            found = f"a paragraph or table row of it has more than {most:,} bytes of XML"
            raise self.source.too_large(found, "memory_bytes")
        return data


def stream(source: Source, part: IO[bytes]) -> Generator[Item, None, None]:
    """The paragraphs and table rows of the main part, each as soon as it ends; then it is forgotten.

    Behind the rows of a table stands an item named `TABLE_END`.

    Raises:
        DocumentError: Its elements are nested too deeply, or one of the pieces is too large.
        xml.etree.ElementTree.ParseError: It is no XML.
    """
    meter = _Meter(source, part)
    above: list[Element] = []
    whole: Element | None = None  # the piece that is being read
    for event, element in iterparse(meter, ("start", "end")):  # noqa: S314, check_package found no entities
        if event == "start":
            if len(above) >= DEEPEST:
                raise _too_deep(source)
            if not above and local(element.tag) != "document":
                raise source.malformed("its main part is no document of Word")
            above.append(element)
            if whole is None and local(element.tag) in _WHOLE | _PASSED:
                whole = element
            continue
        above.pop()
        if whole is not None and element is whole:
            yield from _items(element)
            whole, meter.taken = None, 0
            if above:
                above[-1].clear()
        elif whole is None and local(element.tag) == "tbl":
            yield TABLE_END, element


def inside(container: Element) -> Iterator[Item]:
    """The paragraphs, tables and other pieces in an element, through whatever wraps them; rows in a table."""
    for element in container:
        yield from _items(element)


def _items(element: Element) -> Iterator[Item]:
    name = local(element.tag)
    if name == "AlternateContent":
        yield from inside(chosen(element))
    elif name in _WHOLE or name == "tbl":
        yield name, element
    elif name not in _PASSED:
        yield from inside(element)


def chosen(alternate: Element) -> Element:
    """What counts of the alternatives for old and new programs, which tell the same: the new one."""
    for name in ("Choice", "Fallback"):
        for element in alternate:
            if local(element.tag) == name and len(element):
                return element
    return Element("none")


def merged(items: Iterable[Item]) -> Iterator[tuple[str, list[Element]]]:
    """Join paragraphs whose mark was deleted with those behind them."""
    held: list[Element] = []
    for name, element in items:
        if name == "p":
            held.append(element)
            if _mark_deleted(element):
                continue
        elif held:
            yield "p", held
            held = []
        yield (name, held) if name == "p" else (name, [element])
        held = []
    if held:
        yield "p", held


def _mark_deleted(paragraph: Element) -> bool:
    mark = child(paragraph, "pPr", "rPr")
    return child(mark, "del") is not None or child(mark, "moveFrom") is not None
