"""Word documents: what is kept of them, and where it stands."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis import DocumentError
from cardanalysis._documents import Block, BlockKind, Document
from cardanalysis._uploads import Upload
from cardanalysis.loading import load

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NAMES = (
    f'xmlns:w="{W}" xmlns:r="{R}" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:v="urn:schemas-microsoft-com:vml" '
    'xmlns:o="urn:schemas-microsoft-com:office:office" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml" '
    'xmlns:w15="http://schemas.microsoft.com/office/word/2012/wordml" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"'
)
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def part(root: str, content: str) -> str:
    return f"<w:{root} {NAMES}>{content}</w:{root}>"


def package(body: str, *parts: tuple[str, str, str], strict: bool = False, **more: str) -> bytes:
    """A document of a body and parts, each with its name, the last word of its relationship's type and its XML."""
    rels = "".join(
        f'<Relationship Id="rId{number}" Type="{R}/{kind}" Target="{name}"/>'
        for number, (name, kind, _) in enumerate(parts, 1)
    )
    members = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1" Type="{R}/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": part("document", f"<w:body>{body}</w:body>"),
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{PACKAGE}">{rels}</Relationships>',
        **{f"word/{name}": content for name, _, content in parts},
        **more,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if strict:
                content = content.replace(W, "http://purl.oclc.org/ooxml/wordprocessingml/main")
                content = content.replace(R, "http://purl.oclc.org/ooxml/officeDocument/relationships")
            archive.writestr(name, content)
    return file.getvalue()


def loaded(data: bytes, name: str = "a.docx") -> Document:
    document = load(Upload.from_bytes(data, name), isolate=False)
    for block in document.blocks:
        assert block.text == document.text[block.location.start : block.location.end]
        assert not block.columns or len(block.columns) == len(block.cells)
    return document


def shown(document: Document) -> list[tuple[str, int, str]]:
    return [(str(block.kind), block.level, block.text) for block in document.blocks]


def texts(body: str, *parts: tuple[str, str, str]) -> list[str]:
    return [block.text for block in loaded(package(body, *parts)).blocks]


def p(*runs: str, properties: str = "") -> str:
    """A paragraph of runs; one that is no element is text."""
    inner = "".join(each if each.startswith("<") else r(each) for each in runs)
    return f"<w:p>{f'<w:pPr>{properties}</w:pPr>' if properties else ''}{inner}</w:p>"


def r(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def styles(*each: str) -> tuple[str, str, str]:
    return "styles.xml", "styles", part("styles", "".join(each))


def style(style_id: str, name: str, properties: str = "", *, based_on: str = "", run: str = "") -> str:
    base = f'<w:basedOn w:val="{based_on}"/>' if based_on else ""
    return (
        f'<w:style w:type="paragraph" w:styleId="{style_id}"><w:name w:val="{name}"/>{base}'
        f"<w:pPr>{properties}</w:pPr><w:rPr>{run}</w:rPr></w:style>"
    )


def of_style(style_id: str) -> str:
    return f'<w:pStyle w:val="{style_id}"/>'


def save(document: docx.document.Document) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def table(*rows: str) -> str:
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def tc(content: str, properties: str = "") -> str:
    inner = content if content.startswith("<") else p(content)
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inner}</w:tc>"


# -- The contract


def test_a_document_of_word_reads_in_order(read: Callable[..., Document]) -> None:
    """Headings, paragraphs, list items and tables come in reading order, with level, cells and columns."""
    document = docx.Document()
    document.add_heading("Plan", 1)
    document.add_paragraph("We need a portal.")
    document.add_paragraph("Fast", style="List Bullet")
    document.add_paragraph("Very", style="List Bullet 2")
    grid = document.add_table(rows=2, cols=2)
    for cell, text in zip(grid._cells, ["Name", "Owner", "SSO", "IT"], strict=True):
        cell.text = text
    document.add_heading("Costs", 2)
    result = read(save(document), "plan.docx")
    assert shown(result) == [
        ("heading", 1, "Plan"),
        ("paragraph", 0, "We need a portal."),
        ("list_item", 1, "Fast"),
        ("list_item", 2, "Very"),
        ("table_header", 0, "Name | Owner"),
        ("table_row", 0, "SSO | IT"),
        ("heading", 2, "Costs"),
    ]
    assert result.blocks[5].cells == ("SSO", "IT")
    assert result.blocks[5].columns == ("Name", "Owner")
    assert result.notes == ()


