"""PDF: places, paragraphs and headings, pages to look at, comments and forms, and files meant to harm."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from random import Random

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis._documents import Document
from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import _pdf, load
from cardanalysis.loading._formats import Limits, Parsed, Source
from cardanalysis.loading._pdf_lines import Layout, Line

BODY = [
    "The order process needs an approval from finance before the invoices of a vendor reach",
    "the ledger, and managers cannot see which of the requests have been waiting for longest.",
    "So the teams export a list every Friday.",
]
PICTURE = b"q 500 0 0 600 50 100 cm BI /W 2 /H 2 /CS /G /BPC 8 ID abcd EI Q\n"
SMALL = b"q 60 0 0 80 0 0 cm /I Do Q"
NOISE = Random(6)  # what no writer can pack
GREY = b"/Type/XObject/Subtype/Image/ColorSpace/DeviceGray/BitsPerComponent 8"


def text_at(x: float, y: float, *lines: str, size: float = 12, pitch: float = 14, font: str = "F") -> bytes:
    """What draws lines of text, the first at a place, each of the others below the one before."""
    shown = (f"/{font} {size} Tf 1 0 0 1 {x} {y - at * pitch} Tm ({line}) Tj\n" for at, line in enumerate(lines))
    return b"BT " + "".join(shown).encode("latin-1") + b"ET\n"


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(data), data)


def pdf(
    *contents: bytes, root: bytes = b"", pages: Sequence[bytes] = (), more: Sequence[bytes] = (), packed: bool = True
) -> bytes:
    """A PDF file.

    Args:
        contents: What draws each page. Fonts are F, which is plain, B, which is bold, and X, which is object 20.
        root: More entries of the catalog.
        pages: More entries of each page.
        more: The objects from number 20 on.
        packed: Whether the contents are compressed.
    """
    kids = b" ".join(b"%d 0 R" % (100 + 2 * at) for at in range(len(contents)))
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R%s>>" % root,
        2: b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(contents)),
        3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        4: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding>>",
    }
    objects |= {20 + at: each for at, each in enumerate(more)}
    for at, content in enumerate(contents):
        entries = pages[at] if at < len(pages) else b""
        objects[100 + 2 * at] = (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R"
            b"/Resources<</Font<</F 3 0 R/B 4 0 R/X 20 0 R>>/XObject<</I 21 0 R>>>>%s>>" % (101 + 2 * at, entries)
        )
        data = zlib.compress(content) if packed else content
        objects[101 + 2 * at] = stream(data, b"/Filter/FlateDecode" if packed else b"")
    return file_of(objects)


def file_of(objects: dict[int, bytes]) -> bytes:
    file = bytearray(b"%PDF-1.7\n")
    table = b""
    for number, each in sorted(objects.items()):
        table += b"%d 1\n%010d 00000 n \n" % (number, len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(file)
    file += b"xref\n0 1\n0000000000 65535 f \n%strailer\n" % table
    return bytes(file) + b"<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (max(objects) + 1, start)


def outline(document: Document | Parsed) -> list[tuple[str, int, str]]:
    return [(str(block.kind), block.level, block.text) for block in document.blocks]


def kinds(document: Document | Parsed) -> list[tuple[str, int | None]]:
    return [(str(block.kind), block.location.page) for block in document.blocks]


def parse(data: bytes, pages: str = "auto", limits: Limits | None = None) -> Parsed:
    """Parse in this process: for what differs by more than the file."""
    given = Source.of(data, "a.pdf", limits)
    return _pdf.FORMAT.parse(Source(name="a.pdf", open=given.open, limits=given.limits, pages=pages))  # type: ignore[arg-type]


def refused(data: bytes, limits: Limits | None = None, pages: str = "auto") -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse(data, pages, limits)
    assert caught.value.upload == "a.pdf"
    return caught.value


# -- Text and places


def test_pages_and_paragraphs(read):
    """Lines that follow each other are one paragraph, line ends kept, and each block knows its page."""
    document = read(pdf(text_at(72, 700, *BODY) + text_at(72, 630, *BODY), text_at(72, 700, BODY[2])), "a.pdf")

    assert document.media_type == "application/pdf"
    assert outline(document) == [("paragraph", 0, "\n".join(BODY))] * 2 + [("paragraph", 0, BODY[2])]
    assert [str(block.location) for block in document.blocks] == ["a.pdf, page 1", "a.pdf, page 1", "a.pdf, page 2"]
    assert document.notes == ()


def test_an_indent_or_a_short_line_ends_a_paragraph():
    """Paragraphs without space between them are told by the indent of the first line, or by a short last line."""
    indented = text_at(90, 700, BODY[0]) + text_at(72, 686, *BODY[1:2]) + text_at(90, 672, BODY[0])
    short = text_at(72, 500, *BODY, *BODY)

    assert [block.text for block in parse(pdf(indented + short)).blocks] == [
        "\n".join(BODY[:2]),
        BODY[0],
        "\n".join(BODY),
        "\n".join(BODY),
    ]


def test_widely_set_lines_are_a_paragraph():
    """The distance that is usual in a document keeps lines together, even if it is double."""
    lines = [*BODY[:2], *BODY[:2], *BODY[:2]]

    assert outline(parse(pdf(text_at(72, 700, *lines, pitch=27)))) == [("paragraph", 0, "\n".join(lines))]


def test_headings_by_size():
    """What is larger than the text is a heading; the largest size is level 1. A large last page number is none."""
    content = text_at(72, 750, "Order process", size=24) + text_at(72, 700, "Approval", size=16)
    content += text_at(72, 680, *BODY) + text_at(72, 630, "Invoices", size=16) + text_at(300, 20, "7", size=24)

    assert outline(parse(pdf(content))) == [
        ("heading", 1, "Order process"),
        ("heading", 2, "Approval"),
        ("paragraph", 0, "\n".join(BODY)),
        ("heading", 2, "Invoices"),
        ("paragraph", 0, "7"),
    ]


def test_headings_by_outline():
    """A line that the document's outline names is a heading of the outline's level, whatever its size."""
    root = b"/Outlines 20 0 R"
    more = [
        b"<</First 21 0 R/Last 21 0 R/Count 2>>",
        b"<</Title(1. Purpose)/Parent 20 0 R/Dest[100 0 R/Fit]/First 22 0 R/Last 22 0 R/Count 1>>",
        b"<</Title(Scope  of it)/Parent 21 0 R/Dest[100 0 R/Fit]>>",
    ]
    content = text_at(72, 750, "1. Purpose") + text_at(72, 720, *BODY) + text_at(72, 650, "Scope of it")

    assert outline(parse(pdf(content, root=root, more=more))) == [
        ("heading", 1, "1. Purpose"),
        ("paragraph", 0, "\n".join(BODY)),
        ("heading", 2, "Scope of it"),
    ]


def test_a_bold_line_with_a_number_is_a_heading():
    """A numbered line in bold type is a heading below those of larger sizes; bold words alone are not."""
    content = text_at(72, 750, "Plan", size=20) + text_at(72, 720, "2.1 Approval", font="B")
    content += text_at(72, 706, *BODY) + text_at(72, 640, "Please note", font="B") + text_at(72, 626, *BODY)

    assert [(kind, level) for kind, level, _ in outline(parse(pdf(content)))] == [
        ("heading", 1),
        ("heading", 2),
        ("paragraph", 0),
        ("paragraph", 0),
        ("paragraph", 0),
    ]


def test_a_table_of_contents_has_no_headings():
    """Lines with leaders are no headings, even if they are larger than the text."""
    content = text_at(72, 750, "1 Approval . . . . . . . . 3", size=14) + text_at(72, 700, *BODY * 3)

    assert [kind for kind, _, _ in outline(parse(pdf(content)))] == ["paragraph"] * 4


def test_list_items():
    """Items keep their marks and all their lines; those that stand further right are a level deeper."""
    content = text_at(72, 700, "The process has gaps:", "\x95 " + BODY[0]) + text_at(84, 672, BODY[2])
    content += text_at(72, 658, "\x95 Nobody sees the state.") + text_at(100, 644, "1. Not even its owner.")
    content += text_at(72, 630, "\x95 It is slow.") + text_at(72, 590, BODY[2])

    assert outline(parse(pdf(content))) == [
        ("paragraph", 0, "The process has gaps:"),
        ("list_item", 1, f"• {BODY[0]}\n{BODY[2]}"),
        ("list_item", 1, "• Nobody sees the state."),
        ("list_item", 2, "1. Not even its owner."),
        ("list_item", 1, "• It is slow."),
        ("paragraph", 0, BODY[2]),
    ]


def test_hyphens_stay():
    """A hyphen at a line's end stays with the line's end behind it."""
    lines = ["This is a long line that ends with a re-", "quirement."]

    assert parse(pdf(text_at(72, 700, *lines))).text == "This is a long line that ends with a re-\nquirement."


def test_a_sentence_goes_on_in_the_next_column():
    """Columns are read one after the other, and a sentence that goes on at the top of the next is one paragraph."""
    left = ["The order process needs an approval", "from finance before the invoices of"]
    right = ["a vendor reach the ledger. Managers", "cannot see what waits."]
    content = text_at(50, 700, *left) + text_at(320, 700, *right)

    assert outline(parse(pdf(content))) == [("paragraph", 0, "\n".join(left + right))]


@pytest.mark.parametrize(
    ("turn", "matrix"), [(90, "0 1 -1 0 500 60"), (180, "-1 0 0 -1 550 700"), (270, "0 -1 1 0 60 700")]
)
def test_turned_pages(turn, matrix):
    """The text of a page that is turned is read as it is looked at."""
    shown = b"BT /F 12 Tf " + b"".join(b"(%s) Tj 0 -14 Td " % line.encode() for line in BODY) + b"ET"
    content = f"q {matrix} cm ".encode() + shown + b" Q"

    assert outline(parse(pdf(content, pages=[b"/Rotate %d" % turn]))) == [("paragraph", 0, "\n".join(BODY))]


def test_bullets_of_symbol_fonts():
    """A private code point or control character at the beginning of a line is the bullet of a symbol font."""
    cmap = b"1 begincodespacerange<00><ff>endcodespacerange 2 beginbfchar<41><f0b7><42><0017>endbfchar"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Symbol/ToUnicode 22 0 R>>"
    more = [font, b"null", stream(cmap)]
    content = text_at(72, 700, "A", font="X") + text_at(90, 700, "Approval of orders")
    content += text_at(72, 680, "B", font="X") + text_at(90, 680, "Approval of invoices")

    assert outline(parse(pdf(content, more=more))) == [
        ("list_item", 1, "• Approval of orders"),
        ("list_item", 1, "• Approval of invoices"),
    ]


@given(
    st.lists(
        st.builds(
            Line,
            text=st.text("aB1.•- ", min_size=1, max_size=8).map(str.strip).filter(bool),
            left=st.floats(0, 600),
            right=st.floats(0, 600),
            base=st.floats(0, 800),
            size=st.floats(1, 100),
            bold=st.booleans(),
        ),
        max_size=12,
    )
)
def test_no_line_is_lost(lines):
    """Whatever their places and sizes are, all lines become blocks, in their order."""
    pieces = Layout([lines], {}).pieces(1, lines)

    assert [line for piece in pieces for line in piece.text.split("\n")] == [line.text for line in lines]


def test_text_of_a_real_writer(read):
    """Of a document of 40 pages of justified text, at least 99 % of the words are read."""
    fpdf = pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    words = [
        "order",
        "approval",
        "finance",
        "invoice",
        "ledger",
        "Straße",
        "café",
        "requests",
        "of",
        "managers",
        "team",
    ]
    file = fpdf.FPDF()
    file.set_font("helvetica", size=11)
    expected: Counter[str] = Counter()
    for page in range(40):
        file.add_page()
        for paragraph in range(6):
            text = " ".join(words[(page + paragraph * at) % len(words)] for at in range(60 + page))
            expected.update(re.findall(r"\w+", text))
            file.multi_cell(0, text=text, align="J", new_x="LMARGIN", new_y="NEXT")
            file.ln(4)
    document = read(bytes(file.output()), "real.pdf")
    found = Counter(re.findall(r"\w+", document.text))

    assert (expected & found).total() >= 0.99 * expected.total()
    assert len(document.blocks) == 240
    assert {block.location.page for block in document.blocks} == set(range(1, 41))


# -- Pages to look at


def test_a_scan_is_looked_at(read):
    """A page without text that shows a picture becomes an image block with a PDF file of that page."""
    document = read(pdf(text_at(72, 700, *BODY), PICTURE, PICTURE), "a.pdf")

    assert kinds(document) == [("paragraph", 1), ("image", 2), ("image", 3)]
    block = document.blocks[1]
    assert block.text == "[Page 2 is a picture]"
    assert block.media.media_type == "application/pdf"
    assert len(pypdfium2.PdfDocument(block.media.data)) == 1
    assert document.notes == ("Given to the model as pages, since without text that can be read: pages 2-3.",)


def test_the_page_to_look_at_is_the_right_one():
    """The file of a page shows that page and no other."""
    sizes = [b"/CropBox[0 0 %d 800]" % (300 + at) for at in range(4)]
    blocks = parse(pdf(*[PICTURE] * 4, pages=sizes)).blocks

    files = [pypdfium2.PdfDocument(block.media.data) for block in blocks if block.media]
    assert [file[0].get_width() for file in files] == [300, 301, 302, 303]


def test_little_text_of_a_scan_is_kept():
    """A page number or caption on a page that is looked at is a block of its own behind it."""
    assert outline(parse(pdf(PICTURE + text_at(300, 20, "Page 4 of 9")))) == [
        ("image", 0, "[Page 1 is a picture]"),
        ("paragraph", 0, "Page 4 of 9"),
    ]


def test_recognised_text_of_a_scan_is_text():
    """Invisible text behind the picture of a page, as text recognition puts it there, is read as text."""
    parsed = parse(pdf(PICTURE + b"3 Tr " + text_at(72, 700, *BODY)))

    assert kinds(parsed) == [("paragraph", 1)]
    assert parsed.text == "\n".join(BODY)


def test_letters_that_are_drawn_are_looked_at():
    """A page that shows nothing but lines may show letters."""
    assert kinds(parse(pdf(b"0 0 m 100 100 l S " * 30))) == [("image", 1)]


@pytest.mark.parametrize("code", ["e000", "fffd", "0007"])
def test_text_without_meaning_is_looked_at(code):
    """A page whose font gives its characters no meaning is looked at, and that text is not kept."""
    letters = "".join(f"<{letter:02x}><{code}>" for letter in b"abcdefghijklmnopqrstuvwxyz ")
    cmap = f"1 begincodespacerange<00><ff>endcodespacerange 27 beginbfchar{letters}endbfchar".encode()
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 22 0 R>>"
    content = text_at(72, 700, *BODY, font="X")

    assert outline(parse(pdf(content, more=[font, b"null", stream(cmap)]))) == [("image", 0, "[Page 1 is a picture]")]


def test_scattered_characters_are_looked_at():
    """A drawing of which text recognition made single letters and marks is looked at."""
    content = b"".join(text_at(20 + 50 * (at % 10), 700 - 30 * (at // 10), ". , n -"[at % 7]) for at in range(100))

    assert outline(parse(pdf(PICTURE + content))) == [("image", 0, "[Page 1 is a picture]")]


def test_pictures_beside_text_are_told():
    """A page with text is not looked at for its pictures; a note says which pages have some."""
    small = b"q 300 0 0 300 50 100 cm BI /W 2 /H 2 /CS /G /BPC 8 ID abcd EI Q\n"
    parsed = parse(pdf(text_at(72, 700, *BODY), text_at(72, 700, *BODY) + small))

    assert kinds(parsed) == [("paragraph", 1), ("paragraph", 2)]
    assert parsed.notes == ("Only the text was read, and pictures were not looked at: page 2.",)


def test_text_only():
    """With "text" no page is looked at: a note names those that were not read."""
    parsed = parse(pdf(text_at(72, 700, *BODY), PICTURE, PICTURE, PICTURE + text_at(300, 20, "9")), "text")

    assert kinds(parsed) == [("paragraph", 1), ("paragraph", 4)]
    assert parsed.notes == ("Not read, since without text that can be read: pages 2-4.",)


def test_text_only_of_a_scan():
    """With "text" a file without any text is refused, and the error says what to allow."""
    error = refused(pdf(PICTURE, PICTURE), pages="text")

    assert error.code == "empty"
    assert '"auto"' in error.remedy


def test_pictures_only():
    """With "picture" all pages are looked at, and their text follows for quotes to be found in."""
    parsed = parse(pdf(text_at(72, 700, *BODY), PICTURE), "picture")

    assert kinds(parsed) == [("image", 1), ("paragraph", 1), ("image", 2)]
    assert parsed.blocks[1].media is None
    assert parsed.notes == ("All pages are given to the model as pages, as was asked for.",)


def test_the_choice_reaches_the_parser(read):
    """What the caller of the loader says of pages holds."""
    with pytest.raises(DocumentError, match="none of its pages has text"):
        load(Upload.from_bytes(pdf(PICTURE), "a.pdf"), pages="text")


def test_what_pages_share_is_not_multiplied():
    """Pages that share a large picture do not each become as large as the file: the later ones become images."""
    shared = stream(NOISE.randbytes(2_000_000), GREY + b"/Width 2000/Height 1000")
    data = pdf(*[SMALL] * 8, more=[b"null", shared])
    media = [block.media for block in parse(data).blocks if block.media]

    assert len(media) == 8
    assert sum(len(each.data) for each in media) < 2 * len(data) + 1_000_000
    assert [each.media_type for each in media] == ["application/pdf"] * 2 + ["image/jpeg"] * 6
    assert {(each.width, each.height) for each in media[2:]} == {(1500, 2000)}


def test_a_page_beyond_what_a_request_takes_is_rendered():
    """A page of more than 20 MB becomes a JPEG image."""
    entries = GREY + b"/Width 4000/Height 5100"
    data = pdf(SMALL, more=[b"null", stream(NOISE.randbytes(20_400_000), entries)])
    (block,) = parse(data).blocks

    assert block.media
    assert block.media.media_type == "image/jpeg"
    assert len(block.media.data) < 1_000_000


def test_more_to_look_at_than_memory():
    """Pages to look at that come to more than half of the memory limit are refused."""
    shared = stream(NOISE.randbytes(1_000_000), GREY + b"/Width 1000/Height 1000")
    data = pdf(*[SMALL] * 2, more=[b"null", shared])

    assert refused(data, Limits(memory_bytes=3_000_000)).code == "too_large"


def test_a_protected_page_is_looked_at_without_its_password():
    """The file of a page of an encrypted document is not encrypted: the API takes no encrypted ones."""
    fpdf = pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    file = fpdf.FPDF()
    file.add_page()
    file.rect(10, 10, 50, 50, style="F")
    file.set_encryption(owner_password="owner")
    data = bytes(file.output())
    (block,) = parse(data).blocks

    assert b"/Encrypt" in data
    assert block.media
    assert b"/Encrypt" not in block.media.data


# -- Comments, forms, and what is not read


def test_comments():
    """Comments are notes behind the text of their page, with the name of their author; hidden ones say so."""
    annotations = [
        b"<</Type/Annot/Subtype/Text/Rect[9 9 20 20]/Contents(Is this so?)/T(A. Meyer)>>",
        b"<</Type/Annot/Subtype/Highlight/Rect[9 9 20 20]/Contents(Check \r\nthis)/F 2>>",
        b"<</Type/Annot/Subtype/Link/Rect[9 9 20 20]/Contents(a link)>>",
        b"<</Type/Annot/Subtype/Highlight/Rect[9 9 20 20]>>",
    ]
    parsed = parse(pdf(text_at(72, 700, *BODY), pages=[b"/Annots[%s]" % b"".join(annotations)]))

    assert [(str(each.kind), each.text, each.hidden, each.location.page) for each in parsed.blocks[1:]] == [
        ("note", "Is this so?", False, 1),
        ("note", "Check \nthis", True, 1),
    ]
    assert "[Comment by A. Meyer]\nIs this so?" in parsed.text
    assert "[Comment]\nCheck" in parsed.text


def test_form_fields():
    """Fields that are filled in are notes with their names; empty ones and buttons are left out."""
    fields = [
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(owner)/TU(Process owner)/V(Finance)/Rect[9 9 90 20]>>",
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(empty)/Rect[9 39 90 50]>>",
        b"<</Type/Annot/Subtype/Widget/FT/Btn/T(urgent)/V/On/AS/On/AP<</N<</On 24 0 R/Off 24 0 R>>>>/Rect[9 6 9 8]>>",
        b"<</Type/Annot/Subtype/Widget/FT/Btn/Ff 65536/T(send)/Rect[9 99 20 110]>>",
    ]
    references = b" ".join(b"%d 0 R" % (20 + at) for at in range(4))
    appearance = stream(b"", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]")
    root = b"/AcroForm<</Fields[%s]>>" % references
    parsed = parse(
        pdf(text_at(72, 700, *BODY), root=root, pages=[b"/Annots[%s]" % references], more=[*fields, appearance])
    )

    assert [(kind, text) for kind, _, text in outline(parsed)[1:]] == [
        ("note", "Process owner: Finance"),
        ("note", "urgent: On"),
    ]
    assert "[Form field]\nProcess owner: Finance" in parsed.text


def test_attachments_and_scripts_are_told():
    """Attached files are counted, scripts are told, and neither is read nor run."""
    root = (
        b"/Names<</EmbeddedFiles<</Names[(a.txt)<</Type/Filespec/F(a.txt)/EF<</F 20 0 R>>>>]>>"
        b"/JavaScript<</Names[(s)<</S/JavaScript/JS(app.alert\\(1\\))>>]>>>>/OpenAction<</S/JavaScript/JS(x)>>"
    )
    attached = b"/Annots[<</Type/Annot/Subtype/FileAttachment/Rect[9 9 20 20]/FS<</F(b)/EF<</F 20 0 R>>>>>>]"
    data = pdf(text_at(72, 700, *BODY), root=root, pages=[attached], more=[stream(b"secret", b"/Type/EmbeddedFile")])
    parsed = parse(data)

    assert parsed.text == "\n".join(BODY)
    assert parsed.notes == ("Files that are attached to it were not read: 2.", "It has scripts; they were not run.")


def test_damaged_pages_are_told():
    """Pages that are missing in the file are named, and the others are read."""
    objects = pdf(text_at(72, 700, *BODY), PICTURE).replace(b"102 0 R]", b"150 0 R]")
    parsed = parse(objects)

    assert kinds(parsed) == [("paragraph", 1)]
    assert parsed.notes == ("Not read, since damaged: page 2.",)


# -- Files that cannot be read


def encrypted(owner: str, user: str) -> bytes:
    fpdf = pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    file = fpdf.FPDF()
    file.add_page()
    file.set_font("helvetica", size=11)
    file.cell(text=BODY[2])
    file.set_encryption(owner_password=owner, user_password=user)
    return bytes(file.output())


def test_an_empty_password_is_no_obstacle():
    """A file that only its owner's password protects, from changes or printing, is read."""
    assert parse(encrypted("owner", "")).text == BODY[2]


