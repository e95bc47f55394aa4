"""
Banks' own words for kinds of entries, in the languages of the banks we read. Data.

For entries whose code is not one of ISO 20022. A word counts only whole, so that "karte"
does not make a card payment of a customer called Kartenberg.
"""

import re
from collections.abc import Mapping
from typing import Final

from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import PaymentMethod
from bank_pipeline.providers.iso20022_tables import Meaning, both_ways

_WORDS: Final = re.compile(r"[^\W_]+")

# The first line that has one of its words in the text wins: a "card fee" is a fee.
PHRASES: Final[Mapping[Meaning, str]] = {
    both_ways("fee", Category.BANK_FEES, PaymentMethod.FEE): (
        "fee|fees|service charge|bank charge|charges|commission|gebühr|gebühren|entgelt|"
        "kontoführung|frais|provisie|bankkosten|avgift|gebyr|gebyrer|palvelumaksu|commissione|"
        "comisión|opłata|prowizja"
    ),
    Meaning(
        "interest", PaymentMethod.INTEREST, Category.INTEREST_INCOME, Category.INTEREST_PAID
    ): "interest|zins|zinsen|habenzinsen|sollzinsen|intérêt|intérêts|ränta|korko|interessi|odsetki",
    Meaning(
        "salary", PaymentMethod.TRANSFER, Category.SALARY, Category.PAYROLL
    ): "salary|wages|payroll|gehalt|lohn|salaire|salaris|lön|løn|lønn|palkka|stipendio|nómina",
    Meaning("standing order", PaymentMethod.STANDING_ORDER): (
        "standing order|dauerauftrag|ordre permanent|virement permanent|doorlopende opdracht|"
        "periodieke overboeking|stående överföring|fast overførsel|orden permanente"
    ),
    Meaning("direct debit", PaymentMethod.DIRECT_DEBIT): (
        "direct debit|sdd|lastschrift|lastschrifteinzug|basislastschrift|firmenlastschrift|"
        "prélèvement|prelevement|prlv|incasso|domiciliation|domiciliëring|addebito diretto|"
        "addebito sdd|adeudo|autogiro|avtalegiro|betalingsservice|suoraveloitus|polecenie zapłaty"
    ),
    Meaning("cash withdrawal", PaymentMethod.CASH, money_out=Category.CASH_WITHDRAWAL): (
        "atm|cash withdrawal|cash|bargeldauszahlung|geldautomat|retrait|geldopname|"
        "kontantuttag|hævning|prelievo|käteisnosto|bankomat|retirada efectivo|wypłata gotówki"
    ),
    Meaning("cheque", PaymentMethod.CHEQUE): "cheque|check|scheck|chèque|assegno|cheques",
    Meaning("card payment", PaymentMethod.CARD): (
        "card|pos|visa|mastercard|maestro|girocard|debitkarte|kreditkarte|kartenzahlung|karte|"
        "carte|cb|betaalpas|betaalautomaat|kortköp|kortkøb|varekøp|dankort|korttiosto|"
        "korttimaksu|tarjeta|carta|kartą"
    ),
    Meaning("transfer", PaymentMethod.TRANSFER): (
        "transfer|sct|überweisung|echtzeitüberweisung|dauerüberweisung|virement|vir|overboeking|"
        "overschrijving|överföring|overførsel|overføring|tilisiirto|bonifico|transferencia|utlandsbetalning|przelew"
    ),
}


def meaning_of_words(text: str | None) -> Meaning | None:
    """Return what a bank's description or own code says; None when it has none of our words."""
    if not text:
        return None
    words = f" {' '.join(_WORDS.findall(text.casefold()))} "
    return next(
        (
            meaning
            for meaning, phrases in PHRASES.items()
            if any(f" {phrase} " in words for phrase in phrases.split("|"))
        ),
        None,
    )
