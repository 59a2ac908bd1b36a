"""Folders and zip archives: each file in them is an upload, and a bad one never hides the others."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._context import UploadContext
from cardanalysis._errors import ConfigurationError, DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import load


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"This is {name}.", encoding="utf-8")
    return folder


def names(uploads: list[Upload]) -> list[str]:
    return [upload.name for upload in uploads]


# -- folders -------------------------------------------------------------------------------------------------------


def test_a_folder_is_an_upload_a_file(tmp_path: Path) -> None:
    """They are named by their paths in it, in the order of these, and read when their turn comes."""
    uploads = Upload.from_folder(make(tmp_path, "b.md", "a/z.txt", "a/b/c.csv", "a.txt"))
    assert names(uploads) == ["a/b/c.csv", "a/z.txt", "a.txt", "b.md"]
    assert [upload.read() for upload in uploads][1] == b"This is a/z.txt."
    assert [upload.media_type for upload in uploads] == ["text/csv", "text/plain", "text/plain", "text/markdown"]
    assert [upload.size for upload in uploads] == [18, 16, 14, 13]
    assert uploads[1].id == Upload.from_bytes(b"This is a/z.txt.", "x").id


def test_a_folder_may_be_given_as_text_and_with_a_context(tmp_path: Path) -> None:
    """What is known holds for all of its files."""
    context = UploadContext(business_domain="Logistics")
    (upload,) = Upload.from_folder(str(make(tmp_path, "a.md")), context=context)
    assert upload.context == context


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("**/*", ["a.md", "sub/b.MD", "sub/deep/c.txt"]),
        ("*", ["a.md"]),
        ("**/*.md", ["a.md", "sub/b.MD"]),
        ("*.md", ["a.md"]),
        ("sub/*", ["sub/b.MD"]),
        ("sub/**", ["sub/b.MD", "sub/deep/c.txt"]),
        ("**/deep/*", ["sub/deep/c.txt"]),
        ("**/[!a].*", ["sub/b.MD", "sub/deep/c.txt"]),
        ("**/?.md", ["a.md", "sub/b.MD"]),
        ("*/b.[m]d", ["sub/b.MD"]),
        ("x", []),
        ("", []),
        ("(", []),
    ],
)
def test_a_glob_chooses(tmp_path: Path, glob: str, expected: list[str]) -> None:
    """It is the same on every system, and so is what capitals count for: nothing. No file is no error."""
    assert names(Upload.from_folder(make(tmp_path, "a.md", "sub/b.MD", "sub/deep/c.txt"), glob)) == expected


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        (("*.tmp",), ["a.md", "drafts/b.md", "sub/drafts/c.md"]),
        (("drafts",), ["a.md", "sub/x.tmp"]),
        ("drafts", ["a.md", "sub/x.tmp"]),
        (("sub/*",), ["a.md", "drafts/b.md"]),
        (("sub/**/*.md", "a.*"), ["drafts/b.md", "sub/x.tmp"]),
    ],
)
def test_patterns_leave_out(tmp_path: Path, ignore: tuple[str, ...], expected: list[str]) -> None:
    """A pattern without a slash is one of names anywhere; what is in a folder that is left out is left out too."""
    folder = make(tmp_path, "a.md", "drafts/b.md", "sub/drafts/c.md", "sub/x.tmp")
    assert names(Upload.from_folder(folder, ignore=ignore)) == expected


def test_what_no_one_means_is_left_out(tmp_path: Path) -> None:
    """Hidden files, locks of Office, and what systems leave in folders."""
    junk = (".hidden", ".git/config", "~$brief.docx", ".DS_Store", "Thumbs.db", "DESKTOP.INI", "__MACOSX/a.md")
    assert names(Upload.from_folder(make(tmp_path, "a.md", *junk))) == ["a.md"]


def test_an_empty_folder_has_no_uploads(tmp_path: Path) -> None:
    """It is no error."""
    assert Upload.from_folder(tmp_path) == []


@pytest.mark.parametrize(("name", "problem"), [("none", "there is no such folder"), ("a.md", "it is no folder")])
def test_what_is_no_folder_is_told(tmp_path: Path, name: str, problem: str) -> None:
    """A missing folder, or a file in its place, is an error of the call."""
    make(tmp_path, "a.md")
    with pytest.raises(DocumentError, match=problem) as caught:
        Upload.from_folder(tmp_path / name)
    assert (caught.value.upload, caught.value.code) == (name, "not_found")


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the list, and loading it says why."""
    make(tmp_path, "sub/a.md", "sub/b.md")
    uploads = Upload.from_folder(tmp_path)
    real = Path.open

    def refuse(self: Path, *args: str, **kwargs: str) -> object:
        if self.name == "a.md":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DocumentError, match="Permission denied") as caught:
        load(uploads[0])
    assert caught.value.upload == "sub/a.md"
    assert load(uploads[1]).text == "This is sub/b.md."


