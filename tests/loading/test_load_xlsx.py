"""Excel workbooks: rows with their cells, as people see them, and all that stands beside them."""

from __future__ import annotations

import datetime as dt
import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.worksheet.table import Table

from cardanalysis import Document, DocumentError
from cardanalysis._documents import Block, BlockKind
from cardanalysis.loading._formats import Limits, Parsed, Source
from cardanalysis.loading._number_formats import show
from cardanalysis.loading._xlsx import FORMAT
from cardanalysis.loading._xlsx_sheet import column_of, letters_of, place_of, range_of

Read = Callable[..., Document]
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def saved(book: Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def workbook(*sheets: Sequence[Sequence[object]]) -> Workbook:
    """A workbook with the sheets Sheet1, Sheet2 and so on."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"Sheet{number}")
        for row in rows:
            sheet.append(list(row))
    return book


def parse(data: bytes | Workbook, **limits: int) -> Parsed:
    content = data if isinstance(data, bytes) else saved(data)
    return FORMAT.parse(Source.of(content, "a.xlsx", Limits(**limits)))


def code(data: bytes, **limits: int) -> str:
    with pytest.raises(DocumentError) as caught:
        parse(data, **limits)
    return str(caught.value.code)


def rows(blocks: Iterable[Block]) -> list[tuple[str, ...]]:
    return [block.cells for block in blocks if block.cells]


def written(sheet: str | Iterable[str], *, parts: dict[str, str] | None = None, related: str = "") -> bytes:
    """A workbook of one sheet, written by hand: the inside of its worksheet element, more parts and relationships."""
    file = io.BytesIO()
    rel = f'<Relationship Id="{{}}" Type="{RELATIONS}/{{}}" Target="{{}}"/>'
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_rels/.rels", f"<R>{rel.format('a', 'officeDocument', 'xl/workbook.xml')}</R>")
        sheets = '<sheets><sheet name="S" r:id="a"/></sheets>'
        archive.writestr("xl/workbook.xml", f'<workbook xmlns="{NAMESPACE}" xmlns:r="{RELATIONS}">{sheets}</workbook>')
        mine = rel.format("a", "worksheet", "worksheets/sheet1.xml")
        archive.writestr("xl/_rels/workbook.xml.rels", f"<R>{mine}{related}</R>")
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            part.write(f'<worksheet xmlns="{NAMESPACE}">'.encode())
            for piece in [sheet] if isinstance(sheet, str) else sheet:
                part.write(piece.encode())
            part.write(b"</worksheet>")
        for name, content in (parts or {}).items():
            archive.writestr(name, content)
    return file.getvalue()


STRINGS = f'<Relationship Id="b" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>'


# -- What is kept


def test_rows_are_blocks_with_their_range_and_columns(read: Read) -> None:
    """Each row is a block with sheet and range of cells, named by the header above it."""
    document = read(saved(workbook([["System", "Owner"], ["SAP", "Meyer"], ["CRM", "Li"]])), "systems.xlsx")
    header, first, second = document.blocks
    assert document.media_type.endswith("spreadsheetml.sheet")
    assert document.text == "[Sheet Sheet1]\nSystem | Owner\nSAP | Meyer\nCRM | Li"
    assert (header.kind, header.cells, header.columns) == (BlockKind.TABLE_HEADER, ("System", "Owner"), ())
    assert (first.kind, first.cells, first.columns) == (BlockKind.TABLE_ROW, ("SAP", "Meyer"), ("System", "Owner"))
    assert str(second.location) == "systems.xlsx, Sheet1!A3:B3"


def test_ranges_are_those_of_the_cells_that_are_used() -> None:
    """A table that begins at C5 has ranges of its own; empty cells before a row's first used one are no part of it."""
    book = workbook([])
    sheet = book["Sheet1"]
    for cell, value in {"C5": "Name", "D5": "Owner", "E5": "Note", "D6": "Li", "E6": "x", "C7": "SAP"}.items():
        sheet[cell] = value
    blocks = parse(book).blocks
    assert [block.location.cells for block in blocks] == ["C5:E5", "D6:E6", "C7"]
    assert [block.cells for block in blocks] == [("Name", "Owner", "Note"), ("", "Li", "x"), ("SAP",)]
    assert [block.columns for block in blocks] == [(), ("Name", "Owner", "Note"), ("Name",)]


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (0.1 + 0.2, "General", "0.3"),
        (3.0, "General", "3"),
        (-17, "General", "-17"),
        (1e20, "General", "1e+20"),
        (True, "General", "TRUE"),
        (False, "General", "FALSE"),
        (0.256, "0%", "26%"),
        (0.256, "0.0%", "25.6%"),
        (1234.5, '#,##0.00 "€"', "1234.50 €"),
        (-5, "$#,##0_);[Red]($#,##0)", "-$5"),
        (12, "[$€-407] #,##0", "€ 12"),
        (7, "00000", "00007"),
        (8, '0 "Std."', "8 Std."),
        (12_345_678, '0.0,,"M"', "12.3M"),
        (0.5, "# ?/?", "0.5"),
        (dt.date(2024, 3, 12), "dd.mm.yyyy", "2024-03-12"),
        (dt.datetime(2024, 3, 12, 14, 30), "m/d/yy h:mm", "2024-03-12 14:30"),  # noqa: DTZ001
        (dt.datetime(2024, 3, 12, 14, 30, 15), "yyyy-mm-dd h:mm:ss", "2024-03-12 14:30:15"),  # noqa: DTZ001
        (dt.time(9, 5), "h:mm AM/PM", "09:05"),
        (dt.timedelta(hours=37, minutes=30), "[h]:mm", "37:30"),
        ("=1/0", "General", "=1/0"),
        ("two\nlines", "General", "two\nlines"),
    ],
)
def test_values_are_shown_as_people_see_them(value: object, number_format: str, shown: str) -> None:
    """Dates, times, percent, units and numbers stand as the cell shows them, without digits of binary fractions."""
    book = workbook([["x", value]])
    book["Sheet1"]["B1"].number_format = number_format
    assert parse(book).blocks[0].cells == ("x", shown)


