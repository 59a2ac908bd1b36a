"""Which character stands between the cells of a text; pure."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import islice, pairwise

from ._records import Record, UnclosedQuote, records

_CANDIDATES = ",;\t|"
_SAMPLE_RECORDS = 50
_SAMPLE_CHARACTERS = 1_000_000
# Below this a character is taken for one that only happens to stand in the cells.
_LEAST_SCORE = 0.5


def detect(text: str, usual: str) -> str:
    """Find the delimiter: the candidate that cuts the first records into the most even number of cells.

    Args:
        text: The text, from its first record on.
        usual: The delimiter to take when no candidate convinces, or when it is as good as the best.
    """
    sample = text[:_SAMPLE_CHARACTERS]
    scores = {each: _score(_first_records(sample, each, cut=sample != text), each) for each in usual + _CANDIDATES}
    best = max(scores, key=lambda each: scores[each])
    return best if scores[best][0] >= _LEAST_SCORE else usual


def _first_records(sample: str, delimiter: str, *, cut: bool) -> list[Record]:
    """The first records that are not empty, up to a quote that the delimiter leaves open."""
    found: list[Record] = []
    with suppress(UnclosedQuote):
        for record in islice((each for each in records(sample, delimiter) if not each.empty), _SAMPLE_RECORDS):
            found.append(record)  # noqa: PERF402 - what was found before an unclosed quote is kept
    ends_in_cut = cut and len(found) > 1 and found[-1].end == len(sample)
    return found[:-1] if ends_in_cut else found


def _score(found: list[Record], delimiter: str) -> tuple[float, int]:
    """How well a delimiter fits, from 0 to 1, and into how many columns it cuts."""
    widths = Counter(len(each.cells) for each in found if len(each.cells) > 1)
    if not widths:
        return 0.0, 0
    columns, even = max(widths.items(), key=lambda item: (item[1], item[0]))
    fit = (even + widths.total()) / (2 * len(found))
    return fit * (1 - _share_in_text(found, delimiter) / 3), columns


def _share_in_text(found: list[Record], delimiter: str) -> float:
    """How many of the cuts look like ones in the middle of prose or of a number, from 0 to 1."""
    if delimiter not in ",;":
        return 0.0
    cuts = [pair for each in found for pair in pairwise(each.cells)]
    in_prose = sum(right.startswith(" ") for _, right in cuts)
    in_numbers = sum(left[-1:].isdigit() and right[:1].isdigit() for left, right in cuts) if delimiter == "," else 0
    return (in_prose + in_numbers) / len(cuts)