def test_a_password():
    """A file that needs a password is refused as encrypted."""
    error = refused(encrypted("owner", "user"))

    assert (error.code, error.remedy) == ("encrypted", "Save it without the password.")


WHOLE = pdf(text_at(72, 700, *BODY), text_at(72, 700, *BODY))
ENTRIES = {1: b"<</Type/Catalog/Pages 2 0 R>>"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"%PDF-1.7\n", "malformed", id="header only"),
        pytest.param(b"%PDF-1.7\n" + bytes(range(256)) * 40, "malformed", id="garbage"),
        pytest.param(WHOLE[:100], "malformed", id="truncated"),
        pytest.param(file_of({**ENTRIES, 2: b"<</Type/Pages/Kids[2 0 R]/Count 1>>"}), "malformed", id="loop"),
        pytest.param(file_of({**ENTRIES, 2: b"<</Type/Pages/Kids[]/Count 0>>"}), "malformed", id="no pages"),
        pytest.param(file_of({**ENTRIES, 2: b"<</Type/Pages/Kids[9 0 R]/Count 9>>"}), "malformed", id="lying count"),
        pytest.param(file_of({**ENTRIES, 2: b"<</Type/Pages/Kids[9 0 R]/Count 9999>>"}), "too_large", id="huge count"),
        pytest.param(file_of({**ENTRIES, 2: b"[" * 100_000}), "malformed", id="deep nesting"),
    ],
)
def test_damaged_files(data, code):
    """Files that are cut off, that hold something else, or whose lists of pages lie are refused."""
    assert refused(data).code == code


