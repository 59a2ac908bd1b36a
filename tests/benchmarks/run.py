"""Runs the benchmarks: ``python tests/benchmarks/run.py [NAME…]``. They need the dependency group ``test``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from measuring import Report, machine

BENCHMARKS = ("speedup", "pacing", "requests", "engine", "imports", "stores", "loading", "formats", "grounding")
"""Each is the function ``run`` of the module ``bench_NAME``."""

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"

HEAD = """\
<!-- Written by tests/benchmarks/run.py; change that, not this. -->

# Benchmarks

What the library costs and gains, beside other ways to do the same. Every figure is to be read as a ratio within its
table: the alternatives of a table took turns in one run, and the figures are medians. Another machine gives other
times and much the same ratios. No test asserts a time.

Measured on: {machine}.

```sh
python tests/benchmarks/run.py                # all of it, some minutes
python tests/benchmarks/run.py engine stores  # only these
python tests/benchmarks/run.py --write        # all of it, and this page is written again
```"""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    reports: list[str] = []
    _show(f"Measured on: {machine()}.")
    for name in options.names or BENCHMARKS:
        report: Report = import_module(f"bench_{name}").run(options.tiny)
        reports.append(str(report))
        _show(f"\n{report}")
    if options.write:
        page = "\n\n".join([HEAD.format(machine=machine()), *reports])
        PAGE.write_text(f"{page}\n", encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(BENCHMARKS)}; none means all")
    parser.add_argument("--tiny", action="store_true", help="only see that they run; the figures mean nothing")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md, from all of them")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if options.write and (options.names or options.tiny):
        parser.error("--write takes neither names nor --tiny: the page tells of all benchmarks, in full size")
    return options


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
