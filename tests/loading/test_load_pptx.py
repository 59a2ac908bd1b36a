"""PowerPoint presentations: what stands on slides, in the order in which it is read, and behind them."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from cardanalysis import Document, DocumentError
from cardanalysis._documents import BlockKind
from cardanalysis.loading._formats import Limits, Parsed, Source
from cardanalysis.loading._pptx import FORMAT

Read = Callable[..., Document]
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TITLE_AND_BODY, TITLE_ONLY, BLANK = 1, 5, 6  # layouts of the default template
NAMESPACES = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    f'xmlns:r="{RELATIONS}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)


def saved(deck: Any) -> bytes:
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


def parse(data: Any, **limits: int) -> Parsed:
    content = data if isinstance(data, bytes) else saved(data)
    return FORMAT.parse(Source.of(content, "a.pptx", Limits(**limits)))


def outline(data: Any) -> list[tuple[str, int, str]]:
    return [(str(block.kind), block.level, block.text) for block in parse(data).blocks]


def slide(deck: Any, title: str = "", layout: int = TITLE_ONLY) -> Any:
    made = deck.slides.add_slide(deck.slide_layouts[layout])
    if title:
        made.shapes.title.text = title
    return made


def box(made: Any, text: str, left: float, top: float) -> Any:
    shape = made.shapes.add_textbox(Inches(left), Inches(top), Inches(2), Inches(0.5))
    shape.text_frame.text = text
    return shape


def picture(color: str = "red", size: int = 40) -> io.BytesIO:
    file = io.BytesIO()
    Pillow.new("RGB", (size, size), color).save(file, "PNG")
    file.seek(0)
    return file


def described(shape: Any, text: str) -> None:
    shape._element.xpath(".//p:cNvPr")[0].set("descr", text)


def written(shapes: str, *, parts: Mapping[str, str] | None = None, related: str = "") -> bytes:
    """A presentation of one slide, written by hand: the inside of its tree, more parts and relationships."""
    rel = f'<Relationship Id="{{}}" Type="{RELATIONS}/{{}}" Target="{{}}"/>'
    members = {
        "_rels/.rels": f"<R>{rel.format('a', 'officeDocument', 'ppt/presentation.xml')}</R>",
        "ppt/presentation.xml": f'<p:presentation {NAMESPACES}><p:sldIdLst><p:sldId id="1" r:id="a"/></p:sldIdLst>'
        "</p:presentation>",
        "ppt/_rels/presentation.xml.rels": f"<R>{rel.format('a', 'slide', 'slides/slide1.xml')}"
        f"{rel.format('b', 'commentAuthors', 'x.xml')}{rel.format('c', 'authors', 'y.xml')}</R>",
        "ppt/x.xml": '<l><cmAuthor id="0" name="Li"/></l>',
        "ppt/y.xml": '<l><author id="{1}" name="Meyer"/></l>',
        "ppt/slides/slide1.xml": f"<p:sld {NAMESPACES}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>",
        "ppt/slides/_rels/slide1.xml.rels": f"<R>{related}</R>",
        **(parts or {}),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def text_shape(text: str, place: str = "", x: int = 0, y: int = 0) -> str:
    return (
        f"<p:sp><p:nvSpPr><p:cNvPr/><p:nvPr>{place}</p:nvPr></p:nvSpPr><p:spPr><a:xfrm>"
        f'<a:off x="{x}" y="{y}"/><a:ext cx="9" cy="9"/></a:xfrm></p:spPr>'
        f"<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
    )


# -- What is kept


def test_slides_give_title_list_and_notes(read: Read) -> None:
    """A slide gives its title as heading, its list with levels, and its speaker notes, with the slide's number."""
    deck = Presentation()
    made = slide(deck, "Why we change", TITLE_AND_BODY)
    frame = made.placeholders[1].text_frame
    frame.text = "Old system"
    for text, level in (("slow", 1), ("Costs", 0)):
        paragraph = frame.add_paragraph()
        paragraph.text, paragraph.level = text, level
    made.notes_slide.notes_text_frame.text = "Wait for questions.\nThen go on."
    document = read(saved(deck), "deck.pptx")
    assert [(str(block.kind), block.level, block.text) for block in document.blocks] == [
        ("heading", 1, "Why we change"),
        ("list_item", 1, "Old system"),
        ("list_item", 2, "slow"),
        ("list_item", 1, "Costs"),
        ("note", 0, "Wait for questions.\nThen go on."),
    ]
    assert document.text.startswith("[Slide 1]\nWhy we change\n\nOld system\nslow\nCosts\n\n[Speaker notes]\nWait")
    assert {str(block.location) for block in document.blocks} == {"deck.pptx, slide 1"}
    assert document.media_type.endswith("presentationml.presentation")