def test_paragraphs_are_counted_without_tables_and_blank_ones() -> None:
    """Without marks of pages, blocks tell the paragraph, of those that are not blank; rows tell the one before."""
    body = p("One") + p(" ") + table(tc("a") + tc("b"), tc("1") + tc("2")) + p("Two")
    places = [str(block.location) for block in loaded(package(body)).blocks]
    assert places == [f"a.docx, paragraph {number}" for number in (1, 1, 1, 2)]


def test_the_text_is_that_of_the_blocks_with_blank_lines_between() -> None:
    """Blocks are parted by blank lines, rows and items by line ends."""
    body = p("One") + p("Two") + table(tc("a") + tc("b"), tc("1") + tc("2"))
    assert loaded(package(body)).text == "One\n\nTwo\n\na | b\n1 | 2"


def test_a_document_without_text_is_empty() -> None:
    """A document with nothing in it is refused as empty."""
    with pytest.raises(DocumentError) as caught:
        loaded(package(p()))
    assert caught.value.code == "empty"


@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1), min_size=1, max_size=8))
def test_whatever_a_writer_writes_is_read(paragraphs: list[str]) -> None:
    """Paragraphs written with python-docx come back as they were."""
    document = docx.Document()
    for each in paragraphs:
        document.add_paragraph(each)
    found = [block.text for block in loaded(save(document)).blocks]
    assert found == [text for each in paragraphs if (text := each.replace("\u00ad", "").strip())]


# -- Headings and lists


def test_headings_are_told_by_the_style_whatever_its_id() -> None:
    """German Word calls the style "berschrift1", and its name is English all the same; others translate the name."""
    body = p("A", properties=of_style("berschrift1")) + p("B", properties=of_style("T2"))
    document = loaded(package(body, styles(style("berschrift1", "heading 1"), style("T2", "Titre 2"))))
    assert shown(document) == [("heading", 1, "A"), ("heading", 2, "B")]


def test_headings_are_told_by_outline_level_and_inheritance() -> None:
    """A style based on a heading is one; the outline level says more, and level 9 is body text."""
    own = styles(
        style("H1", "heading 1", '<w:outlineLvl w:val="0"/>'),
        style("Chapter", "Chapter", based_on="H1"),
        style("Deep", "Deep", '<w:outlineLvl w:val="2"/>', based_on="H1"),
        style("Toc", "TOC Heading", '<w:outlineLvl w:val="9"/>', based_on="H1"),
    )
    body = "".join(p(each, properties=of_style(each)) for each in ("Chapter", "Deep", "Toc"))
    body += p("Own", properties='<w:outlineLvl w:val="3"/>')
    kinds = [(block.kind, block.level) for block in loaded(package(body, own)).blocks]
    assert kinds == [
        (BlockKind.HEADING, 1),
        (BlockKind.HEADING, 3),
        (BlockKind.PARAGRAPH, 0),
        (BlockKind.HEADING, 4),
    ]


def test_the_title_is_a_heading_of_the_highest_level() -> None:
    """The title of a document is a heading of level 1, its subtitle a paragraph."""
    document = docx.Document()
    document.add_heading("Brief", 0)
    document.add_paragraph("For the board", style="Subtitle")
    assert shown(loaded(save(document))) == [("heading", 1, "Brief"), ("paragraph", 0, "For the board")]


def level(at: int, kind: str, text: str, more: str = "") -> str:
    return (
        f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/>{more}</w:lvl>'
    )


def numbering(
    levels: str, more: str = "", lists: str = '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
) -> tuple[str, str, str]:
    abstract = f'<w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>{more}'
    return "numbering.xml", "numbering", part("numbering", abstract + lists)


def numbered(text: str, at: int = 0, list_id: int = 1) -> str:
    return p(text, properties=f'<w:numPr><w:ilvl w:val="{at}"/><w:numId w:val="{list_id}"/></w:numPr>')


def test_items_have_their_level_and_the_number_that_readers_see() -> None:
    """Numbers count as Word counts them: deeper levels begin anew, and a level's text may name those above."""
    levels = level(0, "decimal", "%1.") + level(1, "lowerLetter", "%2)") + level(2, "upperRoman", "%1.%3")
    body = "".join(numbered("x", at) for at in (0, 1, 1, 0, 1, 2))
    assert shown(loaded(package(body, numbering(levels)))) == [
        ("list_item", 1, "1. x"),
        ("list_item", 2, "a) x"),
        ("list_item", 2, "b) x"),
        ("list_item", 1, "2. x"),
        ("list_item", 2, "a) x"),
        ("list_item", 3, "2.I x"),
    ]


def test_bullets_are_not_written() -> None:
    """An item with a bullet has no number before it."""
    assert texts(numbered("x"), numbering(level(0, "bullet", "·"))) == ["x"]


