"""Mail that is sent, damaged or built in ways that readers trip over."""

from __future__ import annotations

import builtins
from email.message import EmailMessage
from typing import Any

import pytest

from cardanalysis._errors import DocumentError
from cardanalysis.loading import _mail
from cardanalysis.loading._formats import Limits, Parsed, Source

HEAD = b"From: a@example.com\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nSubject: Orders\r\n"


def mail(text: str = "Orders are shipped.", subject: str = "Orders") -> EmailMessage:
    made = EmailMessage()
    made["Message-ID"] = "<1@example.com>"
    made["From"] = "Jürgen Müller <j@example.com>"
    made["To"] = "a@example.com"
    made["Subject"] = subject
    made.set_content(text)
    return made


def parse(data: bytes | EmailMessage, limits: Limits | None = None) -> Parsed:
    """A mail, read in this process."""
    content = data if isinstance(data, bytes) else data.as_bytes()
    return _mail.FORMAT.parse(Source.of(content, "mail.eml", limits))


def body(data: bytes | EmailMessage) -> list[str]:
    """The texts of a mail's blocks, but for its subject and headers."""
    return [block.text for block in parse(data).blocks[2:]]


def sent(content: bytes, *headers: str) -> bytes:
    """A mail whose body is sent in a way of its own."""
    return HEAD + "".join(f"{each}\r\n" for each in headers).encode() + b"\r\n" + content


def multipart(kind: str, *parts: bytes) -> bytes:
    content = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return sent(content + b"--b--\r\n", f'Content-Type: multipart/{kind}; boundary="b"')


@pytest.mark.parametrize("subject", [b" " * 1_000_000 + b"x", b"=?a?q?" * 200_000, b"\r\n " * 300_000 + b"x"])
def test_a_long_header_ends_in_time(subject: bytes) -> None:
    """A header that is decoded in time that grows with its square is not decoded."""
    assert parse(b"Message-ID: <1@x>\r\nSubject: " + subject + b"\r\n\r\nthe text").blocks[-1].text == "the text"


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        ("Größe".encode(), ["Content-Type: text/plain; charset=utf-8"]),
        ("Größe".encode("cp1252"), ["Content-Type: text/plain; charset=iso-8859-1"]),
        ("Größe".encode("cp1252"), []),
        ("Größe".encode(), ["Content-Type: text/plain; charset=us-ascii"]),
        ("Größe".encode(), ["Content-Type: text/plain; charset=no-such"]),
        (
            b"Gr=C3=B6=C3=9Fe=",
            ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable"],
        ),
        (b"R3LDtsOfZQ==", ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64"]),
        ("Größe".encode(), ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: no-such"]),
        (b"<p>Gr&ouml;&szlig;e", ["Content-Type: text/html"]),
        ("Größe".encode(), ["Content-Type: multipart/mixed"]),
    ],
)
def test_a_body_is_read_however_it_was_sent(content: bytes, headers: list[str]) -> None:
    """Every encoding and transfer encoding is undone, also where the declaration is wrong or missing."""
    assert body(sent(content, *headers)) == ["Größe"]


@pytest.mark.parametrize(
    ("content", "header", "note"),
    [
        (b"aGVsbG8gd29ybGQ=\r\n!!!x", "Content-Transfer-Encoding: base64", "damaged"),
        ("Größe".encode("cp1252"), "X: y", "Windows-1252"),
        (b"x", "Content-Type: text/plain; charset=no-such", "encoding that is not known"),
        (b"--b\r\n\r\nhello", "Content-Type: multipart/mixed; boundary=b", "ends in the middle"),
    ],
)
def test_trouble_with_a_body_is_told(content: bytes, header: str, note: str) -> None:
    """What was guessed or damaged is read as far as can be, with a note."""
    parsed = parse(sent(content, header))

    assert len(parsed.blocks) == 3
    assert [each for each in parsed.notes if note in each]


def test_html_that_cannot_be_read_is_told_where_there_is_plain_text() -> None:
    """The plain text is enough; without it the mail cannot be read."""
    deep = "<div>" * 6_000
    made = mail()
    made.add_alternative(deep, subtype="html")
    alone = mail()
    alone.set_content(deep, subtype="html")

    assert body(made) == ["Orders are shipped."]
    assert "HTML was not read (malformed)" in parse(made).notes[0]
    with pytest.raises(DocumentError) as caught:
        parse(alone)
    assert caught.value.code == "malformed"


def test_plain_text_needs_no_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail is read without the package that reads its HTML, if it has plain text too."""
    made = mail()
    made.add_alternative("<p>Orders are shipped.</p>", subtype="html")
    usual = builtins.__import__

    def without(name: str, *args: Any, **keywords: Any) -> Any:
        if name.startswith("selectolax"):
            raise ModuleNotFoundError(name=name)
        return usual(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)

    assert body(made) == ["Orders are shipped."]
    assert "missing_extra" in parse(made).notes[0]


def test_text_behind_an_attachment_is_read() -> None:
    """What a mailing list adds is a body too."""
    made = multipart("mixed", b"\r\nfirst", b"Content-Disposition: attachment; filename=a.txt\r\n\r\nfile", b"\r\nlast")

    assert body(made) == ["first", "last", "file"]


def test_attachments_of_one_name_are_told_apart() -> None:
    """The second has its number, so that each place is one file."""
    made = mail()
    for text in ("one", "two"):
        made.add_attachment(text, filename="a.txt")

    assert {block.location.name for block in parse(made).blocks[3:]} == {"mail.eml/a.txt", "mail.eml/a.txt (2)"}


def test_the_text_of_a_mail_is_limited() -> None:
    """A mail may be as large as a document for its attachments, but not its text."""
    with pytest.raises(DocumentError) as caught:
        parse(mail("word " * 50), Limits(text_bytes=100))

    assert caught.value.code == "too_large"


def nested(depth: int) -> bytes:
    parts = (b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth))
    return HEAD + b"".join(parts) + b"Content-Type: text/plain\r\n\r\ntext"


def test_parts_in_each_other_are_read() -> None:
    """A hundred levels, which no program sends, are nothing to fear."""
    assert body(nested(100)) == ["text"]


def test_parts_without_end_in_each_other_are_refused() -> None:
    """The standard library's parser recurses; what is too deep for it is an error of the file."""
    with pytest.raises(DocumentError) as caught:
        parse(nested(5_000))

    assert caught.value.code == "malformed"


def test_a_file_name_that_is_sent_as_bytes_is_kept() -> None:
    """Old programs encode no names."""
    part = 'Content-Disposition: attachment; filename="Größe.txt"\r\n\r\nwords'.encode()

    assert parse(multipart("mixed", b"\r\ntext", part)).blocks[-1].location.name == "mail.eml/Größe.txt"