def test_dates_count_from_1904_where_the_workbook_says_so() -> None:
    """The other date system of Excel is respected."""
    book = workbook([["x", 0]])
    book["Sheet1"]["B1"].number_format = "yyyy-mm-dd"
    book.epoch = dt.datetime(1904, 1, 1)  # noqa: DTZ001
    assert parse(book).blocks[0].cells == ("x", "1904-01-01")


def test_errors_iso_dates_and_rich_text_are_kept() -> None:
    """Cells of each type the standard knows give their text; how a text is pronounced is left out."""
    data = written(
        '<sheetData><row r="1"><c r="A1" t="e"><v>#REF!</v></c><c r="B1" t="d"><v>2024-03-12T00:00:00</v></c>'
        '<c r="C1" t="s"><v>0</v></c><c r="D1" t="inlineStr"><is><r><t>in</t></r><r><t>line</t></r></is></c>'
        '<c r="E1" t="str"><f>x</f><v>result</v></c><c r="F1" t="s"><v>1</v></c></row></sheetData>',
        parts={
            "xl/sharedStrings.xml": "<sst><si><r><t>rich </t></r><r><t>text</t></r><rPh><t>no</t></rPh></si>"
            "<si><t>a_x000D_\nb_x0041_</t></si></sst>"
        },
        related=STRINGS,
    )
    assert rows(parse(data).blocks) == [("#REF!", "2024-03-12", "rich text", "inline", "result", "a\nbA")]


def test_results_of_formulas_are_read_and_missing_ones_told() -> None:
    """A formula shows its stored result; one without stands as it is written, and a note tells."""
    data = written(
        '<sheetData><row r="1"><c r="A1"><f>1+1</f><v>2</v></c><c r="B1"><f>A1*2</f></c>'
        '<c r="C1" t="str"><f>""</f><v></v></c><c r="D1"><f>A1</f><v/></c></row></sheetData>'
    )
    parsed = parse(data)
    assert rows(parsed.blocks) == [("2", "=A1*2", "", "=A1")]
    (note,) = parsed.notes
    assert note.startswith("Formulas without a stored result: 2;")


