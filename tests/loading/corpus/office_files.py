"""Sound Word, PowerPoint and Excel files, made by python-docx, python-pptx and openpyxl."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .facts import GERMAN, ITEMS, LANGUAGES, STATEMENTS, TABLE, Fact, Good, facts_of


def repacked(
    data: bytes, replace: Mapping[str, Callable[[bytes], bytes]] | None = None, more: Mapping[str, bytes] | None = None
) -> bytes:
    """An archive without the time at which it was written, some members changed and others added."""
    done = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(done, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = (replace or {}).get(name, bytes)(old.read(name))
            if name.endswith(".xlsx"):  # the data of a chart
                content = repacked(content)
            if name == "word/comments.xml":
                content = re.sub(rb'w:date="[^"]*"', b'w:date="2024-01-31T12:00:00Z"', content)
            if name == "docProps/core.xml":
                content = re.sub(rb">\d{4}-\d\d-\d\dT[^<]*<", b">2024-01-31T12:00:00Z<", content)
            new.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        for name, content in (more or {}).items():
            new.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return done.getvalue()


def _saved(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return repacked(file.getvalue())


def word_brief() -> Good:
    """Headings, lists on two levels, a table, a comment, and a header and a footer."""
    import docx

    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Confidential draft"
    document.add_heading("Order portal", 0)
    document.add_heading("Goals", 1)
    first = document.add_paragraph(STATEMENTS[0][:20])
    first.add_run(STATEMENTS[0][20:]).bold = True
    document.add_paragraph(ITEMS[0], "List Bullet")
    document.add_paragraph(ITEMS[1], "List Bullet 2")
    document.add_paragraph(ITEMS[2], "List Number")
    table = document.add_table(len(TABLE), 3, "Table Grid")
    for row, cells in zip(table.rows, TABLE, strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.add_heading("Details", 2)
    commented = document.add_paragraph(STATEMENTS[1])
    document.add_comment(commented.runs, "Is this still so?", author="A. Meyer", initials="AM")
    facts = [
        Fact("Order portal"),
        Fact("Goals", block={"kind": "heading", "level": 1}),
        Fact(STATEMENTS[0], {"paragraph": 3}, {"kind": "paragraph"}),
        Fact(ITEMS[0], block={"kind": "list_item", "level": 1}),
        Fact(ITEMS[1], block={"kind": "list_item", "level": 2}),
        Fact(ITEMS[2], block={"kind": "list_item"}),
        *(Fact(row[1], block={"cells": row}) for row in TABLE),
        Fact("Details", block={"kind": "heading", "level": 2}),
        Fact(STATEMENTS[1]),
        Fact("Is this still so?", block={"kind": "note"}),
    ]
    data = _saved(document)
    return Good(name="brief.docx", data=data, facts=tuple(facts))


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def word_changes() -> Good:
    """Tracked changes, a field, a link, a content control, merged cells and a hidden text, in XML as Word writes it."""
    import docx

    def run(text: str, kind: str = "t") -> str:
        return f'<w:r><w:{kind} xml:space="preserve">{text}</w:{kind}></w:r>'

    by = 'w:id="7" w:author="B" w:date="2024-01-01T00:00:00Z"'
    body = f"""
