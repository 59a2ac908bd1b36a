"""Word documents that are damaged or made to do harm: each is read, or gives a typed error, in bounded memory."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from contextlib import suppress

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import DocumentError
from cardanalysis.loading._docx import FORMAT
from cardanalysis.loading._docx_xml import DEEPEST
from cardanalysis.loading._formats import Limits, Parsed, Source

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NAMES = f'xmlns:w="{W}" xmlns:r="{R}"'
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = f'<Relationship Id="rId1" Type="{R}/officeDocument" Target="word/document.xml"/>'


def package(body: str, *parts: tuple[str, str, str], lost: str = "", stored: bytes = b"") -> bytes:
    """A document of a body and parts, each with its name, the last word of its relationship's type and its content.

    Args:
        body: What is in the body.
        parts: The parts.
        lost: The name of a part that is not there, though it is referred to.
        stored: A picture.
    """
    rels = "".join(
        f'<Relationship Id="rId{number}" Type="{R}/{kind}" Target="{name}"/>'
        for number, (name, kind, _) in enumerate(parts, 1)
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{PACKAGE}">{OFFICE}</Relationships>')
        archive.writestr("word/document.xml", f"<w:document {NAMES}><w:body>{body}</w:body></w:document>")
        archive.writestr("word/_rels/document.xml.rels", f'<Relationships xmlns="{PACKAGE}">{rels}</Relationships>')
        for name, _, content in parts:
            if name != lost:
                archive.writestr(f"word/{name}", content)
        if stored:
            archive.writestr("word/media/image1.png", stored, zipfile.ZIP_STORED)
    return file.getvalue()


def part(root: str, content: str) -> str:
    return f"<w:{root} {NAMES}>{content}</w:{root}>"


def parse(data: bytes, **limits: int) -> Parsed:
    return FORMAT.parse(Source.of(data, "a.docx", Limits(**limits)))


def refused(data: bytes, **limits: int) -> str:
    with pytest.raises(DocumentError) as caught:
        parse(data, **limits)
    assert caught.value.remedy.endswith(".")
    return str(caught.value.code)


def texts(parsed: Parsed) -> list[str]:
    return [block.text for block in parsed.blocks]


P = "<w:p><w:r><w:t>x</w:t></w:r></w:p>"


@pytest.mark.parametrize("name", ["w:p", "w:r", "w:sdt", "w:tbl", "w:tc", "w:del", "w:txbxContent", "x"])
def test_deep_nesting_is_refused(name: str) -> None:
    """100,000 elements within each other are malformed, whatever they are, in the text and in a part."""
    deep = f"<{name}>" * 100_000 + f"</{name}>" * 100_000
    assert refused(package(deep)) == "malformed"
    assert refused(package(P, ("comments.xml", "comments", part("comments", deep)))) == "malformed"


def test_nesting_that_is_allowed_is_read() -> None:
    """Tables and text boxes as deep as the bound allows are read without running out of stack."""
    begin, end = "<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"
    count = (DEEPEST - 6) // 3
    assert texts(parse(package(begin * count + P + end * count))) == ["x"]
    wide = begin + P + "</w:tc><w:tc>"
    assert len(texts(parse(package(wide * count + P + end * count)))) == count
    begin, end = "<w:p><w:r><w:pict><w:txbxContent>", "</w:txbxContent></w:pict></w:r></w:p>"
    count = (DEEPEST - 6) // 4
    assert texts(parse(package(begin * count + P + end * count))) == ["x"]
    count = DEEPEST - 10
    assert texts(parse(package("<w:sdt>" * count + P + "</w:sdt>" * count))) == ["x"]
    fields = "<w:ins>" * count + "<w:r><w:t>y</w:t></w:r>" + "</w:ins>" * count
    assert texts(parse(package(f"<w:p>{fields}</w:p>"))) == ["y"]


def style(style_id: str, based_on: str, properties: str = "") -> str:
    return f'<w:style w:styleId="{style_id}"><w:basedOn w:val="{based_on}"/><w:pPr>{properties}</w:pPr></w:style>'


def test_a_style_may_be_based_on_itself() -> None:
    """Styles that are based on themselves or each other, or on thousands of others, hang nothing."""
    chain = "".join(style(f"S{number}", f"S{number + 1}") for number in range(20_000))
    loops = style("A", "A") + style("B", "C") + style("C", "B") + chain
    body = "".join(P.replace("<w:p>", f'<w:p><w:pPr><w:pStyle w:val="{each}"/></w:pPr>') for each in ("A", "B", "S0"))
    assert texts(parse(package(body, ("styles.xml", "styles", part("styles", loops))))) == ["x", "x", "x"]


def test_lists_may_be_linked_to_themselves() -> None:
    """A list that has its levels from a style, whose list has them from the same style, hangs nothing."""
    abstract = '<w:abstractNum w:abstractNumId="0"><w:numStyleLink w:val="L"/></w:abstractNum>'
    own = part("numbering", abstract + '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>')
    number = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
    parts = (
        ("numbering.xml", "numbering", own),
        ("styles.xml", "styles", part("styles", style("L", "L", number))),
    )
    body = P.replace("<w:p>", f"<w:p><w:pPr>{number}</w:pPr>")
    assert texts(parse(package(body, *parts))) == ["x"]


@pytest.mark.parametrize("kind", ["lowerRoman", "upperLetter", "decimal", "decimalZero", "chicago", ""])
@pytest.mark.parametrize("start", ["0", "999999999", "-5", "x", "9" * 5000])
def test_numbers_that_make_no_sense_are_read(kind: str, start: str) -> None:
    """Numbers of lists, levels and columns may be anything; they take no time and no memory."""
    levels = f'<w:lvl w:ilvl="0"><w:start w:val="{start}"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="%1"/></w:lvl>'
    levels += f'<w:lvl w:ilvl="{start}"/>'
    own = part(
        "numbering",
        f'<w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>',
    )
    listed = (
        f'<w:pPr><w:outlineLvl w:val="{start}"/><w:numPr><w:ilvl w:val="{{}}"/><w:numId w:val="1"/></w:numPr></w:pPr>'
    )
    body = "".join(P.replace("<w:p>", f"<w:p>{listed.format(at)}") for at in ("0", start))
    span = f'<w:tcPr><w:gridSpan w:val="{start}"/></w:tcPr>'
    row = f'<w:trPr><w:gridBefore w:val="{start}"/></w:trPr><w:tc>{span}{P}</w:tc>'
    body += f"<w:tbl>{f'<w:tr>{row}</w:tr>' * 2}</w:tbl>"
    parsed = parse(package(body, ("numbering.xml", "numbering", own)))
    assert all(text.strip("| ").endswith("x") for text in texts(parsed))
    assert max(len(block.cells) for block in parsed.blocks) <= 200


def test_a_note_may_refer_to_itself() -> None:
    """A footnote with its own reference in it is told once."""
    own = '<w:r><w:footnoteReference w:id="1"/></w:r>'
    note = part("footnotes", f'<w:footnote w:id="1"><w:p>{own}<w:r><w:t>n</w:t></w:r></w:p></w:footnote>')
    body = f"<w:p>{own * 1000}</w:p>{P}"
    assert texts(parse(package(body, ("footnotes.xml", "footnotes", note)))) == ["n", "x"]


@pytest.mark.parametrize("kind", ["styles", "numbering", "comments", "footnotes", "header"])
def test_missing_parts_are_noted(kind: str) -> None:
    """A part that the document refers to and that is not there is told in a note; the rest is read."""
    body = P + '<w:sectPr><w:headerReference r:id="rId1"/></w:sectPr>'
    parsed = parse(package(body, (f"{kind}.xml", kind, ""), lost=f"{kind}.xml"))
    assert texts(parsed) == ["x"]
    assert f"Its part for {kind} is missing." in parsed.notes


def test_a_document_without_relationships_is_read() -> None:
    """Where nothing says what the parts are, those with the usual names are taken."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        body = P.replace("<w:p>", '<w:p><w:pPr><w:pStyle w:val="H"/></w:pPr>')
        archive.writestr("word/document.xml", part("document", f"<w:body>{body}</w:body>"))
        archive.writestr("word/styles.xml", part("styles", style("H", "", '<w:outlineLvl w:val="0"/>')))
    assert parse(file.getvalue()).blocks[0].level == 1


