"""What goes in: uploads, their contexts, and the documents they become."""

from __future__ import annotations

import os
import pickle
import traceback
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._context import Confidentiality, DocumentType, ProjectType, QuestionAnswer, UploadContext
from cardanalysis._documents import Block, BlockKind, Document, Location, Media
from cardanalysis._errors import ConfigurationError, DocumentError
from cardanalysis._uploads import Upload

SECRET = "the merger of June"
PLACE = Location(name="brief.md", start=0, end=18, line=1, end_line=1)
BLOCK = Block(kind=BlockKind.PARAGRAPH, text=SECRET, location=PLACE)
DOCUMENT = Document(upload_id="a", name="brief.md", media_type="text/markdown", text=SECRET, blocks=[BLOCK])
CONTEXT = UploadContext(
    project_type="migration",
    business_domain="Logistics",
    target_audience="Dispatchers",
    document_type=DocumentType.MEETING_NOTES,
    confidentiality="internal",
    notes="Ask Ann.",
    key_terms=["ETA", "slot"],
    questions_and_answers=[QuestionAnswer(question="Who?", answer="Ann.")],
)
EXAMPLES = [
    PLACE,
    Media(media_type="image/png", data=b"\x89PNG"),
    BLOCK,
    DOCUMENT,
    CONTEXT,
    CONTEXT.questions_and_answers[0],
    Upload.from_text("x", "a.txt"),
]


def name_of(model: object) -> str:
    return type(model).__name__


