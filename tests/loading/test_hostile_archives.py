"""Archives and folders that are meant to harm: what can be read of them is read, and nothing leaves its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attrs import evolve

from cardanalysis import Document, DocumentError, Upload
from cardanalysis.loading import load

from .corpus.archives import Member, archive, encrypted, member, zipped
from .corpus.good import GOOD

SENTENCE = "The system shall keep all orders."
MEGABYTE = 1 << 20
SOUND = member("sound.txt", (SENTENCE.encode(), 1))


def text(name: str) -> Member:
    return member(name, (f"Text in {len(name)}".encode(), 1))


def outcomes(data: bytes, name: str = "pile.zip") -> dict[str, str]:
    """What comes of each member, by its name in the archive: a code, or ``read``."""
    found: dict[str, str] = {}
    for upload in Upload.from_zip(data, name):
        try:
            document = load(upload)
        except DocumentError as error:
            found[upload.name.removeprefix(f"{name}/")] = error.code
        else:
            assert isinstance(document, Document)
            found[upload.name.removeprefix(f"{name}/")] = "read"
    return found


def packed(*members: Member) -> bytes:
    return archive([SOUND, *members])


LINK = evolve(member("link.txt", (b"/etc/passwd", 1)), mode=0o120777)
BOMB = member("bomb.txt", (b"a" * MEGABYTE, 900))
LYING = evolve(member("lying.txt", (b"a b " * 250_000, 300)), size=1000)
BROKEN = evolve(text("broken.txt"), crc=1)
NESTED = zipped({"x.zip": zipped({"a.txt": b"A"})})

ONE_BAD: Mapping[str, tuple[Member, set[str]]] = {
    "a step upwards": (text("../../evil.txt"), {"unsafe"}),
    "an absolute path": (text("/etc/evil.txt"), {"unsafe"}),
    "a drive": (text("C:\\evil.txt"), {"unsafe"}),
    "a step upwards the other way": (text("..\\..\\evil.txt"), {"unsafe"}),
    "a symbolic link": (LINK, {"unsafe"}),
    "a bomb": (BOMB, {"too_large", "unsafe"}),
    "a bomb that lies": (LYING, {"malformed", "too_large", "unsafe"}),
    "a wrong checksum": (BROKEN, {"malformed"}),
    "a member with a password": (evolve(text("secret.txt"), flags=1), {"encrypted"}),
    "a device": (evolve(text("device.txt"), mode=0o020666), {"unsafe", "read"}),
    "an unknown type": (member("tool.exe", (b"MZ" + bytes(100), 1)), {"unknown_type"}),
    "an empty file": (evolve(member("empty.txt")), {"empty"}),
    "an archive in an archive": (
        member("inner.zip", (zipped({"x.zip": zipped({"a.txt": b"A"})}), 1)),
        {"unknown_type"},
    ),
}


@pytest.mark.parametrize("what", ONE_BAD)
def test_one_bad_member_spoils_no_other(what: str) -> None:
    """What is bad in an archive has its error, and the sound member beside it is read."""
    bad, codes = ONE_BAD[what]
    found = outcomes(packed(bad))

    assert found.pop("sound.txt") == "read"
    assert len(found) == 1
    assert set(found.values()) <= codes, found


REFUSED: Mapping[str, tuple[Callable[[], bytes], set[str]]] = {
    "truncated": (lambda: packed(text("a.txt"))[:-30], {"malformed"}),
    "no archive": (lambda: b"no archive at all", {"malformed", "unknown_type"}),
    "nothing": (lambda: b"", {"empty", "malformed"}),
    "too many members": (lambda: archive(evolve(SOUND, name=b"%d.txt" % n) for n in range(60_000)), {"too_large"}),
    "too much": (lambda: packed(evolve(BOMB, name=b"2.txt"), BOMB), {"too_large"}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_archive_that_is_none_or_too_large_is_refused(what: str) -> None:
    """What is no archive, or has more members or content than is allowed, is refused as a whole."""
    make, codes = REFUSED[what]
    with pytest.raises(DocumentError) as caught:
        Upload.from_zip(make(), "pile.zip")

    assert caught.value.code in codes


def test_two_members_of_one_name() -> None:
    """Two members of the same name are told apart, or refused; the sound one is read."""
    found = outcomes(packed(member("a.txt", (b"One", 1)), member("a.txt", (b"Two", 1))))

    assert found["sound.txt"] == "read"


def test_an_archive_with_a_password() -> None:
    """Every member of an archive with a password says that it needs one."""
    assert set(outcomes(encrypted(packed(text("a.txt")))).values()) == {"encrypted"}


def test_sound_documents_of_all_formats_in_an_archive() -> None:
    """Documents of every format are read out of an archive as they are without one."""
    made = [make() for make in GOOD.values()]
    data = zipped({f"folder/{good.name}": good.data for good in made})
    texts = {upload.name: load(upload).text for upload in Upload.from_zip(data, "pile.zip")}

    for good in made:
        alone = load(Upload.from_bytes(good.data, f"pile.zip/folder/{good.name}"))
        assert texts[f"pile.zip/folder/{good.name}"] == alone.text


def test_nothing_is_written_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading an archive leaves no file anywhere near it."""
    inner = tmp_path / "one" / "two"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    (inner / "pile.zip").write_bytes(packed(text("../../evil.txt"), LINK))

    outcomes((inner / "pile.zip").read_bytes())

    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "one",
        str(Path("one/two")),
        str(Path("one/two/pile.zip")),
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes and links")
def test_a_folder_is_not_left(tmp_path: Path) -> None:
    """A link out of a folder is refused, a broken one is gone; links in a circle and pipes are no documents."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "sound.txt").write_text(SENTENCE)
    (outside / "secret.txt").write_text("Secret.")
    (inside / "link.txt").symlink_to(outside / "secret.txt")
    (inside / "folder").symlink_to(outside)
    (inside / "circle").symlink_to(inside)
    (inside / "broken.txt").symlink_to(inside / "none.txt")
    os.mkfifo(inside / "pipe.txt")

    broken, link, sound = Upload.from_folder(inside)

    assert load(sound).text == SENTENCE
    with pytest.raises(DocumentError) as refused:
        load(link)
    assert refused.value.code == "unsafe"
    with pytest.raises(DocumentError) as caught:
        load(broken)
    assert (broken.name, caught.value.code) == ("broken.txt", "not_found")
