"""Whatever happens to a file, loading it gives a document or a document error.

With ``CARDANALYSIS_FUZZ_SECONDS=120`` each kind of file is changed for so long; ``CARDANALYSIS_FUZZ_LOG`` names a file
that then gets a line for each error of a parser that nobody foresaw.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from cardanalysis._documents import Document
from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import Limits, load

from .conftest import check
from .corpus.good import GOOD, Good
from .corpus.mutations import mutated

SECONDS = float(os.environ.get("CARDANALYSIS_FUZZ_SECONDS", "0"))
LOG = os.environ.get("CARDANALYSIS_FUZZ_LOG")
EXAMPLES = 12
CODES = {
    "changed",
    "crashed",
    "empty",
    "encrypted",
    "malformed",
    "memory",
    "timeout",
    "too_large",
    "undecodable",
    "unknown_type",
    "unsafe",
}


@cache
def made(name: str) -> Good:
    return GOOD[name]()


def outcome(data: bytes, name: str) -> Document | DocumentError:
    try:
        return load(Upload.from_bytes(data, name), Limits(seconds=30))
    except DocumentError as error:
        return error


def tell(name: str, data: bytes, found: DocumentError) -> None:
    """Keep what nobody foresaw: an exception that the loader took from the parser, a crash or a hang."""
    if not LOG or not (
        found.__cause__ or found.code in {"crashed", "memory", "timeout"} or "as it should" in str(found)
    ):
        return
    log = Path(LOG)
    with log.open("a") as file:
        file.write(f"{name}\t{found.code}\t{found}\n")
    log.with_suffix(f".{name}.{Counter(log.read_text().split())[name]}").write_bytes(data)


def trial(name: str, examples: int) -> Callable[[], None]:
    """A property of one kind of file, tried so often."""

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(number=st.integers(0, 2**64))
    def hold(number: int) -> None:
        good = made(name)
        data = mutated(good.data, Random(number))
        found = outcome(data, good.name)
        if isinstance(found, DocumentError):
            assert found.code in CODES
            assert found.upload == good.name
            tell(name, data, found)
        else:
            check(found, good.name)

    return hold


@pytest.mark.parametrize("name", GOOD)
def test_a_changed_file_is_a_document_or_a_document_error(name: str) -> None:
    """Flipped bits, missing pieces, swapped ranges and odd values in a file raise nothing but a document error."""
    if not SECONDS:
        trial(name, EXAMPLES)()
        return
    end, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        number += 1
        seed(number)(trial(name, 200))()