def test_a_folder_that_cannot_be_looked_into_is_told_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in it is not missing silently."""
    make(tmp_path, "a.md", "secret/b.md")
    real = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    uploads = Upload.from_folder(tmp_path)
    assert names(uploads) == ["a.md", "secret"]
    with pytest.raises(DocumentError) as caught:
        load(uploads[1])
    assert caught.value.code == "not_found"
    with pytest.raises(DocumentError, match="cannot be looked into"):
        Upload.from_folder(tmp_path / "secret")


def link(path: Path, target: str | Path) -> None:
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this system makes no links")


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    """A link to a file of the folder is followed; one out of it is refused; one to a folder is left out: loops end."""
    make(tmp_path, "secret.txt", "pile/sub/a.md")
    pile = tmp_path / "pile"
    link(pile / "latest.md", Path("sub") / "a.md")
    link(pile / "out.txt", tmp_path / "secret.txt")
    link(pile / "up", tmp_path)
    link(pile / "sub" / "loop", pile)
    link(pile / "self", "self")
    assert names(Upload.from_folder(pile)) == ["latest.md", "out.txt", "sub/a.md"]
    latest, out, _ = Upload.from_folder(pile)
    assert latest.read() == b"This is pile/sub/a.md."
    with pytest.raises(DocumentError, match="leads out of its folder") as caught:
        load(out)
    assert caught.value.code == "unsafe"


def test_a_link_that_is_put_there_later_leads_nowhere(tmp_path: Path) -> None:
    """A file that is replaced by a link after the folder was listed is not read."""
    make(tmp_path, "secret.txt", "pile/a.md")
    (upload,) = Upload.from_folder(tmp_path / "pile")
    (tmp_path / "pile" / "a.md").unlink()
    link(tmp_path / "pile" / "a.md", tmp_path / "secret.txt")
    with pytest.raises(DocumentError) as caught:
        upload.read()
    assert caught.value.code == "unsafe"


def test_a_link_to_nothing_is_told_when_it_is_read(tmp_path: Path) -> None:
    """A document that someone took away is missed."""
    link(tmp_path / "gone.md", "nowhere.md")
    (upload,) = Upload.from_folder(tmp_path)
    with pytest.raises(DocumentError, match="there is no such file"):
        load(upload)


@pytest.mark.parametrize(
    "ending", ["docx", "docm", "pptx", "xlsx", "xlsm", "pdf", "eml", "htm", "webp", "csv", "txt", "zip"]
)
def test_media_types_are_the_same_on_every_machine(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a system registers for an ending decides nothing about a document."""
    told = Upload.from_bytes(b"", f"A.{ending.upper()}").media_type
    monkeypatch.setattr("mimetypes.guess_type", lambda _name: (None, None))
    assert Upload.from_bytes(b"", f"A.{ending}").media_type == told
    assert told is not None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_only_files_are_files(tmp_path: Path) -> None:
    """Pipes and sockets, which may never end, are no documents."""
    make(tmp_path, "a.md")
    os.mkfifo(tmp_path / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's path may have 100 bytes
        try:
            server.bind("socket.md")
        finally:
            os.chdir(here)
        assert names(Upload.from_folder(tmp_path)) == ["a.md"]


def test_deep_folders_are_looked_into(tmp_path: Path) -> None:
    """As deep as paths may be."""
    make(tmp_path, "/".join("d" * 300) + "/a.md")
    assert len(Upload.from_folder(tmp_path)) == 1


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX systems")
def test_a_name_of_any_bytes_becomes_text(tmp_path: Path) -> None:
    """A file whose name is no UTF-8 can be read, and its upload has a name that can be written anywhere."""
    try:
        with open(os.fsencode(tmp_path) + b"/caf\xe9.md", "wb") as file:  # noqa: PTH123 - the name is bytes
            file.write(b"abc")
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    (upload,) = Upload.from_folder(tmp_path)
    assert upload.name == "caf\ufffd.md"
    assert upload.read() == b"abc"


# -- archives ------------------------------------------------------------------------------------------------------


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


PILE = packed(("sub/brief.md", b"# Brief\n\nThe desk checks."), ("a.txt", b"Text"), ("sub/", b""), ("empty.txt", b""))
NAMES = ["pile.zip/a.txt", "pile.zip/empty.txt", "pile.zip/sub/brief.md"]


@pytest.fixture(params=["path", "bytes"])
def unzip(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., list[Upload]]:
    """Make uploads of an archive as a file, or in memory."""

    def of(data: bytes, **options: object) -> list[Upload]:
        if request.param == "bytes":
            return Upload.from_zip(data, "pile.zip", **options)  # type: ignore[arg-type]
        path = tmp_path / "pile.zip"
        path.write_bytes(data)
        return Upload.from_zip(path, **options)  # type: ignore[arg-type]

    return of


Unzip = Callable[..., list[Upload]]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_an_archive_is_an_upload_a_member(unzip: Unzip, method: int) -> None:
    """They are named by the archive and their path in it, in the order of these; each is loaded as a file would be."""
    content = bytes(range(256)) * 1000
    uploads = unzip(packed(("sub/brief.md", b"# Brief"), ("sub/", b""), ("a.bin", content), method=method))
    assert names(uploads) == ["pile.zip/a.bin", "pile.zip/sub/brief.md"]
    assert [upload.size for upload in uploads] == [256_000, 7]
    assert uploads[0].read() == content
    assert uploads[0].id == Upload.from_bytes(content, "x").id
    assert uploads[1].media_type == "text/markdown"
    document = load(uploads[1])
    assert (document.name, document.text) == ("pile.zip/sub/brief.md", "# Brief")
    assert str(document.blocks[0].location) == "pile.zip/sub/brief.md, line 1"


def test_members_are_chosen_as_files_are(unzip: Unzip) -> None:
    """Patterns are matched with paths in the archive, and what no one means is left out here too."""
    pile = packed(*((name, b"x") for name in ("a.md", "s/b.MD", "s/c.txt", "__MACOSX/a.md", ".x/y.md", "s/~$b.docx")))
    assert names(unzip(pile)) == ["pile.zip/a.md", "pile.zip/s/b.MD", "pile.zip/s/c.txt"]
    assert names(unzip(pile, glob="**/*.md")) == ["pile.zip/a.md", "pile.zip/s/b.MD"]
    assert names(unzip(pile, ignore=["s"])) == ["pile.zip/a.md"]
    assert unzip(pile, glob="none") == []


def test_an_archive_in_memory_may_have_any_name() -> None:
    """Without one it is called an archive; a file may be called otherwise."""
    assert names(Upload.from_zip(PILE))[0] == "archive.zip/a.txt"
    assert names(Upload.from_zip(PILE, "p", context=UploadContext(notes="n")))[0] == "p/a.txt"


def test_an_upload_of_a_member_holds_no_other() -> None:
    """Each of many members of an archive in memory goes to another process without the others."""
    uploads = Upload.from_zip(packed(("a", os.urandom(100_000)), ("b", b"x")))
    assert len(uploads[1].data or b"") < 200


def test_a_large_member_can_be_read_back_and_forth(unzip: Unzip) -> None:
    """Parsers of PDF and Office files seek; what is unpacked need not fit into memory."""
    content = os.urandom(9_000_000)
    (upload,) = unzip(packed(("a.bin", content)))
    with upload.open() as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == content[-5:]
        file.seek(0)
        assert file.read(5) == content[:5]


def raises(upload: Upload) -> str:
    """The code of the error that loading an upload raises."""
    with pytest.raises(DocumentError) as caught:
        load(upload)
    assert caught.value.upload == upload.name
    assert caught.value.remedy
    with pytest.raises(DocumentError) as read:
        upload.read()
    assert read.value.code == caught.value.code
    return caught.value.code


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\a.txt", "..\\a.txt", "a/../../b.txt"])
def test_names_that_lead_out_are_refused(unzip: Unzip, name: str) -> None:
    """Nothing is written by such a name; still it is a sign that the archive is meant to harm."""
    good, bad = sorted(
        unzip(packed((name, b"x"), ("good.txt", b"x"))), key=lambda each: not each.name.endswith("good.txt")
    )
    assert load(good).text == "x"
    assert raises(bad) == "unsafe"


def test_links_in_archives_are_refused(unzip: Unzip) -> None:
    """A link is not what it leads to."""
    info = zipfile.ZipInfo("link.txt")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert raises(unzip(file.getvalue())[0]) == "unsafe"


def test_bombs_cost_nothing_to_list_and_are_refused(unzip: Unzip) -> None:
    """A member that is packed more tightly than documents are is not unpacked."""
    uploads = unzip(packed(("bomb.txt", bytes(50_000_000)), ("good.txt", b"x")))
    assert raises(uploads[0]) == "unsafe"
    assert load(uploads[1]).text == "x"


def test_documents_that_repeat_themselves_are_no_bombs(unzip: Unzip) -> None:
    """Small members may be packed as tightly as they like."""
    assert len(load(unzip(packed(("a.txt", b"all the same\n" * 100_000)))[0]).text) == 1_300_000


def with_sizes(data: bytes, declared: int) -> bytes:
    """An archive of which the only member declares another size."""
    return changed(data, data.index(b"PK\x01\x02") + 24, struct.pack("<L", declared))


@pytest.mark.parametrize("declared", [1, 11, 13, 1000])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_size_that_lies_is_noticed(unzip: Unzip, declared: int, method: int) -> None:
    """No more is unpacked than is declared, and nothing is taken for whole that is not."""
    (upload,) = unzip(with_sizes(packed(("a.txt", b"twelve bytes"), method=method), declared))
    assert upload.size == declared
    assert raises(upload) == "malformed"


def test_a_wrong_checksum_is_noticed(unzip: Unzip) -> None:
    """A damaged member is no document; the others are."""
    pile = packed(("a.txt", b"twelve bytes"), ("b.txt", b"x"), method=zipfile.ZIP_STORED)
    first, second = unzip(changed(pile, pile.index(b"twelve"), b"Twelve"))
    assert raises(first) == "malformed"
    assert load(second).text == "x"


def test_passwords_are_told(unzip: Unzip) -> None:
    """A protected member says so; the others are read."""
    pile = packed(("a.txt", b"x"), ("b.txt", b"y"))
    first, second = unzip(changed(pile, pile.index(b"PK\x01\x02") + 8, b"\1"))
    assert raises(first) == "encrypted"
    assert load(second).text == "y"


def test_other_methods_are_told(unzip: Unzip) -> None:
    """A member that is packed in a way that only few programs know says so."""
    assert raises(unzip(packed(("a.txt", b"x"), method=zipfile.ZIP_LZMA))[0]) == "unknown_type"


def test_names_that_are_there_twice_are_refused(unzip: Unzip) -> None:
    """Which of two members is meant cannot be told."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        pile = packed(("a.txt", b"x"), ("b.txt", b"y"), ("a.txt", b"z"))
    first, second = unzip(pile)
    assert raises(first) == "unsafe"
    assert load(second).text == "y"


def test_an_archive_in_an_archive_says_what_to_do(unzip: Unzip) -> None:
    """It is an upload of its own, and not unpacked."""
    (upload,) = unzip(packed(("inner.zip", PILE)))
    with pytest.raises(DocumentError, match=r"Upload\.from_zip"):
        load(upload)


@pytest.mark.parametrize("flag", [0, 0x800])
def test_names_are_read_as_they_were_meant(unzip: Unzip, flag: int) -> None:
    """UTF-8 is read also where the archive does not say that it is; other names are those of old DOS programs."""
    pile = packed(("GrXXe.md", b"x"))
    for start, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        pile = changed(pile, pile.index(start) + place, struct.pack("<H", flag))
    assert names(unzip(pile.replace(b"XX", "ö".encode()))) == ["pile.zip/Gröe.md"]
    if not flag:
        assert names(unzip(pile.replace(b"XX", b"\x94\xe1"))) == ["pile.zip/Größe.md"]
    assert unzip(pile.replace(b"XX", "ö".encode()))[0].read() == b"x"


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"members": 2}, "members"), ({"archive_bytes": 9}, "archive_bytes"), ({"expanded_bytes": 9}, "expanded_bytes")],
)
def test_archives_may_be_so_large(unzip: Unzip, options: dict[str, int], argument: str) -> None:
    """What is larger is refused as a whole, with the argument that allows it."""
    with pytest.raises(DocumentError, match=argument) as caught:
        unzip(PILE, **options)
    assert (caught.value.upload, caught.value.code) == ("pile.zip", "too_large")


def test_only_what_is_asked_for_counts(unzip: Unzip) -> None:
    """A recording beside the documents does not keep them from being read."""
    assert len(unzip(packed(("a.txt", b"x"), ("talk.mp4", bytes(1000))), glob="*.txt", expanded_bytes=10)) == 1


def test_a_hundred_thousand_members_are_refused(unzip: Unzip) -> None:
    """Their list is not even read."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entry) * 200_000, 0, 0)
    with pytest.raises(DocumentError, match="more than 10,000 members"):
        unzip(entry * 200_000 + end)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty"), (b"PK", "malformed"), (b"Text", "malformed"), (PILE[:-10], "malformed"), (PILE[:30], "malformed")],
    ids=["nothing", "mark", "text", "without its end", "head"],
)
def test_what_is_no_archive_is_told(unzip: Unzip, data: bytes, code: str) -> None:
    """An archive that cannot be listed is an error of the call."""
    with pytest.raises(DocumentError) as caught:
        unzip(data)
    assert (caught.value.upload, caught.value.code) == ("pile.zip", code)