def test_hidden_slides_are_marked_and_counted() -> None:
    """A hidden slide keeps its number, its blocks are marked, and its label says so."""
    deck = Presentation()
    for title in ("one", "two", "three"):
        slide(deck, title)
    deck.slides[1]._element.set("show", "0")
    deck.slides[1].notes_slide.notes_text_frame.text = "secret"
    parsed = parse(deck)
    assert [(block.text, block.location.slide, block.hidden) for block in parsed.blocks] == [
        ("one", 1, False),
        ("two", 2, True),
        ("secret", 2, True),
        ("three", 3, False),
    ]
    assert "[Slide 2, hidden]\ntwo" in parsed.text


def test_text_is_read_from_top_to_bottom_and_left_to_right() -> None:
    """The title comes first, then placeholders, then what else there is, by where it lies."""
    deck = Presentation()
    made = deck.slides.add_slide(deck.slide_layouts[TITLE_AND_BODY])
    for text, left, top in (("low", 1, 6), ("right", 5, 0.52), ("left", 1, 0.55), ("middle", 3, 3)):
        box(made, text, left, top)
    made.placeholders[1].text_frame.text = "body"
    made.shapes.title.text = "title"
    assert [text for _, _, text in outline(deck)] == ["title", "body", "left", "right", "middle", "low"]


def test_two_columns_are_read_one_after_the_other() -> None:
    """Placeholders whose places are inherited from the layout are read from left to right."""
    deck = Presentation()
    made = deck.slides.add_slide(deck.slide_layouts[3])
    made.placeholders[2].text_frame.text = "right"
    made.placeholders[1].text_frame.text = "left"
    tree = made.shapes._spTree
    tree.append(made.placeholders[1]._element)  # in front of the other one
    assert [text for _, _, text in outline(deck)] == ["left", "right"]


def test_bullets_are_inherited_and_can_be_switched_off() -> None:
    """Body text is a list as its master says, but for paragraphs and subtitles that have no bullets."""
    deck = Presentation()
    first = slide(deck, "Title", 0)
    first.placeholders[1].text_frame.text = "Subtitle"
    made = slide(deck, "Next", TITLE_AND_BODY)
    frame = made.placeholders[1].text_frame
    frame.text = "plain"
    frame.paragraphs[0]._p.get_or_add_pPr().append(
        frame._txBody.makeelement("{http://schemas.openxmlformats.org/drawingml/2006/main}buNone", {})
    )
    frame.add_paragraph().text = "listed"
    box(made, "in a box", 1, 6)
    assert outline(deck)[1:] == [
        ("paragraph", 0, "Subtitle"),
        ("heading", 1, "Next"),
        ("paragraph", 0, "plain"),
        ("list_item", 1, "listed"),
        ("paragraph", 0, "in a box"),
    ]


def test_groups_are_read_as_one() -> None:
    """What is grouped is read together, in its own order, where the group lies."""
    deck = Presentation()
    made = slide(deck, layout=BLANK)
    box(made, "last", 0, 6)
    group = made.shapes.add_group_shape()
    inner = group.shapes.add_group_shape()
    for parent, text, top in ((group, "b", 3), (inner, "a", 1)):
        parent.shapes.add_textbox(Inches(1), Inches(top), Inches(1), Inches(1)).text_frame.text = text
    box(made, "first", 0, 0)
    assert [text for _, _, text in outline(deck)] == ["first", "a", "b", "last"]


