"""
Kinds of accounts at GoCardless in our words. Data.

A bank gives an ISO 20022 code, and a product or a name. Many call every account a current
one, so that what the product's name says counts for more than that.

Source: https://www.iso20022.org/catalogue-messages/additional-content-messages/external-code-sets
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from bank_pipeline.domain.account import AccountType

_CODES: Final[Mapping[AccountType, str]] = {
    AccountType.CHECKING: "CACC CASH TRAN SLRY CURRENT",
    AccountType.SAVINGS: "SVGS LLSV MOMA ONDP",
    AccountType.CREDIT_CARD: "CARD CCRD",
    AccountType.LINE_OF_CREDIT: "ODFT MGLD",
    AccountType.LOAN: "LOAN",
    AccountType.OTHER: "OTHR CHAR CISH COMM CPAC NREX SACC TAXE TRAD",
}

TYPE_OF_CODE: Final[Mapping[str, AccountType]] = {
    code: kind for kind, codes in _CODES.items() for code in codes.split()
}

_VAGUE: Final = frozenset({AccountType.CHECKING, AccountType.OTHER})

_WORDS: Final[tuple[tuple[AccountType, str], ...]] = (
    (AccountType.MORTGAGE, r"mortgage|hypothek|hypotheek|boliglån|bolån|hipoteca|mutuo"),
    (
        AccountType.CREDIT_CARD,
        (
            r"credit card|creditcard|kreditkarte|kredittkort|kreditkort|luottokortti|"
            r"carte de crédit|carta di credito|tarjeta de crédito|karta kredytowa"
        ),
    ),
    (AccountType.LOAN, r"loan|kredit|darlehen|prêt|prestito|préstamo|lening|lån|laina|kredyt"),
    (
        AccountType.SAVINGS,
        (
            r"savings?|sparkonto|sparbuch|tagesgeld|épargne|livret|ahorro|risparmio|spaar\w*|"
            r"spar|sparekonto|opsparing|säästö\w*|oszczędnościow\w*"
        ),
    ),
    (AccountType.PREPAID, r"prepaid|e-money"),
    (
        AccountType.CHECKING,
        (
            r"current|checkings?|giro\w*|konto|compte courant|betaalrekening|lönekonto|"
            r"lønkonto|brukskonto|conto corrente|cuenta corriente|rachunek bieżący|main|"
            r"sichteinlagen?"
        ),
    ),
)
_PATTERNS: Final = tuple(
    (kind, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for kind, words in _WORDS
)


def to_account_type(code: str | None, names: Iterable[str | None]) -> AccountType:
    """Name an account's type: by its code if that is a narrow one, else by its names."""
    by_code = TYPE_OF_CODE.get((code or "").strip().upper())
    if by_code is not None and by_code not in _VAGUE:
        return by_code
    text = " ".join(name for name in names if name)
    by_name = next((kind for kind, pattern in _PATTERNS if pattern.search(text)), None)
    return by_name or by_code or AccountType.OTHER
