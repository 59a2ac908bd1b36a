"""The parts of a Word document beside its text: where they are, comments and notes by id, which headers are shown."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from attrs import define, field, frozen

from ._docx_xml import attribute, child, children, flag, local, parse
from ._formats import Source
from ._package import relationships

_SEPARATORS = frozenset({"separator", "continuationSeparator", "continuationNotice"})


@frozen
class Comment:
    """What someone said at a place in the text.

    Attributes:
        title: Who said it, as a reader must know it.
        body: What was said.
    """

    title: str
    body: Element


@define
class Parts:
    """The parts of one document.

    Attributes:
        source: The file.
        archive: The file, opened.
        main: The name of the main part.
        missing: Kinds of parts that the document refers to and that are not there.
    """

    source: Source
    archive: ZipFile
    main: str
    missing: set[str] = field(factory=set[str])
    _by_kind: dict[str, str] = field(factory=dict[str, str])
    _by_id: dict[tuple[str, str], str] = field(factory=dict[tuple[str, str], str])

    def __attrs_post_init__(self) -> None:
        for each in relationships(self.archive, self.main):
            if not each.external:
                self._by_kind.setdefault(each.kind, each.target)
                self._by_id[each.kind, each.id] = each.target

    def of_kind(self, kind: str) -> Element | None:
        """The part of a kind of which there is one, such as ``styles``."""
        usual = f"{self.main.rpartition('/')[0]}/{kind}.xml"
        if kind not in self._by_kind and usual not in self.archive.NameToInfo:
            return None
        return self._parse(self._by_kind.get(kind, usual), usual, kind)

    def of_id(self, kind: str, relationship_id: str) -> Element | None:
        """The part of a kind that the main part refers to by an id."""
        return self._parse(self._by_id.get((kind, relationship_id), ""), "", kind)

    def has_macros(self) -> bool:
        """Whether there are macros."""
        return "vbaProject" in self._by_kind

    def _parse(self, name: str, usual: str, kind: str) -> Element | None:
        for each in (name, usual):
            if each in self.archive.NameToInfo:
                return parse(self.source, self.archive, each)
        self.missing.add(kind)
        return None

    def notes(self, kind: str) -> dict[str, Element]:
        """The ``footnotes`` or ``endnotes`` by id, without the rules that divide them from the text."""
        root = self.of_kind(kind)
        found = (each for each in children(root) if attribute(each, "type") not in _SEPARATORS)
        return {attribute(each, "id") or "": each for each in found}

    def comments(self) -> dict[str, Comment]:
        """The comments by id."""
        comments = self.of_kind("comments")
        resolved = {
            attribute(each, "paraId")
            for each in children(self.of_kind("commentsExtended"))
            if (attribute(each, "done") or "0") in ("1", "true")
        }
        return dict(_comment(each, resolved) for each in children(comments) if local(each.tag) == "comment")


def _comment(element: Element, resolved: set[str | None]) -> tuple[str, Comment]:
    author = (attribute(element, "author") or "").strip()
    ids = {attribute(each, "paraId") for each in element} - {None}
    title = f"Comment by {author}" if author else "Comment"
    return attribute(element, "id") or "", Comment(f"{title}, resolved" if ids & resolved else title, element)


def shown(section: Element | None) -> Iterator[tuple[str, str]]:
    """The headers and footers that a section has: which of both, and the id that refers to it."""
    first = flag(section, "titlePg") or False
    for each in children(section):
        name = local(each.tag).removesuffix("Reference")
        if name in ("header", "footer") and (first or attribute(each, "type") != "first"):
            yield name, attribute(each, "id") or ""


def diagram(root: Element) -> Iterator[Element]:
    """The paragraphs of a diagram (SmartArt), by its data: one element for each of its points that has text."""
    for point in children(root, "ptLst"):
        text = child(point, "t")
        if text is not None:
            yield from (each for each in text if local(each.tag) == "p")