def test_headings_and_requirements_have_their_numbers() -> None:
    """A number that comes from the style stands before the heading, and a prefix in front of numbers is kept."""
    linked = numbering(level(0, "decimalZero", "REQ-%1", '<w:pStyle w:val="H1"/>'))
    own = styles(style("H1", "heading 1", '<w:numPr><w:numId w:val="1"/></w:numPr>'))
    body = p("Login", properties=of_style("H1")) + p("Export", properties=of_style("H1"))
    assert shown(loaded(package(body, own, linked))) == [
        ("heading", 1, "REQ-01 Login"),
        ("heading", 1, "REQ-02 Export"),
    ]


def test_a_list_can_begin_anew() -> None:
    """A list with another start counts from it, and lists of the same kind count on without one."""
    lists = "".join(
        f'<w:num w:numId="{number}"><w:abstractNumId w:val="0"/>{override}</w:num>'
        for number, override in (
            (1, ""),
            (2, ""),
            (3, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride>'),
        )
    )
    body = "".join(numbered("x", 0, list_id) for list_id in (1, 2, 3, 3))
    assert texts(body, numbering(level(0, "decimal", "%1."), lists=lists)) == ["1. x", "2. x", "7. x", "8. x"]


def test_a_paragraph_can_leave_the_list_of_its_style() -> None:
    """List 0 means no list; and a level whose number is not shown makes a plain paragraph."""
    own = styles(style("L", "Mine", '<w:numPr><w:numId w:val="1"/></w:numPr>'))
    body = p("in", properties=of_style("L")) + p(
        "out", properties=of_style("L") + '<w:numPr><w:numId w:val="0"/></w:numPr>'
    )
    listed = loaded(package(body, own, numbering(level(0, "decimal", "%1."))))
    assert shown(listed) == [("list_item", 1, "1. in"), ("paragraph", 0, "out")]
    assert shown(loaded(package(numbered("x"), numbering(level(0, "none", ""))))) == [("paragraph", 0, "x")]


# -- Text


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ("<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r>", "a\tb"),
        ("<w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:cr/><w:t>c</w:t></w:r>", "a\nb\nc"),
        ("<w:r><w:t>a</w:t><w:noBreakHyphen/><w:t>b</w:t><w:softHyphen/><w:t>c\u00ad</w:t></w:r>", "a-bc"),
        ('<w:r><w:sym w:font="Symbol" w:char="F0B3"/><w:sym w:font="Symbol" w:char="F061"/></w:r>', "≥\u03b1"),
        ('<w:r><w:sym w:font="Wingdings" w:char="F0FC"/><w:sym w:font="X" w:char="2603"/></w:r>', "✓☃"),
        ('<w:r><w:sym w:font="Webdings" w:char="F041"/><w:sym w:font="X" w:char="zz"/></w:r>', "\ufffd\ufffd"),
        ('<w:hyperlink r:id="rId9"><w:r><w:t>link</w:t></w:r></w:hyperlink>', "link"),
        ("<w:smartTag><w:customXml><w:r><w:t>deep</w:t></w:r></w:customXml></w:smartTag>", "deep"),
        ("<w:sdt><w:sdtPr><w:text/></w:sdtPr><w:sdtContent><w:r><w:t>a</w:t></w:r></w:sdtContent></w:sdt>", "a"),
        (
            "<w:r><w:ruby><w:rt><w:r><w:t>kan</w:t></w:r></w:rt><w:rubyBase><w:t>漢</w:t></w:rubyBase></w:ruby></w:r>",
            "漢(kan)",
        ),
    ],
)
def test_what_runs_hold_is_text(runs: str, expected: str) -> None:
    """Tabs, breaks, hyphens, symbols, links, tags, controls and annotations read as people see them."""
    assert texts(f"<w:p>{runs}</w:p>") == [expected]


def field_mark(kind: str, more: str = "") -> str:
    return f'<w:r><w:fldChar w:fldCharType="{kind}">{more}</w:fldChar></w:r>'


CODE = "<w:r><w:instrText>REF x \\* MERGEFORMAT</w:instrText></w:r>"


def test_of_a_field_the_result_is_text() -> None:
    """Codes are not text, nor are the results of fields in codes; fields may go on over paragraphs."""
    begin, middle, end = map(field_mark, ("begin", "separate", "end"))
    nested = begin + CODE + begin + CODE + middle + r("no") + end + middle + r("yes") + end
    assert texts(p(nested)) == ["yes"]
    assert texts(p("a", begin, CODE, middle, "b") + p("c", end, "d")) == ["ab", "cd"]
    assert texts('<w:p><w:fldSimple w:instr="PAGE"><w:r><w:t>7</w:t></w:r></w:fldSimple></w:p>') == ["7"]