def test_sheets_keep_their_order_and_hidden_ones_are_marked() -> None:
    """Hidden and very hidden sheets are read, marked and labelled; empty ones are told by their position."""
    book = workbook([["a", 1]], [], [["b", 1]], [["c", 1]])
    book["Sheet3"].sheet_state = "hidden"
    book["Sheet4"].sheet_state = "veryHidden"
    parsed = parse(book)
    assert [(block.location.sheet, block.hidden) for block in parsed.blocks] == [
        ("Sheet1", False),
        ("Sheet3", True),
        ("Sheet4", True),
    ]
    labels = re.findall(r"^\[.*\]$", parsed.text, re.MULTILINE)
    assert labels == ["[Sheet Sheet1]", "[Sheet Sheet2]", "[Sheet Sheet3, hidden]", "[Sheet Sheet4, very hidden]"]
    assert parsed.notes == ("Sheets without content, by their position: 2.",)


def test_hidden_rows_and_columns_are_marked() -> None:
    """Hidden rows are marked and counted, hidden columns named; a row that only they use is hidden."""
    book = workbook([["a", 1, "x"], ["b", 2, "y"], [None, None, "z"], ["c", 3]])
    sheet = book["Sheet1"]
    sheet.row_dimensions[2].hidden = True
    sheet.column_dimensions["C"].hidden = True
    parsed = parse(book)
    assert [block.hidden for block in parsed.blocks] == [False, True, True, False]
    assert "[Columns C:C hidden]" in parsed.text
    assert "[From row 2 on: hidden]\nb | 2 | y\n\n[From row 3 on: shown]" in parsed.text
    assert parsed.notes == ("Hidden rows that were read too: 1.",)


def test_merged_cells_stand_once() -> None:
    """A merged cell gives its text at its first cell."""
    book = workbook([["wide", None, None, "x"], ["a", "b", "c", "d"]])
    book["Sheet1"].merge_cells("A1:C1")
    assert rows(parse(book).blocks)[0] == ("wide", "", "", "x")


def test_comments_follow_the_row_of_their_cell() -> None:
    """A comment is a note with its author and cell behind its row, also where the cell is empty."""
    book = workbook([["System", "Owner"], ["SAP", "Meyer"], ["CRM", "Li"]])
    sheet = book["Sheet1"]
    sheet["B2"].comment = Comment("Ask him", "A. Meyer")
    sheet["D9"].comment = Comment("Anything else?", "B. Li")
    parsed = parse(book)
    notes = [block for block in parsed.blocks if block.kind is BlockKind.NOTE]
    assert [(note.text, note.location.cells) for note in notes] == [("Ask him", "B2"), ("Anything else?", "D9")]
    assert "SAP | Meyer\n\n[Comment by A. Meyer on B2]\nAsk him\n\nCRM | Li" in parsed.text
    assert parsed.blocks[3].columns == ("System", "Owner")


def test_threads_of_comments_stand_once() -> None:
    """A thread gives each of its comments with its author, and not the copy for older programs."""
    data = saved(workbook([["a", "b"], ["c", "d"]]))
    persons = '<personList><person displayName="Li" id="{1}"/><person displayName="Meyer" id="{2}"/></personList>'
    thread = (
        '<ThreadedComments><threadedComment ref="A2" personId="{1}" id="x"><text>Why?</text></threadedComment>'
        '<threadedComment ref="A2" personId="{2}" id="y" parentId="x"><text>Because.</text></threadedComment>'
        "</ThreadedComments>"
    )
    copy = (
        '<comments><authors><author>tc={x}</author></authors><commentList><comment ref="A2" authorId="0">'
        "<text><t>[Threaded comment] Why?</t></text></comment></commentList></comments>"
    )
    rel = f'<Relationship Id="z{{0}}" Type="{RELATIONS}/{{0}}" Target="{{1}}"/>'
    changes = {
        "xl/_rels/workbook.xml.rels": rel.format("person", "persons/person.xml"),
        "xl/worksheets/_rels/sheet1.xml.rels": "<Relationships>"
        + rel.format("threadedComment", "../t.xml")
        + rel.format("comments", "../c.xml")
        + "</Relationships>",
        "xl/persons/person.xml": persons,
        "xl/t.xml": thread,
        "xl/c.xml": copy,
    }
    text = parse(patched(data, changes)).text
    assert text.endswith("[Comment by Li on A2]\nWhy?\n\n[Comment by Meyer on A2]\nBecause.")


