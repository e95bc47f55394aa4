"""
Banks' texts: whether they say anything, name one party, and how to show them. Pure.

The bank's own text is always kept; what is made of it here stands beside it.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

from bank_pipeline.providers.text_noise import RULES

PLACEHOLDERS: Final = frozenset(
    {
        "notprovided",  # the EPC's word where a customer gave no end-to-end id
        "notavailable",
        "notapplicable",
        "notspecified",
        "nonref",  # SWIFT's word where there is no reference
        "noref",
        "noreference",
        "none",
        "null",
        "nil",
        "undefined",
        "unknown",
        "unbekannt",
        "nichtangegeben",
    }
)
"""Words banks write where they have nothing to say, without spaces, signs and case."""

_NOT_APPLICABLE: Final = frozenset({"n/a", "n.a.", "n.a", "#n/a"})  # Na is also a name
_MARKS: Final = "PZC"  # punctuation, separators, controls: categories of Unicode
_ALIKE: Final = re.compile(
    r"0+"  # zeros only
    r"|x{3,}"  # masked
    r"|00(debit|credit)\w*"  # a British bank's numbering of what it does not number
)
_WORDS: Final = re.compile(r"[^\W_]+")
_APOSTROPHES: Final = re.compile("['`\u00b4\u2018\u2019]")

_TITLES: Final = frozenset(
    word
    for words in (
        "mr mrs ms miss mx sir dr prof mag ing dipl",
        "herr herrn frau hr fr fru dhr mevr mw",
        "m mme mlle monsieur madame mademoiselle sr sra srta sig",
    )
    for word in words.split()
)

_TEXTS_MAX: Final = 16_384
_CLEANED_LENGTH_MAX: Final = 2_000  # no payment has as much to say, and passes add up
_EDGES: Final = " ,;|"
_ESCAPE_WIDE: Final = re.compile(r"\\U(0{3}[0-9A-Fa-f]{5}|0010[0-9A-Fa-f]{4})")
_ESCAPES: Final = re.compile(r"(?:\\[Uu][0-9A-Fa-f]{4})+")

_SPELLINGS: Final = (
    # How banks without those letters write names: with the bare letter, or the national way.
    str.maketrans({"ø": "o", "æ": "a", "ł": "l", "đ": "d", "œ": "o"}),
    str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "æ": "ae", "å": "aa", "œ": "oe"}),
)


def is_placeholder(text: object) -> bool:
    """
    Say whether a text or an id stands for nothing: blank, a word for none, zeros, a mask.

    See `PLACEHOLDERS`. What is not text stands for nothing either.
    """
    return not isinstance(text, str) or _stands_for_nothing(text)


@lru_cache(maxsize=_TEXTS_MAX)  # banks say the same words in every row, and at every sync
def _stands_for_nothing(text: str) -> bool:
    folded = text.strip().casefold()
    core = "".join(sign for sign in folded if unicodedata.category(sign)[0] not in _MARKS)
    return (
        not core
        or folded in _NOT_APPLICABLE
        or core in PLACEHOLDERS
        or _ALIKE.fullmatch(core) is not None
    )


def to_text(value: object) -> str | None:
    """
    Return a text without the blanks around it; None for a placeholder or no text at all.

    A number is written out: some banks send their ids and references so.
    """
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = format(value, "f") if isinstance(value, Decimal) else str(value)
    return value.strip() if isinstance(value, str) and not is_placeholder(value) else None


def join_lines(lines: object) -> str:
    """
    Join the lines that are not blank, each without the blanks around it, by one space.

    Banks give a list, a single line instead of one, or null, and null within the list.
    """
    if isinstance(lines, str):
        return lines.strip()
    if not isinstance(lines, Iterable) or isinstance(lines, Mapping):
        return ""
    return " ".join(line.strip() for line in lines if isinstance(line, str) and line.strip())


def is_same_name(a: str | None, b: str | None) -> bool:
    """
    Say whether two spellings name one party, so that a holder is never their own counterparty.

    Case, punctuation, accents, the order of the words and titles (Mr, Frau, Dr) make no
    difference. Unknown is nobody: False.
    """
    if not a or not b:
        return False
    return not _name_keys(a).isdisjoint(_name_keys(b))


def to_cleaned(description: str) -> str | None:
    """
    Return a form of the bank's text for display; None when it would be the same.

    Card numbers, terminals, times, acquirers' prefixes and empty references go (see
    `text_noise`), written-out escapes become their signs, blanks become one. What would
    leave no letter of a text that has letters is not done. Cleaning twice changes nothing. A
    text longer than any payment's has no form for display.
    """
    if len(description) > _CLEANED_LENGTH_MAX:
        return None
    cleaned = description
    while (cleaner := _clean_once(cleaned)) != cleaned:
        cleaned = cleaner
    return cleaned if cleaned and cleaned != description else None


def _clean_once(text: str) -> str:
    text = " ".join(_decode(text).split())
    for pattern, kept in RULES:
        cleaned = pattern.sub(kept, text)
        if cleaned is not text:  # most rules find nothing, and this is done for every row
            text = _unless_mute(" ".join(cleaned.split()), text)
    return _unless_mute(text.strip(_EDGES), text)


def _unless_mute(cleaned: str, text: str) -> str:
    """Return the cleaned text, or the one before if nothing readable would be left."""
    says_more = any(sign.isalpha() for sign in text)
    says = any(sign.isalpha() for sign in cleaned) if says_more else bool(cleaned)
    return cleaned if says else text


def _decode(text: str) -> str:
    """Turn escapes that a bank wrote out (backslash, U, hex digits) into the signs they mean."""
    text = _ESCAPE_WIDE.sub(lambda found: _sign(found, f"{found[1]:0>8}", "utf-32-be"), text)
    return _ESCAPES.sub(
        lambda found: _sign(found, re.sub(r"\\[Uu]", "", found[0]), "utf-16-be"), text
    )


def _sign(found: re.Match[str], digits: str, encoding: str) -> str:
    """Return the signs, or the escape as it stood where it means none that can be shown."""
    try:
        signs = bytes.fromhex(digits).decode(encoding)
    except UnicodeDecodeError:
        return found[0]
    return signs if signs.isprintable() else found[0]


@lru_cache(maxsize=_TEXTS_MAX)
def _name_keys(name: str) -> frozenset[str]:
    """Return the name in the spellings under which another may be equal to it."""
    bare = _APOSTROPHES.sub("", unicodedata.normalize("NFC", name.casefold()))
    keys = set[str]()
    for spelling in _SPELLINGS:
        plain = unicodedata.normalize("NFKD", bare.translate(spelling))
        words = _WORDS.findall("".join(sign for sign in plain if not unicodedata.combining(sign)))
        named = [word for word in words if word not in _TITLES] or words
        keys |= {" ".join(sorted(named)), "".join(named)}
    return frozenset(keys - {""})