def test_a_field_without_end_hides_nothing_behind_its_paragraph() -> None:
    """A field of which only the beginning is there takes no text of later paragraphs with it."""
    assert texts(p("a", field_mark("begin"), CODE) + p("b")) == ["a", "b"]


def test_form_fields_read_as_they_show() -> None:
    """Old check boxes and lists have no result; what they show is text."""
    box = field_mark("begin", "<w:ffData><w:checkBox><w:checked/></w:checkBox></w:ffData>") + field_mark("end")
    entries = '<w:listEntry w:val="low"/><w:listEntry w:val="high"/>'
    choice = field_mark("begin", f'<w:ffData><w:ddList><w:result w:val="1"/>{entries}</w:ddList></w:ffData>')
    assert texts(p(box, " urgent, ", choice, field_mark("end"))) == ["☒ urgent, high"]


def test_equations_are_text_in_a_line() -> None:
    """Fractions, powers, roots and sums are written with signs."""
    t = "<m:r><m:t>{}</m:t></m:r>".format
    fraction = f"<m:f><m:num>{t('a+b')}</m:num><m:den>{t('c')}</m:den></m:f>"
    power = f"<m:sSup><m:e>{t('x')}</m:e><m:sup>{t('2')}</m:sup></m:sSup>"
    total = (
        f'<m:nary><m:naryPr><m:chr w:val="∑"/></m:naryPr><m:sub>{t("i")}</m:sub><m:sup>{t("n")}</m:sup>'
        f"<m:e><m:d><m:e>{t('y')}</m:e></m:d></m:e></m:nary>"
    )
    root = f"<m:rad><m:deg/><m:e>{t('z')}</m:e></m:rad>"
    inline = p("so ", f"<m:oMath>{fraction}{power}</m:oMath>")
    assert texts(inline + f"<m:oMathPara><m:oMath>{total}{root}</m:oMath></m:oMathPara>") == [
        "so (a+b)/cx^2",
        "∑_i^n (y)√z",
    ]


# -- Changes and hidden text


def test_changes_read_as_if_they_were_accepted() -> None:
    """What was inserted or moved in is there, what was deleted or moved away is not, and a note says so."""
    body = p(
        "We ",
        '<w:del w:author="A"><w:r><w:delText>may</w:delText></w:r></w:del>',
        '<w:ins w:author="A"><w:r><w:t>must</w:t></w:r></w:ins>',
        "<w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom>",
        "<w:moveTo><w:r><w:t> come</w:t></w:r></w:moveTo>",
    )
    document = loaded(package(body))
    assert [block.text for block in document.blocks] == ["We must come"]
    assert document.notes == ("Changes in it were tracked; it was read as if all of them were accepted.",)


@pytest.mark.parametrize("change", ["del", "moveFrom"])
def test_a_deleted_paragraph_mark_joins_paragraphs(change: str) -> None:
    """Paragraphs whose mark is deleted are one with the next, which tells what they are; also at the end."""
    mark = f"<w:rPr><w:{change}/></w:rPr>"
    body = p("a", properties=mark) + p("b", properties=mark) + p("c", properties='<w:outlineLvl w:val="0"/>')
    document = loaded(package(body + p("d", properties=mark)))
    assert shown(document) == [("heading", 1, "abc"), ("paragraph", 0, "d")]
    assert document.notes


def test_deleted_rows_and_cells_are_left_out() -> None:
    """A row or cell that was deleted while changes were tracked is not there."""
    kept = tc("a") + tc("no", "<w:cellDel/>") + tc("b")
    body = table(kept, "<w:trPr><w:del/></w:trPr>" + tc("x") + tc("y"), "<w:trPr><w:ins/></w:trPr>" + tc("1") + tc("2"))
    assert texts(body) == ["a | b", "1 | 2"]


def hidden(document: Document) -> list[tuple[str, bool]]:
    return [(block.text, block.hidden) for block in document.blocks]


def test_hidden_text_is_kept_and_marked() -> None:
    """Hidden text stands behind the visible text of its paragraph, with a label; "off" makes it visible."""
    body = p("seen ", r("secret", "<w:vanish/>"), r("too", '<w:vanish w:val="0"/>')) + p(r("all", "<w:vanish/>"))
    document = loaded(package(body))
    assert hidden(document) == [("seen too", False), ("secret", True), ("all", True)]
    assert "[Hidden text]\nsecret" in document.text
    assert document.notes == ("It has hidden text, which was read and marked.",)


