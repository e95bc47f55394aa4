"""Banks' texts: what stands for nothing, what is one name, and what a reader is shown."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.providers.text_noise import RULES
from bank_pipeline.providers.texts import (
    PLACEHOLDERS,
    is_placeholder,
    is_same_name,
    join_lines,
    to_cleaned,
    to_text,
)

NOISY = [
    # Acquirers.
    ("SumUp *Elm Street Bakery", "Elm Street Bakery"),
    ("SUMUP  *ELM STREET BAKERY", "ELM STREET BAKERY"),
    ("SQ *BLUE DOOR CAFE", "BLUE DOOR CAFE"),
    ("Zettle_*Tide Fish", "Tide Fish"),
    ("ZETTLE_TIDE FISH", "TIDE FISH"),
    ("iZ *Tide Fish", "Tide Fish"),
    ("PayPal *NORTHMUSIC", "NORTHMUSIC"),
    ("PAYPAL *SQ *BLUE DOOR", "BLUE DOOR"),
    ("PP*NORTHMUSIC", "NORTHMUSIC"),
    ("GOOGLE *Cloud Drive", "Cloud Drive"),
    ("AMZN Mktp DE*7K2LM9Q40", "AMZN Mktp DE"),
    ("Amazon.de*7K2LM9Q40", "Amazon.de"),
    ("AMZN Mktp DE*7K2LM9Q40 LUXEMBOURG", "AMZN Mktp DE LUXEMBOURG"),
    # Denmark.
    ("Dankort-køb Fjord Bog, Aarhus", "Fjord Bog, Aarhus"),
    ("Visa/Dankort Fjord Bog", "Fjord Bog"),
    ("Fjord Bog, Aarhus Nota nr 90417", "Fjord Bog, Aarhus"),
    ("Fjord Bog Nota 90417", "Fjord Bog"),
    ("Fjord Bog | col3=", "Fjord Bog"),
    ("Fjord Bog | col2= 12-34 | col3=Aarhus", "Fjord Bog Aarhus"),
    ("Fjord Bog USD 10,00 kurs 685,23", "Fjord Bog"),
    # Austria and Germany.
    ("POS          18,20 AT  D6   03.05. 09:14 MUEHLE LINZ 4020", "MUEHLE LINZ 4020"),
    ("ATM         100,00 AT  D2   03.05. 09:14 BANK LINZ", "BANK LINZ"),
    ("POS 8,20 AT D6 03.05. 09:14 SUMUP *DR. HOLZ", "DR. HOLZ"),
    ("MUEHLE LINZ 4020  D5   03.05. 09:14", "MUEHLE LINZ 4020"),
    ("MUEHLE//KOELN/DE\n2026-02-03T11:22:33 KFN 1  AB 9876\nKartenzahlung", "MUEHLE//KOELN/DE"),
    ("END-TO-END-REF.: NOTPROVIDED Miete Mai", "Miete Mai"),
    ("Miete Mai End-to-End-Ref.: NOTPROVIDED", "Miete Mai"),
    ("EndToEndID: NOTPROVIDED  Husleje", "Husleje"),
    ("EREF+NOTPROVIDED SVWZ+Miete Mai", "Miete Mai"),
    ("EREF+ bezahlt", "bezahlt"),
    ("EREF+rechnung-7 danke", "rechnung-7 danke"),
    ("mandatereference:,creditorid:,remittanceinformation:R-7 Miete", "R-7 Miete"),
    # Elsewhere.
    ("BEA, Betaalpas, De Molen,PAS117, NR:77B1C2, 03.05.26/09:14, UTRECHT", "De Molen, UTRECHT"),
    ("(..4321) 2026-02-03 09:32 Kohvik\\Tee 3\\Tartu", "Kohvik\\Tee 3\\Tartu"),
    ("CARTE 03/05 LE MOULIN CB*4321", "LE MOULIN"),
    ("CARTE 03/05/26 LE MOULIN CB*4321 10,20 CHF / 1 euro = 0,95", "LE MOULIN"),
    ("Card payment 03.05.2026 Mylly Oy", "Mylly Oy"),
    ("MILL STORE 1234xxxxxx5678", "MILL STORE"),
    ("MILL STORE card XXXX5678", "MILL STORE"),
    ("MILL STORE 03/05/2026 09:14", "MILL STORE"),
    ("MILL STORE 03.05. um 09:14 Uhr", "MILL STORE"),
    ("Perch\\u00e9 no \\U0001F355 \\UD83D\\UDE00", "Perché no \U0001f355 \U0001f600"),
    ("\\u005cu00e8", "è"),
    ("  MILL \t STORE\u00a0 ", "MILL STORE"),
    ("MILL STORE ;", "MILL STORE"),
]

PLAIN = [
    "MILL STORE",
    "Rent May 2026",
    "Miete 05/2026",
    "Rechnung vom 18.11.",
    "Half 1/2 3.50",
    "KIDS+ Corner",
    "Nuts+Bolts",
    "SQUARE ONE BOOKS",
    "GOOGLE IRELAND",
    "Notar Huber 2026",
    "Visa application fee",
    "Card payment 03.05.2026",
    "PAYPAL *4029357733",
    "SUMUP *",
    "Dankort-køb",
    "End-to-End-Ref.: NOTPROVIDED",
    "\\U0000 \\UD83D",
    "2026",
    "",
]


@pytest.mark.parametrize(("description", "shown"), NOISY)
def test_noise_goes_and_the_merchant_stays(description: str, shown: str) -> None:
    assert to_cleaned(description) == shown


@pytest.mark.parametrize("description", PLAIN)
def test_a_plain_text_has_no_second_form(description: str) -> None:
    assert to_cleaned(description) is None


def test_every_rule_has_an_example() -> None:
    for pattern, _ in RULES:
        assert any(pattern.search(" ".join(text.split())) for text, _ in NOISY), pattern.pattern


def test_a_technical_line_without_a_merchant_keeps_its_words() -> None:
    assert to_cleaned("POS    18,20 AT  D6   03.05. 09:14") == "POS 18,20 AT"


def test_a_text_of_absurd_length_is_left_alone() -> None:
    assert to_cleaned("SQ *" * 100 + "MILL STORE") == "MILL STORE"
    assert to_cleaned("SQ *" * 1_000 + "MILL STORE") is None


_merchants = st.text(st.sampled_from("abcdefghKLMNOPæøåß éñ&'"), min_size=3, max_size=20).map(
    lambda name: " ".join(f"Q{name}q".split())
)


@given(_merchants, st.sampled_from(["SumUp *", "SQ *", "Zettle_*", "PAYPAL *", "Dankort-køb "]))
def test_no_letter_of_a_merchant_is_lost_after_a_prefix(name: str, prefix: str) -> None:
    assert to_cleaned(prefix + name) == name


@given(_merchants, st.sampled_from([" Nota 90417", " CB*4321", " 03.05.2026 09:14", " | col3="]))
def test_no_letter_of_a_merchant_is_lost_before_an_ending(name: str, ending: str) -> None:
    assert to_cleaned(name + ending) == name


_pieces = st.sampled_from([*(text for text, _ in NOISY), *PLAIN, "\\", "*", " ", "|", ",", "\x00"])


@given(st.lists(_pieces | st.text(max_size=6), max_size=4).map("".join))
def test_cleaning_twice_changes_nothing_and_leaves_something(description: str) -> None:
    cleaned = to_cleaned(description)
    if cleaned is not None:
        assert cleaned.strip()
        assert cleaned != description
        assert to_cleaned(cleaned) is None
        assert not any("\ud800" <= sign <= "\udfff" for sign in cleaned)
        if any(sign.isalpha() for sign in description):
            assert any(sign.isalpha() for sign in cleaned)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "\t\n", "-", "---", ".", "?", "_", "\x00", "\u00a0", "0", "00000", "0000-00"),
        *("NOTPROVIDED", "notprovided", "NOT PROVIDED", "Not-Provided", " NOTPROVIDED ", "N/A"),
        *("n.a.", "NONREF", "UNKNOWN", "null", "None", "XXXXXXXX", "00DEBIT20260101", "00CREDIT"),
        *(None, 0, [], {}, ["NOTPROVIDED"]),
        *sorted(PLACEHOLDERS),
    ],
)
def test_what_stands_for_nothing_is_no_text(text: object) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text", ["Na", "1", "007", "10", "O0", "Nonrefundable", "Unknown Mortal Ltd", "\U0001f355", "X"]
)
def test_what_might_say_something_stays(text: str) -> None:
    assert not is_placeholder(text)
    assert to_text(f" {text} ") == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  Mill  Store ", "Mill  Store"),
        (" ", None),
        ("NOTPROVIDED", None),
        (None, None),
        (True, None),
        (1.5, None),
        (["Mill"], None),
        (42, "42"),
        (0, None),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.00"), None),
    ],
)
def test_a_text_is_stripped_and_never_blank(value: object, expected: str | None) -> None:
    assert to_text(value) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([" Mill", "", "Store  ", None, "  ", 7], "Mill Store"),
        (("Mill", "Store"), "Mill Store"),
        ("  one line ", "one line"),
        ([], ""),
        (None, ""),
        (7, ""),
        ({"Mill": "Store"}, ""),
    ],
)
def test_lines_are_joined_by_one_blank(lines: object, expected: str) -> None:
    assert join_lines(lines) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Anna Berg", "BERG ANNA"),
        ("Anna Berg", "Berg, Anna"),
        ("Anna  Berg", " anna berg "),
        ("Anna Berg", "Frau Dr. Anna Berg"),
        ("Mr John O'Hara", "JOHN OHARA"),
        ("M. Jean Dupont", "DUPONT JEAN"),
        ("Jörg Müller", "JOERG MUELLER"),
        ("Jörg Müller", "JORG MULLER"),
        ("Jo\u0308rg Müller", "Joerg Mueller"),
        ("Søren Å", "SOEREN AA"),
        ("Søren Å", "SOREN A"),
        ("Weiß Bau", "WEISS BAU"),
        ("J.P. Mill", "JP Mill"),
        ("Anne-Marie Berg", "ANNE MARIE BERG"),
        ("Mr", "MR."),
    ],
)
def test_one_party_in_two_spellings_is_one(a: str, b: str) -> None:
    assert is_same_name(a, b)
    assert is_same_name(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Anna Berg", "Anna Bergmann"),
        ("Anna Berg", "Anna"),
        ("Anna Berg", "Hanna Berg"),
        ("Berg GmbH", "Berg"),
        ("", ""),
        (" ", " "),
        (None, None),
        ("Anna", None),
        ("...", "---"),
    ],
)
def test_two_parties_or_none_are_not_one(a: str | None, b: str | None) -> None:
    assert not is_same_name(a, b)


@given(st.text(), st.text())
def test_any_two_names_have_an_answer_and_the_same_either_way(a: str, b: str) -> None:
    assert is_same_name(a, b) == is_same_name(b, a)
