"""Characters of the symbol fonts that Word's ``w:sym`` names, and equations as text in a line."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from ._docx_xml import child, local, value

_GREEK = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖαβχδεφγηιϕκλμνοπθρστυϖωξψζ",
)
_SYMBOL = {
    0xA3: "≤", 0xA5: "∞", 0xAB: "↔", 0xAC: "←", 0xAD: "↑", 0xAE: "→", 0xAF: "↓", 0xB0: "°", 0xB1: "±", 0xB2: "″",
    0xB3: "≥", 0xB4: "\u00d7", 0xB6: "∂", 0xB7: "•", 0xB8: "÷", 0xB9: "≠", 0xBA: "≡", 0xBB: "≈", 0xC5: "⊕", 0xC7: "∩",
    0xC8: "\u222a", 0xCC: "⊂", 0xCE: "∈", 0xCF: "∉", 0xD2: "®", 0xD3: "©", 0xD4: "™", 0xD5: "∏", 0xD6: "√", 0xDB: "⇔",
    0xDC: "⇐", 0xDD: "⇑", 0xDE: "⇒", 0xDF: "⇓", 0xE5: "∑", 0xF2: "∫", 0x22: "∀", 0x24: "∃", 0x2D: "\u2212",
}  # fmt: skip
_WINGDINGS = {
    0x28: "☎", 0x2A: "✉", 0x4A: "☺", 0x4B: "😐", 0x4C: "☹", 0x6C: "●", 0x6E: "■", 0x6F: "□", 0x71: "❑", 0x72: "❒",
    0x75: "◆", 0x76: "❖", 0x78: "⌧", 0xA1: "○", 0xA7: "▪", 0xA8: "◻", 0xAB: "★", 0xD8: "➢", 0xDF: "←", 0xE0: "→",
    0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xEF: "⇦", 0xF0: "⇨", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
}  # fmt: skip
_WINGDINGS_2 = {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x54: "☒", 0xA3: "□"}
UNKNOWN = "\ufffd"


def symbol(font: str, code: str) -> str:
    """The character that a ``w:sym`` stands for; U+FFFD for one of a font that is not known.

    Args:
        font: The font's name.
        code: Its place in the font, in hexadecimal; from F000 on for fonts of symbols.
    """
    try:
        at = int(code, 16)
    except ValueError:
        return UNKNOWN
    special = 0xF000 <= at <= 0xF0FF
    at -= 0xF000 if special else 0
    if not 0x20 <= at <= 0x10FFFF:
        return UNKNOWN
    match font.lower():
        case "symbol":
            return _SYMBOL.get(at) or (chr(at).translate(_GREEK) if at < 0x7F else UNKNOWN)
        case "wingdings":
            return _WINGDINGS.get(at, UNKNOWN)
        case "wingdings 2":
            return _WINGDINGS_2.get(at, UNKNOWN)
        case _:
            return UNKNOWN if special else chr(at)


def equation(element: Element) -> str:
    """The text of an equation (ISO/IEC 29500-1, 22.1), with signs for what stands above and below others."""
    name = local(element.tag)
    match name:
        case "t":
            return element.text or ""
        case "f":
            return f"{_group(element, 'num')}/{_group(element, 'den')}"
        case "sSup" | "sSub" | "sSubSup":
            return _part(element, "e") + _scripts(element)
        case "rad":
            return f"{_part(element, 'deg')}√{_group(element, 'e')}"
        case "nary":
            sign = value(element, "naryPr", "chr") or "∫"
            return f"{sign}{_scripts(element)} {_part(element, 'e')}"
        case "d":
            return _delimited(element)
        case _:
            return "".join(map(equation, element))


def _part(element: Element, name: str) -> str:
    found = child(element, name)
    return equation(found) if found is not None else ""


def _group(element: Element, name: str) -> str:
    text = _part(element, name)
    return text if len(text) < 2 or text.isalnum() else f"({text})"


def _scripts(element: Element) -> str:
    below, above = _group(element, "sub"), _group(element, "sup")
    return (f"_{below}" if below else "") + (f"^{above}" if above else "")


def _delimited(element: Element) -> str:
    begin, end = value(element, "dPr", "begChr"), value(element, "dPr", "endChr")
    between = value(element, "dPr", "sepChr") or "|"
    inner = between.join(equation(each) for each in element if local(each.tag) == "e")
    return f"{'(' if begin is None else begin}{inner}{')' if end is None else end}"