@pytest.mark.parametrize("model", EXAMPLES, ids=name_of)
def test_models_are_frozen_slotted_keyword_only_and_pickle(model: Any) -> None:
    """What flows in cannot be changed, and goes to another process unchanged."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(model, attrs.fields(type(model))[0].name, "other")
    assert not hasattr(model, "__dict__")
    assert all(attribute.kw_only for attribute in attrs.fields(type(model)))
    assert pickle.loads(pickle.dumps(model)) == model
    assert hash(attrs.evolve(model)) == hash(model)


def test_examples_are_complete() -> None:
    """Every model that the module names is among the examples above."""
    from cardanalysis import _context, _documents, _uploads

    named = {
        name
        for module in (_context, _documents, _uploads)
        for name in module.__all__
        if attrs.has(getattr(module, name))
    }
    assert named == {name_of(model) for model in EXAMPLES}


@pytest.mark.parametrize("model", [BLOCK, DOCUMENT, Upload.from_text(SECRET, "brief.md")], ids=name_of)
def test_no_repr_shows_content(model: Any) -> None:
    """Logs may hold reprs, so a repr holds no text of a document."""
    assert "merger" not in repr(model)
    assert "brief.md" in repr(model)


def test_cells_are_content_too() -> None:
    """The cells and columns of a table row are not in its repr."""
    row = Block(kind=BlockKind.TABLE_ROW, text=SECRET, location=PLACE, cells=[SECRET], columns=[SECRET])
    assert "merger" not in repr(row)


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        (Upload, {"name": "", "size": 0}, "name"),
        (Upload, {"name": None, "size": 0}, "name"),
        (Upload, {"name": "a", "size": -1}, "size"),
        (Upload, {"name": "a", "size": True}, "size"),
        (Upload, {"name": "a", "size": 0, "media_type": 5}, "media_type"),
        (Upload, {"name": "a", "size": 0, "context": {"notes": "n"}}, "context"),
        (Upload, {"name": "a", "size": 1, "data": "x"}, "data"),
        (Upload, {"name": "a", "size": 1, "path": "x"}, "path"),
        (UploadContext, {"project_type": "greenfield"}, "project_type"),
        (UploadContext, {"document_type": "novel"}, "document_type"),
        (UploadContext, {"confidentiality": "secret"}, "confidentiality"),
        (UploadContext, {"business_domain": "x" * 101}, "business_domain"),
        (UploadContext, {"business_domain": None}, "business_domain"),
        (UploadContext, {"target_audience": "x" * 501}, "target_audience"),
        (UploadContext, {"notes": "x" * 2001}, "notes"),
        (UploadContext, {"notes": 5}, "notes"),
        (UploadContext, {"key_terms": [5]}, "key_terms"),
        (UploadContext, {"key_terms": None}, "key_terms"),
        (UploadContext, {"questions_and_answers": [("q", "a")]}, "questions_and_answers"),
        (QuestionAnswer, {"question": None, "answer": "a"}, "question"),
        (QuestionAnswer, {"question": "q", "answer": 5}, "answer"),
        (Location, {"name": None, "start": 0, "end": 0}, "name"),
        (Location, {"name": "n", "start": -1, "end": 0}, "start"),
        (Location, {"name": "n", "start": 0, "end": 1.0}, "end"),
        (Location, {"name": "n", "start": 2, "end": 1}, "end"),
        (Location, {"name": "n", "start": 0, "end": 0, "line": 0}, "line"),
        (Location, {"name": "n", "start": 0, "end": 0, "end_line": "1"}, "end_line"),
        (Location, {"name": "n", "start": 0, "end": 0, "page": 0}, "page"),
        (Location, {"name": "n", "start": 0, "end": 0, "slide": -1}, "slide"),
        (Location, {"name": "n", "start": 0, "end": 0, "sheet": 1}, "sheet"),
        (Location, {"name": "n", "start": 0, "end": 0, "cells": 1}, "cells"),
        (Block, {"kind": "paragraph", "text": "t", "location": PLACE}, "kind"),
        (Block, {"kind": BlockKind.NOTE, "text": None, "location": PLACE}, "text"),
        (Block, {"kind": BlockKind.NOTE, "text": "t", "location": None}, "location"),
        (Block, {"kind": BlockKind.NOTE, "text": "t", "location": PLACE, "level": -1}, "level"),
        (Block, {"kind": BlockKind.NOTE, "text": "t", "location": PLACE, "cells": [1]}, "cells"),
        (Block, {"kind": BlockKind.NOTE, "text": "t", "location": PLACE, "columns": [None]}, "columns"),
        *[
            (Document, {"upload_id": "a", "name": "n", "media_type": "m", "text": "", "blocks": ()} | wrong, field)
            for field, wrong in {
                "upload_id": {"upload_id": None},
                "name": {"name": 1},
                "media_type": {"media_type": None},
                "text": {"text": b"x"},
                "blocks": {"blocks": ["text"]},
                "notes": {"notes": [1]},
            }.items()
        ],
    ],
)
def test_a_wrong_value_is_told_by_its_field(kind: type[Any], values: dict[str, Any], field: str) -> None:
    """A wrong value raises a ConfigurationError whose message begins with the field's name."""
    with pytest.raises(ConfigurationError) as caught:
        kind(**values)
    assert str(caught.value).startswith(f"{field} must ")


# -- contexts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "kind"),
    [("project_type", ProjectType), ("document_type", DocumentType), ("confidentiality", Confidentiality)],
)
def test_choices_are_taken_as_members_or_values(field: str, kind: Any) -> None:
    """Each choice can be given by its text; a wrong one is told with all that may be chosen."""
    for member in kind:
        assert getattr(UploadContext(**{field: member}), field) is member
        assert getattr(UploadContext(**{field: str(member)}), field) is member
    with pytest.raises(ConfigurationError) as caught:
        UploadContext(**{field: "none of them"})
    assert all(str(member) in str(caught.value) for member in kind)


@pytest.mark.parametrize(("field", "limit"), [("business_domain", 100), ("target_audience", 500), ("notes", 2000)])
def test_texts_may_be_as_long_as_the_limit(field: str, limit: int) -> None:
    """A text of exactly the limit is taken; one more character is told with the limit."""
    assert len(getattr(UploadContext(**{field: "é" * limit}), field)) == limit
    with pytest.raises(ConfigurationError, match=f"at most {limit} characters"):
        UploadContext(**{field: "é" * (limit + 1)})