def test_styles_hide_text() -> None:
    """A paragraph's and a character's style can hide text, also by what they are based on."""
    own = styles(style("Base", "Base", run="<w:vanish/>"), style("Top", "Top", based_on="Base"))
    body = p("a", properties=of_style("Top")) + p(r("b", '<w:rStyle w:val="Top"/>')) + p("c")
    assert hidden(loaded(package(body, own))) == [("a", True), ("b", True), ("c", False)]


def test_hidden_rows_are_marked() -> None:
    """A row that is hidden, or of which all text is hidden, is marked."""
    secret = tc(p(r("x", "<w:vanish/>"))) + tc(p(r("y", "<w:vanish/>")))
    body = table(tc("a") + tc("b"), "<w:trPr><w:hidden/></w:trPr>" + tc("1") + tc("2"), secret, tc("3") + tc("4"))
    assert hidden(loaded(package(body))) == [("a | b", False), ("1 | 2", True), ("x | y", True), ("3 | 4", False)]


# -- Tables


def cells(body: str) -> list[tuple[str, ...]]:
    return [block.cells for block in loaded(package(body)).blocks if block.cells]


def test_merged_cells_are_told_once() -> None:
    """A cell over several columns or rows has its text in its first place, the other places are empty."""
    body = table(
        tc("wide", '<w:gridSpan w:val="2"/>') + tc("tall", '<w:vMerge w:val="restart"/>'),
        tc("1") + tc("2") + tc("", "<w:vMerge/>"),
        '<w:trPr><w:gridBefore w:val="1"/></w:trPr>' + tc("3") + tc("4"),
    )
    assert cells(body) == [("wide", "", "tall"), ("1", "2", ""), ("", "3", "4")]


def test_paragraphs_in_a_cell_keep_their_lines() -> None:
    """A cell's paragraphs are lines of its value, and one line of the row's text."""
    document = loaded(package(table(tc(p("a") + p("b")) + tc("c"), tc("1") + tc("2"))))
    assert document.blocks[0].cells == ("a\nb", "c")
    assert document.blocks[0].text == "a b | c"


def test_nested_tables_follow_the_row_that_holds_them() -> None:
    """A table in a cell is kept, its rows behind the row around it."""
    inner = table(tc("k") + tc("v"), tc("1") + tc("2"))
    body = table(tc("outer") + tc(inner + p("tail")), tc("x") + tc("y"))
    assert texts(body) == ["outer | tail", "k | v", "1 | 2", "x | y"]


def test_rows_that_are_repeated_on_each_page_are_headers() -> None:
    """Marked rows name the columns together, even where they do not read like names."""
    mark = "<w:trPr><w:tblHeader/></w:trPr>"
    document = loaded(package(table(mark + tc("2024") + tc(""), mark + tc("Q1") + tc("Q2"), tc("1") + tc("2"))))
    kinds = [block.kind for block in document.blocks]
    assert kinds == [BlockKind.TABLE_HEADER, BlockKind.TABLE_HEADER, BlockKind.TABLE_ROW]
    assert document.blocks[2].columns == ("2024 Q1", "Q2")


@pytest.mark.parametrize("first", [("a", "a"), ("a", ""), ("a", "12"), ("a", "x" * 200)])
def test_rows_that_do_not_read_like_names_are_no_header(first: tuple[str, str]) -> None:
    """Names of columns differ, are not empty, no numbers and not long."""
    document = loaded(package(table("".join(map(tc, first)), tc("1") + tc("2"))))
    assert document.blocks[0].kind is BlockKind.TABLE_ROW
    assert document.blocks[1].columns == ()


def test_rows_without_cells_change_nothing() -> None:
    """A row without any cell is skipped, and those around it are read."""
    assert texts(table(tc("a") + tc("b"), "", tc("1") + tc("2"))) == ["a | b", "1 | 2"]


def test_a_frame_around_text_is_no_table() -> None:
    """A table of one cell is a box: what is in it keeps its structure."""
    inner = p("Head", properties='<w:outlineLvl w:val="0"/>') + p("Text")
    assert shown(loaded(package(table(tc(inner))))) == [("heading", 1, "Head"), ("paragraph", 0, "Text")]


def test_controls_around_rows_and_cells_are_seen_through() -> None:
    """Content controls around paragraphs, tables, rows and cells change nothing."""

    def control(inner: str) -> str:
        return f"<w:sdt><w:sdtPr/><w:sdtContent>{inner}</w:sdtContent></w:sdt>"

    rows = control(f"<w:tr>{control(tc('a'))}{tc('b')}</w:tr>") + f"<w:tr>{tc('1')}{tc('2')}</w:tr>"
    assert texts(control(p("x")) + control(f"<w:tbl>{rows}</w:tbl>")) == ["x", "a | b", "1 | 2"]


