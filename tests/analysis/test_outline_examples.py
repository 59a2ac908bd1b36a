"""The example documents, loaded as users load them, give cards worth reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardanalysis._errors import DocumentError
from cardanalysis._models import Card, Priority
from cardanalysis._uploads import Upload
from cardanalysis.analysis._outline import outline_cards
from cardanalysis.loading import load

UPLOADS = Path(__file__).parents[2] / "docs" / "examples" / "uploads"


def cards(name: str, max_cards: int = 20) -> list[Card]:
    return outline_cards(load(Upload.from_path(UPLOADS / name)), max_cards)


def card(name: str, title: str) -> Card:
    (found,) = [each for each in cards(name, 100) if each.title == title]
    return found


COUNTS = {
    "backlog.tsv": 11,
    "brief.md": 8,
    "interviews.txt": 18,
    "process-notes.md": 21,
    "requirements.csv": 20,
    "systems.csv": 7,
    "workshop-minutes.txt": 17,
}


def test_every_example_but_the_broken_one_is_tried() -> None:
    """The folder is analyzed as a whole: nothing else lies in it."""
    assert {path.name for path in UPLOADS.iterdir()} == {*COUNTS, "broken.csv"}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_the_number_of_cards(name: str, count: int) -> None:
    """What people have looked at and found right."""
    assert len(cards(name, 100)) == count


def test_the_broken_one_is_refused() -> None:
    """Its quote does not end, as in an export that was cut by hand."""
    with pytest.raises(DocumentError) as caught:
        load(Upload.from_path(UPLOADS / "broken.csv"))
    assert caught.value.code == "malformed"


def test_a_use_case_of_the_brief() -> None:
    """All fields are filled, from sub-headings."""
    found = card("brief.md", "Report a loss online")
    assert found.priority is Priority.HIGH
    assert found.target_users == ("Policyholders", "brokers who report for their clients")
    assert found.systems == ("HAFEN", "Kranich")
    assert found.impact == "About 9,000 calls a year less, which is the work of four people."
    assert len(found.constraints) == len(found.desired_outcomes) == 2
    assert found.problem.startswith("71 %")
    assert found.current_state.startswith("The call centre")


def test_a_story_of_an_interview() -> None:
    """Found between questions and answers, with its line."""
    found = card("interviews.txt", "Lock a claim type for automatic payment at once")
    assert found.target_users == ("team lead",)
    assert found.desired_outcomes == ("stop a fraud pattern on the day we discover it",)
    assert str(found.evidence[0].location).startswith("interviews.txt, lines ")


def test_a_system_of_the_table() -> None:
    """The planned change names the card; the pain is its problem."""
    found = card("systems.csv", "Keep photos as they were sent")
    assert found.systems == ("Archivum",)
    assert found.problem == "Photos lose their colour, so adjusters cannot judge water damage"
    assert found.priority is Priority.HIGH


def test_windows_text_is_read() -> None:
    """Umlauts, curly quotes and euro signs arrive."""
    found = cards("workshop-minutes.txt")
    assert "Release of estimates below 2,500 € within one working day" in [each.title for each in found]
    assert not [each for each in found if "Ostermann" in each.title]
