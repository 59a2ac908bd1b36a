"""Pages and pictures that have no text: they are sent as they are, within the API's limits."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from cardanalysis import AnalyzerError, Block, BlockKind, Document, Location, OutlineAnalyzer
from cardanalysis._documents import Media
from cardanalysis._grounding import Grounding
from cardanalysis._models import AnalysisRequest
from cardanalysis.analysis import _media
from cardanalysis.analysis._estimates import TOKENS_A_PICTURE, bytes_of, estimate_tokens, most_input_tokens
from cardanalysis.analysis._media import extent
from cardanalysis.analysis._parts import Part, halves, place_of, split_to
from cardanalysis.analysis._retries import RetryPolicy
from cardanalysis.testing import FakeMessagesAPI, Reply

sys.path.insert(0, str(Path(__file__).parent))

from anthropic import AsyncAnthropic
from claude_kit import CARD, analyzer

PAGE, PHOTO = b"%PDF-1.7 one page", b"\x89PNG\r\n\x1a\nphoto"


def scanned(*pages: str | Media) -> Document:
    """A document of pages: of text, or to look at."""
    text, blocks = "", []
    for number, page in enumerate(pages, start=1):
        text += "\n\n" if text else ""
        start = len(text)
        text += page if isinstance(page, str) else f"[Page {number} is a picture]"
        place = Location(name="scan.pdf", start=start, end=len(text), page=number)
        kind, media = (BlockKind.PARAGRAPH, None) if isinstance(page, str) else (BlockKind.IMAGE, page)
        blocks.append(Block(kind=kind, text=text[start:], location=place, media=media))
    return Document(upload_id="u", name="scan.pdf", media_type="application/pdf", text=text, blocks=blocks)


def page(data: bytes = PAGE) -> Media:
    return Media(media_type="application/pdf", data=data)


TWO = scanned("The ledger stays.", page(), Media(media_type="image/png", data=PHOTO, width=5, height=4), "The end.")
REQUEST = AnalysisRequest()


@pytest.fixture
def api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI() as api:
        yield api


def content(document: Document, **settings: Any) -> Sequence[dict[str, Any]]:
    (params,) = analyzer(**settings).request_params(document, REQUEST)
    blocks: Sequence[dict[str, Any]] = params["messages"][0]["content"]
    return blocks


def test_pictures_are_sent_where_they_stand() -> None:
    """Each goes in behind its mention, with its number, as a document or an image, and the fence is around it all."""
    first, pdf, second, png, third, task = content(TWO)
    assert first["text"].endswith("The ledger stays.\n\n[Page 2 is a picture]\n[Picture 1:]")
    assert second["text"] == "\n\n[Page 3 is a picture]\n[Picture 2:]"
    opened = first["text"].splitlines()[0]
    assert third["text"].startswith("\n\nThe end.")
    assert third["text"].splitlines()[-1] == f"</{opened[1:].split()[0]}>"
    assert (pdf["type"], pdf["source"]["media_type"]) == ("document", "application/pdf")
    assert (png["type"], png["source"]["media_type"]) == ("image", "image/png")
    assert [base64.b64decode(each["source"]["data"]) for each in (pdf, png)] == [PAGE, PHOTO]
    assert "`pictures`" in task["text"]


def test_the_schema_asks_for_pictures_only_where_there_are_some() -> None:
    """What is only text is asked about as before, so that caches of the schema still hold."""
    with_pictures, without = (
        analyzer().request_params(document, REQUEST)[0]["output_config"]["format"]["schema"]
        for document in (TWO, scanned("Only text."))
    )
    assert "pictures" in with_pictures["properties"]["cards"]["items"]["required"]
    assert "pictures" not in without["properties"]["cards"]["items"]["properties"]


@pytest.mark.anyio
async def test_a_card_knows_the_pages_it_was_read_from(api: FakeMessagesAPI) -> None:
    """Its quotes are evidence where the text has them; those of a picture cannot be checked, and say so."""
    quotes = ["The ledger stays.", "Written by hand."]
    api.script(Reply.json({"cards": [CARD | {"quotes": quotes, "pictures": [2, 2]}]}))
    async with AsyncAnthropic(api_key="sk-ant-x", base_url=api.base_url, max_retries=0) as client:
        (card,) = (await analyzer(client).analyze(TWO, REQUEST)).cards
    assert [str(place) for place in card.pictures] == ["scan.pdf, page 3"]
    grounded = Grounding(TWO).ground(card)
    assert [str(each.location) for each in grounded.evidence] == ["scan.pdf, page 1"]
    assert [(each.quote, each.reason) for each in grounded.rejected_quotes] == [("Written by hand.", "not_checkable")]


@pytest.mark.anyio
async def test_a_picture_that_does_not_exist_is_asked_about_again(api: FakeMessagesAPI) -> None:
    """A number that no picture has makes the answer wrong, as a broken schema does."""
    wrong, right = ({"cards": [CARD | {"pictures": [number]}]} for number in (3, 1))
    api.script(Reply.json(wrong), Reply.json(right))
    async with AsyncAnthropic(api_key="sk-ant-x", base_url=api.base_url, max_retries=0) as client:
        (card,) = (await analyzer(client, retry=RetryPolicy(repairs=1)).analyze(TWO, REQUEST)).cards
    assert [place.page for place in card.pictures] == [2]
    assert "cards[0].pictures must be numbers from 1 to 2." in api.requests[1].text


@pytest.mark.anyio
async def test_cards_of_a_cut_answer_keep_their_pages(api: FakeMessagesAPI) -> None:
    """What is salvaged knows its pictures too."""
    api.script(Reply.truncated({"cards": [CARD | {"pictures": [1]}, CARD | {"title": "B", "pictures": [2]}]}))
    api.script(Reply.json({"cards": []}))
    async with AsyncAnthropic(api_key="sk-ant-x", base_url=api.base_url, max_retries=0) as client:
        found = (await analyzer(client).analyze(TWO, REQUEST)).cards
    assert all(card.pictures for card in found)


def test_a_picture_has_its_tokens_and_no_text() -> None:
    """What is sent of it is not counted as text: base64 would be a hundred times too much."""
    large = scanned("Text", page(bytes(1_000_000)))
    small = scanned("Text", page(b"x"))
    for document in (large, small):
        (params,) = analyzer().request_params(document, REQUEST)
        assert TOKENS_A_PICTURE < estimate_tokens(params) < TOKENS_A_PICTURE + 10_000
        assert bytes_of(params) < 20_000
        assert most_input_tokens(params) > estimate_tokens(params)


def parts_of(document: Document, most: int) -> list[Part]:
    parts = split_to(document, most, estimate_tokens)
    assert "".join(part.text_of(document) for part in parts) == document.text
    return parts


def test_a_long_scan_is_read_in_parts_that_fit() -> None:
    """Pages are the seams, and the parts tile the document."""
    document = scanned(*(page() for _ in range(40)))
    parts = parts_of(document, 10 * TOKENS_A_PICTURE + 500)
    assert [sum(block.media is not None for block in blocks_of(document, part)) for part in parts] == [10] * 4


def blocks_of(document: Document, part: Part) -> list[Block]:
    return [block for block in document.blocks if part.start <= block.location.start < part.end]


def test_the_api_takes_so_many_pictures_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens there is room for, a request holds no more pictures and bytes than the API takes."""
    many = scanned(*(page(b"x") for _ in range(200)))
    assert [len(blocks_of(many, part)) for part in parts_of(many, 10**9)] == [90, 90, 20]
    heavy = scanned(*(page(bytes(_media.MOST_BYTES // 2)) for _ in range(5)))
    assert [len(blocks_of(heavy, part)) for part in parts_of(heavy, 10**9)] == [2, 2, 1]


def test_text_between_pictures_is_cut_as_text() -> None:
    """A long text that follows a picture does not stay in one part."""
    document = scanned(page(), *(f"Paragraph {n}. " * 20 for n in range(100)), page())
    parts = parts_of(document, 8_000)
    assert len(parts) > 2
    for part in parts:
        pictures = sum(block.media is not None for block in blocks_of(document, part))
        assert estimate_tokens(part.text_of(document)) + pictures * TOKENS_A_PICTURE <= 8_000


def test_a_part_with_pictures_is_halved_between_them() -> None:
    """Where a part turns out too long, its pictures are shared out; a single one cannot be halved."""
    document = scanned(*(page() for _ in range(4)))
    two = halves(document, Part(start=0, end=len(document.text)))
    assert two is not None
    assert [len(blocks_of(document, part)) for part in two] == [2, 2]
    assert place_of(document, two[1]).startswith("page 3 to page 4 (")
    one = scanned(page())
    assert halves(one, Part(start=0, end=len(one.text))) is None


def test_a_picture_counts_as_a_page_of_text() -> None:
    """The share of a document that was read is not that of its mentions of pictures."""
    document = scanned("x" * 2_000, page())
    half = extent(document, 0, 2_000) / extent(document, 0, len(document.text))
    assert 0.49 < half < 0.51


@pytest.mark.anyio
async def test_rules_tell_that_they_cannot_read_pictures() -> None:
    """The text is read, and the pages without text are named as missing."""
    need = "The system shall import orders. " * 60
    analysis = await OutlineAnalyzer().analyze(scanned(need, page(), page()), REQUEST)
    assert analysis.cards
    assert analysis.missing is not None
    assert analysis.missing.code == "no_text"
    assert "page 2, page 3." in analysis.missing.message
    assert 0.3 < analysis.coverage < 0.35


@pytest.mark.anyio
async def test_rules_cannot_read_what_is_only_pictures() -> None:
    """Where there is nothing but pictures, the error says what to use instead."""
    with pytest.raises(AnalyzerError, match="ClaudeAnalyzer") as caught:
        await OutlineAnalyzer().analyze(scanned(page()), REQUEST)
    assert caught.value.code == "no_text"


def test_many_pages_are_not_all_named() -> None:
    """The message stays short."""
    from cardanalysis.analysis._outline import _missing

    missing = _missing(list(scanned(*(page() for _ in range(30))).blocks))
    assert missing is not None
    assert "page 10 and 20 more." in missing.message


def test_a_document_of_another_name_is_another_question() -> None:
    """What is kept of a part is kept for what was asked, by everything that the model sees."""
    questions, part = analyzer()._questions(), Part(start=0, end=len(TWO.text))
    keys = [
        questions.key(TWO, REQUEST, part, max_cards=5),
        questions.key(evolve(TWO, name="b.pdf"), REQUEST, part, max_cards=5),
        questions.key(evolve(TWO, upload_id="v"), REQUEST, part, max_cards=5),
        questions.key(TWO, REQUEST, part, max_cards=6),
        questions.key(TWO, REQUEST, evolve(part, end=20), max_cards=5),
        analyzer(prompt="p")._questions().key(TWO, REQUEST, part, max_cards=5),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == questions.key(TWO, REQUEST, part, max_cards=5)