def test_tables_are_rows_with_columns() -> None:
    """A table is read row by row, its first row as header, merged cells once."""
    deck = Presentation()
    table = slide(deck, "t").shapes.add_table(3, 3, 0, Inches(2), Inches(4), Inches(2)).table
    for row, texts in enumerate((("System", "Owner", "Since"), ("SAP", "Meyer", "2020"), ("wide", "", "x"))):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    table.cell(2, 0).merge(table.cell(2, 1))
    header, first, second = parse(deck).blocks[1:]
    assert (header.kind, header.text) == (BlockKind.TABLE_HEADER, "System | Owner | Since")
    assert (first.cells, first.columns) == (("SAP", "Meyer", "2020"), ("System", "Owner", "Since"))
    assert second.cells == ("wide", "", "x")
    table.first_row = False
    assert [block.kind for block in parse(deck).blocks[1:]] == [BlockKind.TABLE_ROW] * 3


def test_charts_are_tables_of_their_values() -> None:
    """A chart gives its title, and each category with the values of the series, as they are shown."""
    data = CategoryChartData(number_format="0%")
    data.categories = ["2023", "2024"]
    data.add_series("SAP", (0.25, 0.5))
    data.add_series("CRM", (0.125, None))
    deck = Presentation()
    frame = slide(deck, "c").shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(4), Inches(3), data)
    frame.chart.has_title = True
    frame.chart.chart_title.text_frame.text = "Share"
    blocks = parse(deck).blocks[1:]
    assert [block.text for block in blocks] == ["Share", "| SAP | CRM", "2023 | 25% | 12%", "2024 | 50% |"]
    assert blocks[3].columns == ("", "SAP", "CRM")


def test_diagrams_are_lists() -> None:
    """The nodes of a diagram are list items in their order, with the level at which they stand."""
    frame = (
        '<p:graphicFrame><a:graphic><a:graphicData><d:relIds xmlns:d="d" r:dm="dm"/></a:graphicData></a:graphic>'
        "</p:graphicFrame>"
    )
    points = "".join(
        f'<pt modelId="{name}" type="{kind}"><t><p><r><t>{text}</t></r></p></t></pt>'
        for name, kind, text in (
            ("0", "doc", ""),
            ("1", "node", "Second"),
            ("2", "node", "First"),
            ("3", "node", "Below"),
            ("4", "pres", "not this"),
        )
    )
    links = "".join(
        f'<cxn type="{kind}" srcId="{source}" destId="{target}" srcOrd="{order}"/>'
        for kind, source, target, order in (
            ("parOf", 0, 1, 1),
            ("parOf", 0, 2, 0),
            ("parOf", 2, 3, 0),
            ("parOf", 3, 2, 0),  # a loop
            ("presOf", 1, 4, 0),
        )
    )
    data = f"<dataModel><ptLst>{points}</ptLst><cxnLst>{links}</cxnLst></dataModel>"
    related = f'<Relationship Id="dm" Type="{RELATIONS}/diagramData" Target="../d.xml"/>'
    assert outline(written(frame, parts={"ppt/d.xml": data}, related=related)) == [
        ("list_item", 1, "First"),
        ("list_item", 2, "Below"),
        ("list_item", 1, "Second"),
    ]


def test_comments_of_both_kinds_name_their_authors() -> None:
    """Older comments and newer threads are notes, each with its author, answers behind what they answer."""
    related = "".join(
        f'<Relationship Id="{name}" Type="{RELATIONS}/comments" Target="../{name}.xml"/>' for name in ("o", "n")
    )
    parts = {
        "ppt/o.xml": '<cmLst><cm authorId="0" idx="1"><pos x="1" y="1"/><text>Is that so?</text></cm></cmLst>',
        "ppt/n.xml": '<cmLst><cm authorId="{1}"><replyLst><reply authorId="{2}">'
        "<txBody><p><r><t>Yes.</t></r></p></txBody></reply></replyLst><txBody><p><r><t>Sure?</t></r></p></txBody></cm></cmLst>",
    }
    parsed = parse(written(text_shape("x"), parts=parts, related=related))
    assert [str(block.kind) for block in parsed.blocks[1:]] == ["note"] * 3
    assert parsed.text.endswith("[Comment by Li]\nIs that so?\n\n[Comment by Meyer]\nSure?\n\n[Comment]\nYes.")