def patched(data: bytes, changes: dict[str, str]) -> bytes:
    """A package with more parts; what is given for relationships that exist is added to them."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name in changes:
                content = content.replace("</Relationships>", f"{changes[name]}</Relationships>")
            new.writestr(name, content)
        for name in changes.keys() - set(old.namelist()):
            new.writestr(name, changes[name])
    return file.getvalue()


def test_blank_rows_divide_tables_with_headers_of_their_own() -> None:
    """Below a blank row another table begins, and its first row may be its header."""
    parsed = parse(workbook([["a", "b"], [1, 2], [], ["Title"], ["c", "d"], [3, 4]]))
    assert [(block.kind, block.columns) for block in parsed.blocks] == [
        (BlockKind.TABLE_HEADER, ()),
        (BlockKind.TABLE_ROW, ("a", "b")),
        (BlockKind.PARAGRAPH, ()),
        (BlockKind.TABLE_HEADER, ()),
        (BlockKind.TABLE_ROW, ("c", "d")),
    ]
    assert parsed.blocks[2].location.cells == "A4"


@pytest.mark.parametrize(
    "first", [["a", 1], ["a", "a"], ["a", dt.date(2024, 1, 1)], ["2023", "2024"], ["a", True], ["alone"]]
)
def test_rows_that_do_not_read_like_a_header_are_data(first: list[object]) -> None:
    """Numbers, dates and names that occur twice make no header."""
    parsed = parse(workbook([first, ["x"]]))
    assert {block.kind for block in parsed.blocks} == {BlockKind.TABLE_ROW}


def test_tables_tell_their_header_and_name() -> None:
    """Where a range is defined as a table, its first row is the header, wherever it stands."""
    book = workbook([["x", 1], ["2023", "2024"], [3, 4]])
    book["Sheet1"].add_table(Table(displayName="Costs", ref="A2:B3"))
    parsed = parse(book)
    assert "[Table Costs]\n2023 | 2024\n3 | 4" in parsed.text
    assert parsed.blocks[-1].columns == ("2023", "2024")


def test_charts_give_their_title() -> None:
    """A chart gives its title and the cell that it lies on; its values stand in cells."""
    book = workbook([["a", "b"], ["x", 1], ["y", 2]])
    sheet = book["Sheet1"]
    chart = BarChart()
    chart.title = "Costs per year"
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3))
    sheet.add_chart(chart, "E7")
    last = parse(book).blocks[-1]
    assert (last.kind, last.text, last.location.cells) == (BlockKind.PARAGRAPH, "Costs per year", "E7")


def test_text_boxes_and_pictures_are_told() -> None:
    """Text boxes give their text, pictures their description; pictures without one are counted."""
    drawing = (
        '<wsDr xmlns:a="a"><twoCellAnchor><from><col>2</col><row>4</row></from>'
        "<sp><txBody><a:p><a:r><a:t>Read me</a:t></a:r></a:p></txBody></sp></twoCellAnchor>"
        '<oneCellAnchor><from><col>0</col><row>0</row></from><pic><nvPicPr><cNvPr descr="A plan"/></nvPicPr></pic>'
        "</oneCellAnchor><oneCellAnchor><pic><nvPicPr><cNvPr/></nvPicPr></pic></oneCellAnchor></wsDr>"
    )
    rel = f'<R><Relationship Id="d" Type="{RELATIONS}/drawing" Target="../d.xml"/></R>'
    parsed = parse(written("<sheetData/>", parts={"xl/d.xml": drawing, "xl/worksheets/_rels/sheet1.xml.rels": rel}))
    assert [(block.kind, block.text, block.location.cells) for block in parsed.blocks] == [
        (BlockKind.PARAGRAPH, "Read me", "C5"),
        (BlockKind.IMAGE, "A plan", "A1"),
    ]
    assert parsed.notes == ("Pictures without a description that were not read: 1.",)


def test_sheets_of_charts_are_told() -> None:
    """A sheet that holds but a chart is labelled as such and gives the chart's title."""
    book = workbook([["a", 1]])
    chart = BarChart()
    chart.title = "Costs"
    chart.add_data(Reference(book["Sheet1"], min_col=2, min_row=1, max_row=1))
    book.create_chartsheet("Chart").add_chart(chart)
    assert parse(book).text.endswith("[Chart sheet Chart]\nCosts")


