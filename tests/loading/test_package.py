"""What is refused of an Office file before a parser sees it."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import DocumentError
from cardanalysis.loading._formats import Limits, Source
from cardanalysis.loading._package import check_package, main_part, read_part, relationships

MAIN = "word/document.xml"
RELS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://x/relationships/officeDocument" Target="{}"/></Relationships>'
)


def package(*members: tuple[str, str | bytes], main: str | bytes = "<document/>") -> bytes:
    """A package with a main part and more members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ((MAIN, main), *members):
            archive.writestr(name, content)
    return file.getvalue()


def check(data: bytes, *, streamed: Iterable[str] = (), **limits: int) -> None:
    check_package(Source.of(data, "a.docx", Limits(**limits)), main=MAIN, streamed=list(streamed))


def code(data: bytes, *, streamed: Iterable[str] = (), **limits: int) -> str:
    with pytest.raises(DocumentError) as caught:
        check(data, streamed=streamed, **limits)
    assert caught.value.problem
    assert caught.value.remedy.endswith(".")
    return str(caught.value.code)


def test_a_sound_package_passes() -> None:
    """A package with a main part, relationships, a picture and a folder is let through."""
    check(
        package(("_rels/.rels", RELS.format(MAIN)), ("word/media/", ""), ("word/media/image1.png", b"\x89PNG<!DOCTYPE"))
    )


@pytest.mark.parametrize("data", [b"", b"x", b"plain text " * 100, b"%PDF-1.7\n", b"PK\x05\x06"])
def test_what_is_no_zip_archive_is_malformed(data: bytes) -> None:
    """A file that is no zip archive is refused as malformed."""
    assert code(data) == "malformed"


@given(cut=st.floats(0, 0.999))
def test_a_truncated_package_is_malformed(cut: float) -> None:
    """A package that was cut anywhere is refused as malformed."""
    data = package(("word/media/image1.png", bytes(range(256)) * 8))
    assert code(data[: int(cut * len(data))]) == "malformed"


@given(place=st.integers(0, 1_000), value=st.integers(0, 255))
@settings(max_examples=300)
def test_a_damaged_package_gives_none_but_typed_errors(place: int, value: int) -> None:
    """Whatever byte of a package is changed, it passes or is refused with a document error."""
    data = bytearray(package(("_rels/.rels", RELS.format(MAIN)), ("word/styles.xml", "<styles/>")))
    data[place % len(data)] = value
    with suppress(DocumentError):
        check(bytes(data))


def test_a_package_encrypted_with_a_password_is_told_as_such() -> None:
    """An OLE container with the stream EncryptedPackage is refused as encrypted, wherever its name stands."""
    name = "EncryptedPackage".encode("utf-16-le")
    for padding in (1_000, 65_536 - 8 - 5, 200_000):
        data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(padding) + name + bytes(500)
        assert code(data) == "encrypted"


def test_an_old_binary_file_is_malformed() -> None:
    """An OLE container without encrypted package is refused as malformed."""
    assert code(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(10_000)) == "malformed"


def test_encrypted_members_are_told_as_such() -> None:
    """A zip archive whose members are encrypted is refused as encrypted."""
    data = bytearray(package())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert code(bytes(data)) == "encrypted"


def test_more_members_than_allowed_are_too_large() -> None:
    """One member more than the limit is too many."""
    data = package(*((f"word/part{number}.xml", "<a/>") for number in range(9)))
    check(data, members=10)
    assert code(data, members=9) == "too_large"


def test_members_are_counted_whatever_the_end_record_says() -> None:
    """An end record that declares one entry does not hide the others, and counting takes little memory."""
    data = bytearray(package(*((f"word/part{number}", "") for number in range(20_000))))
    struct.pack_into("<HH", data, data.rindex(b"PK\x05\x06") + 8, 1, 1)
    tracemalloc.start()
    assert code(bytes(data)) == "too_large"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_directory_with_zip64_records_is_counted() -> None:
    """More entries than a plain end record can tell are counted too."""
    data = package(*((f"word/part{number}", "") for number in range(70_000)))
    assert b"PK\x06\x06" in data
    assert code(data, members=70_000) == "too_large"
    check(data, members=70_001)


