"""`OutlineAnalyzer` as the engine uses it."""

from __future__ import annotations

import threading

import pytest

from cardanalysis._documents import Document
from cardanalysis._models import AnalysisRequest, Usage
from cardanalysis._uploads import Upload
from cardanalysis.abc import Analyzer, Described
from cardanalysis.analysis import _outline
from cardanalysis.analysis._outline import OutlineAnalyzer, outline_cards
from cardanalysis.loading import load


def document(text: str) -> Document:
    return load(Upload.from_text(text, "a.md"))


def test_it_is_an_analyzer_that_describes_itself() -> None:
    """Its rules have a version, which is part of what was asked."""
    analyzer: Analyzer = OutlineAnalyzer()
    assert isinstance(analyzer, Described)
    assert analyzer.name == "outline"
    assert analyzer.describe() == {"rules_version": 1}


@pytest.mark.anyio
async def test_it_costs_nothing_and_marks_its_cards() -> None:
    """No request, no token, and every card says that rules made it."""
    analysis = await OutlineAnalyzer().analyze(document("Users must log in.\n"), AnalysisRequest())
    assert [(card.title, card.made_by) for card in analysis.cards] == [("Users must log in", "outline")]
    assert analysis.usage == Usage()
    assert analysis.notes == ()


@pytest.mark.anyio
async def test_a_document_without_requirements_gives_no_cards() -> None:
    """That is no error."""
    analysis = await OutlineAnalyzer().analyze(document("Hello.\n"), AnalysisRequest())
    assert (analysis.cards, analysis.notes) == ((), ())


@pytest.mark.anyio
@pytest.mark.parametrize(("count", "in_a_thread"), [(2, False), (2000, True)])
async def test_only_long_documents_go_to_a_thread(
    count: int, in_a_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop is not held up, and both ways give the same cards."""
    threads: list[threading.Thread] = []
    source = _outline.Source

    def spy(read: Document) -> _outline.Source:
        threads.append(threading.current_thread())
        return source(read)

    read = document("".join(f"Part {number} must work.\n\n" for number in range(count)))
    expected = outline_cards(read, 3)
    monkeypatch.setattr(_outline, "Source", spy)
    analysis = await OutlineAnalyzer().analyze(read, AnalysisRequest(max_cards=3))
    assert list(analysis.cards) == expected
    assert (threads[0] is not threading.main_thread()) is in_a_thread


@pytest.mark.anyio
async def test_the_weakest_are_left_out_and_counted() -> None:
    """Numbered requirements and stories stay before "must", that before "should"; what stays keeps its order."""
    text = (
        "It should be nice.\n\nIt must be fast.\n\nIt must be red.\n\nREQ-1: Log in\n\nAs a user, I want film.\n\n"
        "It must be blue.\n"
    )
    analysis = await OutlineAnalyzer().analyze(document(text), AnalysisRequest(max_cards=4))
    assert [card.title for card in analysis.cards] == ["It must be fast", "It must be red", "REQ-1: Log in", "Film"]
    assert analysis.notes == ("2 cards left out because max_cards allows no more; the weakest are not here.",)


def test_evidence_keeps_page_and_sheet_of_its_block() -> None:
    """Places other than lines come from the loader and stay; where lines mean nothing there are none."""
    from attrs import evolve

    read = document("Hello. Users must log in.\n")
    (block,) = read.blocks
    placed = evolve(block, location=evolve(block.location, line=None, end_line=None, page=7))
    (card,) = outline_cards(evolve(read, blocks=(placed,)), 1)
    assert card.evidence[0].quote == "Users must log in."
    assert (card.evidence[0].location.page, card.evidence[0].location.line) == (7, None)
