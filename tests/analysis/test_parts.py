"""Parts of a document: they are all of it, they fit, and they begin and end where its structure allows."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._documents import Block, BlockKind, Document, Location
from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.analysis._parts import SHORTEST, Part, halves, split_to, whole
from cardanalysis.loading import DocumentLoader, load

UPLOADS = sorted((Path(__file__).parents[2] / "docs" / "examples" / "uploads").iterdir())
SENTENCE = "The portal shall show the state of a claim to its customer at any hour of the day. "


def loaded(text: str, name: str = "brief.md") -> Document:
    return load(Upload.from_text(text, name))


def bare(text: str, *blocks: Block) -> Document:
    """A document of a foreign loader, which need not have blocks."""
    return Document(upload_id="u", name="a", media_type="text/plain", text=text, blocks=blocks)


def texts(document: Document, parts: list[Part] | tuple[Part, Part] | None) -> list[str]:
    assert parts is not None
    return [part.text_of(document) for part in parts]


def halved(document: Document) -> list[str]:
    return texts(document, halves(document, whole(document)))


def all_parts(document: Document) -> Iterator[Part]:
    """The document, its halves, their halves and so on."""
    waiting = [whole(document)]
    while waiting:
        part = waiting.pop()
        yield part
        waiting.extend(halves(document, part) or ())


# -- Where a document is cut


def test_the_whole_is_one_part() -> None:
    """It begins under nothing."""
    document = loaded("# Title\n\nText")
    assert whole(document) == Part(start=0, end=13)
    assert whole(document).text_of(document) == document.text


def test_a_document_is_cut_before_its_highest_heading_near_the_middle() -> None:
    """A heading of a higher level counts for more than one that is nearer; its marks go with it."""
    low, high = f"### Low\n\n{SENTENCE * 3}\n\n", f"## High\n\n{SENTENCE * 3}\n\n"
    document = loaded(low * 3 + high + low * 4)
    first, second = halved(document)
    assert first == low * 3
    assert second.startswith("## High")


def test_of_equal_headings_the_one_nearest_the_middle_is_taken() -> None:
    """Halves are balanced."""
    section = f"## Section\n\n{SENTENCE}\n\n"
    assert [text.count("##") for text in halved(loaded(section * 9))] in ([4, 5], [5, 4])


def test_a_text_that_is_underlined_as_heading_is_cut_behind_the_line() -> None:
    """The underline stays with its heading."""
    section = f"Section\n=======\n{SENTENCE}\n\n"
    first, second = halved(loaded(section * 4))
    assert (first, second) == (section * 2, section * 2)


def test_a_list_is_cut_before_or_behind_rather_than_inside() -> None:
    """Paragraphs are looser than items."""
    items = "".join(f"- {SENTENCE}\n" for _ in range(4))
    paragraph = f"{SENTENCE * 4}\n\n"
    first, second = halved(loaded(f"{items}\n{paragraph}{paragraph}"))
    assert first == f"{items}\n"
    assert second == paragraph * 2


def test_a_list_is_cut_between_outer_items() -> None:
    """What stands below an item stays with it."""
    item = f"- Item\n  - {SENTENCE}\n  - {SENTENCE}\n"
    assert halved(loaded(item * 4)) == [item * 2, item * 2]
    assert halved(loaded(item * 3))[0] in (item, item * 2)


def test_an_announcement_stays_with_what_it_announces() -> None:
    """A paragraph that ends in a colon is not torn from what follows it."""
    text = f"{SENTENCE}\n\n{SENTENCE}\n\nThe rule is as follows:\n\n{SENTENCE}\n\n{SENTENCE}"
    first, second = halved(loaded(text))
    assert not first.rstrip().endswith(":")
    assert first + second == text


def test_a_heading_stays_with_its_text() -> None:
    """A part does not end in a heading if another place is near."""
    document = loaded(f"{SENTENCE * 2}\n\n{SENTENCE * 2}\n\n" + f"# Title\n\n{SENTENCE * 9}\n\n")
    for part in all_parts(document):
        assert not part.text_of(document).rstrip().endswith("# Title")


def test_a_table_is_cut_between_rows_and_its_header_is_told() -> None:
    """The second part knows its columns."""
    header = "| Step | Who | What goes wrong |\n| --- | --- | --- |\n"
    row = "| Report taken | Call centre | The date of the loss is missing |\n"
    document = loaded(f"# Steps\n\n{header}{row * 10}")
    parts = halves(document, whole(document))
    first, second = texts(document, parts)
    assert first == f"# Steps\n\n{header}{row * 5}"
    assert second == row * 5
    assert parts is not None
    assert parts[0].table_header == ""
    assert parts[1].table_header == "| Step | Who | What goes wrong |"
    assert parts[1].headings == ("Steps",)


def test_the_header_of_another_table_is_not_told() -> None:
    """Only the header of the table that goes on across the cut."""
    table = "| A | B |\n|---|---|\n" + f"| a | {SENTENCE}|\n" * 2
    document = loaded(f"{table}\n{SENTENCE * 5}\n\n{table.replace('| A | B |', '| C | D |')}")
    headers = {part.table_header for part in all_parts(document)}
    assert headers == {"", "| A | B |", "| C | D |"}
    after = halves(document, whole(document))
    assert after is not None
    assert after[1].table_header == ""


def test_a_row_is_not_cut_where_the_table_can_be() -> None:
    """A long row stays whole if there is anything else to cut, and the header stays with the first row."""
    head, short, long = "Topic,Notes\n", "Place,Marwald\n", f'Talk,"{(SENTENCE + chr(10)) * 9}"\n'
    assert halved(loaded(head + short + long + short, "a.csv")) == [head + short, long + short]
    assert halved(loaded(head + long + short, "a.csv")) == [head + long, short]


def test_a_row_that_is_all_there_is_is_cut_in_its_text() -> None:
    """Else a document of one row could not be read in parts at all."""
    document = loaded(f'Topic,Notes\nTalk,"{SENTENCE * 9}"\n', "a.csv")
    parts = halves(document, whole(document))
    assert texts(document, parts)[1].startswith("The portal")
    assert parts is not None
    assert parts[1].table_header == "Topic,Notes"


def test_a_fence_stays_with_its_code() -> None:
    """The mark that opens a block of code belongs to the part with the code, the one that closes it too."""
    code = f"```text\n{SENTENCE * 2}\n```\n"
    assert halved(loaded(f"{SENTENCE * 2}\n{code}"))[1] == code
    assert halved(loaded(f"{SENTENCE * 2}\n\n{code}"))[1] == code
    assert halved(loaded(f"{code}{SENTENCE * 2}"))[0] == code
    assert halved(loaded(f"{code}\n{SENTENCE * 2}"))[0] == f"{code}\n"


def test_sentences_are_not_cut_at_abbreviations() -> None:
    """A paragraph is cut between sentences, and Mr. Bond is no end of one."""
    text = "Ask Mr. Bond of Dept. 7, e.g. by phone, what the agents of St. James need to know. "
    document = loaded(text * 20, "a.txt")
    for part in all_parts(document):
        assert part.text_of(document).startswith("Ask Mr. Bond")


def test_sentences_that_begin_a_line_are_preferred() -> None:
    """In a transcript it is a speaker's turn that ends."""
    document = loaded(f"Paula: Why? {SENTENCE}\nTomasz: {SENTENCE}{SENTENCE}\n" * 4, "a.txt")
    assert halved(document)[1].startswith(("Paula:", "Tomasz:"))


