"""DrawingML (ECMA-376 part 1, chapters 20 and 21): the text of shapes, charts and diagrams in slides and sheets.

Names are matched without their namespaces, of which the strict variant of the standard has others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from attrs import frozen

from ._number_formats import Show, show

TRUE = frozenset(("1", "true", "on"))
_INDEX_DIGITS = 10
_LEFT_OUT = frozenset(("slidenum",))  # kinds of fields that say nothing


@frozen(kw_only=True)
class Chart:
    """What can be read of a chart.

    Attributes:
        title: Its title; empty if it has none of its own.
        header: An empty name for the categories, then the names of the series.
        rows: For each category, its name and the value of each series.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def reference(element: Element, name: str) -> str:
    """An attribute that names a relationship: it has a namespace, unlike the element's own ones."""
    return next((value for key, value in element.attrib.items() if key.endswith(f"}}{name}")), "")


def paragraph_text(paragraph: Element) -> str:
    """The text of one paragraph, line breaks as line ends; numbers of slides are left out."""
    return "".join(_pieces(paragraph)).replace("\v", "\n")


def _pieces(element: Element) -> Iterator[str]:
    for child in element:
        name = local(child)
        if name == "t":
            yield child.text or ""
        elif name == "br":
            yield "\n"
        elif name == "fld":
            if child.get("type", "").lower() not in _LEFT_OUT:
                yield from _pieces(child)
        elif name == "AlternateContent":
            yield from _pieces(chosen(child))
        elif name not in ("rPr", "pPr", "endParaRPr"):
            yield from _pieces(child)


def chosen(alternatives: Element) -> Element:
    """The first of the alternatives that a producer wrote, which is the one with the content at its fullest."""
    found = alternatives.find("{*}Choice")
    return found if found is not None else alternatives[0] if len(alternatives) else alternatives


def body_text(body: Element | None) -> str:
    """The text of all paragraphs of a text body, one a line."""
    if body is None:
        return ""
    return "\n".join(filter(None, (paragraph_text(each).strip() for each in body.iterfind("{*}p"))))


def alt_text(properties: Element | None) -> str:
    """What a shape's properties describe it with."""
    if properties is None:
        return ""
    return (properties.get("descr") or properties.get("title") or "").strip()


def read_chart(root: Element) -> Chart:
    """Read a chart's title, and its values as they were stored with it."""
    title = " ".join(filter(None, (paragraph_text(each).strip() for each in root.iterfind("{*}chart/{*}title//{*}p"))))
    series = list(root.iterfind("{*}chart/{*}plotArea/*/{*}ser"))
    names: dict[int, str] = {}
    columns: list[dict[int, str]] = []
    for each in series:
        for index, name in {**_points(each, "cat"), **_points(each, "xVal")}.items():
            names.setdefault(index, name)
        columns.append({**_points(each, "val"), **_points(each, "yVal")})
    header = ["", *(", ".join(_points(each, "tx").values()) for each in series)]
    places = sorted(names.keys() | {index for column in columns for index in column})
    rows = [[names.get(place, ""), *(column.get(place, "") for column in columns)] for place in places]
    return Chart(title=title, header=header, rows=rows)


def _points(series: Element, kind: str) -> dict[int, str]:
    """The stored values of one dimension of a series by their index; of several levels, the outer ones first."""
    dimension = series.find(f"{{*}}{kind}")
    found: dict[int, str] = {}
    for cache in () if dimension is None else dimension.iter():
        shown = show(cache.findtext("{*}formatCode", "")) if local(cache).startswith("num") else None
        for point in cache.iterfind("{*}pt"):
            index, value = point.get("idx", ""), point.findtext("{*}v", "")
            if index.isdecimal() and len(index) < _INDEX_DIGITS:
                text = value if shown is None else _shown(value, shown)
                found[int(index)] = " ".join(filter(None, (text, found.get(int(index)))))
    if not found and dimension is not None:
        return {0: dimension.findtext("{*}v", "")}
    return found


def _shown(value: str, shown: Show) -> str:
    try:
        return shown(float(value))
    except ValueError:
        return value


def read_diagram(root: Element) -> list[tuple[int, str]]:
    """Read a diagram (SmartArt): the level, from 1, and text of its nodes, each above those below it."""
    texts = {
        point.get("modelId", ""): body_text(point.find("{*}t"))
        for point in root.iterfind("{*}ptLst/{*}pt")
        if point.get("type", "node") in ("node", "asst", "doc")
    }
    below: dict[str, list[tuple[int, str]]] = {}
    for link in root.iterfind("{*}cxnLst/{*}cxn"):
        if link.get("type", "parOf") == "parOf":
            order = link.get("srcOrd", "")
            at = int(order) if order.isdecimal() else 0
            below.setdefault(link.get("srcId", ""), []).append((at, link.get("destId", "")))
    return list(_nodes(texts, below))


def _nodes(texts: dict[str, str], below: dict[str, list[tuple[int, str]]]) -> Iterator[tuple[int, str]]:
    children = {child for links in below.values() for _, child in links}
    waiting = [(1, node) for node in reversed(texts) if node not in children]
    seen: set[str] = set()
    while waiting:
        level, node = waiting.pop()
        if node in seen or node not in texts:
            continue
        seen.add(node)
        if texts[node]:
            yield level, texts[node]
        deeper = level + 1 if texts[node] else level
        waiting += [(deeper, child) for _, child in sorted(below.get(node, ()), reverse=True)]
