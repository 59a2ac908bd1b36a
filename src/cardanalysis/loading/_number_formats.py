"""Numbers as spreadsheets show them: by format codes (ECMA-376 part 1, 18.8.30 and 18.8.31).

What a format means is kept: dates and times, percent, decimals, units and currencies. What depends on the reader's
country is not: dates are written as ISO 8601 has them, decimals with a point, and thousands are not divided.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache

Show = Callable[[float], str]

# Formats without a code in the file; those from 27 to 58 are dates in East Asian versions only.
BUILTIN: Mapping[int, str] = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    5: "#,##0",
    6: "#,##0",
    7: "#,##0.00",
    8: "#,##0.00",
    9: "0%",
    10: "0.00%",
    14: "mm-dd-yy",
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    21: "h:mm:ss",
    22: "m/d/yy h:mm",
    37: "#,##0",
    38: "#,##0",
    39: "#,##0.00",
    40: "#,##0.00",
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss.0",
} | dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), "yyyy-mm-dd")

_SKIPPED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_CONDITION = re.compile(r"\[[<>=]")
_SECTION = re.compile(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[])*')
_CURRENCY = re.compile(r"\[\$([^\]-]*)[^\]]*\]")
_PLACES = re.compile(r"[#0?][#0?,]*(?:\.[#0?]*)?(,*)")
_QUOTED = re.compile(r'"([^"]*)"|\\(.)|[_*].|\[[^\]]*\]')
_LITERAL = re.compile(_QUOTED.pattern + r"|[^#0?,.()-]")
_FRACTION_OR_POWER = re.compile(r"[#0?]\s*/\s*[#0?\d]|[eE][+-]")

_EPOCH, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)  # noqa: DTZ001, cells have no zone
_LAST_DAY = 2_958_466  # the day after 9999-12-31
_FALSE_LEAP_DAY = 60  # Excel takes 1900 for a leap year, so that earlier days are one off


def general(value: float) -> str:
    """A number with the 15 digits that are meant, and no others."""
    return str(int(value)) if abs(value) < 1e15 and value.is_integer() else f"{value:.15g}"


@lru_cache(maxsize=4096)
def show(code: str, *, epoch_1904: bool = False) -> Show:
    """Make the function that shows a number as a format code says; what a code does not tell is shown in general."""
    section = _SECTION.match(code)
    first = section[0] if section else ""
    if not first or first.lower() in ("general", "@") or _CONDITION.search(first):
        return general
    bare = _SKIPPED.sub("", first).lower()
    if "general" in bare:
        return general
    if re.search("[ydhs]", bare) or re.search(r"\bm+\b", bare):
        return _date(bare, epoch_1904=epoch_1904)
    if _FRACTION_OR_POWER.search(bare):
        return general
    return _number(first, bare)


def _date(bare: str, *, epoch_1904: bool) -> Show:
    elapsed = _ELAPSED.search(bare)
    if elapsed:
        return _elapsed(seconds="s" in bare)
    day, time = re.search("[yd]", bare) is not None, re.search("[hs]", bare) is not None
    clock = "%H:%M:%S" if "s" in bare else "%H:%M"
    layout = " ".join(filter(None, ("%Y-%m-%d" if day or not time else "", clock if time else "")))

    def write(value: float) -> str:
        moment = moment_of(value if time else value // 1, epoch_1904=epoch_1904)
        return general(value) if moment is None else moment.strftime(layout)

    return write


def _elapsed(*, seconds: bool) -> Show:
    def write(value: float) -> str:
        total = round(abs(value) * 86_400)
        sign = "-" if value < 0 and total else ""
        tail = f":{total % 60:02}" if seconds else ""
        return f"{sign}{total // 3600}:{total // 60 % 60:02}{tail}"

    return write


def moment_of(serial: float, *, epoch_1904: bool) -> datetime | None:
    """The date and time of a day's number, to the second; None for one that is no day."""
    first = (_EPOCH_1904 - _EPOCH).days if epoch_1904 else 0
    if not 0 <= serial < _LAST_DAY - first - 1:
        return None
    if not epoch_1904 and serial < _FALSE_LEAP_DAY:
        first = 1
    return _EPOCH + timedelta(days=first, seconds=round(serial * 86_400))


def _number(section: str, bare: str) -> Show:
    """Show decimals, percent, thousands and literal text before and behind, such as a currency or unit."""
    places = _PLACES.search(bare)
    written = _CURRENCY.sub(lambda found: f'"{found[1]}"', section)
    core = _PLACES.search(_blanked(written))
    if places is None or core is None:
        return general
    decimals, width = _decimals(core[0]), core[0].partition(".")[0].count("0")
    scale = 100.0 if "%" in bare else 1.0
    scale /= 1000.0 ** len(core[1])
    before, behind = _literal(written[: core.start()]), _literal(written[core.end() :])

    def write(value: float) -> str:
        scaled = value * scale
        number = general(scaled) if decimals is None else f"{scaled:.{decimals}f}"
        sign, number = ("-", number[1:]) if number.startswith("-") else ("", number)
        whole, point, fraction = number.partition(".")
        return f"{sign}{before}{whole.zfill(width)}{point}{fraction}{behind}".strip()

    return write


def _decimals(core: str) -> int | None:
    """How many decimals are shown; None where their number depends on the value."""
    _, point, fraction = core.rstrip(",").partition(".")
    return None if "#" in fraction or "?" in fraction else len(fraction) if point else 0


def _blanked(code: str) -> str:
    """The code with what is quoted or escaped made blank, so that places in it stay the same."""
    return _QUOTED.sub(lambda found: " " * len(found[0]), code)


def _literal(code: str) -> str:
    """The text that a part of a code shows beside the digits."""
    return "".join(
        (found[1] or found[2] or "") if found[0][0] in '"\\[_*' else found[0] for found in _LITERAL.finditer(code)
    )
