"""Sound PDF files, made by reportlab, and pictures, made by Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from .facts import CHINESE, GERMAN, JAPANESE, STATEMENTS, TABLE, Fact, Good, facts_of


def pages(texts: Sequence[Sequence[str]], *, size: float = 11) -> bytes:
    """A PDF file: the lines of each page, far enough from each other to be paragraphs."""
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file, invariant=True, pageCompression=1)
    for lines in texts:
        canvas.setFont("Helvetica", size)
        for at, line in enumerate(lines):
            canvas.drawString(60, 780 - 40 * at, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _story() -> list[Any]:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, Spacer

    styles = getSampleStyleSheet()
    story: list[Any] = [Paragraph("Order portal", styles["Title"])]
    for number, text in enumerate([*STATEMENTS, GERMAN] * 6, 1):
        if number % 6 == 1:
            story.append(Paragraph(f"{number // 6 + 1}. Chapter", styles["Heading1"]))
        story += [Paragraph(f"R{number}: {text}", styles["Normal"]), Spacer(1, 8)]
    return story


def report() -> Good:
    """Paragraphs that wrap, headings, a table, over several pages with numbers at the foot."""
    from reportlab.lib import colors
    from reportlab.platypus import PageBreak, SimpleDocTemplate, Table

    file = io.BytesIO()
    grid = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)]
    story = [*_story(), PageBreak(), Table([list(row) for row in TABLE], style=grid)]
    SimpleDocTemplate(file, invariant=True).build(story)
    texts = [f"R{number}: {text}" for number, text in enumerate([*STATEMENTS, GERMAN] * 6, 1)]
    facts = [Fact("Order portal", {"page": 1}), *facts_of(texts), Fact("Mail archive")]
    return Good(name="report.pdf", data=file.getvalue(), facts=tuple(facts))


def flowing(texts: Sequence[str]) -> bytes:
    """A PDF file of these paragraphs, which wrap, on as many pages as they need."""
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

    file, style = io.BytesIO(), getSampleStyleSheet()["Normal"]
    SimpleDocTemplate(file, invariant=True).build([e for text in texts for e in (Paragraph(text, style), Spacer(1, 8))])
    return file.getvalue()


def columns() -> Good:
    """Two columns: the left one is read before the right one."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph, Spacer

    file = io.BytesIO()
    document = BaseDocTemplate(file, pagesize=A4, invariant=True)
    frames = [Frame(x, 60, 230, 700, id=name) for x, name in ((50, "left"), (310, "right"))]
    document.addPageTemplates(PageTemplate(frames=frames))
    style = getSampleStyleSheet()["Normal"]
    texts = [f"N{number}: {text}" for number, text in enumerate(STATEMENTS * 8, 1)]
    document.build([each for text in texts for each in (Paragraph(text, style), Spacer(1, 10))])
    return Good(name="columns.pdf", data=file.getvalue(), facts=tuple(facts_of(texts)))


def chinese_pdf() -> Good:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    for font in ("STSong-Light", "HeiseiMin-W3"):
        pdfmetrics.registerFont(UnicodeCIDFont(font))
    file = io.BytesIO()
    canvas = Canvas(file, invariant=True)
    for font, text in (("STSong-Light", CHINESE), ("HeiseiMin-W3", JAPANESE), ("Helvetica", GERMAN)):
        canvas.setFont(font, 12)
        canvas.drawString(60, 700, text)
        canvas.showPage()
    canvas.save()
    facts = [Fact(text, {"page": page}) for page, text in enumerate((CHINESE, JAPANESE, GERMAN), 1)]
    return Good(name="sprachen.pdf", data=file.getvalue(), facts=tuple(facts))


# -- Pictures


def picture(kind: str = "png", size: tuple[int, int] = (64, 48), frames: int = 1) -> bytes:
    """An image of a format that Pillow knows by this name."""
    from PIL import Image

    file = io.BytesIO()
    shown = [Image.new("RGB", size, (40 * at % 256, 90, 160)) for at in range(frames)]
    shown[0].save(file, kind, **({"save_all": True, "append_images": shown[1:]} if frames > 1 else {}))
    return file.getvalue()


def image(kind: str) -> Callable[[], Good]:
    def make() -> Good:
        block = {"kind": "image"}
        return Good(name=f"picture.{kind}", data=picture(kind), facts=(Fact(f"picture.{kind}", block=block),))

    return make
