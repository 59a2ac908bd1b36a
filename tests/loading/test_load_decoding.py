"""Bytes to text: what is told, what is guessed, and what is refused."""

from __future__ import annotations

import codecs

import pytest

from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import load

SAMPLE = "Übersicht für Köln: 12 €\r\nnext line"


def _code(data: bytes, name: str = "a.txt") -> str:
    with pytest.raises(DocumentError) as caught:
        load(Upload.from_bytes(data, name))
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize(
    ("data", "guessed"),
    [
        (SAMPLE.encode(), False),
        (codecs.BOM_UTF8 + SAMPLE.encode(), False),
        (codecs.BOM_UTF16_LE + SAMPLE.encode("utf-16-le"), False),
        (codecs.BOM_UTF16_BE + SAMPLE.encode("utf-16-be"), False),
        (SAMPLE.encode("utf-16-le"), True),
        (SAMPLE.encode("utf-16-be"), True),
        (SAMPLE.encode("cp1252"), True),
    ],
    ids=["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16-le without bom", "utf-16-be without bom", "cp1252"],
)
@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_every_supported_encoding_gives_the_same_text(read, name, data, guessed):
    """The text does not depend on the encoding; a guess is noted, and only a guess."""
    document = read(data, name)

    assert document.text == SAMPLE
    assert any("guessed" in note for note in document.notes) is guessed


def test_utf_16_without_mark_may_hold_a_few_letters_that_end_in_a_nul_byte(read):
    """U+4E00 has its NUL in the other place; it does not spoil the guess."""
    text = "A list of Chinese numerals: \u4e00 is one, and so on"

    assert read(text.encode("utf-16-le"), "a.txt").text == text


def test_further_marks_at_the_beginning_are_left_out(read):
    """A mark that a program put before another one is not text either."""
    assert read(codecs.BOM_UTF8 * 2 + b"x", "a.txt").text == "x"


def test_marks_of_direction_stay(read):
    """Right-to-left text and its invisible marks are text."""
    text = "\u202e\u05e9\u05dc\u05d5\u05dd\u202c and \u200fmore"

    assert read(text, "a.txt").text == text


@pytest.mark.parametrize("byte", [0x81, 0x8D, 0x8F, 0x90, 0x9D])
def test_bytes_that_windows_1252_does_not_have(byte):
    """What is neither UTF-8 nor Windows-1252 cannot be decoded."""
    assert _code(b"some text " + bytes([byte])) == "undecodable"


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + b"caf\xe9",
        codecs.BOM_UTF16_LE + b"a\0b",
        codecs.BOM_UTF16_LE + b"\x00\xd8a\0",
        "größer, höher, schöner".encode()[:-6] + b"\xc3",
        "größer, höher, ".encode() + b"\xff",
    ],
    ids=["utf-8 by its mark", "odd number of bytes", "half a surrogate pair", "cut inside a letter", "one wrong byte"],
)
def test_damaged_text_is_refused_and_not_garbled(data):
    """Text that is plainly UTF-8 or UTF-16 but damaged is not read as something else."""
    assert _code(data) == "undecodable"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"text\0with NUL", "binary"),
        (codecs.BOM_UTF8 + b"a\0b", "binary"),
        (codecs.BOM_UTF16_LE + "a\0b".encode("utf-16-le"), "binary"),
        ("a\x01b and more".encode("utf-16-le"), "binary"),
        ("\u0437\u0430\u043a\u0430\u0437 \u0438 \u0432\u0441\u0435".encode("utf-16-le"), "binary"),
        (b"five0\0", "binary"),
        ("half a pair ".encode("utf-16-le") + b"\x00\xd8", "binary"),
        (b"\xe9\x01\x02\x03\x04", "binary"),
        (bytes(range(256)), "binary"),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv"])
def test_binary_content_under_a_text_name(name, data, kind):
    """Content that is no text is refused with what it looks like and what to do."""
    with pytest.raises(DocumentError, match=kind) as caught:
        load(Upload.from_bytes(data, name))

    assert caught.value.code == "unknown_type"
    assert "Export it" in caught.value.remedy


def test_some_control_characters_do_not_make_text_binary(read):
    """Windows-1252 text with a stray control character is text."""
    data = b"caf\xe9 and quite some text \x1f around it"

    assert read(data, "a.txt").text == data.decode("cp1252")