def test_what_unpacks_to_more_than_allowed_is_too_large() -> None:
    """The declared sizes of all members together are held against the limit."""
    data = package(("word/media/a.bin", bytes(600_000)), ("word/media/b.bin", bytes(600_000)))
    check(data, expanded_bytes=1_300_000)
    assert code(data, expanded_bytes=1_100_000) == "too_large"


def test_a_part_of_xml_that_memory_cannot_hold_is_too_large() -> None:
    """An XML part must fit ten times into the memory that a parser may take, unless it is streamed."""
    data = package(("word/comments.xml", b"<a>" + b" " * 1_000_000 + b"</a>"))
    assert code(data, memory_bytes=10_000_000) == "too_large"
    check(data, memory_bytes=10_000_100)
    check(data, memory_bytes=10_000_000, streamed=["word/"])


def test_xml_by_another_name_is_held_against_memory_too() -> None:
    """What begins like XML counts as XML, whatever its name is."""
    data = package(("word/comments.bin", "\ufeff <a>" + " " * 1_000_000 + "</a>"))
    assert code(data, memory_bytes=10_000_000) == "too_large"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.xml",
        "word/../../evil.xml",
        "/etc/passwd",
        "\\\\host\\x",
        "C:\\x.xml",
        "c:x.xml",
        "word\\..\\..\\x",
        "..",
    ],
)
def test_names_that_lead_outside_are_unsafe(name: str) -> None:
    """Steps upwards, absolute paths and drive letters are refused as unsafe."""
    assert code(package((name, "<a/>"))) == "unsafe"