def test_a_missing_archive_is_told(tmp_path: Path) -> None:
    """So is a folder in its place."""
    for path in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(DocumentError) as caught:
            Upload.from_zip(path)
        assert caught.value.code == "not_found"


def test_an_archive_that_was_changed_is_told(tmp_path: Path) -> None:
    """Its members may be others now."""
    path = tmp_path / "pile.zip"
    path.write_bytes(PILE)
    first, *_ = Upload.from_zip(path)
    assert first.read() == b"Text"
    path.write_bytes(packed(("b.txt", b"y")))
    os.utime(path, ns=((first.modified_ns or 0) + 1_000_000_000,) * 2)
    assert raises(first) == "changed"


def test_a_member_that_is_gone_is_told() -> None:
    """An upload made by hand may name anything."""
    assert raises(Upload(name="a", size=1, data=PILE, member="none.txt")) == "changed"
    assert raises(Upload(name="a", size=1, data=PILE, member="a.txt")) == "changed"
    assert raises(Upload(name="a", size=1, data=b"Text", member="a.txt")) == "malformed"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_archives_raise_nothing_else(data: st.DataObject) -> None:
    """Whatever bytes of an archive are changed, its members are read as they were, or it or they are refused."""
    at = data.draw(st.integers(0, len(PILE) - 1))
    damaged = changed(PILE, at, data.draw(st.binary(min_size=1, max_size=4)))
    contents = {b"# Brief\n\nThe desk checks.", b"Text", b""}
    uploads: list[Upload] = []
    with contextlib.suppress(DocumentError):
        uploads = Upload.from_zip(damaged, "pile.zip")
    for upload in uploads:
        with contextlib.suppress(DocumentError):
            assert upload.read() in contents


@pytest.mark.parametrize("glob", ["[z-a].txt", "[]x"])
def test_a_pattern_that_is_none_is_refused(tmp_path: Path, glob: str) -> None:
    """What a user mistypes is told as such, in the glob as in what is to be ignored."""
    with pytest.raises(ConfigurationError, match="no pattern"):
        Upload.from_folder(tmp_path, glob)
    with pytest.raises(ConfigurationError, match="no pattern"):
        Upload.from_folder(tmp_path, ignore=[glob])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """A file that becomes a pipe after it was listed is refused at once."""
    make(tmp_path, "a.md")
    upload = Upload.from_path(tmp_path / "a.md")
    (tmp_path / "a.md").unlink()
    os.mkfifo(tmp_path / "a.md")
    with pytest.raises(DocumentError, match="no regular file"):
        upload.read()