def test_a_context_as_values_holds_what_is_set() -> None:
    """to_dict gives plain JSON values and leaves out what is empty."""
    assert CONTEXT.to_dict() == {
        "project_type": "migration",
        "business_domain": "Logistics",
        "target_audience": "Dispatchers",
        "document_type": "meeting-notes",
        "confidentiality": "internal",
        "notes": "Ask Ann.",
        "key_terms": ["ETA", "slot"],
        "questions_and_answers": [{"question": "Who?", "answer": "Ann."}],
    }
    assert type(CONTEXT.to_dict()["project_type"]) is str
    assert UploadContext().to_dict() == {}


def test_one_key_term_is_one_entry() -> None:
    """A single string is one term, not its letters."""
    assert UploadContext(key_terms="ETA").key_terms == ("ETA",)


# -- making uploads ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_upload_from_text_holds_its_utf_8(text: str) -> None:
    """The content is the text in UTF-8, whatever characters it has, and the size is in bytes."""
    upload = Upload.from_text(text, "notes.txt")
    assert upload.read().decode() == text
    assert upload.size == len(text.encode())


@settings(deadline=None)
@given(st.binary())
def test_an_upload_from_bytes_holds_them(data: bytes) -> None:
    """The bytes come out as they went in."""
    upload = Upload.from_bytes(data, "notes.bin")
    assert upload.read() == data
    assert upload.size == len(data)


@pytest.mark.parametrize("buffer", [bytearray(b"abc"), memoryview(b"abc")])
def test_buffers_are_copied(buffer: Any) -> None:
    """A buffer of bytes is taken and copied, so that changing it later changes nothing."""
    upload = Upload.from_bytes(buffer, "a")
    if isinstance(buffer, bytearray):
        buffer[0] = 0
    assert upload.read() == b"abc"
    assert type(upload.read()) is bytes


@pytest.mark.parametrize("wrong", ["text", 5, None, [1, 2]])
def test_bytes_must_be_bytes(wrong: Any) -> None:
    """Text and numbers are refused with the way that takes them; a 5 would become five zero bytes."""
    with pytest.raises(ConfigurationError, match=r"Upload\.from_text"):
        Upload.from_bytes(wrong, "a")


@pytest.mark.parametrize("wrong", [b"bytes", None, 5])
def test_text_must_be_text(wrong: Any) -> None:
    """Bytes are refused with the way that takes them."""
    with pytest.raises(ConfigurationError, match=r"Upload\.from_bytes"):
        Upload.from_text(wrong, "a")


@pytest.mark.parametrize("name", ["", None, 5])
def test_an_upload_needs_a_name(name: Any) -> None:
    """A name is what every error and every proof shows, so there is none without."""
    for make in (lambda: Upload.from_text("x", name), lambda: Upload.from_bytes(b"x", name)):
        with pytest.raises(ConfigurationError, match=r"^name must"):
            make()


def test_a_name_can_always_be_stored() -> None:
    """A name with half of a surrogate pair, as the names of odd files have them, gets a question mark in its place."""
    assert Upload.from_text("x", "caf\udce9.md").name == "caf?.md"
    assert Upload.from_bytes(b"x", "caf\udce9.md").media_type == "text/markdown"


@pytest.mark.parametrize(("text", "place"), [("\ud800", 0), ("abc\udfff", 3), ("\ude00\ud83d", 0)])
def test_half_a_surrogate_pair_is_no_text(text: str, place: int) -> None:
    """Text that no file can hold is refused at once, with the place and two ways out, and without the text."""
    with pytest.raises(DocumentError) as caught:
        Upload.from_text(text, "notes.txt")
    assert caught.value.code == "undecodable"
    assert caught.value.upload == "notes.txt"
    assert f"character {place} " in str(caught.value)
    assert "Upload.from_bytes" in caught.value.remedy
    assert "surrogates not allowed" not in "".join(traceback.format_exception(caught.value))


