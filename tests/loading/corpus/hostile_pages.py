"""PDF files and pictures that are meant to harm."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from random import Random

from .archives import member
from .hostile import read, refused
from .office_files import deck
from .page_files import pages, picture

SENTENCE = "The system shall keep all orders of a customer."
_FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def pdf(objects: Sequence[bytes], version: bytes = b"1.7") -> bytes:
    """A PDF file of these objects; the first is its catalog."""
    file, places = bytearray(b"%PDF-" + version + b"\n"), []
    for number, each in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    tail = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(file) + tail % (count, table, count, len(file))


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(data), data)


def _page(contents: int = 4, *, parent: int = 2) -> bytes:
    form = b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 600 800]/Contents %d 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    return form % (parent, contents)


def _shown(text: str = SENTENCE) -> bytes:
    return _stream(b"BT /F 12 Tf 50 700 Td (%s) Tj ET" % text.encode())


_CATALOG, _PAGES = b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"


@refused("truncated.pdf", "malformed")
def truncated() -> bytes:
    return pages([[SENTENCE]])[:600]


@refused("header_only.pdf", "malformed")
def header_only() -> bytes:
    return b"%PDF-1.7\n"


@refused("garbage.pdf", "malformed")
def garbage() -> bytes:
    return b"%PDF-1.7\n" + Random(2).randbytes(20_000)


@refused("empty.pdf", "empty")
def empty() -> bytes:
    return b""


@refused("flate_bomb.pdf", "too_large", "memory")
def flate_bomb() -> bytes:
    """1 GB of blanks in the contents of a page, packed twice."""
    bomb = member("", (b" " * (1 << 20), 1024))
    checksum = 1
    for _ in range(1024):
        checksum = zlib.adler32(b" " * (1 << 20), checksum)
    packed = zlib.compress(b"\x78\xda" + bomb.packed + struct.pack(">L", checksum), 9)
    return pdf([_CATALOG, _PAGES, _page(), _stream(packed, b"/Filter[/FlateDecode/FlateDecode]"), _FONT])


@refused("runs_bomb.pdf", "too_large", "memory", "malformed", "empty")
def run_length_bomb() -> bytes:
    """512 MB of blanks, in runs of 128 that are packed again."""
    packed = zlib.compress(b"\x81 " * (4 << 20), 9)
    return pdf([_CATALOG, _PAGES, _page(), _stream(packed, b"/Filter[/FlateDecode/RunLengthDecode]"), _FONT])


@refused("page_loop.pdf", "malformed", "empty")
def page_loop() -> bytes:
    """A tree of pages that contains itself."""
    return pdf([_CATALOG, b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 2/Parent 3 0 R>>", b"<</Type/Pages/Kids[2 0 R]>>"])


@read("count_lie.pdf", SENTENCE, "malformed", "too_large")
def count_lie() -> bytes:
    return pdf([_CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1000000000>>", _page(), _shown(), _FONT])


@read("js.pdf", SENTENCE)
def script() -> bytes:
    catalog = b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\('x'\\); while \\(true\\);)>>>>"
    return pdf([catalog, _PAGES, _page(), _shown(), _FONT])


@refused("form_loop.pdf", "crashed", "malformed", "empty", "memory", "timeout")
def form_loop() -> bytes:
    """A drawing that draws itself twice."""
    form = _stream(b"/X Do /X Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>")
    page = _page().replace(b"/Font<</F 5 0 R>>", b"/XObject<</X 5 0 R>>")
    return pdf([_CATALOG, _PAGES, page, _stream(b"/X Do"), form])


@refused("pages_5k.pdf", "too_large")
def many_pages() -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(5, 5_005))
    root = b"<</Type/Pages/Kids[%s]/Count 5000>>" % kids
    return pdf([_CATALOG, root, _FONT, _shown(), *[_page().replace(b"/F 5", b"/F 3")] * 5_000])


@read("huge_page.pdf", SENTENCE, "crashed", "malformed", "memory", "too_large")
def huge_page() -> bytes:
    return pdf([_CATALOG, _PAGES, _page().replace(b"600 800", b"2000000000 2000000000"), _shown(), _FONT])


@refused("encrypted.pdf", "encrypted")
def encrypted() -> bytes:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file, invariant=True, encrypt=StandardEncryption("secret", "owner", strength=128))
    canvas.drawString(60, 700, SENTENCE)
    canvas.save()
    return file.getvalue()


@read("pdf_as.txt", SENTENCE, noted=True)
def pdf_as_text() -> bytes:
    return pages([[SENTENCE]])


@read("pptx_as.pdf", SENTENCE, noted=True)
def slides_as_pdf() -> bytes:
    return deck([[SENTENCE]])


# -- Pictures


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _png(width: int, height: int, *more: bytes, data: bytes = b"") -> bytes:
    header = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    image = [_chunk(b"IHDR", header), *more, _chunk(b"IDAT", zlib.compress(data, 9)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(image)


@refused("bomb.png", "too_large")
def image_bomb() -> bytes:
    """50,000 by 50,000 pixels in some kilobytes."""
    return _png(50_000, 50_000, data=bytes(10_000_000))


@read("text_bomb.png", "text_bomb.png", "malformed", "too_large")
def image_text_bomb() -> bytes:
    """A picture of one pixel with 100 MB of packed text."""
    return _png(1, 1, _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)), data=bytes(2))


@refused("truncated.jpg", "malformed")
def truncated_jpeg() -> bytes:
    data = picture("jpeg", (640, 480))
    return data[: len(data) // 2]


@refused("header_only.png", "malformed")
def header_only_png() -> bytes:
    return picture()[:33]


@read("frames_10k.gif", "frames_10k.gif", noted=True)
def many_frames() -> bytes:
    """10,000 pictures of which only the first is looked at."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(3) + b"\xff\xff\xff"
    delay = b"\x21\xf9\x04\x00\x0a\x00\x00\x00"
    first, second = (
        b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02" + each for each in (b"D\x01\0", b"L\x01\0")
    )
    return screen + (delay + first + delay + second) * 5_000 + b";"


@refused("bomb.gif", "too_large", "malformed")
def gif_bomb() -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0)
        + bytes(6)
        + b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\0;"
    )


@refused("drawing.svg", "unknown_type")
def drawing() -> bytes:
    return b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><text>The system shall stop.</text></svg>'


@read("png_as.jpg", "png_as.jpg", noted=True)
def png_as_jpeg() -> bytes:
    return picture("png")


@refused("garbage.webp", "malformed", "too_large")
def garbage_webp() -> bytes:
    return b"RIFF" + struct.pack("<L", 1000) + b"WEBP" + Random(3).randbytes(992)