<w:p>{run("The export runs ")}<w:del {by}>{run("hourly", "delText")}</w:del><w:ins {by}>{run("each night")}</w:ins>
{run(" for all.")}</w:p>
<w:p><w:pPr><w:rPr><w:ins {by}/></w:rPr></w:pPr><w:ins {by}>{run(STATEMENTS[2])}</w:ins></w:p>
<w:sdt><w:sdtContent><w:p>{run(STATEMENTS[3])}</w:p></w:sdtContent></w:sdt>
<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r>{run(" AUTHOR secretfield ", "instrText")}
<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run("Jane Doe")}<w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>
<w:p><w:hyperlink w:anchor="x">{run("See the annex.")}</w:hyperlink></w:p>
<w:tbl><w:tblPr/><w:tblGrid><w:gridCol/><w:gridCol/></w:tblGrid>
<w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr><w:p>{run("Across both")}</w:p></w:tc></w:tr>
<w:tr><w:tc><w:p>{run("Left cell")}</w:p></w:tc><w:tc><w:p>{run("Right cell")}</w:p></w:tc></w:tr></w:tbl>
<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>Hidden remark here.</w:t></w:r></w:p>
{"".join(f"<w:p>{run(each)}</w:p>" for each in LANGUAGES)}"""
    facts = [
        Fact("The export runs each night for all."),
        *facts_of(
            [STATEMENTS[2], STATEMENTS[3], "Jane Doe", "See the annex.", "Across both", "Left cell", "Right cell"]
        ),
        Fact("Hidden remark here.", block={"hidden": True}),
        *facts_of(LANGUAGES),
    ]
    replace = {"word/document.xml": lambda xml: re.sub(rb"<w:body>", b"<w:body>" + body.encode(), xml)}
    data = repacked(_saved(docx.Document()), replace)
    return Good(name="changes.docx", data=data, facts=tuple(facts), absent=("hourly", "secretfield"))


def slides() -> Good:
    """Titles, bullets on two levels, a table, a chart, a group, speaker notes, and a hidden slide."""
    import pptx
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[0])
    first.shapes.title.text, first.placeholders[1].text = "Order portal", "Kick-off in Zürich"
    second = deck.slides.add_slide(deck.slide_layouts[1])
    second.shapes.title.text = "Goals"
    frame = second.placeholders[1].text_frame
    frame.text = ITEMS[0]
    inner = frame.add_paragraph()
    inner.text, inner.level = ITEMS[1], 1
    second.notes_slide.notes_text_frame.text = STATEMENTS[0]
    third = deck.slides.add_slide(deck.slide_layouts[5])
    third.shapes.title.text = "Systems"
    table = third.shapes.add_table(len(TABLE), 3, Inches(1), Inches(2), Inches(8), Inches(2)).table
    for row, cells in enumerate(TABLE):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    group = third.shapes.add_group_shape()
    group.shapes.add_textbox(Inches(1), Inches(5), Inches(3), Inches(1)).text_frame.text = STATEMENTS[1]
    third._element.set("show", "0")
    fourth = deck.slides.add_slide(deck.slide_layouts[6])
    data = CategoryChartData()
    data.categories = ["North", "South"]
    data.add_series("Orders", (12, 34))
    fourth.shapes.add_chart(XL_CHART_TYPE.PIE, Inches(1), Inches(1), Inches(5), Inches(4), data)
    facts = [
        Fact("Order portal", {"slide": 1}, {"kind": "heading"}),
        Fact("Kick-off in Zürich", {"slide": 1}),
        Fact("Goals", {"slide": 2}, {"kind": "heading"}),
        Fact(ITEMS[0], {"slide": 2}, {"level": 1}),
        Fact(ITEMS[1], {"slide": 2}, {"level": 2}),
        Fact(STATEMENTS[0], {"slide": 2}, {"kind": "note"}),
        Fact("Systems", {"slide": 3}, {"hidden": True}),
        *(Fact(row[1], {"slide": 3}, {"cells": row, "hidden": True}) for row in TABLE),
        Fact(STATEMENTS[1], {"slide": 3}, {"hidden": True}),
        Fact("North", {"slide": 4}),
        Fact("South", {"slide": 4}),
    ]
    return Good(name="kickoff.pptx", data=_saved(deck), facts=tuple(facts))


def deck(pages: Sequence[Sequence[str]], *, notes: Mapping[int, str] | None = None) -> bytes:
    """A presentation of text boxes, one for each text, below each other; notes by the slide's number."""
    import pptx
    from pptx.util import Inches

    made = pptx.Presentation()
    for number, texts in enumerate(pages, 1):
        slide = made.slides.add_slide(made.slide_layouts[6])
        for at, text in enumerate(texts):
            slide.shapes.add_textbox(Inches(1), Inches(0.2 + 0.5 * at), Inches(8), Inches(0.4)).text_frame.text = text
        if notes and number in notes:
            slide.notes_slide.notes_text_frame.text = notes[number]
    return _saved(made)


def languages_deck() -> Good:
    facts = [Fact(text, {"slide": number}) for number, text in enumerate(LANGUAGES, 1)]
    data = deck([[text] for text in LANGUAGES], notes={2: STATEMENTS[4]})
    return Good(name="languages.pptx", data=data, facts=(*facts[:2], Fact(STATEMENTS[4], {"slide": 2}), *facts[2:]))


def workbook() -> Good:
    """Several sheets of which one is hidden, merged cells, dates, a formula, a comment, and an empty corner."""
    import datetime as dt

    from openpyxl import Workbook
    from openpyxl.comments import Comment

    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Systems"
    for row in TABLE:
        sheet.append([int(cell) if cell.isdigit() else cell for cell in row])
    sheet["B2"].comment = Comment("Since 2019 only.", "A. Meyer")
    plan = book.create_sheet("Plan & Ziele")
    plan.merge_cells("B3:D3")
    plan["B3"] = GERMAN
    plan["C5"], plan["D5"] = "Start", dt.date(2024, 1, 31)
    plan["C6"], plan["D6"] = "Share", 0.25
    plan["D6"].number_format = "0%"
    hidden = book.create_sheet("Old")
    hidden.sheet_state = "hidden"
    hidden["A1"] = STATEMENTS[3]
    texts = book.create_sheet("言語")
    for number, text in enumerate(LANGUAGES, 1):
        texts.cell(number * 2, 1, text)
    facts = [
        Fact("Owner", {"sheet": "Systems", "cells": "A1:C1"}, {"cells": TABLE[0]}),
        Fact("Finance", {"sheet": "Systems", "cells": "A2:C2"}, {"cells": TABLE[1]}),
        Fact("Since 2019 only.", {"sheet": "Systems", "cells": "B2"}, {"kind": "note"}),
        Fact("IT operations", {"sheet": "Systems", "cells": "A3:C3"}, {"cells": TABLE[2], "columns": TABLE[0]}),
        Fact(GERMAN, {"sheet": "Plan & Ziele", "cells": "B3"}),
        Fact("2024-01-31", {"sheet": "Plan & Ziele", "cells": "C5:D5"}),
        Fact("25%", {"sheet": "Plan & Ziele", "cells": "C6:D6"}),
        Fact(STATEMENTS[3], {"sheet": "Old", "cells": "A1"}, {"hidden": True}),
        *(Fact(text, {"sheet": "言語", "cells": f"A{2 * number}"}) for number, text in enumerate(LANGUAGES, 1)),
    ]
    return Good(name="systems.xlsx", data=_saved(book), facts=tuple(facts))


def sheets(content: Mapping[str, Mapping[str, str]]) -> bytes:
    """A workbook: the texts of cells by the name of the sheet."""
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    for name, cells in content.items():
        sheet = book.create_sheet(name)
        for cell, text in cells.items():
            sheet[cell].value = text
            sheet[cell].data_type = "s"
    return _saved(book)