def test_footers_and_dates_stand_once_and_numbers_not_at_all() -> None:
    """What stands on each slide is read where it first stands; numbers of slides are left out, also within text."""
    field = '<a:fld type="slidenum"><a:t>7</a:t></a:fld>'
    shapes = (
        text_shape("Confidential", '<p:ph type="ftr" idx="1"/>')
        + text_shape("Confidential", '<p:ph type="ftr" idx="2"/>')
        + text_shape("2024-03-12", '<p:ph type="dt" idx="3"/>')
        + text_shape("7", '<p:ph type="sldNum" idx="4"/>')
        + f"<p:sp><p:txBody><a:p><a:r><a:t>Page </a:t></a:r>{field}</a:p></p:txBody></p:sp>"
    )
    assert [text for _, _, text in outline(written(shapes))] == ["Page", "Confidential", "2024-03-12"]


def test_line_breaks_are_kept_but_in_titles() -> None:
    """A line break in text is a line end, in a title a space; text of fields and formulas is kept."""
    body = (
        "<p:sp><p:nvSpPr><p:nvPr>{}</p:nvPr></p:nvSpPr><p:txBody><a:p>"
        "<a:r><a:t>a</a:t></a:r><a:br/><a:r><a:t>b</a:t></a:r>"
        '<a:fld type="datetime1"><a:rPr/><a:t> c</a:t></a:fld>'
        "<mc:AlternateContent><mc:Choice><m><t> d</t></m></mc:Choice>"
        "<mc:Fallback><a:r><a:t>no</a:t></a:r></mc:Fallback></mc:AlternateContent></a:p></p:txBody></p:sp>"
    )
    data = written(body.format('<p:ph type="title"/>') + body.format(""))
    assert [text for _, _, text in outline(data)] == ["a b c d", "a\nb c d"]


def test_pictures_give_their_description_or_are_counted() -> None:
    """Beside text, a picture is described by its alternative text, or counted in a note."""
    deck = Presentation()
    made = slide(deck, "t")
    described(made.shapes.add_picture(picture(), 0, 0), "A plan of the system")
    described(made.shapes.add_picture(picture(), 0, 0), "")
    parsed = parse(deck)
    assert [(block.kind, block.text, block.media) for block in parsed.blocks[1:]] == [
        (BlockKind.IMAGE, "A plan of the system", None)
    ]
    assert parsed.notes == ("Pictures without a description that were not read: 1.",)


def test_a_slide_of_a_picture_alone_is_looked_at() -> None:
    """A slide without text gives its picture itself, and leaves out what is much smaller, such as a logo."""
    deck = Presentation()
    made = slide(deck, layout=BLANK)
    described(made.shapes.add_picture(picture("red"), 0, 0, Inches(9)), "")
    described(made.shapes.add_picture(picture("blue"), 0, 0, Inches(1)), "")
    parsed = parse(deck)
    (block,) = parsed.blocks
    assert (block.kind, block.text, block.location.slide) == (BlockKind.IMAGE, "[Picture on slide 1]", 1)
    assert block.media is not None
    assert (block.media.media_type, block.media.width, block.media.height) == ("image/png", 40, 40)
    assert parsed.notes == ("Pictures without a description that were not read: 1.",)


def test_pictures_that_cannot_be_looked_at_are_counted() -> None:
    """A damaged picture, or more of them than memory may hold, are told in a note."""
    deck = Presentation()
    noise = io.BytesIO()
    Pillow.effect_noise((400, 400), 100).save(noise, "PNG")
    described(slide(deck, layout=BLANK).shapes.add_picture(noise, 0, 0), "")
    data = saved(deck)
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"\x89PNG" if name.startswith("ppt/media/") else old.read(name))
    assert parse(data).blocks
    for parsed in (parse(broken.getvalue()), parse(data, memory_bytes=500_000)):
        assert not parsed.blocks
        assert parsed.notes == ("Pictures without a description that were not read: 1.",)


def test_embedded_files_and_recordings_are_counted() -> None:
    """What is embedded is not read, and notes tell how much it is."""
    deck = Presentation()
    made = slide(deck, "t")
    made.shapes.add_ole_object(io.BytesIO(b"x"), "Package", 0, 0, icon_file=picture())
    made.shapes.add_movie(io.BytesIO(b"x"), 0, 0, 9, 9, poster_frame_image=picture(), mime_type="video/mp4")
    notes = parse(deck).notes
    assert "Embedded files that were not read: 1." in notes
    assert "Recordings that were not read: 1." in notes


