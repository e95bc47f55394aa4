"""
Banks that write otherwise than GoCardless's contract says: a registry. Data.

A bank is named by the id of its institution. Who is not in here is read by the general rules;
an entry names only what differs. What a bank says is kept as it came whatever stands here:
an entry decides on signs, dates, identity, which balance counts, and who the other side is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bank_pipeline.domain.identity_rules import DOUBTED, IdentityRules
from bank_pipeline.providers.gocardless import readings
from bank_pipeline.providers.gocardless.readings import Reader


class Source(StrEnum):
    """Where a text is found in a row."""

    UNSTRUCTURED = "unstructured"
    LINES = "lines"
    STRUCTURED = "structured"
    STRUCTURED_LINES = "structured_lines"
    ADDITIONAL = "additional"
    BANK_CODE = "bank_code"
    END_TO_END = "end_to_end"


class Party(StrEnum):
    """Where the other side's name is found: stated, ultimate, or read from the texts."""

    NAME = "name"
    ULTIMATE = "ultimate"
    READ = "read"


class DateField(StrEnum):
    """The four fields that hold a date."""

    BOOKING = "bookingDate"
    BOOKING_TIME = "bookingDateTime"
    VALUE = "valueDate"
    VALUE_TIME = "valueDateTime"


_BOOKING_FIRST: Final = (
    DateField.BOOKING,
    DateField.BOOKING_TIME,
    DateField.VALUE,
    DateField.VALUE_TIME,
)
_VALUE_FIRST: Final = (
    DateField.VALUE,
    DateField.VALUE_TIME,
    DateField.BOOKING,
    DateField.BOOKING_TIME,
)
_VALUE_TIME_FIRST: Final = (DateField.VALUE_TIME, *_BOOKING_FIRST[:3])
_TEXTS: Final = (
    Source.UNSTRUCTURED,
    Source.LINES,
    Source.STRUCTURED,
    Source.STRUCTURED_LINES,
    Source.ADDITIONAL,
    Source.BANK_CODE,
)


@dataclass(frozen=True)
class Quirks:
    """
    How one bank is read. The defaults are the contract's.

    `is_sign_flipped`: positive is money out. `unsigned_purchase`: rows without an id whose
    text begins so are money out, whatever their sign. `billed_in`: what payments abroad
    were billed, in this currency, is in the text. `dates` are tried in order.
    `has_only_internal_ids`: the bank's own ids are none. `id_lengths`: an id of another
    length is none. `texts` are tried in order, then `texts_added` follow. `noise` is
    left out of the cleaned text. `parties` are tried in order; `reader`,
    or else `patterns`, read the texts. `booked_balance` is the type that counts as the booked
    one. `is_debt_in_two_parts`: booked is what is not invoiced yet, less what is expected.
    `dates_pending_ahead`: what is pending bears a date to come.
    `identity_rules`: how far its ids and balances are believed, once a row has one.
    """

    is_sign_flipped: bool = False
    unsigned_purchase: str | None = None
    billed_in: str | None = None
    dates: tuple[DateField, ...] = _BOOKING_FIRST
    has_only_internal_ids: bool = False
    id_lengths: frozenset[int] | None = None
    drops_pending: bool = False
    texts: tuple[Source, ...] = _TEXTS
    texts_added: tuple[Source, ...] = ()
    noise: tuple[re.Pattern[str], ...] = ()
    parties: tuple[Party, ...] = (Party.NAME, Party.ULTIMATE, Party.READ)
    reader: Reader | None = None
    patterns: tuple[re.Pattern[str], ...] = ()
    booked_balance: str | None = None
    is_debt_in_two_parts: bool = False
    is_iban_masked_pan: bool = False
    dates_pending_ahead: bool = False
    identity_rules: IdentityRules = DOUBTED

    @property
    def has_own_dates(self) -> bool:
        """Say whether we book by another date than the one that GoCardless filters by."""
        return self.dates is not _BOOKING_FIRST


def _patterns(*texts: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(text, re.IGNORECASE) for text in texts)


