"""
Payees, dates and notes that banks put into their texts, where data alone cannot say how. Pure.

Each reader is one bank's habit and is named in `quirks.py`. What it finds goes to the
counterparty, the date of payment and the cleaned text; the bank's text itself stays.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bank_pipeline.providers.gocardless.dates import find_day
from bank_pipeline.providers.texts import is_placeholder


@dataclass(frozen=True)
class Texts:
    """What one row says in words; blank where it says nothing. `lines` are the bank's own."""

    description: str
    lines: tuple[str, ...]
    unstructured: str
    structured: str
    additional: str
    payee: str | None = None
    """The other side's name as the row states it, for those who repeat it in the text."""
    is_named: bool = False
    """Whether the row names anybody at all, be it the holder."""


@dataclass(frozen=True)
class Reading:
    """What was found; `text` None leaves the whole text as it is."""

    payee: str | None = None
    text: str | None = None
    day: dt.date | None = None


Reader = Callable[[Texts], Reading]


def payee_is_structured(texts: Texts) -> Reading:
    """Banks whose names are wrong, and whose structured remittance is the payee."""
    return Reading(payee=texts.structured)


def payee_is_additional(texts: Texts) -> Reading:
    """Banks that put the shop into additionalInformation."""
    return Reading(payee=texts.additional)


def payee_is_text(texts: Texts) -> Reading:
    """Banks whose whole text is the payee."""
    return Reading(payee=texts.description)


_BIZUM: Final = re.compile(r"Bizum payment (?:to|from):\s*")


def read_revolut(texts: Texts) -> Reading:
    """Read party and note: the first and the second line of two."""
    if not texts.lines:
        return Reading()
    first, *rest = texts.lines
    return Reading(payee=_BIZUM.sub("", first), text=" ".join(rest) or None)


_POS_TAIL: Final = re.compile(r"[0-9]{2}\.[0-9]{2}\. [0-9]{2}:[0-9]{2}$")
_HEAD_LENGTH: Final = 12


def read_raiffeisen(texts: Texts) -> Reading:
    """Card rows: the payee in the first twelve characters, or in the text beside them."""
    if texts.is_named:
        return Reading()
    if _POS_TAIL.search(texts.structured) is None:
        return Reading(payee=texts.unstructured or texts.structured)
    head = texts.structured[:_HEAD_LENGTH].strip()
    return Reading(payee=texts.unstructured if head == "POS" else head)


_ATM_POS: Final = re.compile(r"atmPosName:\s*(?P<payee>[^,]+)")
_NARRATIVE: Final = re.compile(r"narrative:\s*\[(?P<items>[^\]]*)\]")
_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def read_key_values(texts: Texts) -> Reading:
    """
    Read keys and values: `atmPosName: X, narrative: ['a', 'b']`.

    Pending rows name the shop, booked ones begin their narrative with the other side.
    """
    shop = _ATM_POS.search(texts.additional)
    narrative = _NARRATIVE.search(texts.additional)
    quoted = _QUOTED.findall(narrative["items"]) if narrative else ()
    items = [text for one, other in quoted if (text := (one or other).strip())]
    payee = shop["payee"].strip(" '\"") if shop else next(iter(items), None)
    return Reading(payee=payee, text=" ".join(items) or None)


_SPLIT_WORDS: Final = (
    "End-to-End-Ref.:",
    "Kundenreferenz:",
    "Mandatsref:",
    "Gläubiger-ID:",
    "SEPA-BASISLASTSCHRIFT",
    "SEPA-ÜBERWEISUNG",
    "Dauerauftrag",
    "Kartenzahlung",
)
_SPLIT: Final = tuple(
    (word, re.compile(r"\s*" + r" ?".join(map(re.escape, word)))) for word in _SPLIT_WORDS
)
_NO_REFERENCE: Final = re.compile(r",?\s*End-to-End-Ref\.: ?NOTPROVIDED")


def read_commerzbank(texts: Texts) -> Reading:
    """Lines cut at 35 characters, within words too; the payee comes first."""
    text = " ".join(texts.lines) or texts.description
    for word, pattern in _SPLIT:
        text = pattern.sub(f", {word}", text)
    text = _NO_REFERENCE.sub("", text).strip(" ,")
    for start in (texts.payee, texts.lines[0] if texts.lines and texts.payee else None):
        if start and text.casefold().startswith(start.casefold()):
            text = text[len(start) :].strip(" ,")
            break
    return Reading(text=text or None)


_DAY: Final = r"(?P<d>[0-9]{2})/(?P<m>[0-9]{2})/(?P<y>[0-9]{2})"
_CARD: Final = re.compile(rf"(?:CARTE|AVOIR) {_DAY} (?P<payee>.+?)(?: [0-9]+)?(?: CB\*[0-9]+)?$")
_CASH: Final = re.compile(rf"RETRAIT DAB {_DAY} (?P<place>.+?)(?: CB\*[0-9]+)?$")
_NAMED: Final = re.compile(r"(?:VIR INST|VIR SEPA|PRLV SEPA) (?P<payee>.+)$")
_NOTE: Final = re.compile(r"VIR (?P<text>.+)$")
_LOAN: Final = re.compile(r"ECH PRET\b")
_RATE: Final = re.compile(r"[0-9,. ]+ [A-Z]{3} / 1 euro = [0-9,]+$")
_REFERENCE: Final = re.compile(r"Réf\s*:")
_OTHER: Final = re.compile(r"(?P<payee>.+?)(?:\\.*| [0-9]+)?$")


def read_boursorama(texts: Texts) -> Reading:
    """Everything is in the lines, in any order: each tells by how it begins what it is."""
    lines = [line for line in texts.lines if not _REFERENCE.match(line)]
    payee: str | None = None
    day: dt.date | None = None
    notes: list[str] = []
    others: list[str] = []
    has_payee_line = False
    for line in lines:
        card, named, note = _CARD.match(line), _NAMED.match(line), _NOTE.match(line)
        if card or named:
            found = card or named
            assert found is not None, "one of the two has matched"
            payee, has_payee_line = found["payee"], True
            day = find_day(_CARD, line) if card else day
        elif _CASH.match(line) or _LOAN.match(line):
            day, has_payee_line = find_day(_CASH, line), True
            notes.append(line)
        elif note:
            notes.append(note["text"])
        else:
            (notes if _RATE.match(line) else others).append(line)
    if not has_payee_line and others:
        found = _OTHER.match(others.pop(0))
        payee = found["payee"] if found else None
    return Reading(payee=payee, text=" ".join([*notes, *others]) or None, day=day)


def read_by_patterns(texts: Texts, patterns: Iterable[re.Pattern[str]]) -> Reading:
    """
    Read with the first pattern that fits the text, or else one of its lines.

    Its groups are `payee`, `text`, and `y`, `m`, `d` for the day of payment, all optional.
    """
    for pattern in patterns:
        for text in (texts.description, *texts.lines):
            found = pattern.search(text)
            if found is None:
                continue
            groups = found.groupdict()
            day = find_day(pattern, text) if "y" in groups else None
            return Reading(_said(groups.get("payee")), _said(groups.get("text")), day)
    return Reading()


def _said(text: str | None) -> str | None:
    return None if text is None or is_placeholder(text) else text.strip()
