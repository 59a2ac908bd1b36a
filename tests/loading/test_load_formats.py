"""Which format an upload has, how large it may be, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardanalysis._errors import ConfigurationError, DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import Limits, load

TEXT, MARKDOWN, CSV, TSV = "text/plain", "text/markdown", "text/csv", "text/tab-separated-values"


@pytest.mark.parametrize(
    ("name", "media_type", "expected"),
    [
        ("a.txt", None, TEXT),
        ("a.text", None, TEXT),
        ("a.md", None, MARKDOWN),
        ("A.MARKDOWN", None, MARKDOWN),
        ("a.csv", None, CSV),
        ("a.tsv", None, TSV),
        ("a.tab", "", TSV),
        ("a", "text/markdown", MARKDOWN),
        ("a", "TEXT/CSV; charset=utf-8", CSV),
        ("a", "text/tsv", TSV),
        ("a.weird", "text/plain", TEXT),
        ("a.txt", "text/csv", CSV),
    ],
)
def test_format_is_told_by_type_and_ending(read, name, media_type, expected):
    """The declared type tells the format, or the ending where there is none."""
    document = read("a,b\tc\n1,2\t3\n4,5\t6\n", name, media_type)

    assert document.media_type == expected


@pytest.mark.parametrize("media_type", ["application/octet-stream", "text/plain", "application/vnd.ms-excel", ""])
def test_type_that_senders_use_for_everything_gives_way_to_the_ending(media_type):
    """A type that a browser sends for files it does not know does not hide a known ending."""
    upload = Upload(name="plan.csv", media_type=media_type, size=8, data=b"a,b\n1,2\n")

    assert load(upload).media_type == CSV


@pytest.mark.parametrize("name", ["README", "Notes 12.03.2024", ".profile", "Report of Mr. Smith"])
def test_text_without_ending_and_type_is_plain_text_with_a_note(read, name):
    """Where nothing tells the format, text is read as plain text and the document says so."""
    document = read("Hello", name)

    assert document.media_type == TEXT
    assert "plain text" in document.notes[0]


def test_no_note_where_the_format_is_known(read):
    """A document that needed no guess has no notes."""
    assert read("Hello", "a.txt").notes == ()


@pytest.mark.parametrize(
    ("name", "media_type", "told"),
    [
        ("brief", "application/x-tar", "application/x-tar"),
        ("brief.json", None, "application/json"),
        ("brief.unheardof", None, ".unheardof"),
        ("brief.unheardof", "application/octet-stream", ".unheardof"),
    ],
)
def test_unknown_type_says_what_is_supported(name, media_type, told):
    """A format that is not read is refused with its name and those that are."""
    with pytest.raises(DocumentError) as caught:
        load(Upload.from_bytes(b"some text", name, media_type))

    assert caught.value.code == "unknown_type"
    assert caught.value.upload == name
    assert told in caught.value.problem
    for supported in (".txt", ".md", ".csv", ".tsv", ".pdf", ".docx", ".pptx", ".xlsx", ".png"):
        assert supported in caught.value.remedy


class _UnreadablePath(type(Path())):
    def open(self, *args, **kwargs):
        raise AssertionError("it was read")


def test_too_large_upload_is_refused_unread():
    """An upload over every limit is refused by its size alone."""
    upload = Upload(name="a.md", media_type=MARKDOWN, size=10**12, path=_UnreadablePath("a.md"))

    with pytest.raises(DocumentError, match="1,000,000,000,000 bytes") as caught:
        load(upload)

    assert caught.value.code == "too_large"


def test_upload_over_the_limit_of_its_format(tmp_path):
    """The message has size and limit, and of a large file only the beginning is read."""
    with (tmp_path / "a.md").open("wb") as file:
        file.write(b"# Title")
        file.truncate(10_000_001)

    with pytest.raises(DocumentError, match="10,000,001 bytes and at most 10,000,000") as caught:
        load(Upload.from_path(tmp_path / "a.md"))

    assert caught.value.code == "too_large"


def test_file_that_has_grown_is_too_large(tmp_path):
    """The limit also holds for what was really read."""
    path = tmp_path / "a.txt"
    path.write_text("x" * 100)

    with pytest.raises(DocumentError) as caught:
        load(Upload(name="a.txt", size=1, path=path), Limits(text_bytes=99))

    assert caught.value.code == "too_large"


@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_limit_is_inclusive_and_that_of_the_format(read, name):
    """Text may have exactly its limit, tables have one of their own."""
    limits = Limits(text_bytes=8, table_bytes=4)

    assert load(Upload.from_bytes(b"a,b\n1,2\n", name), limits).text == "a,b\n1,2\n"
    with pytest.raises(DocumentError, match="at most 4"):
        load(Upload.from_bytes(b"a,b\n1,2\n", "a.csv"), limits)


def test_default_limits():
    """Text may have ten million bytes, a table fifty."""
    assert Limits() == Limits(text_bytes=10_000_000, table_bytes=50_000_000)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "10"])
def test_limit_that_is_no_positive_whole_number_is_refused(value):
    """A wrong limit is a configuration error that names its field."""
    with pytest.raises(ConfigurationError, match="text_bytes"):
        Limits(text_bytes=value)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.tsv", "noending"])
@pytest.mark.parametrize(
    "content", [b"", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff\x00\n", b"\xef\xbb\xbf\n"]
)
def test_nothing_but_white_space_is_empty(name, content):
    """No bytes, only white space or only a byte order mark: the upload is empty."""
    with pytest.raises(DocumentError, match=name) as caught:
        load(Upload.from_bytes(content, name))

    assert caught.value.code == "empty"


def test_file_is_read_and_keeps_its_id(tmp_path):
    """A document from a file has the upload's id and name."""
    path = tmp_path / "brief.md"
    path.write_bytes(b"# Title\r\n")
    upload = Upload.from_path(path)

    document = load(upload)

    assert (document.upload_id, document.name) == (upload.id, "brief.md")
    assert document.upload_id == Upload.from_text("# Title\r\n", "other.md").id


def test_file_that_changed_is_refused(tmp_path):
    """A file that is not the one that was handed in is a document error of that upload."""
    path = tmp_path / "a.txt"
    path.write_text("first")
    upload = Upload.from_path(path)
    path.write_text("something else")

    with pytest.raises(DocumentError, match="changed") as caught:
        load(upload)

    assert caught.value.code == "changed"


def test_file_that_is_gone(tmp_path):
    """A file that vanished is a document error of that upload."""
    path = tmp_path / "a.txt"
    path.write_text("first")
    upload = Upload.from_path(path)
    path.unlink()

    with pytest.raises(DocumentError) as caught:
        load(upload)

    assert caught.value.code == "not_found"


def test_errors_hold_no_document_text():
    """What a document says appears in no error."""
    for content, name in [("secret,b\n", "a.csv"), ('secret,b\n1,"secret', "a.csv"), ("secret\0", "a.txt")]:
        with pytest.raises(DocumentError) as caught:
            load(Upload.from_text(content, name))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("name", "line"), [("a.txt", "a\n\n"), ("a.md", "- a\n"), ("a.csv", "a,b\n")])
def test_a_document_has_only_so_many_blocks(name, line):
    """What would take a hundred times its size in memory is refused where it becomes too much."""
    load(Upload.from_bytes(line.encode() * 20, name), Limits(blocks=20, rows=20))
    with pytest.raises(DocumentError, match="more than 20") as caught:
        load(Upload.from_bytes(line.encode() * 21, name), Limits(blocks=20, rows=20))

    assert caught.value.code == "too_large"
