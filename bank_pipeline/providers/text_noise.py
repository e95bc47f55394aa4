"""
What banks and acquirers add around a merchant's name, and what replaces it. Data.

A rule is about one habit seen in real statements and leaves the rest of the text as it is.
`texts.to_cleaned` keeps the text of before where a rule would take the last letters.
"""

import re
from typing import Final

_NONE: Final = r"(?:NOT ?PROVIDED|NONREF|NICHT ANGEGEBEN)"
_AMOUNT: Final = r"\d[\d.,]*[.,]\d{2}"
_DAY: Final = r"\d{1,2}[./-]\d{1,2}(?:[./-](?:\d{4}|\d{2})?)?"
_FULL_DAY: Final = r"(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2}))"
_TIME: Final = r"\d{1,2}[:.]\d{2}(?::\d{2})?"
_AT: Final = r"(?:(?:UM|AT|OM|KL\.?|À)\s+)?"
_CLOCK: Final = r"(?:\s*(?:UHR|UUR))?"
_MASKED: Final = r"(?:\d{4,6}[xX*]{2,}\d{2,4}|[xX*]{4,} ?\d{4})"
_ACQUIRERS: Final = (
    r"SUM ?UP|SQ|IZ|IZETTLE|ZETTLE|PAYPAL|PP|GOOGLE|CCV|TST|SP|KLARNA|STRIPE|MYPOS|PADDLE\.NET"
)
_CARD_WORDS: Final = (
    r"CARD (?:PAYMENT|PURCHASE)|KARTENZAHLUNG|KORTK(?:Ø|Ö|O)P|KORTK(?:Ø|Ö|O)B|CARTE|"
    r"PAIEMENT CARTE|KORTTIOSTO"
)


def _rule(pattern: str, kept: str = " ") -> tuple[re.Pattern[str], str]:
    return re.compile(pattern, re.IGNORECASE), kept


RULES: Final = (
    # A German direct bank's labels before every text.
    _rule(r"^mandatereference:[^,]*,creditorid:[^,]*,remittanceinformation:"),
    # References that say there is none; labels of the SEPA fields.
    _rule(rf"(?<!\w)(?:END-?TO-?END-?(?:REF|ID)\.?|E2E-?ID)\s*:?\s*{_NONE}(?!\w)"),
    _rule(rf"(?<!\w)(?:EREF|KREF|MREF|CRED)\+\s*{_NONE}(?!\w)"),
    _rule(r"(?<!\S)(?-i:EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|PURP)\+"),
    # Denmark: card words, the number of the voucher, an empty column of the statement.
    _rule(r"^(?:VISA/)?DANKORT(?:-(?:K(?:Ø|O)B|NOTA))?\s+(?=\S)"),
    _rule(r"\s+NOTA(?:\s*NR\.?)?\s*:?\s*\d{3,}(?!\w)"),
    _rule(r"\s*\|\s*COL\d+=(?:[^|\w]|\d)*(?=\||$)"),
    _rule(r"\s*\|\s*COL\d+=\s*"),
    _rule(rf"\s+[A-Z]{{3}}\s+{_AMOUNT}\s+KURS\s*:?\s*[\d.,]+$"),
    # Austria: amount, country and terminal before the merchant, or terminal and time after it.
    _rule(rf"^(?:POS|ATM)\s+{_AMOUNT}\s+[A-Z]{{2}}\s+[A-Z]\d\s+{_DAY}\s+{_TIME}(?!\d)"),
    _rule(rf"\s+(?-i:[A-Z])\d\s+{_DAY}\s+{_TIME}$"),
    # Germany: the time at the terminal and the number of the card.
    _rule(
        r"\s+\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:\s+KFN\s+\d+(?:\s+[A-Z]{2}\s+\d{4})?)?"
        r"(?:\s+KARTENZAHLUNG)?$"
    ),
    # The Netherlands: how the card was held, its number, the terminal.
    _rule(r"^[BG]EA,?\s+(?:BETAALPAS|GOOGLE PAY|APPLE PAY)[,\s]+"),
    _rule(r",\s*PAS\s?\d{3}(?!\w)", ""),
    _rule(rf",?\s*NR:\s?[A-Z0-9]+,?\s+{_FULL_DAY}[/ ]{_TIME}(?!\d)", ""),
    # The Baltics: the card and the time before the merchant.
    _rule(rf"^\(\.\.\d{{4}}\)\s+{_FULL_DAY}\s+{_TIME}\s+"),
    # France: what one euro cost.
    _rule(rf"(?<!\S){_AMOUNT}\s[A-Z]{{3}}\s/\s1\s[A-Z]+\s=\s\d[\d.,]*(?!\S)"),
    # The card and the time after the merchant.
    _rule(r"\s+CB\*\d{4}$"),
    _rule(rf"\s+(?:(?:CARD|KARTE|KORT|CARTE|NO|NR)\.?:?\s+)?{_MASKED}$"),
    _rule(rf"\s+{_FULL_DAY}\s+{_AT}{_TIME}{_CLOCK}$"),
    _rule(rf"\s+{_DAY}\s+{_AT}\d{{1,2}}:\d{{2}}(?::\d{{2}})?{_CLOCK}$"),
    # A card word and the day of the purchase before the merchant.
    _rule(rf"^(?:{_CARD_WORDS})\s+{_DAY}\s+(?:NO\s+{_MASKED}\s+)?(?=[\W\d]*[^\W\d_])"),
    # Acquirers, before the merchant; a marketplace's order number, after it.
    _rule(rf"^(?:{_ACQUIRERS})\s*_?\*\s*"),
    _rule(r"^I?ZETTLE_\s*"),
    _rule(
        r"^(AMZN(?: MKTP[A-Z]*)?|AMAZON(?: MKTP[A-Z]*)?)(\.[A-Z.]{2,6}|\s+[A-Z]{2})?\s*"
        r"\*\s*(?=\w*\d)\w{6,}",
        r"\1\2 ",
    ),
)
"""Applied in this order, again and again until nothing changes."""