def test_what_hangs_in_cells_follows_their_row() -> None:
    """Hidden text, numbers of items and notes in cells are kept; what cannot be read there is counted."""
    mixed = p("seen", r("secret", "<w:vanish/>"), reference("footnote")) + '<w:altChunk r:id="rId9"/>'
    item = numbered("x") + p(r("y", "<w:vanish/>"))
    body = table("<w:trPr><w:del/></w:trPr>") + table(tc(mixed) + tc("b"), tc(item) + tc("2"))
    document = loaded(package(body, notes("footnote", p("n")), numbering(level(0, "decimal", "%1)"))))
    assert hidden(document) == [("seen | b", False), ("secret", True), ("n", False), ("1) x | 2", False), ("y", True)]
    assert "1 imported part of another file was not read." in document.notes


# -- What hangs on paragraphs


def box(content: str) -> str:
    shape = f"<wps:wsp><wps:txbx><w:txbxContent>{content}</w:txbxContent></wps:txbx></wps:wsp>"
    old = f"<w:pict><v:shape><v:textbox><w:txbxContent>{content}</w:txbxContent></v:textbox></v:shape></w:pict>"
    choice = f'<mc:Choice Requires="wps"><w:drawing><wp:inline>{shape}</wp:inline></w:drawing></mc:Choice>'
    return f"<w:r><mc:AlternateContent>{choice}<mc:Fallback>{old}</mc:Fallback></mc:AlternateContent></w:r>"


def test_text_boxes_are_told_once_behind_their_paragraph() -> None:
    """The same box stands twice in the file, for new and old programs; boxes in boxes and tables in boxes are read."""
    inner = p("inner", box(p("innermost"))) + table(tc("a") + tc("b"), tc("1") + tc("2"))
    assert texts(p("before ", box(inner), "after")) == ["before after", "inner", "innermost", "a | b", "1 | 2"]


def test_the_old_form_is_read_where_there_is_no_new_one() -> None:
    """A box that stands only in VML is read."""
    shape = f"<v:shape><v:textbox><w:txbxContent>{p('old')}</w:txbxContent></v:textbox></v:shape>"
    assert texts(f"<w:p><w:r><w:pict>{shape}</w:pict></w:r></w:p>") == ["old"]


def notes(kind: str, *each: str) -> tuple[str, str, str]:
    inner = f'<w:{kind} w:type="separator" w:id="-1">{p("rule")}</w:{kind}>'
    inner += "".join(f'<w:{kind} w:id="{number}">{content}</w:{kind}>' for number, content in enumerate(each, 1))
    return f"{kind}s.xml", f"{kind}s", part(f"{kind}s", inner)


def reference(kind: str, number: int = 1) -> str:
    return f'<w:r><w:{kind}Reference w:id="{number}"/></w:r>'


def test_footnotes_and_endnotes_follow_their_paragraph() -> None:
    """Notes are blocks of their own behind the paragraph that refers to them, numbered in order."""
    body = p("a", reference("footnote", 2), "b", reference("endnote")) + p("c", reference("footnote", 1))
    document = loaded(package(body, notes("footnote", p("one"), p("two") + p("lines")), notes("endnote", p("end"))))
    assert shown(document) == [
        ("paragraph", 0, "ab"),
        ("note", 0, "two\nlines"),
        ("note", 0, "end"),
        ("paragraph", 0, "c"),
        ("note", 0, "one"),
    ]
    assert "[Footnote 1]\ntwo" in document.text
    assert "[Endnote 1]\nend" in document.text
    assert "[Footnote 2]\none" in document.text
    assert document.blocks[1].location.paragraph == 1


def comment(number: int, author: str, text: str, para: str = "") -> str:
    return f'<w:comment w:id="{number}" w:author="{author}"><w:p w14:paraId="{para}">{r(text)}</w:p></w:comment>'


def test_comments_follow_their_paragraph_with_their_author() -> None:
    """Comments are notes behind the paragraph; one that nothing refers to comes at the end."""
    all_comments = part("comments", comment(1, "A. Meyer", "Why?", "0A") + comment(2, "", "Lost"))
    done = f'<w15:commentsEx {NAMES}><w15:commentEx w15:paraId="0A" w15:done="1"/></w15:commentsEx>'
    body = p("a", reference("comment")) + p("b")
    document = loaded(
        package(
            body,
            ("comments.xml", "comments", all_comments),
            ("commentsExtended.xml", "commentsExtended", done),
        )
    )
    assert document.text == "a\n\n[Comment by A. Meyer, resolved]\nWhy?\n\nb\n\n[Comment]\nLost"
    assert [block.kind for block in document.blocks] == [
        BlockKind.PARAGRAPH,
        BlockKind.NOTE,
        BlockKind.PARAGRAPH,
        BlockKind.NOTE,
    ]