_READ_FIRST: Final = (Party.READ, Party.NAME, Party.ULTIMATE)
_ONLY_READ: Final = (Party.READ,)

_USUAL: Final = Quirks()
_VALUE_DATES: Final = Quirks(dates=_VALUE_FIRST)
_INTERIM_BOOKED: Final = Quirks(booked_balance="interimBooked")
_INTERNAL_IDS: Final = Quirks(has_only_internal_ids=True)
_ABANCA: Final = Quirks(parties=_ONLY_READ, reader=readings.payee_is_structured)
_ABN_AMRO: Final = Quirks(
    dates=_VALUE_TIME_FIRST,
    texts=(Source.LINES, *_TEXTS),
    patterns=_patterns(r"^(?:[^,]*\*)?(?P<payee>[^,]+),PAS ?[0-9]+"),
    booked_balance="interimBooked",
)
_ALIOR: Final = Quirks(patterns=_patterns(r"^Transakcja kart[ąa][^,]*,\s*(?P<payee>.+)$"))
_AMERICAN_EXPRESS: Final = Quirks(is_iban_masked_pan=True, booked_balance="information")
_SABADELL: Final = Quirks(
    texts=(Source.LINES, *_TEXTS), parties=_ONLY_READ, reader=readings.payee_is_text
)
_IRISH_DAY: Final = r"(?:POS|C)?[0-9]{1,2}(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
_BANK_OF_IRELAND: Final = Quirks(
    noise=_patterns(rf"^{_IRISH_DAY}\s*", r"\bsepa dd\b", r"\b365 online\b", r"\bCRV\*\s*"),
    patterns=_patterns(
        rf"^(?:{_IRISH_DAY}\s*)?(?:365 online\s+)?(?:CRV\*\s*)?"
        r"(?P<payee>.+?)(?:\s+sepa dd)?$"
    ),
)
_BANKINTER: Final = Quirks(
    noise=_patterns(r"/Txt/(?:[A-Z0-9]\|)?", r";"),
    patterns=_patterns(r"^(?:/Txt/)?(?:[A-Z0-9]\|)?(?P<payee>[^;]+)"),
)
_SPARKASSE: Final = Quirks(
    texts_added=(Source.ADDITIONAL,),
    parties=(Party.ULTIMATE, Party.NAME),
    booked_balance="interimAvailable",
)
_BNP_BELGIUM: Final = Quirks(dates=_VALUE_FIRST, reader=readings.read_key_values)
_BOURSORAMA: Final = Quirks(
    texts=(Source.LINES, *_TEXTS), parties=_READ_FIRST, reader=readings.read_boursorama
)
_BPER: Final = Quirks(
    patterns=_patterns(
        r"PAGAMENTO SU CIRCUITO INTERNAZIONALE (?P<payee>.+?) Operazione carta",
        r"BONIFIC[OI](?: ESTERI)? o/c: (?P<payee>.+?) (?:ABI-CAB|BIC):",
        r"ADDEBITO SDD (?P<payee>.+?) N: ",
        r"CREDITORE: (?P<payee>.+)$",
    )
)
_KBC: Final = Quirks(
    patterns=_patterns(
        r"^(?P<payee>.+?) (?:Paiement|Domiciliation|Virement|Ordre permanent|Retrait|Betaling met"
        r"|Betaling via|Domiciliëring|Overschrijving|Doorlopende opdracht|Geldopname)\b"
    )
)
_COMMERZBANK: Final = Quirks(texts=(Source.LINES, *_TEXTS), reader=readings.read_commerzbank)
_DANSKE: Final = Quirks(
    noise=_patterns(r"EndToEndID:\s*NOTPROVIDED"), booked_balance="interimAvailable"
)
_EASYBANK: Final = Quirks(
    patterns=_patterns(r"[0-9]{2}\.[0-9]{2}\. [0-9]{2}:[0-9]{2}(?P<payee>[^\\]+)\\")
)
_ENTERCARD: Final = Quirks(billed_in="SEK", dates=_VALUE_FIRST)
_FORTUNEO: Final = Quirks(
    texts=(Source.LINES, *_TEXTS),
    patterns=_patterns(
        r"^(?:VIR INST|VIR|PRLV|ANN CARTE|AVOIR|CARTE)(?: [0-9]{2}/[0-9]{2})? (?P<payee>.+)$"
    ),
)
_HYPE: Final = Quirks(
    dates=_VALUE_FIRST,
    patterns=_patterns(
        r"^PAGAMENTO PRESSO (?P<payee>.+)$",
        (
            r"^(?:HAI )?(?:DENARO|INVIATO UN BONIFICO|RICEVUTO UN BONIFICO|BONIFICO)"
            r"(?: INVIATO| RICEVUTO)? (?:DA|A) (?P<payee>.+?)(?: - (?P<text>.+))?$"
        ),
    ),
)
_ING_GERMANY: Final = Quirks(
    noise=_patterns(r"^.*?remittanceinformation:"), booked_balance="interimBooked"
)
_ON_CARD_DAY: Final = r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})"
_LHV: Final = Quirks(
    patterns=_patterns(
        rf"^\(\.\.[0-9]{{4}}\) {_ON_CARD_DAY} [0-9]{{2}}:[0-9]{{2}} (?P<payee>[^\\]+)"
    )
)
_NATIONWIDE: Final = Quirks(id_lengths=frozenset({32, 40}), dates_pending_ahead=True)
_NATIONAL_BANK_OF_GREECE: Final = Quirks(
    unsigned_purchase="ΑΓΟΡΑ ",
    patterns=_patterns(r"^(?:ΑΓΟΡΑ )?(?P<payee>.+)$"),
    booked_balance="interimAvailable",
)
_NORWEGIAN: Final = Quirks(booked_balance="expected")
_RAIFFEISEN: Final = Quirks(texts=(*_TEXTS, Source.END_TO_END), reader=readings.read_raiffeisen)
_REVOLUT: Final = Quirks(reader=readings.read_revolut)
_SEB_CARD: Final = Quirks(
    is_sign_flipped=True,
    dates=_VALUE_FIRST,
    parties=_READ_FIRST,
    reader=readings.payee_is_additional,
    is_debt_in_two_parts=True,
)
_SEB: Final = replace(_INTERIM_BOOKED, parties=_READ_FIRST, reader=readings.payee_is_additional)
_ADDITIONAL_TEXT: Final = Quirks(texts=(Source.ADDITIONAL, *_TEXTS))
_SWEDBANK_LATVIA: Final = Quirks(
    patterns=_patterns(
        r"^PIRKUMS [0-9]+\*+[0-9]+ (?P<d>[0-9]{2})\.(?P<m>[0-9]{2})\.(?P<y>[0-9]{4}|[0-9]{2})"
        r"(?: [0-9]{2}:[0-9]{2})? [0-9.]+ [A-Z]{3} \([0-9]+\) (?P<payee>.+)$"
    )
)
_VIRGIN: Final = Quirks(
    patterns=_patterns(
        r"^(?:MOB|FPS),\s*(?P<payee>[^,]+)(?:,\s*(?P<text>.+))?$",
        r"^Card [0-9]+,\s*(?P<payee>.+)$",
    )
)

