"""Reads a file with one converter and tells what that took: ``format_reader.py PACKAGE SMALL_FILE FILE``.

The small file is read first, so that what is imported and made once is not counted.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable

from measuring import memory_mb, peak_memory_mb


def _ours() -> Callable[[str], str]:
    from cardanalysis import Upload
    from cardanalysis.loading import load

    return lambda path: load(Upload.from_path(path), isolate=False).text


def _markitdown() -> Callable[[str], str]:
    from markitdown import MarkItDown

    converter = MarkItDown(enable_plugins=False)
    return lambda path: converter.convert(path).text_content


def _kreuzberg() -> Callable[[str], str]:
    import kreuzberg

    return lambda path: kreuzberg.extract_file_sync(path).content


_CONVERTERS = {"cardanalysis": _ours, "markitdown": _markitdown, "kreuzberg": _kreuzberg}


def main(package: str, small: str, file: str) -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    convert = _CONVERTERS[package]()
    convert(small)
    gc.collect()
    base, start = memory_mb(), time.process_time()
    text = convert(file)
    seconds = time.process_time() - start
    result = {"seconds": seconds, "megabytes": max(0.0, peak_memory_mb() - base), "text": text}
    sys.stdout.write(f"\n{json.dumps(result)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