# -- Properties

words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)


@given(slides=st.lists(st.tuples(words, st.lists(words, max_size=4), words), max_size=3))
@settings(max_examples=25, deadline=None)
def test_all_text_is_found_on_its_slide(slides: list[tuple[str, list[str], str]]) -> None:
    """Whatever stands on slides, each text is a block of its slide, in the order in which it was written."""
    deck = Presentation()
    for title, items, notes in slides:
        made = slide(deck, title, TITLE_AND_BODY)
        made.placeholders[1].text_frame.text = "\n".join(items)
        made.notes_slide.notes_text_frame.text = notes
    parsed = parse(deck)
    for number, (title, items, notes) in enumerate(slides, 1):
        assert [block.text for block in parsed.blocks if block.location.slide == number] == [title, *items, notes]
    assert all(parsed.text[block.location.start : block.location.end] == block.text for block in parsed.blocks)


# -- Ugly and hostile files


def code(data: bytes, **limits: int) -> str:
    with pytest.raises(DocumentError) as caught:
        parse(data, **limits)
    return str(caught.value.code)


def test_more_slides_than_allowed_are_too_large() -> None:
    """One slide more than the limit is too many."""
    deck = Presentation()
    for _ in range(3):
        slide(deck, "t")
    assert len(parse(deck, pages=3).blocks) == 3
    assert code(saved(deck), pages=2) == "too_large"


def test_a_deck_of_pictures_takes_little_memory() -> None:
    """Pictures and recordings are not unpacked."""
    parts = {f"ppt/media/image{number}.png": "x" * 5_000_000 for number in range(8)}
    data = written(text_shape("x"), parts=parts)
    tracemalloc.start()
    parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_rows_of_tables_and_charts_count() -> None:
    """Tables on slides are held against the limit of rows."""
    table = "<a:tbl>" + "<a:tr><a:tc/></a:tr>" * 11 + "</a:tbl>"
    frame = f"<p:graphicFrame><a:graphic><a:graphicData>{table}</a:graphicData></a:graphic></p:graphicFrame>"
    assert code(written(frame), rows=10) == "too_large"


def test_deep_groups_end_with_an_error() -> None:
    """Groups nested too deep for any reader are refused."""
    shapes = "<p:grpSp>" * 5_000 + text_shape("x") + "</p:grpSp>" * 5_000
    assert code(written(shapes)) == "malformed"


@pytest.mark.parametrize("shapes", ["<p:sp>", "&laughs;", "</p:spTree>"])
def test_broken_xml_is_malformed(shapes: str) -> None:
    """A slide that is no XML is refused."""
    assert code(written(shapes)) == "malformed"


def test_a_missing_slide_is_malformed() -> None:
    """A presentation that names a slide it does not hold is refused, not read without it."""
    assert code(written("", parts={"ppt/_rels/presentation.xml.rels": "<R/>"})) == "malformed"


def test_odd_values_do_not_matter() -> None:
    """Places that are no numbers, levels that are not there and missing parts are passed over."""
    shapes = (
        '<p:sp><p:spPr><a:xfrm><a:off x="?" y="1e9"/><a:ext cx="-" cy=""/></a:xfrm></p:spPr><p:txBody><a:p>'
        '<a:pPr lvl="99"><a:buChar char="x"/></a:pPr><a:r><a:t>odd</a:t></a:r></a:p></p:txBody></p:sp>'
        '<p:graphicFrame><a:graphic><a:graphicData><c:chart xmlns:c="c" r:id="none"/></a:graphicData></a:graphic>'
        "</p:graphicFrame><p:graphicFrame/><p:pic/><p:sp/><p:cxnSp/>"
    )
    parsed = parse(written(shapes))
    assert [(block.text, block.level) for block in parsed.blocks] == [("odd", 1)]
    assert len(parsed.notes) == 2


@given(at=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_damaged_presentation_gives_none_but_typed_errors(at: int, value: int) -> None:
    """Whatever byte is changed, a presentation is read or refused with a document error."""
    data = bytearray(written(text_shape("text")))
    data[at % len(data)] = value
    try:
        parsed = parse(bytes(data))
    except DocumentError:
        return
    assert all(parsed.text[block.location.start : block.location.end] == block.text for block in parsed.blocks)
