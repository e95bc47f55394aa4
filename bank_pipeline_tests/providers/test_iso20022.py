"""ISO 20022 codes: read however a bank sends them, and what they say in our words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import PaymentMethod
from bank_pipeline.providers.bank_words import PHRASES
from bank_pipeline.providers.iso20022 import (
    BankTransactionCode,
    parse_code,
    purpose_category,
    to_category,
    to_payment_method,
)
from bank_pipeline.providers.iso20022_purposes import PURPOSES
from bank_pipeline.providers.iso20022_tables import (
    DOMAINS,
    FAMILIES,
    PLACED,
    SUB_FAMILIES,
    Meaning,
)

INCOMES = {member for member in Category if member.value.endswith(("income", "salary", "benefits"))}
MEANINGS: list[Meaning] = [
    *DOMAINS.values(),
    *FAMILIES.values(),
    *SUB_FAMILIES.values(),
    *PLACED.values(),
    *PURPOSES.values(),
    *PHRASES,
]


def levels(code: BankTransactionCode | None) -> tuple[str | None, str | None, str | None]:
    assert code is not None
    return code.domain, code.family, code.sub_family


def category(text: str, *, is_credit: bool | None = False) -> Category | None:
    return to_category(parse_code(text), is_credit=is_credit)


@pytest.mark.parametrize(
    ("code", "sub_code", "expected"),
    [
        ("PMNT-CCRD-POSD", None, ("PMNT", "CCRD", "POSD")),
        ("pmnt-ccrd-posd", None, ("PMNT", "CCRD", "POSD")),
        (" PMNT/RCDT/ESCT ", None, ("PMNT", "RCDT", "ESCT")),
        ("PMNT", None, ("PMNT", None, None)),
        ("PMNT", "RCDT", ("PMNT", "RCDT", None)),
        ("PMNT", "RCDT-ESCT", ("PMNT", "RCDT", "ESCT")),
        ("PMNT-ICDT", "STDO", ("PMNT", "ICDT", "STDO")),
        ("CCRD", "POSD", (None, "CCRD", "POSD")),
        ("RDDT", None, (None, "RDDT", None)),
        ("STDO", None, (None, None, "STDO")),
        (None, "STDO", (None, None, "STDO")),
        ("PMNT-NEWF-NEWS", "", ("PMNT", "NEWF", "NEWS")),
    ],
)
def test_a_code_is_read_on_whatever_levels_it_comes(
    code: str | None, sub_code: str | None, expected: tuple[str | None, ...]
) -> None:
    assert levels(parse_code(code, sub_code)) == expected


@pytest.mark.parametrize(
    ("code", "sub_code"),
    [("10", None), ("12", "32"), ("CP", "A"), ("XFER+12+345-B", None), ("Gift", "Cash")],
)
def test_a_code_of_the_banks_own_is_kept_and_says_nothing(code: str, sub_code: str | None) -> None:
    read = parse_code(code, sub_code)
    assert read is not None
    assert levels(read) == (None, None, None)
    assert read.spelt == "-".join(filter(None, (code, sub_code)))
    assert read.words == " ".join(filter(None, (code, sub_code)))


def test_a_code_is_stored_as_the_bank_spelt_it() -> None:
    read = parse_code("pmnt", "CCRD", words=" Card purchase ")
    assert read == BankTransactionCode("PMNT", "CCRD", None, "Card purchase", "pmnt-CCRD")


@pytest.mark.parametrize("nothing", [None, "", "  ", 12, {}, ["PMNT"]])
def test_what_says_nothing_is_no_code(nothing: object) -> None:
    assert parse_code(nothing, nothing, words=nothing) is None
    assert to_payment_method(None) is None
    assert to_category(None, is_credit=True) is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("PMNT-ICDT-ESCT", PaymentMethod.TRANSFER),
        ("PMNT-RCDT-XBCT", PaymentMethod.TRANSFER),
        ("PMNT-RRCT-ESCT", PaymentMethod.TRANSFER),
        ("PMNT-ICDT-SALA", PaymentMethod.TRANSFER),
        ("PMNT-ICDT-BOOK", PaymentMethod.TRANSFER),
        ("PMNT-ICDT-STDO", PaymentMethod.STANDING_ORDER),
        ("PMNT-IRCT-XBST", PaymentMethod.STANDING_ORDER),
        ("PMNT-RDDT-ESDD", PaymentMethod.DIRECT_DEBIT),
        ("PMNT-RDDT-ATXN", PaymentMethod.DIRECT_DEBIT),
        ("PMNT-IDDT-BBDD", PaymentMethod.DIRECT_DEBIT),
        ("PMNT-RDDT-UPDD", PaymentMethod.REFUND),
        ("PMNT-CCRD-POSD", PaymentMethod.CARD),
        ("PMNT-CCRD-POSC", PaymentMethod.CARD),
        ("PMNT-CCRD-OTHR", PaymentMethod.CARD),
        ("PMNT-MCRD-POSP", PaymentMethod.CARD),
        ("PMNT-CCRD-CWDL", PaymentMethod.CASH),
        ("PMNT-CCRD-XBCW", PaymentMethod.CASH),
        ("PMNT-CNTR-CDPT", PaymentMethod.CASH),
        ("PMNT-CNTR-CHKD", PaymentMethod.CHEQUE),
        ("PMNT-CNTR-NTAV", PaymentMethod.CASH),
        ("PMNT-ICHQ-CCHQ", PaymentMethod.CHEQUE),
        ("PMNT-RCHQ-UPCQ", PaymentMethod.CHEQUE),
        ("PMNT-ICDT-CHRG", PaymentMethod.FEE),
        ("ACMT-MDOP-FEES", PaymentMethod.FEE),
        ("ACMT-MCOP-INTR", PaymentMethod.INTEREST),
        ("ACMT-ACOP-ADJT", PaymentMethod.ADJUSTMENT),
        ("ACMT-MCOP-RIMB", PaymentMethod.REFUND),
        ("CAMT-ACCB-ZABA", PaymentMethod.TRANSFER),
        ("ATXN", PaymentMethod.TRANSFER),
        ("PMNT", None),
        ("PMNT-OTHR-OTHR", None),
        ("PMNT-NTAV-NTAV", None),
        ("SECU-SETT-TRAD", None),
        ("PMNT-NEWF-NEWS", None),
    ],
)
def test_a_code_says_how_the_money_moved(code: str, expected: PaymentMethod | None) -> None:
    assert to_payment_method(parse_code(code)) is expected


@pytest.mark.parametrize(
    ("code", "money_in", "money_out"),
    [
        ("PMNT-RCDT-SALA", Category.SALARY, Category.PAYROLL),
        ("PMNT-ICDT-XBSA", Category.SALARY, Category.PAYROLL),
        ("ACMT-MCOP-INTR", Category.INTEREST_INCOME, Category.INTEREST_PAID),
        ("SECU-CORP-INTR", Category.INVESTMENT_INCOME, Category.INVESTMENT),
        ("LDAS-CSLN-INTR", Category.INTEREST_PAID, Category.INTEREST_PAID),
        ("LDAS-FTDP-INTR", Category.INTEREST_INCOME, Category.INTEREST_PAID),
        ("PMNT-MDOP-CHRG", Category.BANK_FEES, Category.BANK_FEES),
        ("PMNT-RDDT-FEES", Category.BANK_FEES, Category.BANK_FEES),
        ("ACMT-MDOP-TAXE", Category.TAXES, Category.TAXES),
        ("PMNT-CCRD-CWDL", Category.CASH_WITHDRAWAL, Category.CASH_WITHDRAWAL),
        ("PMNT-CNTR-CDPT", Category.CASH_DEPOSIT, Category.CASH_DEPOSIT),
        ("SECU-CORP-DVCA", Category.INVESTMENT_INCOME, Category.INVESTMENT),
        ("SECU-SETT-TRAD", Category.INVESTMENT, Category.INVESTMENT),
        ("LDAS-CSLN-DDWN", Category.LOAN_RECEIVED, Category.LOAN_RECEIVED),
        ("LDAS-CSLN-PPAY", Category.LOAN_PAYMENT, Category.LOAN_PAYMENT),
        ("LDAS-MGLN-PPAY", Category.MORTGAGE, Category.MORTGAGE),
        ("LDAS-MGLN-OTHR", None, Category.MORTGAGE),
        ("LDAS-FTDP-DPST", Category.SAVINGS, Category.SAVINGS),
        ("PMNT-MCRD-POSC", Category.BUSINESS_INCOME, None),
        ("PMNT-ICDT-COAT", Category.TRANSFER, Category.TRANSFER),
        ("CAMT-CAPL-OTHR", Category.TRANSFER, Category.TRANSFER),
        ("FORX-SPOT-OTHR", Category.TRANSFER, Category.TRANSFER),
        ("PMNT-RCDT-ESCT", None, None),
        ("PMNT-ICDT-STDO", None, None),
        ("PMNT-ICDT-BOOK", None, None),
        ("PMNT-CCRD-POSD", None, None),
        ("PMNT-RDDT-ESDD", None, None),
    ],
)
def test_a_code_says_what_the_money_was_for(
    code: str, money_in: Category | None, money_out: Category | None
) -> None:
    assert category(code, is_credit=True) is money_in
    assert category(code, is_credit=False) is money_out


def test_a_category_that_hangs_on_the_direction_is_unknown_without_it() -> None:
    assert category("PMNT-RCDT-SALA", is_credit=None) is None
    assert category("PMNT-CCRD-CWDL", is_credit=None) is Category.CASH_WITHDRAWAL
    assert purpose_category("SALA", is_credit=None) is None
    assert purpose_category("ELEC", is_credit=None) is Category.UTILITIES


@pytest.mark.parametrize(
    ("code", "money_in", "money_out"),
    [
        ("SALA", Category.SALARY, Category.PAYROLL),
        ("BONU", Category.SALARY, Category.PAYROLL),
        ("PENS", Category.PENSION_INCOME, None),
        ("SSBE", Category.BENEFITS, None),
        ("DIVD", Category.INVESTMENT_INCOME, None),
        ("INTE", Category.INTEREST_INCOME, Category.INTEREST_PAID),
        ("INTC", Category.TRANSFER, Category.TRANSFER),
        ("TAXS", Category.TAXES, Category.TAXES),
        ("VATX", Category.TAXES, Category.TAXES),
        ("TAXR", Category.TAXES, Category.TAXES),
        ("GOVT", None, Category.GOVERNMENT_FEES),
        ("RENT", Category.RENTAL_INCOME, Category.RENT),
        ("ELEC", Category.UTILITIES, Category.UTILITIES),
        ("GASB", Category.UTILITIES, Category.UTILITIES),
        ("WTER", Category.UTILITIES, Category.UTILITIES),
        ("PHON", Category.TELECOM, Category.TELECOM),
        ("INSU", Category.INSURANCE, Category.INSURANCE),
        ("LOAN", Category.LOAN_RECEIVED, None),
        ("LOAR", Category.LOAN_PAYMENT, Category.LOAN_PAYMENT),
        ("HLRP", Category.MORTGAGE, Category.MORTGAGE),
        ("CCRD", Category.CREDIT_CARD_PAYMENT, Category.CREDIT_CARD_PAYMENT),
        ("CHAR", Category.DONATIONS, Category.DONATIONS),
        (" sala ", Category.SALARY, Category.PAYROLL),
        ("GDDS", None, None),
        ("SUPP", None, None),
        ("", None, None),
        (None, None, None),
        (7, None, None),
    ],
)
def test_a_purpose_says_what_the_money_was_for(
    code: object, money_in: Category | None, money_out: Category | None
) -> None:
    assert purpose_category(code, is_credit=True) is money_in
    assert purpose_category(code, is_credit=False) is money_out


@pytest.mark.parametrize(
    ("words", "method", "money_out"),
    [
        ("Card purchase", PaymentMethod.CARD, None),
        ("CARD_PAYMENT", PaymentMethod.CARD, None),
        ("Card fee", PaymentMethod.FEE, Category.BANK_FEES),
        ("Debit interest", PaymentMethod.INTEREST, Category.INTEREST_PAID),
        ("Lastschrifteinzug", PaymentMethod.DIRECT_DEBIT, None),
        ("SEPA-Überweisung", PaymentMethod.TRANSFER, None),
        ("ATM withdrawal", PaymentMethod.CASH, Category.CASH_WITHDRAWAL),
        ("Payroll", PaymentMethod.TRANSFER, Category.PAYROLL),
        ("Kartenberg GmbH", None, None),
        ("Other", None, None),
    ],
)
def test_without_a_code_the_banks_words_count_whole(
    words: str, method: PaymentMethod | None, money_out: Category | None
) -> None:
    for read in (parse_code(None, words=words), parse_code(words), parse_code("77", words=words)):
        assert to_payment_method(read) is method
        assert to_category(read, is_credit=False) is money_out


def test_a_code_comes_before_words() -> None:
    read = parse_code("PMNT-RDDT-ESDD", words="Card purchase")
    assert to_payment_method(read) is PaymentMethod.DIRECT_DEBIT


def test_every_phrase_is_found_and_means_its_own_line() -> None:
    for meaning, phrases in PHRASES.items():
        for phrase in phrases.split("|"):
            assert to_payment_method(parse_code(phrase.upper())) is meaning.method, phrase


def test_every_listed_code_is_four_capitals_and_named() -> None:
    placed = [level for key in PLACED for level in key]
    for code in (*DOMAINS, *FAMILIES, *SUB_FAMILIES, *PURPOSES, *placed):
        assert re.fullmatch("[A-Z0-9]{4}", code)
    assert all(meaning.name.strip() for meaning in MEANINGS)


def test_every_refined_pair_stands_on_known_levels() -> None:
    for above, sub_family in PLACED:
        assert above in FAMILIES or above in DOMAINS
        assert sub_family in SUB_FAMILIES


def test_money_out_is_never_income() -> None:
    assert [meaning.name for meaning in MEANINGS if meaning.money_out in INCOMES] == []


@given(
    st.text(max_size=12) | st.none(), st.text(max_size=12) | st.none(), st.booleans() | st.none()
)
def test_any_input_has_an_answer(
    code: str | None, sub_code: str | None, is_credit: bool | None
) -> None:
    read = parse_code(code, sub_code, words=code)
    assert to_payment_method(read) in {None, *PaymentMethod}
    assert to_category(read, is_credit=is_credit) in {None, *Category}
    assert purpose_category(code, is_credit=is_credit) in {None, *Category}
