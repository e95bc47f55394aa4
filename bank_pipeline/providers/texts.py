"""
Banks' texts: whether they say anything, and whether two of them name one party. Pure.

The form for display is made in `display_texts`.
"""

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

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
_APOSTROPHES: Final = re.compile(r"['`´\u2018\u2019]")

_TITLES: Final = frozenset(
    "mr mrs ms miss mx sir dr prof mag ing dipl herr herrn frau hr fr fru "
    "m mme mlle monsieur madame mademoiselle sr sra srta sig dhr mevr mw".split()
)

_SPELLINGS: Final = (
    # How banks without those letters write names: with the bare letter, or the national way.
    str.maketrans({"ø": "o", "æ": "a", "ł": "l", "đ": "d", "ı": "i", "œ": "o"}),
    str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "æ": "ae", "å": "aa", "œ": "oe"}),
)


def is_placeholder(text: object) -> bool:
    """
    Say whether a text or an id stands for nothing: blank, a word for none, zeros, a mask.

    See `PLACEHOLDERS`. What is not text stands for nothing either.
    """
    if not isinstance(text, str):
        return True
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
    if not isinstance(lines, Iterable):
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