def test_an_upload_may_be_empty() -> None:
    """No content is content: loading says that it is empty, not the constructor."""
    assert Upload.from_text("", "a.txt").size == 0
    assert Upload.from_bytes(b"", "a.txt").read() == b""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.md", "text/markdown"),
        ("A.MARKDOWN", "text/markdown"),
        ("a.csv", "text/csv"),
        ("a.TSV", "text/tab-separated-values"),
        ("a.txt", "text/plain"),
        ("a.pdf", "application/pdf"),
        ("a.b.csv", "text/csv"),
        ("/tmp/folder.csv/a.md", "text/markdown"),
        ("notes", None),
        ("notes.", None),
        (".csv", None),
        ("Report 2.0", None),
        ("a.csv.gz", None),
        ("ü.md", "text/markdown"),
    ],
)
def test_the_ending_tells_the_media_type(name: str, expected: str | None) -> None:
    """An upload's media type is guessed from its name's last ending, in any case; compressed content is not guessed."""
    assert Upload.from_bytes(b"x", name).media_type == expected
    assert Upload.from_text("x", name).media_type == (expected or "text/plain")


def test_a_declared_media_type_counts() -> None:
    """A media type that is given is not guessed over."""
    assert Upload.from_bytes(b"x", "a.csv", "text/markdown").media_type == "text/markdown"
    assert Upload.from_bytes(b"x", "a.csv", media_type="text/markdown").media_type == "text/markdown"
    assert Upload.from_text("x", "a.csv", media_type="text/markdown").media_type == "text/markdown"


def test_media_types_do_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endings that platforms register differently are fixed, as .csv, which one of them calls a spreadsheet."""
    monkeypatch.setattr("mimetypes.guess_type", lambda name: ("application/vnd.ms-excel", None))
    assert Upload.from_bytes(b"x", "a.csv").media_type == "text/csv"
    assert Upload.from_bytes(b"x", "a.md").media_type == "text/markdown"


# -- files ---------------------------------------------------------------------------------------------------------


def write(path: Path, data: bytes = b"abc") -> Path:
    path.write_bytes(data)
    return path


def test_an_upload_from_a_file_is_named_and_sized_by_it(tmp_path: Path) -> None:
    """Name, media type and size come from the file; a path may be text or a Path."""
    path = write(tmp_path / "brief.md")
    for given_path in (path, str(path)):
        upload = Upload.from_path(given_path, context=CONTEXT)
        assert (upload.name, upload.media_type, upload.size) == ("brief.md", "text/markdown", 3)
        assert upload.context == CONTEXT
        assert upload.read() == b"abc"


def test_a_file_is_not_opened_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making an upload only looks the file up, so a thousand uploads hold no content; each read opens it anew."""
    path = write(tmp_path / "a.txt")
    opened: list[Path] = []
    real = Path.open

    def recording(self: Path, *args: Any, **kwargs: Any) -> Any:
        opened.append(self)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", recording)
    upload = Upload.from_path(path)
    assert opened == []
    assert upload.data is None
    assert upload.read() == upload.read() == b"abc"
    assert opened == [path, path]