def test_too_many_pages():
    """A file with more pages than the limit is refused, one with as many is read."""
    assert len(parse(WHOLE, limits=Limits(pages=2)).blocks) == 2
    error = refused(WHOLE, Limits(pages=1))
    assert (error.code, "Limits.pages" in error.remedy) == ("too_large", True)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_part_that_unpacks_to_too_much(layers):
    """A part that unpacks to more than the memory allows, also one that is packed twice, is refused unread."""
    bomb = b"q Q " * 300_000
    for _ in range(layers):
        bomb = zlib.compress(bomb)
    filters = b"/Filter[%s]" % (b"/FlateDecode" * layers)
    objects = {**ENTRIES, 2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>"}
    objects[3] = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R>>"
    objects[4] = stream(bomb, filters)
    error = refused(file_of(objects), Limits(memory_bytes=2_000_000))

    assert (error.code, "Limits.memory_bytes" in error.remedy) == ("too_large", True)


def test_large_pictures_are_no_such_part():
    """A picture may unpack to more: nothing unpacks it when text is read."""
    entries = GREY + b"/Filter/FlateDecode/Width 2000/Height 1000"
    data = pdf(text_at(72, 700, *BODY), more=[b"null", stream(zlib.compress(bytes(2_000_000)), entries)])

    assert parse(data, limits=Limits(memory_bytes=2_000_000)).text == "\n".join(BODY)


def test_blank_pages_are_empty():
    """A file of blank pages counts as empty."""
    with pytest.raises(DocumentError) as caught:
        load(Upload.from_bytes(pdf(b"", b""), "a.pdf"))
    assert caught.value.code == "empty"


def test_a_bomb_ends_its_own_process_only(read):
    """What no check finds ahead ends in an error for that upload, and the next upload is read."""
    packed = zlib.compress(b"0 0 m 9 9 l S " * 3_000_000)
    objects = {**ENTRIES, 2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>"}
    objects[3] = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R>>"
    objects[4] = stream(packed.hex().encode() + b">", b"/Filter[/ASCIIHexDecode/FlateDecode]")
    with pytest.raises(DocumentError) as caught:
        load(Upload.from_bytes(file_of(objects), "a.pdf"))

    assert caught.value.code in ("memory", "crashed")
    assert read(WHOLE, "b.pdf").text.startswith(BODY[0])
