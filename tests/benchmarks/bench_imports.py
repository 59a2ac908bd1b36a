"""What importing the package costs, beside what it stands on."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from statistics import median

from measuring import Report, Table, ratio, take_turns

_PLAIN = "import anyio, attrs"
_STATEMENTS = (
    "import cardanalysis",
    "from cardanalysis import SQLiteStore, Upload, analyze_cards",
    _PLAIN,
    "import anthropic",
    "from cardanalysis import ClaudeAnalyzer",
)

_TEXT = """\
Each statement in a fresh interpreter, in {rounds} rounds, of which the first may compile byte code. The names of the
package are loaded when they are first used, and the SDK only by those who use Claude. The goal for
`import cardanalysis` is less than 0.1 s."""


def run(tiny: bool) -> Report:
    rounds, statements = (1, _STATEMENTS[:3]) if tiny else (11, _STATEMENTS)  # the last two take a second each
    timings = take_turns({statement: partial(_seconds, statement) for statement in statements}, rounds)
    rows = [
        [
            f"`{statement}`",
            f"{min(seconds) * 1000:.1f} ms",
            f"{median(seconds) * 1000:.1f} ms",
            f"{ratio(seconds, timings[_PLAIN]):.2f}",
        ]
        for statement, seconds in timings.items()
    ]
    return Report(
        "Importing", [_TEXT.format(rounds=rounds), Table(["statement", "least", "median", f"beside `{_PLAIN}`"], rows)]
    )


def _seconds(statement: str) -> float:
    program = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    return float(printed)