def test_macros_are_told() -> None:
    """A workbook with macros is read without them, and a note tells."""
    rel = (
        '<Relationship Id="z" Type="http://schemas.microsoft.com/office/2006/relationships/vbaProject" Target="v.bin"/>'
    )
    data = patched(saved(workbook([["a", 1]])), {"xl/_rels/workbook.xml.rels": rel, "xl/v": "x"})
    assert parse(data).notes == ("Its macros were not read.",)


# -- Properties


cell_values = st.one_of(
    st.none(),
    st.integers(-(10**12), 10**12),
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=8),
)


@given(table=st.lists(st.lists(cell_values, max_size=6), max_size=8))
@settings(max_examples=60, deadline=None)
def test_every_value_is_at_its_place(table: list[list[object]]) -> None:
    """Whatever a sheet holds, each block's range leads to exactly the values that were written there."""
    values = [[None if value == "" or str(value).startswith("=") else value for value in row] for row in table]
    found: dict[tuple[int, int], str] = {}
    parsed = parse(workbook(values))
    for block in parsed.blocks:
        assert parsed.text[block.location.start : block.location.end] == block.text
        start, _, end = (block.location.cells or "").partition(":")
        row, last = place_of(end or start)
        cells = block.cells or (block.text,)
        found |= {(row, last - at): cell for at, cell in enumerate(reversed(cells)) if cell}
    wanted = {
        (row, column): str(value)
        for row, cells in enumerate(values, 1)
        for column, value in enumerate(cells, 1)
        if value is not None
    }
    assert found == wanted


@given(column=st.integers(1, 16_384), row=st.integers(1, 1_048_576))
def test_letters_and_columns_are_each_others_inverse(column: int, row: int) -> None:
    """The letters of a column lead back to it."""
    assert column_of(f"{letters_of(column)}{row}") == column
    assert place_of(range_of(row, column, column)) == (row, column)


@given(text=st.text(max_size=12), value=st.floats())
@settings(max_examples=500)
def test_any_format_code_shows_any_number(text: str, value: float) -> None:
    """No format code and no number make showing it fail."""
    assert isinstance(show(text)(value), str)


@given(
    code=st.text('ymdhs0#?.,;%"\\[]_*@/- EeGAP€$:', max_size=12),
    value=st.floats(allow_nan=False, min_value=-1e7, max_value=1e7),
)
@settings(max_examples=500)
def test_any_likely_format_code_shows_any_number(code: str, value: float) -> None:
    """No combination of the characters that mean something makes showing a number fail."""
    assert isinstance(show(code)(value), str)
    assert isinstance(show(code, epoch_1904=True)(value), str)


# -- Ugly and hostile files


def test_a_sheet_of_two_far_cells_is_read_as_two_rows() -> None:
    """Cells a million rows apart cost no more than two cells, whatever dimension is declared."""
    data = written(
        '<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1"><v>1</v></c></row>'
        '<row r="1048576"><c r="XFD1048576"><v>2</v></c></row></sheetData>'
    )
    tracemalloc.start()
    parsed = parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [block.location.cells for block in parsed.blocks] == ["A1", "XFD1048576"]
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "cell",
    [
        '<row r="1048577"><c><v>1</v></c></row>',
        f'<row r="{"9" * 5000}"><c><v>1</v></c></row>',
        '<row r="0"><c><v>1</v></c></row>',
        '<row r="x"><c><v>1</v></c></row>',
        '<row r="1"><c r="XFE1"><v>1</v></c></row>',
        f'<row r="1"><c r="{"Z" * 5000}1"><v>1</v></c></row>',
        '<row r="1"><c r="1"><v>1</v></c></row>',
        '<row r="1"><c r="A1" t="s"><v>5</v></c></row>',
        '<row r="1"><c r="A1" t="s"><v>x</v></c></row>',
    ],
)
def test_cells_that_cannot_be_are_malformed(cell: str) -> None:
    """Rows and columns beyond a sheet's end and strings that are not there are refused."""
    assert code(written(f"<sheetData>{cell}</sheetData>")) == "malformed"