def test_comments_of_python_docx_are_read() -> None:
    """A comment that python-docx wrote is read with its author."""
    document = docx.Document()
    paragraph = document.add_paragraph("Text")
    document.add_comment(paragraph.runs, text="Check", author="Kim")
    assert loaded(save(document)).text == "Text\n\n[Comment by Kim]\nCheck"


def test_headers_and_footers_are_told_once_at_the_end() -> None:
    """Each text of a header or footer is told once, whatever the number of sections; page numbers alone are not."""
    header, footer = (part(name, p(text)) for name, text in (("hdr", "Draft"), ("ftr", "Page 3")))
    only_number = part("ftr", p("- 3 -"))
    first = part("hdr", p("First"))
    section = (
        '<w:sectPr><w:headerReference w:type="default" r:id="rId{}"/><w:footerReference w:type="default" r:id="rId3"/>'
        '<w:footerReference w:type="even" r:id="rId4"/><w:headerReference w:type="first" r:id="rId5"/>{}</w:sectPr>'
    )
    parts = (
        ("header1.xml", "header", header),
        ("header2.xml", "header", header),
        ("footer1.xml", "footer", footer),
        ("footer2.xml", "footer", only_number),
        ("header3.xml", "header", first),
    )
    body = p("a", properties=section.format(1, "")) + p("b")
    text = loaded(package(body + section.format(2, ""), *parts)).text
    assert text == "a\n\nb\n\n[Page header]\nDraft\n\n[Page footer]\nPage 3"
    text = loaded(package(body + section.format(2, "<w:titlePg/>"), *parts)).text
    assert "[Page header]\nFirst" in text


def test_headers_and_comments_are_read_with_all_that_is_in_them() -> None:
    """Tables and text boxes in them are lines, and watermarks and described pictures in headers blocks, each once."""
    mark = '<w:r><w:pict><v:shape><v:textpath string="CONFIDENTIAL"/></v:shape></w:pict></w:r>'
    inner = table(tc("Plan") + tc("v3", "")) + p(box(p("Boxed", picture(' descr="Logo"'))), mark)
    parts = [(f"header{number}.xml", "header", part("hdr", inner + p(str(number)))) for number in (1, 2)]
    remark = f'<w:comment w:id="1">{table(tc("a") + tc("b"))}{p(r("c", "<w:vanish/>"))}</w:comment>'
    parts.append(("comments.xml", "comments", part("comments", remark)))
    sections = "".join(f'<w:sectPr><w:headerReference r:id="rId{number}"/></w:sectPr>' for number in (1, 2))
    document = loaded(package(p("x", reference("comment")) + sections, *parts))
    assert [(block.kind.value, block.text) for block in document.blocks] == [
        ("paragraph", "x"),
        ("note", "a | b"),
        ("note", "c"),
        ("note", "Plan | v3\nBoxed\n1"),
        ("image", "Logo"),
        ("image", "CONFIDENTIAL"),
        ("note", "Plan | v3\nBoxed\n2"),
    ]


def picture(described: str = "", more: str = "") -> str:
    return (
        f'<w:r><w:drawing><wp:inline><wp:docPr id="1" name="Picture 1"{described}>{more}</wp:docPr><a:graphic>'
        "<a:graphicData><pic:pic/></a:graphicData></a:graphic></wp:inline></w:drawing></w:r>"
    )


def test_pictures_are_their_description() -> None:
    """A picture's description is a block behind its paragraph; pictures without one are counted in a note."""
    old = '<w:r><w:pict><v:shape alt="Old map"><v:imagedata/></v:shape></w:pict></w:r>'
    document = loaded(package(p("a", picture(' descr="A map"'), old, picture()) + p(picture())))
    assert shown(document) == [("paragraph", 0, "a"), ("image", 0, "A map"), ("image", 0, "Old map")]
    assert document.notes == ("2 pictures without a description were not read.",)


def test_decoration_is_not_counted() -> None:
    """A picture that its author called decoration is no picture that should have been read."""
    more = '<a:extLst><a:ext><a:decorative val="1"/></a:ext></a:extLst>'
    assert loaded(package(p("a", picture(more=more)))).notes == ()