def test_chinese_sentences_end_without_a_space() -> None:
    """A stop of full width ends a sentence."""
    sentence = "客户必须能够在门户网站上随时查看索赔状态。"
    assert all(text.endswith("。") for text in halved(loaded(sentence * 15, "a.txt")))


def test_lines_without_sentences_are_cut_between_lines() -> None:
    """Then words, then any place, is the last resort."""
    line = "SELECT claim FROM claims WHERE state = open\n"
    assert all(text.endswith("\n") for text in halved(loaded(line * 9, "a.txt")))
    assert halved(loaded("word " * 99 + "word", "a.txt"))[1].startswith("word ")
    assert halved(loaded("x" * 300, "a.txt")) == ["x" * 150] * 2


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("e\u0301\u0323", 3),
        ("\ud83d\ude80", 2),
        ("\r\n", 2),
        ("👩\u200d👧", 3),
        ("👍\U0001f3fd", 2),
        ("\u1112\u1161\u11ab", 3),
        ("क\u094d", 2),
    ],
)
def test_a_character_of_several_code_points_is_not_cut(unit: str, size: int) -> None:
    """Not even where there is nothing else to cut."""
    document = bare(unit * 400)
    for part in split_to(document, 10, len):
        assert len(part.text_of(document)) % size == 0
        assert part.text_of(document).startswith(unit)