_BANKS: Final[tuple[tuple[Quirks, str], ...]] = (
    (_ABANCA, "ABANCA_CAGLESMM ABANCA_CAGLPTPL ABANCA_CORP_CAGLPTPL"),
    (_ABN_AMRO, "ABNAMRO_ABNANL2A"),
    (_ALIOR, "ALIOR_ALBPPLPW"),
    (_AMERICAN_EXPRESS, "AMERICAN_EXPRESS_AESUDEF1"),
    (_SABADELL, "BANCSABADELL_BSABESBB BANCSABADELL_BSABESBBB"),
    (_BANK_OF_IRELAND, "BANK_OF_IRELAND_B365_BOFIIE2D"),
    (_BANKINTER, "BANKINTER_BKBKESMM"),
    (_INTERNAL_IDS, "BELFIUS_GKCCBEBB COOPERATIVE_RETAIL_CPBKGB22 ING_INGBROBU"),
    (
        _SPARKASSE,
        "BERLINER_SPARKASSE_BELADEBEXXX SPK_KARLSRUHE_KARSDE66XXX SSK_MUNCHEN_SSKMDEMMXXX",
    ),
    (
        Quirks(
            drops_pending=True,
            texts_added=(Source.ADDITIONAL,),
            parties=(Party.ULTIMATE, Party.NAME),
        ),
        "SSK_DUSSELDORF_DUSSDEDDXXX",
    ),
    (_BNP_BELGIUM, "BNP_BE_GEBABEBB FINTRO_BE_GEBABEBB HELLO_BE_GEBABEBB"),
    (_BOURSORAMA, "BOURSORAMA_BOUSFRPP BOURSOBANK_BOUSFRPPXXX"),
    (_BPER, "BPER_RETAIL_BPMOIT22"),
    (_KBC, "CBC_CREGBEBB KBC_KREDBEBB"),
    (Quirks(is_sign_flipped=True), "CETELEM_CETMPTP1XXX"),
    (_COMMERZBANK, "COMMERZBANK_COBADEFF"),
    (_DANSKE, "DANSKEBANK_DABANO22 DANSKEBANK_DABADKKK"),
    (_EASYBANK, "EASYBANK_BAWAATWW"),
    (_ENTERCARD, "ENTERCARD_SWEDNOKK"),
    (_FORTUNEO, "FORTUNEO_FTNOFRP1XXX"),
    (_HYPE, "HYPE_HYEEIT22"),
    (_ING_GERMANY, "ING_INGDDEFF"),
    (_VALUE_DATES, "ING_PL_INGBPLPW ISYBANK_ITBBITMM"),
    (_LHV, "LHV_LHVBEE22"),
    (_INTERIM_BOOKED, "MBANK_RETAIL_BREXPLPW"),
    (_NATIONWIDE, "NATIONWIDE_NAIAGB21"),
    (_NATIONAL_BANK_OF_GREECE, "NBG_ETHNGRAAXXX"),
    (
        _NORWEGIAN,
        (
            "NORWEGIAN_NO_NORWNOK1 NORWEGIAN_SE_NORWNOK1 NORWEGIAN_DE_NORWNOK1 "
            "NORWEGIAN_DK_NORWNOK1 NORWEGIAN_ES_NORWNOK1 NORWEGIAN_FI_NORWNOK1"
        ),
    ),
    (_RAIFFEISEN, "RAIFFEISEN_AT_RZBAATWW"),
    (_REVOLUT, "REVOLUT_REVOLT21"),
    (Quirks(booked_balance="interimAvailable"), "SANDBOXFINANCE_SFIN0000"),
    (_SEB_CARD, "SEB_KORT_AB_NO_SKHSFI21 SEB_KORT_AB_SE_SKHSFI21 SEB_CARD_ESSESESS"),
    (_SEB, "SEB_ESSESESS_PRIVATE"),
    (
        _ADDITIONAL_TEXT,
        "SPARNORD_SPNODK22 LAGERNES_BANK_LAPNDKK1 ANDELSKASSEN_FALLESKASSEN_FAELDKK1",
    ),
    (_SWEDBANK_LATVIA, "SWEDBANK_HABALV22"),
    (_VIRGIN, "VIRGIN_NRNBGB22"),
)

QUIRKS_OF_BANK: Final[Mapping[str, Quirks]] = {
    bank: quirks for quirks, banks in _BANKS for bank in banks.split()
}
"""Every bank with habits of its own, by the id of its institution."""


def quirks_of(institution_id: str | None) -> Quirks:
    """Return how a bank is read, in whatever case its id is spelt."""
    return QUIRKS_OF_BANK.get((institution_id or "").strip().upper(), _USUAL)