def test_names_with_dots_that_lead_nowhere_pass() -> None:
    """Dots within a name are no step upwards."""
    check(package(("word/a..b.xml", "<a/>"), ("word/...xml", "<a/>")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", [MAIN, "word/Document.XML"])
def test_two_members_of_one_name_are_unsafe(name: str) -> None:
    """Of two members with one name each parser reads another, so that is refused."""
    assert code(package((name, "<other/>"))) == "unsafe"


LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    "content",
    [
        LAUGHS,
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        f"<?xml version='1.0'?>\n<!-- <a> -->\n<?b c?>{LAUGHS}",
        f"<!--{'x' * 200_000}-->{LAUGHS}",
        b"\xef\xbb\xbf" + LAUGHS.encode(),
        LAUGHS.encode("utf-16"),
        b"\xff\xfe" + LAUGHS.encode("utf-16-le"),
        b"\xfe\xff" + LAUGHS.encode("utf-16-be"),
        f"<?xml version='1.0' encoding='utf-16'?>{LAUGHS}".encode("utf-16-le"),
        f"<?xml version='1.0' encoding='iso-8859-1'?>{LAUGHS}".encode("latin-1"),
    ],
)
@pytest.mark.parametrize("name", ["word/styles.xml", "_rels/.rels", "word/drawing.vml", "word/hidden.png"])
def test_a_document_type_is_unsafe(content: str | bytes, name: str) -> None:
    """A document type declaration is found in any part and encoding, and behind comments."""
    assert code(package((name, content))) == "unsafe"


@pytest.mark.parametrize(
    "content",
    [
        "<a><![CDATA[<!DOCTYPE a>]]></a>",
        "<!-- <!DOCTYPE a> --><a/>",
        "<a b='&lt;!DOCTYPE'>&lt;!ENTITY</a>",
        "<a/>".encode("utf-16"),
        f"<!--{'x' * 200_000}--><a/>",
        "<a>broken behind its root",
    ],
)
def test_what_only_looks_like_a_document_type_passes(content: str | bytes) -> None:
    """Text and comments may speak of document types."""
    check(package(("word/styles.xml", content)))


@pytest.mark.parametrize(
    "content",
    [
        "no markup",
        "<?xml version='1.0' encoding='utf-7'?>+ADwAIQ-DOCTYPE a+AD4-<a/>",
        LAUGHS.encode("utf-32"),
        LAUGHS.encode("cp037"),
        f"<!--{'x' * 1_100_000}--><a/>",
        "<!-- no root -->",
        "<?xml version='1.0' encoding='no-such'?><a/>",
    ],
)
def test_xml_of_which_the_begin_cannot_be_told_is_malformed(content: str | bytes) -> None:
    """Parts in other encodings than Office files have, or with a megabyte before their root, are refused."""
    assert code(package(("word/styles.xml", content))) == "malformed"


def test_pictures_and_pages_may_declare_their_type() -> None:
    """SVG and HTML have a document type as a rule, and no parser reads them."""
    check(package(("word/media/image1.svg", LAUGHS), ("word/afchunk.html", "<!DOCTYPE html><p>")))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_malformed(method: int) -> None:
    """Office files are stored or deflated; what unpacks without a bound is refused."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(MAIN, "<a/>")
    assert code(file.getvalue()) == "malformed"


def test_a_package_without_main_part_is_malformed() -> None:
    """A zip archive of something else is refused as malformed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<a/>")
        archive.writestr("_rels/.rels", RELS.format("xl/workbook.xml"))
    assert code(file.getvalue()) == "malformed"


def test_the_main_part_may_have_another_name() -> None:
    """Some programs call the main part word/document2.xml; the relationships tell."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document2.xml", "<a/>")
        archive.writestr("_rels/.rels", RELS.format("/word/document2.xml"))
    check(file.getvalue())
    with zipfile.ZipFile(file) as archive:
        assert main_part(archive, MAIN) == "word/document2.xml"


def test_relationships_name_members() -> None:
    """Targets are resolved against the part's folder; what is outside of the package stays as it is written."""
    rels = (
        "<Relationships>"
        '<Relationship Id="a" Type="http://x/slide" Target="../media/my%20image.png"/>'
        '<Relationship Id="b" Type="http://x/hyperlink" Target="https://example.com/../x" TargetMode="External"/>'
        "</Relationships>"
    )
    file = io.BytesIO(package(("word/_rels/document.xml.rels", rels)))
    with zipfile.ZipFile(file) as archive:
        inside, outside = relationships(archive, MAIN)
        assert (inside.id, inside.kind, inside.target, inside.external) == ("a", "slide", "media/my image.png", False)
        assert (outside.target, outside.external) == ("https://example.com/../x", True)
        assert relationships(archive, "word/none.xml") == []


def lying(content: bytes, declared: int) -> bytes:
    """A package whose part is larger than both of its headers declare."""
    data = bytearray(package(("word/big.xml", content)))
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, declared)
    struct.pack_into("<L", data, struct.unpack_from("<L", data, at + 42)[0] + 22, declared)
    return bytes(data)


def test_a_part_is_not_unpacked_beyond_its_declared_size() -> None:
    """A part of 50 MB that declares 100,000 bytes takes little memory, and its checksum does not fit."""
    data = lying(b"<a>" + b" " * 50_000_000 + b"</a>", 100_000)
    check(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        tracemalloc.start()
        with pytest.raises(zipfile.BadZipFile):
            read_part(archive, "word/big.xml")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_part_shorter_than_declared_is_told() -> None:
    """A part that ends before its declared size raises, rather than be taken as whole."""
    with (
        zipfile.ZipFile(io.BytesIO(lying(b"<a></a>", 1_000))) as archive,
        pytest.raises((zipfile.BadZipFile, EOFError)),
    ):
        read_part(archive, "word/big.xml")


def test_a_large_package_is_not_read_whole(tmp_path: Path) -> None:
    """A package of 60 MB of pictures is checked with little memory."""
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MAIN, "<a/>")
        for number in range(6):
            archive.writestr(f"word/media/image{number}.png", bytes(10_000_000))

    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        with path.open("rb") as file:
            yield file

    tracemalloc.start()
    check_package(Source(name="a.docx", open=opened), main=MAIN)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
