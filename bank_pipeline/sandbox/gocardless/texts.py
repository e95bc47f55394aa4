"""Where a bank puts the words of a transaction. Pure; answers and truth both ask here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bank_pipeline.sandbox.gocardless.profiles import Pending, Profile, Sign, Text
from bank_pipeline.sandbox.ledger import Entry, EntryState
from bank_pipeline.sandbox.wire import number_text

_CUT_AT: Final = 140
_GREEK_PURCHASE: Final = "ΑΓΟΡΑ "  # Greek capitals, as the bank writes them
_PLACEHOLDER: Final = "Vorgemerkter Umsatz"


@dataclass(frozen=True)
class Words:
    """The texts of one transaction; None or nothing where the bank gives none."""

    unstructured: str | None = None
    lines: tuple[str, ...] = ()
    structured: str | None = None
    additional: str | None = None

    @property
    def description(self) -> str:
        """The text that stands for the whole: the first that is given."""
        joined = " ".join(self.lines)
        return self.unstructured or joined or self.structured or self.additional or ""


def words_of(profile: Profile, entry: Entry) -> Words:
    """Return the texts of an entry as the profile's bank gives them; empty ones are left out."""
    is_pending = entry.state is EntryState.PENDING
    if is_pending and profile.pending is Pending.PLACEHOLDERS:
        return Words(unstructured=_PLACEHOLDER)
    if profile.sign is Sign.FOREIGN and is_foreign(entry):
        return Words(unstructured=f"billingAmount: {number_text(entry.amount)}")
    return _WRITERS[profile.text](entry)


def is_foreign(entry: Entry) -> bool:
    """Whether the entry was paid in another currency."""
    return entry.source_amount is not None and entry.source_currency is not None


def _given(*lines: str) -> tuple[str, ...]:
    return tuple(line for line in lines if line)


def _plain(entry: Entry) -> Words:
    return Words(
        unstructured=entry.description or None, additional=entry.original_description or None
    )


def _array(entry: Entry) -> Words:
    return Words(lines=_given(entry.description, entry.original_description))


def _array_card(entry: Entry) -> Words:
    if entry.channel != "in store" or not entry.description:
        return _array(entry)
    payee = f"{entry.description},PAS042"
    return Words(lines=_given("BEA, Betaalpas", payee, entry.original_description))


def _cut(entry: Entry) -> Words:
    texts = _given(entry.description, entry.original_description)
    whole = " ".join([*texts, "End-to-End-Ref.: NOTPROVIDED"])
    parts = [whole[start : start + _CUT_AT] for start in range(0, len(whole), _CUT_AT)]
    return Words(unstructured=whole[:_CUT_AT].strip(), lines=tuple(parts))


def _structured(entry: Entry) -> Words:
    return Words(structured=entry.description or None)


def _additional(entry: Entry) -> Words:
    return Words(additional=entry.description or None)


def _party_additional(entry: Entry) -> Words:
    payee = entry.description if entry.party is None else entry.party.name
    return Words(unstructured=entry.description or None, additional=payee or None)


def _greek(entry: Entry) -> Words:
    is_purchase = entry.state is EntryState.PENDING and entry.amount < 0
    text = f"{_GREEK_PURCHASE if is_purchase else ''}{entry.description}"
    return Words(unstructured=text or None)


_WRITERS: Final[Mapping[Text, Callable[[Entry], Words]]] = {
    Text.PLAIN: _plain,
    Text.ARRAY: _array,
    Text.ARRAY_CARD: _array_card,
    Text.CUT: _cut,
    Text.STRUCTURED: _structured,
    Text.ADDITIONAL: _additional,
    Text.PARTY_ADDITIONAL: _party_additional,
    Text.GREEK: _greek,
}