def test_what_must_not_be_cut_stays_whole() -> None:
    """A letter with a thousand accents has no place to cut."""
    document = bare("e" + "\u0301" * 1_000)
    assert halves(document, whole(document)) is None
    assert split_to(document, 10, len) == [whole(document)]


def test_a_short_part_is_not_cut() -> None:
    """There is a length below which cutting saves nothing."""
    document = bare("word " * (SHORTEST // 5))
    assert halves(document, whole(document)) is not None
    assert halves(document, Part(start=1, end=SHORTEST)) is None
    assert split_to(bare(""), 1, len) == [Part(start=0, end=0)]


# -- What a part stands under


def test_a_part_knows_the_headings_it_stands_under() -> None:
    """The path from the highest down; a heading that the part begins with is in its text."""
    section = f"{SENTENCE * 2}\n\n"
    document = loaded(f"# T\n\n{section}## A\n\n{section}### A1\n\n{section}## B\n\n{section}### B1\n\n{section}")
    paths = {part.text_of(document).partition("\n")[0]: part.headings for part in all_parts(document)}
    assert paths["# T"] == ()
    assert paths["## A"] == ("T",)
    assert paths["### A1"] == ("T", "A")
    assert paths["## B"] == ("T",)
    assert paths["### B1"] == ("T", "B")
    assert all("B" not in path for start, path in paths.items() if start.startswith("### A"))


def test_a_part_that_begins_inside_a_block_stands_under_its_heading() -> None:
    """Also if one block is cut several times."""
    document = loaded(f"# T\n\n## A\n\n{SENTENCE * 30}\n\n# U\n\n{SENTENCE}")
    inside = [part for part in split_to(document, 500, len) if part.text_of(document).startswith("The")]
    assert len(inside) > 3
    assert {part.headings for part in inside} == {("T", "A")}


def test_long_headings_and_headers_are_shortened() -> None:
    """They are a help and not what is to be read."""
    document = loaded(f"# {'long ' * 99}\n\n" + ("a" * 3_000 + ",b\n" + "c,d\n" * 2_000), "a.md")
    assert [len(each) for each in split_to(document, 5_000, len)[-1].headings] == [200]
    table = loaded("a" * 3_000 + ",b\n" + "c,d\n" * 2_000, "a.csv")
    assert {len(part.table_header) for part in split_to(table, 5_000, len)} == {0, 2_000}


# -- Parts that fit


def fits(document: Document, most: int, parts: list[Part]) -> bool:
    return all(len(part.text_of(document)) <= most or halves(document, part) is None for part in parts)


def covers(document: Document, parts: list[Part]) -> bool:
    assert all(one.end == other.start for one, other in pairwise(parts))
    return "".join(texts(document, parts)) == document.text and all(part.start < part.end for part in parts)


def test_a_document_that_fits_is_one_part() -> None:
    """Nothing is cut without need."""
    document = loaded(f"# A\n\n{SENTENCE * 9}\n\n# B")
    assert split_to(document, len(document.text), len) == [whole(document)]


@pytest.mark.parametrize("need", [1.1, 1.5, 1.9, 2.5, 5.0, 9.9])
def test_parts_are_few_and_balanced(need: float) -> None:
    """No more than a tenth beyond need, and none of them is a snippet."""
    document = loaded(f"{SENTENCE * 2}\n\n" * 300)
    most = int(len(document.text) / need)
    parts = split_to(document, most, len)
    lengths = [part.end - part.start for part in parts]
    assert covers(document, parts)
    assert max(lengths) <= most
    assert len(parts) <= int(1.1 * need) + 1
    assert min(lengths) > most / 3


def test_a_text_of_uneven_density_is_cut_again() -> None:
    """A size that is no length is kept all the same."""
    document = loaded(f"{SENTENCE}\n\n" * 50 + "客户必须能够随时查看索赔状态。\n\n" * 200)

    def size(text: str) -> int:
        return len(text.encode())

    parts = split_to(document, 1_500, size)
    assert covers(document, parts)
    assert max(map(size, texts(document, parts))) <= 1_500


def test_a_size_that_never_fits_ends() -> None:
    """Every part is then as short as parts get."""
    document = loaded(f"{SENTENCE}\n\n" * 40)
    parts = split_to(document, 1, lambda _: 10)
    assert covers(document, parts)
    assert all(halves(document, part) is None for part in parts)


@pytest.mark.parametrize("path", UPLOADS, ids=lambda path: path.name)
@pytest.mark.parametrize("most", [150, 700, 2_500])
def test_real_documents_are_cut_well(path: Path, most: int) -> None:
    """All of each is in its parts, no row of a table is cut, and headings and lists begin with their marks."""
    try:
        document = load(Upload.from_path(path))
    except DocumentError:
        assert path.name == "broken.csv"
        return
    parts = split_to(document, most, len)
    assert covers(document, parts)
    assert fits(document, most, parts)
    cuts = {part.start for part in parts}
    for block in document.blocks:
        inside = cuts & set(range(block.location.start + 1, block.location.end))
        cut = block.kind in (BlockKind.TABLE_ROW, BlockKind.TABLE_HEADER, BlockKind.HEADING) and inside
        assert not cut or len(block.text) > most
    assert all(text.strip() for text in texts(document, parts))


# -- For all documents

marks = [
    "# ",
    "## ",
    "- ",
    "  - ",
    "1. ",
    "| a | b |\n|---|---|\n| ",
    "| ",
    "```\n",
    "```",
    "> ",
    "<!--",
    "-->",
    "---\n",
]
pieces = st.one_of(
    st.sampled_from(["\n", "\n\n", "\r\n", "\r", " ", "\t", ". ", "。", "|", "e\u0301", "👩\u200d👧", *marks]),
    st.integers(1, 60).map(lambda count: "x" * count),
    st.integers(1, 9).map(lambda count: "Some words. " * count),
    st.integers(1, 9).map(lambda count: "| cell | cell |\n" * count),
)
markdown = st.lists(pieces, min_size=1, max_size=60).map("".join).filter(str.strip)


@settings(max_examples=100)
@given(markdown, st.sampled_from(["a.md", "a.txt"]), st.integers(1, 900))
def test_parts_are_the_document_and_fit(text: str, name: str, most: int) -> None:
    """Whatever a document looks like, its parts together are it, and no part could be cut that is too large."""
    try:
        document = loaded(text, name)
    except DocumentError:
        return
    parts = split_to(document, most, len)
    assert covers(document, parts)
    assert fits(document, most, parts)
    for part in parts[1:]:
        assert not unicodedata.combining(document.text[part.start])
        assert document.text[part.start - 1 : part.start + 1] != "\r\n"


@settings(max_examples=100)
@given(markdown)
def test_halves_are_the_part(text: str) -> None:
    """Halving goes on until parts are short; each time the two are the part, and the first begins like it."""
    try:
        document = loaded(text)
    except DocumentError:  # nothing but marks
        document = bare(text)
    leaves = []
    for part in all_parts(document):
        both = halves(document, part)
        if both is None:
            leaves.append(part)
            continue
        first, second = both
        assert part.start == first.start < first.end == second.start < second.end == part.end
        assert (first.headings, first.table_header) == (part.headings, part.table_header)
    assert covers(document, sorted(leaves, key=lambda part: part.start))


rows = st.lists(st.tuples(st.integers(1, 400), st.booleans()), min_size=1, max_size=30)


@settings(max_examples=60)
@given(rows, st.integers(100, 1_500))
def test_rows_that_fit_are_never_cut(rows: list[tuple[int, bool]], most: int) -> None:
    """Only a row that is too large itself is cut, whatever the others are like, and the header is told."""
    cells = ["\n".join(["word " * 9] * (1 + length // 45)) if folded else "x" * length for length, folded in rows]
    document = loaded("Name,Text\n" + "".join(f'n,"{cell}"\n' for cell in cells), "a.csv")
    parts = split_to(document, most, len)
    assert covers(document, parts)
    assert fits(document, most, parts)
    cuts = [part.start for part in parts]
    for block in document.blocks:
        if any(block.location.start < cut < block.location.end for cut in cuts):
            assert len(block.text) > most - len("Name,Text\n") - 1
    assert all(part.table_header == "Name,Text" for part in parts[2:])


def test_blocks_that_overlap_do_no_harm() -> None:
    """A loader may break its promises; the parts still are the document."""
    text = SENTENCE * 20

    def block(start: int, end: int, kind: BlockKind = BlockKind.PARAGRAPH) -> Block:
        return Block(kind=kind, text=text[start:end], location=Location(name="a", start=start, end=end))

    document = bare(text, block(0, 1_500), block(700, 1_000, BlockKind.TABLE_ROW), block(800, len(text) + 50))
    for most in (100, 300, 900):
        assert covers(document, split_to(document, most, len))


@pytest.mark.anyio
async def test_parts_of_what_the_loader_gives() -> None:
    """The loader's own documents are what is cut."""
    document = await DocumentLoader().load(Upload.from_text(f"# T\n\n{SENTENCE * 9}", "a.md"))
    assert covers(document, split_to(document, 300, len))


def test_what_begins_within_a_paragraph_is_told_what_stands_before() -> None:
    """Where a paragraph has to be cut, the next part knows its last words; they are not part of it."""
    document = loaded(f"# Title\n\n{SENTENCE * 40}")
    first, second, *_ = split_to(document, 1_000, len)
    assert first.before == ""
    assert second.before
    assert len(second.before) <= 400
    assert first.text_of(document).endswith(second.before)
    assert document.text[second.start - len(second.before) - 1] in " \n"


@pytest.mark.parametrize(
    "text", [f"# One\n\n{SENTENCE * 2}\n\n# Two\n\n{SENTENCE * 2}\n\n" * 6, "a,b\n" + "1,2\n" * 400]
)
def test_what_begins_at_a_seam_needs_nothing_before_it(text: str) -> None:
    """Between sections, paragraphs and rows nothing is told twice."""
    parts = split_to(loaded(text, "a.csv" if text.startswith("a,b") else "a.md"), 700, len)
    assert len(parts) > 1
    assert [part.before for part in parts] == [""] * len(parts)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(200, 2_000))
def test_what_is_told_before_a_part_stands_there(lengths: list[int], most: int) -> None:
    """It is the text just before the part, and never more than a few sentences."""
    document = loaded("\n\n".join(SENTENCE * length for length in lengths))
    for part in split_to(document, most, len):
        assert document.text[: part.start].endswith(part.before)
        assert len(part.before) <= 400