@pytest.mark.parametrize("content", ["", "<a>", "\0\1\2", "<a></b>", "<a/><b/>"])
def test_damaged_parts_are_malformed(content: str) -> None:
    """A part that is no XML makes the document malformed."""
    assert refused(package(P, ("styles.xml", "styles", content))) == "malformed"


@pytest.mark.parametrize("body", [P + "<w:p>", P + "</w:p>", P + "&", P + "&unknown;", P + "\1"])
def test_a_damaged_text_is_malformed(body: str) -> None:
    """A main part that is no XML makes the document malformed, whatever was read of it before."""
    assert refused(package(body)) == "malformed"


def test_a_main_part_of_another_kind_is_malformed() -> None:
    """A main part whose root is not a document is no Word document."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", f"<html>{P.replace('w:', '')}</html>")
    assert refused(file.getvalue()) == "malformed"


def test_entities_are_unsafe() -> None:
    """A document type in the main part or another is refused before it is parsed."""
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + part("styles", "&b;")
    assert refused(package(P, ("styles.xml", "styles", bomb))) == "unsafe"


def test_references_lead_to_parts_of_their_kind_only() -> None:
    """A diagram, a header or a note whose reference leads to a picture or nowhere is left out."""
    body = P + '<w:p><w:r><w:drawing><relIds r:dm="rId1"/></w:drawing></w:r></w:p>'
    body += '<w:p><w:r><w:footnoteReference/><w:commentReference w:id="9"/></w:r></w:p>'
    assert texts(parse(package(body, ("media/image1.png", "image", "\x89PNG")))) == ["x"]


def test_limits_hold() -> None:
    """Rows, cells, pages and the size of one paragraph and of all XML are bounded."""
    row = f"<w:tr>{f'<w:tc>{P}</w:tc>' * 3}</w:tr>"
    table = f"<w:tbl>{row * 9}</w:tbl>"
    assert refused(package(table), rows=8) == "too_large"
    assert refused(package(table), cells=20) == "too_large"
    page = P.replace("<w:t>", "<w:lastRenderedPageBreak/><w:t>")
    assert refused(package(page * 12), pages=10) == "too_large"
    assert refused(package(f"<w:p>{'<w:r/>' * 200_000}</w:p>"), memory_bytes=10_000_000) == "too_large"
    assert refused(package(P * 10_000), memory_bytes=300_000) == "too_large"
    assert len(parse(package(P * 10_000), memory_bytes=1_000_000).blocks) == 10_000


def peak(data: bytes) -> int:
    """The memory that parsing takes at most, in bytes."""
    source = Source.of(data, "a.docx")
    tracemalloc.start()
    try:
        FORMAT.parse(source)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_pictures_take_no_memory() -> None:
    """Parsing does not unpack pictures: 20 MB of them take less than 2 MB."""
    assert peak(package(P * 100, stored=random.Random(1).randbytes(20_000_000))) < 2_000_000


def test_markup_takes_no_memory() -> None:
    """Of a long document only what is read is held: 3 MB of markup take less than 1 MB, in text or tables."""
    markup = "<w:p>" + "<w:r><w:rPr><w:b/></w:rPr></w:r>" * 200 + "<w:r><w:t>x</w:t></w:r></w:p>"
    assert peak(package(markup * 400)) < 1_000_000
    assert peak(package(f"<w:tbl>{f'<w:tr><w:tc>{markup}</w:tc><w:tc/></w:tr>' * 400}</w:tbl>")) < 1_000_000


# -- Anything

_TAGS = (
    "p", "r", "t", "pPr", "rPr", "pStyle", "vanish", "numPr", "ilvl", "numId", "outlineLvl", "tbl", "tr", "tc",
    "trPr", "tcPr", "gridSpan", "vMerge", "sdt", "sdtContent", "ins", "del", "moveFrom", "moveTo", "hyperlink",
    "fldChar", "instrText", "drawing", "pict", "object", "txbxContent", "AlternateContent", "Choice", "Fallback",
    "footnoteReference", "commentReference", "sectPr", "headerReference", "br", "tab", "sym",
    "lastRenderedPageBreak", "oMath", "f", "num", "den", "d", "e", "nary", "ruby", "rt", "rubyBase", "altChunk",
    "docPr", "pic", "ffData", "checkBox", "ddList", "listEntry", "result", "relIds",
)  # fmt: skip
_ATTRIBUTES = ("val", "id", "type", "fldCharType", "descr", "font", "char", "dm")
_VALUES = ("0", "1", "-1", "true", "off", "page", "begin", "separate", "end", "continue", "F061", "rId1", "x" * 9, "")

_attributes = st.dictionaries(st.sampled_from(_ATTRIBUTES), st.sampled_from(_VALUES), max_size=2)


def _element(tag: str, attributes: dict[str, str], inner: list[str]) -> str:
    written = "".join(f' w:{name}="{value}"' for name, value in attributes.items())
    return f"<w:{tag}{written}>{''.join(inner)}</w:{tag}>"


_trees = st.recursive(
    st.builds(_element, st.sampled_from(_TAGS), _attributes, st.just([])) | st.just("<w:t>text</w:t>"),
    lambda inner: st.builds(_element, st.sampled_from(_TAGS), _attributes, st.lists(inner, max_size=5)),
    max_leaves=60,
)


@given(st.lists(_trees, max_size=6), _trees)
@settings(max_examples=150)
def test_any_tree_is_read_or_refused(body: list[str], beside: str) -> None:
    """Elements in any order and depth are read, or refused with a typed error."""
    parts = tuple(
        (f"{kind}.xml", kind, part(kind, f'<w:{kind[:-1]} w:id="1">{beside}</w:{kind[:-1]}>'))
        for kind in ("styles", "numbering", "footnotes", "comments")
    )
    parsed = parse(package("".join(body), *parts))
    for block in parsed.blocks:
        assert parsed.text[block.location.start : block.location.end] == block.text


def _sample() -> bytes:
    document = docx.Document()
    document.add_heading("Plan", 1)
    document.add_paragraph("Item", style="List Number")
    document.add_table(rows=2, cols=2).cell(0, 0).text = "a"
    document.add_comment(document.add_paragraph("b").runs, text="c", author="d")
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


_SAMPLE = _sample()


@given(st.integers(0, len(_SAMPLE) - 1), st.binary(min_size=1, max_size=8), st.booleans())
@settings(max_examples=150)
def test_any_damage_is_read_or_refused(at: int, change: bytes, cut: bool) -> None:
    """A file with any bytes changed, or cut off anywhere, is read, or refused with a typed error."""
    data = _SAMPLE[:at] if cut else _SAMPLE[:at] + change + _SAMPLE[at + len(change) :]
    with suppress(DocumentError):
        parse(data)


@given(st.sampled_from(["document", "styles", "numbering", "comments"]), st.data())
@settings(max_examples=150)
def test_any_damage_to_a_part_is_read_or_refused(name: str, data: st.DataObject) -> None:
    """A part with any piece of it taken out, doubled or moved is read, or refused with a typed error."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_SAMPLE)) as old, zipfile.ZipFile(file, "w") as new:
        for each in old.namelist():
            content = old.read(each)
            if each == f"word/{name}.xml":
                at, until = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
                content = content[:at] + content[at:until] * data.draw(st.integers(0, 3)) + content[until:]
            new.writestr(each, content)
    with suppress(DocumentError):
        parse(file.getvalue())