def test_a_missing_file_is_told_with_its_path(tmp_path: Path) -> None:
    """A file that is not there raises at once and names the path to check."""
    for missing in (tmp_path / "gone.md", write(tmp_path / "file") / "gone.md"):
        with pytest.raises(DocumentError) as caught:
            Upload.from_path(missing)
        assert (caught.value.upload, caught.value.code) == ("gone.md", "not_found")
        assert caught.value.problem == "there is no such file"
        assert str(missing) in caught.value.remedy


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder is refused, and so is the root, which has no name."""
    for folder in (tmp_path, Path(tmp_path.anchor)):
        with pytest.raises(DocumentError, match="it is a folder") as caught:
            Upload.from_path(folder)
        assert caught.value.code == "not_found"
        assert caught.value.upload


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are for POSIX systems")
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """A named pipe, which would block whoever reads it, is refused."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DocumentError, match="no regular file"):
        Upload.from_path(tmp_path / "pipe")


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"])
def test_a_path_that_cannot_be_is_told(path: str) -> None:
    """A path that the system refuses is a DocumentError too, on every Python version."""
    with pytest.raises(DocumentError) as caught:
        Upload.from_path(path)
    assert caught.value.code == "not_found"
    assert caught.value.remedy


def test_a_folder_that_may_not_be_entered_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing rights are told as such, not as a file that is not there."""
    path = write(tmp_path / "a.txt")

    def refuse(self: Path, **_: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(DocumentError, match=r"cannot be read \(Permission denied\).*rights"):
        Upload.from_path(path)


def test_an_unreadable_file_is_told_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be opened raises a DocumentError for reading and for the id."""
    upload = Upload.from_path(write(tmp_path / "a.txt"))

    def refuse(self: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    for read in (upload.read, lambda: upload.id):
        with pytest.raises(DocumentError, match="Permission denied") as caught:
            read()
        assert (caught.value.upload, caught.value.code) == ("a.txt", "not_found")
        assert isinstance(caught.value.__cause__, PermissionError)


def test_a_file_that_vanished_is_told_when_it_is_read(tmp_path: Path) -> None:
    """A file that is removed after the upload was made is not found when its turn comes."""
    path = write(tmp_path / "a.txt")
    upload = Upload.from_path(path)
    path.unlink()
    with pytest.raises(DocumentError, match="there is no such file") as caught:
        upload.read()
    assert caught.value.code == "not_found"


def test_a_file_that_was_changed_is_told(tmp_path: Path) -> None:
    """A file written to since the upload was made is another document; it is not read in its place."""
    path = write(tmp_path / "a.txt")
    upload = Upload.from_path(path)
    write(path, b"abcd")
    with pytest.raises(DocumentError) as caught:
        upload.read()
    assert caught.value.code == "changed"
    assert caught.value.remedy
    assert "abc" not in str(caught.value)
    assert Upload.from_path(path).read() == b"abcd"


def test_a_change_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    """The time of the last change counts too."""
    path = write(tmp_path / "a.txt")
    upload = Upload.from_path(path)
    write(path, b"xyz")
    os.utime(path, ns=(upload.modified_ns + 1_000_000_000,) * 2)
    with pytest.raises(DocumentError, match="changed meanwhile"):
        upload.read()


def test_a_touched_file_changes_nothing_for_a_new_upload(tmp_path: Path) -> None:
    """The time of the last change is no part of the id."""
    path = write(tmp_path / "a.txt")
    before = Upload.from_path(path).id
    os.utime(path, ns=(0, 0))
    assert Upload.from_path(path).id == before


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX systems")
def test_a_name_of_any_bytes_becomes_text(tmp_path: Path) -> None:
    """A file whose name is no UTF-8 can be read, and its upload has a name that can be written anywhere."""
    path = os.fsencode(tmp_path) + b"/caf\xe9.md"
    try:
        with open(path, "wb") as file:  # noqa: PTH123 - the name is bytes
            file.write(b"abc")
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    upload = Upload.from_path(os.fsdecode(path))
    assert upload.name == "caf\ufffd.md"
    assert upload.name.encode()
    assert upload.media_type == "text/markdown"
    assert upload.read() == b"abc"


def test_an_upload_without_content_says_how_to_make_one() -> None:
    """An upload made by hand without data and path raises when it is read."""
    with pytest.raises(DocumentError, match=r"Upload\.from_") as caught:
        Upload(name="a", size=0).read()
    assert caught.value.code == "not_found"


# -- ids -----------------------------------------------------------------------------------------------------------


def test_the_id_is_made_of_the_content_alone(tmp_path: Path) -> None:
    """The same content has the same id under any name, media type or place."""
    (tmp_path / "deep").mkdir()
    same = [
        Upload.from_text("abc", "a.txt"),
        Upload.from_text("abc", "b.md", media_type="text/csv"),
        Upload.from_bytes(b"abc", "c"),
        Upload.from_path(write(tmp_path / "d.txt")),
        Upload.from_path(write(tmp_path / "deep" / "e.md")),
    ]
    assert len({upload.id for upload in same}) == 1
    assert same[0].id == "ba7816bf8f01cfea414140de5dae2223"  # the start of the content's SHA-256


@settings(deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_other_content_has_another_id(first: bytes, second: bytes) -> None:
    """Two contents have the same id only if they are equal; ids are 32 hexadecimal digits."""
    ids = [Upload.from_bytes(data, "a").id for data in (first, second)]
    assert (ids[0] == ids[1]) == (first == second)
    assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in ids)


contexts = st.builds(
    UploadContext,
    project_type=st.none() | st.sampled_from(ProjectType),
    notes=st.text(max_size=5),
    key_terms=st.lists(st.text(max_size=3), max_size=3),
    questions_and_answers=st.lists(
        st.builds(QuestionAnswer, question=st.text(max_size=3), answer=st.text(max_size=3)), max_size=2
    ),
)


@settings(deadline=None)
@given(st.none() | contexts, st.none() | contexts)
def test_the_context_is_part_of_the_id(first: UploadContext | None, second: UploadContext | None) -> None:
    """The same content with another context is another upload, since it may have other cards."""
    ids = [Upload.from_text("abc", "a", context=context).id for context in (first, second)]
    assert (ids[0] == ids[1]) == (first == second)


def test_an_id_with_a_context_stays_the_same() -> None:
    """Ids are kept in stores, so they may not depend on the version of Python or of its tables of characters."""
    context = UploadContext(notes="\u00e9 \U0001fae9", key_terms=["b", "a"])
    assert Upload.from_text("abc", "a", context=context).id == "7dc157d51b6a3f59ff50a3bef2ffcc86"


def test_an_id_is_found_out_once(tmp_path: Path) -> None:
    """The id is kept, so that the file need not be read again."""
    path = write(tmp_path / "a.txt")
    upload = Upload.from_path(path)
    found = upload.id
    path.unlink()
    assert upload.id == found


# -- locations and documents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "a.md"),
        ({"line": 3}, "a.md, line 3"),
        ({"line": 3, "end_line": 3}, "a.md, line 3"),
        ({"line": 3, "end_line": 5}, "a.md, lines 3-5"),
        ({"page": 2, "line": 3}, "a.md, page 2"),
        ({"slide": 4}, "a.md, slide 4"),
        ({"sheet": "Costs"}, "a.md, Costs"),
        ({"sheet": "Costs", "cells": "A3:F3", "line": 3}, "a.md, Costs!A3:F3"),
    ],
)
def test_a_location_reads_as_people_would_say_it(values: dict[str, Any], expected: str) -> None:
    """As text it gives the place in the terms of the document's kind: sheet, slide, page or line."""
    assert str(Location(name="a.md", start=0, end=1, **values)) == expected


def test_a_location_may_be_empty() -> None:
    """A place between two characters has the same start and end."""
    assert Location(name="a", start=4, end=4).end == 4


def test_blocks_and_notes_become_tuples() -> None:
    """Any iterable of blocks is taken; a note alone is one note."""
    document = Document(
        upload_id="a", name="n", media_type="m", text=SECRET, blocks=(block for block in [BLOCK]), notes="one"
    )
    assert document.blocks == (BLOCK,)
    assert document.notes == ("one",)