def test_rows_and_cells_without_numbers_are_counted() -> None:
    """Where rows and cells do not say where they are, they follow each other; out of order they are sorted."""
    data = written(
        "<sheetData><row><c><v>1</v></c><c><v>2</v></c></row>"
        '<row><c r="C2"><v>3</v></c><c r="A2"><v>1</v></c></row></sheetData>'
    )
    parsed = parse(data)
    assert [block.location.cells for block in parsed.blocks] == ["A1:B1", "A2:C2"]
    assert rows(parsed.blocks) == [("1", "2"), ("1", "", "3")]


def test_names_may_have_prefixes() -> None:
    """Elements are known by their names, whatever prefix their namespace has."""
    data = written(
        f'<x:sheetData xmlns:x="{NAMESPACE}"><x:row r="1"><x:c r="B1"><x:v>7</x:v></x:c></x:row></x:sheetData>'
    )
    assert [block.text for block in parse(data).blocks] == ["7"]


def test_styles_that_are_not_there_show_numbers_in_general() -> None:
    """A style beyond the list, or none that can be read, leaves the number as it is."""
    data = written('<sheetData><row><c s="99"><v>0.30000000000000004</v></c><c s="x"><v>n</v></c></row></sheetData>')
    assert rows(parse(data).blocks) == [("0.3", "n")]


def test_a_million_rows_are_read_as_a_stream() -> None:
    """Reading stops at the limit of rows, and what was not used of the sheet takes no memory."""
    data = written(["<sheetData>", *(["<row><c><v>1</v></c></row>"] * 200_000), "</sheetData>"])
    tracemalloc.start()
    assert code(data, rows=100) == "too_large"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert code(data, cells=100) == "too_large"


def test_rows_behind_a_long_tag_are_read() -> None:
    """A parser that waits for the end of a long tag gives its row at the end of the file."""
    rows_ = f'<row><c><v>1</v></c></row><row x="{"y" * 300_000}"><c><v>2</v></c></row>'
    assert rows(parse(written(f"<sheetData>{rows_}</sheetData>")).blocks) == [("1",), ("2",)]


def test_many_empty_rows_take_no_memory() -> None:
    """Rows without cells are passed over."""
    data = written(["<sheetData>", *(["<row/>"] * 300_000), "<row><c><v>1</v></c></row></sheetData>"])
    tracemalloc.start()
    parsed = parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [block.location.cells for block in parsed.blocks] == ["A300001"]
    assert peak < 5_000_000


def test_shared_strings_that_memory_cannot_hold_are_too_large() -> None:
    """The part of shared strings is held against the memory before it is read."""
    strings = f"<sst>{'<si><t>abc</t></si>' * 60_000}</sst>"
    data = written("<sheetData/>", parts={"xl/sharedStrings.xml": strings}, related=STRINGS)
    assert code(data, memory_bytes=4_000_000) == "too_large"
    assert parse(data, memory_bytes=6_000_000).blocks == []


@pytest.mark.parametrize("sheet", ["<sheetData><row>", "<sheetData></row>", "<sheetData>&laughs;</sheetData>"])
def test_broken_xml_is_malformed(sheet: str) -> None:
    """A sheet that is no XML is refused, whatever was read of it before."""
    assert code(written(sheet)) == "malformed"


def test_a_sheet_that_is_missing_is_malformed() -> None:
    """A workbook that names a sheet it does not hold is refused, not read without it."""
    data = written("<sheetData/>")
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            if "sheet1" not in name:
                new.writestr(name, old.read(name))
    assert code(file.getvalue()) == "malformed"


def test_a_presentation_is_no_workbook() -> None:
    """Another Office file is refused as malformed where it is taken for a workbook."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("ppt/presentation.xml", "<a/>")
    assert code(file.getvalue()) == "malformed"


@given(at=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_damaged_workbook_gives_none_but_typed_errors(at: int, value: int) -> None:
    """Whatever byte is changed, a workbook is read or refused with a document error."""
    data = bytearray(written('<sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData>'))
    data[at % len(data)] = value
    try:
        parsed = parse(bytes(data))
    except DocumentError:
        return
    assert all(parsed.text[block.location.start : block.location.end] == block.text for block in parsed.blocks)