def test_what_cannot_be_read_is_counted() -> None:
    """Embedded objects, charts and imported files are told in notes, not dropped in silence."""
    embedded = "<w:r><w:object><v:shape><v:imagedata/></v:shape><o:OLEObject/></w:object></w:r>"
    chart = '<w:r><w:drawing><wp:inline><a:graphic><a:graphicData><c:chart r:id="rId1"/></a:graphicData></a:graphic>'
    chart += "</wp:inline></w:drawing></w:r>"
    button = "<w:r><w:pict><w:control/></w:pict></w:r>"
    document = loaded(package(p("a", embedded, embedded, button, chart) + '<w:altChunk r:id="rId2"/>'))
    assert document.notes == (
        "3 embedded objects were not read.",
        "1 chart was not read.",
        "1 imported part of another file was not read.",
    )


def test_diagrams_are_read() -> None:
    """The texts of a diagram (SmartArt) are paragraphs behind the one that holds it."""
    points = "".join(f"<dgm:pt><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>" for text in "xy")
    data = f"<dgm:dataModel {NAMES}><dgm:ptLst>{points}<dgm:pt/></dgm:ptLst></dgm:dataModel>"
    shape = "<w:r><w:drawing><wp:inline><a:graphic><a:graphicData>"
    shape += '<dgm:relIds r:dm="rId1"/></a:graphicData></a:graphic></wp:inline></w:drawing></w:r>'
    document = loaded(package(p("a", shape), ("diagrams/data1.xml", "diagramData", data)))
    assert document.text == "a\n\n[Diagram]\nx\n\ny"


# -- Pages


MARK = "<w:r><w:lastRenderedPageBreak/></w:r>"
BREAK = '<w:r><w:br w:type="page"/></w:r>'


def pages(body: str) -> list[int | None]:
    return [block.location.page for block in loaded(package(body)).blocks]


def test_pages_are_told_where_word_marked_them() -> None:
    """A block stands on the page where its text begins; marks behind its first word count for the next."""
    body = p("one") + p(MARK, "two") + p("still two", MARK, "three") + p("three")
    assert pages(body) == [1, 2, 2, 3]
    assert "Page numbers" in loaded(package(body)).notes[0]


def test_breaks_count_where_marks_are_missing() -> None:
    """A break and the mark behind it are one page; a page that was left blank counts."""
    assert pages(p("one", BREAK) + p(MARK, "two", BREAK) + p(BREAK) + p("four") + p(MARK, "five")) == [1, 2, 4, 5]


def test_cells_next_to_each_other_are_on_the_same_pages() -> None:
    """Each cell of a row that reaches over a page's end has the mark; it counts once."""
    row = tc(p("a", MARK, "b")) + tc(p("c", MARK, "d"))
    assert pages(table(row, tc("e") + tc("f")) + p("g")) == [1, 2, 2]


def test_without_marks_no_page_is_told() -> None:
    """Other programs leave no marks; then a break alone tells no page."""
    assert pages(p("one", BREAK) + p("two")) == [None, None]


# -- Other kinds of Word files


def test_strict_files_read_the_same() -> None:
    """A file in the strict variant of the standard has other namespaces, and reads the same."""
    own = styles(style("H1", "heading 1"))
    body = p("A", properties=of_style("H1")) + p("b", reference("footnote"), r("c", "<w:vanish/>"))
    plain, strict = (loaded(package(body, own, notes("footnote", p("n")), strict=each)) for each in (False, True))
    assert shown(strict) == shown(plain)
    assert len(strict.blocks) == 4


def test_macros_are_ignored_and_noted() -> None:
    """A document with macros is read, and a note says that they were not."""
    document = loaded(package(p("a"), ("vbaProject.bin", "vbaProject", "x")), "a.docm")
    assert document.notes[-1:] == ("It has macros, which were ignored.",)


def test_the_main_part_may_have_another_name() -> None:
    """Some programs call the main part document2.xml; the package says so."""
    data = package(p("a"), ("styles.xml", "styles", part("styles", style("H1", "heading 1"))))
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name).replace(b"word/document.xml", b"word/document2.xml")
            new.writestr(name.replace("document.xml", "document2.xml"), content)
    assert shown(loaded(file.getvalue())) == [("paragraph", 0, "a")]


def test_styles_made_with_python_docx_are_inherited() -> None:
    """A style based on a heading with python-docx makes headings."""
    document = docx.Document()
    mine = document.styles.add_style("Mine", WD_STYLE_TYPE.PARAGRAPH)
    mine.base_style = document.styles["Heading 2"]
    document.add_paragraph("A", style="Mine")
    block: Block = loaded(save(document)).blocks[0]
    assert (block.kind, block.level) == (BlockKind.HEADING, 2)
