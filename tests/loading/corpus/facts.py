"""What is known of a sound document: its bytes, and what must be found in it; and the sentences that stand in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from attrs import frozen


class Fact(NamedTuple):
    """A text that must be found in one block, and what that block must be like."""

    text: str
    place: Mapping[str, Any] = {}
    block: Mapping[str, Any] = {}


@frozen(kw_only=True)
class Good:
    """A document.

    Attributes:
        name: Its name.
        data: Its bytes.
        facts: What must be found in it, in this order.
        absent: What must not be found.
    """

    name: str
    data: bytes
    facts: tuple[Fact, ...]
    absent: tuple[str, ...] = ()


GERMAN = "Die Prüfung der Größe muß täglich über das Menü möglich sein."
CHINESE = "系统必须在三秒内显示客户的所有订单。"
JAPANESE = "担当者は注文の状況を一目で確認できること。"
ARABIC = "يجب أن يعرض النظام جميع الطلبات."
HEBREW = "המערכת חייבת להציג את כל ההזמנות."
EMOJI = "Agents mark urgent orders with 🚀 and closed ones with 👩‍💻."
GREEK = "Ο πελάτης βλέπει την κατάσταση της παραγγελίας."  # noqa: RUF001
LANGUAGES = (GERMAN, CHINESE, JAPANESE, ARABIC, HEBREW, EMOJI, GREEK)

STATEMENTS = (
    "The system shall show all open orders of a customer on one page.",
    "Clerks retype every order by hand, which takes two days a week.",
    "An invoice that is not paid within 30 days must be shown to the accountant.",
    "Managers need to see which requests have been waiting for longest.",
    "Every change of an address must be confirmed by a second person.",
    "The export to the ledger runs each night and must not take more than one hour.",
)
ITEMS = ("Orders arrive by themselves", "Nobody retypes anything", "Corrections are tracked")
TABLE = (("System", "Owner", "Users"), ("ERP", "Finance", "120"), ("Mail archive", "IT operations", "1450"))


def facts_of(texts: Sequence[str], **place: Any) -> list[Fact]:
    return [Fact(text, place) for text in texts]
