"""Every bank in the registry is read as its habit demands."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bank_pipeline.domain.identity import FINGERPRINT_PREFIX
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.providers.gocardless.quirks import QUIRKS_OF_BANK, Quirks, quirks_of
from bank_pipeline_tests.providers.gocardless.builders import answered, booked, pending, row

UNSTRUCTURED = "remittanceInformationUnstructured"
LINES = "remittanceInformationUnstructuredArray"
STRUCTURED = "remittanceInformationStructured"
ADDITIONAL = "additionalInformation"


def payee(found: Transaction) -> str | None:
    return found.counterparty.name if found.counterparty else None


@pytest.mark.parametrize(
    ("bank", "fields", "name"),
    [
        ("ABANCA_CAGLESMM", {STRUCTURED: "SHOP", "creditorName": "Wrong"}, "SHOP"),
        ("ABNAMRO_ABNANL2A", {LINES: ["BEA, Betaalpas", "My Shop,PAS123", "CITY"]}, "My Shop"),
        ("ABNAMRO_ABNANL2A", {LINES: ["BEA, Google Pay", "CCV*Shop,PAS 123"]}, "Shop"),
        ("ABNAMRO_ABNANL2A", {LINES: ["SEPA Overboeking"], "creditorName": "A"}, "A"),
        ("ALIOR_ALBPPLPW", {UNSTRUCTURED: "Transakcja kartą debetową, EXAMPLE 01"}, "EXAMPLE 01"),
        ("ALIOR_ALBPPLPW", {UNSTRUCTURED: "Przelew", "debtorName": "JOHN"}, None),
        ("BANCSABADELL_BSABESBB", {LINES: ["SHOP", "CITY"], "creditorName": "Wrong"}, "SHOP CITY"),
        ("BANK_OF_IRELAND_B365_BOFIIE2D", {UNSTRUCTURED: "POS09NOV TESCO STORES"}, "TESCO STORES"),
        ("BANK_OF_IRELAND_B365_BOFIIE2D", {UNSTRUCTURED: "VODAFONE SEPA DD"}, "VODAFONE"),
        ("BANKINTER_BKBKESMM", {UNSTRUCTURED: "/Txt/H|SHOP CITY;more"}, "SHOP CITY"),
        (
            "BERLINER_SPARKASSE_BELADEBEXXX",
            {"ultimateCreditor": "Shop", "creditorName": "PayPal"},
            "Shop",
        ),
        (
            "BNP_BE_GEBABEBB",
            {ADDITIONAL: "atmPosName: SHOP, narrative: ['a', 'b']"},
            "SHOP",
        ),
        ("BOURSORAMA_BOUSFRPP", {LINES: ["CARTE 01/03/25 SHOP 713621 CB*4567"]}, "SHOP"),
        ("BOURSORAMA_BOUSFRPP", {LINES: ["Réf : X", "VIR a note", "SOMEONE"]}, "SOMEONE"),
        ("BOURSORAMA_BOUSFRPP", {LINES: ["VIR INST SOMEONE", "a note"]}, "SOMEONE"),
        ("BOURSORAMA_BOUSFRPP", {LINES: ["RETRAIT DAB 01/03/25 Paris CB*1"]}, None),
        ("BOURSORAMA_BOUSFRPP", {LINES: ["ECH PRET:4711"]}, None),
        ("BOURSORAMA_BOUSFRPP", {LINES: ["SHOP\\PARIS\\ FR"]}, "SHOP"),
        (
            "BPER_RETAIL_BPMOIT22",
            {UNSTRUCTURED: "ADDEBITO SDD HOSTING LTD N: 1057 ID:02 Deb: Someone"},
            "HOSTING LTD",
        ),
        (
            "BPER_RETAIL_BPMOIT22",
            {UNSTRUCTURED: "PAGAMENTO SU CIRCUITO INTERNAZIONALE SHOP ITA Operazione carta ***1"},
            "SHOP ITA",
        ),
        ("KBC_KREDBEBB", {UNSTRUCTURED: "SHOP BE1060 Betaling met Google Pay"}, "SHOP BE1060"),
        ("CBC_CREGBEBB", {UNSTRUCTURED: "SHOP FR Paiement Maestro par Carte"}, "SHOP FR"),
        (
            "EASYBANK_BAWAATWW",
            {STRUCTURED: "Bezahlung Karte 12.12. 23:59SHOP\\\\CITY\\1", UNSTRUCTURED: None},
            "SHOP",
        ),
        ("FORTUNEO_FTNOFRP1XXX", {LINES: ["CARTE 04/07 Google Dublin"]}, "Google Dublin"),
        ("FORTUNEO_FTNOFRP1XXX", {LINES: ["VIR INST Leclerc  44321"]}, "Leclerc  44321"),
        ("HYPE_HYEEIT22", {UNSTRUCTURED: "PAGAMENTO PRESSO SHOP"}, "SHOP"),
        ("HYPE_HYEEIT22", {UNSTRUCTURED: "DENARO INVIATO A Ada Rossi - pizza"}, "Ada Rossi"),
        ("HYPE_HYEEIT22", {UNSTRUCTURED: "HAI INVIATO UN BONIFICO A Ada - x"}, "Ada"),
        ("FINTRO_BE_GEBABEBB", {ADDITIONAL: "narrative: ['SHOP BE', 'CARD 1']"}, "SHOP BE"),
        ("HELLO_BE_GEBABEBB", {ADDITIONAL: "atmPosName: X", "creditorName": "SHOP"}, "SHOP"),
        ("BANK_OF_IRELAND_B365_BOFIIE2D", {UNSTRUCTURED: "C05JANCRV*SHOP"}, "SHOP"),
        ("BANK_OF_IRELAND_B365_BOFIIE2D", {UNSTRUCTURED: "3MOBILE"}, "3MOBILE"),
        ("LHV_LHVBEE22", {UNSTRUCTURED: "(..1234) 2026-11-17 09:32 Shop\\Street 3\\City"}, "Shop"),
        ("NBG_ETHNGRAAXXX", {UNSTRUCTURED: "ΑΓΟΡΑ SHOP"}, "SHOP"),
        (
            "RAIFFEISEN_AT_RZBAATWW",
            {STRUCTURED: "WERKSTATT 1 1070  D2   24.03. 09:15"},
            "WERKSTATT 1",
        ),
        (
            "RAIFFEISEN_AT_RZBAATWW",
            {STRUCTURED: "POS          23,40 AT  D7   24.03. 09:15", UNSTRUCTURED: "SHOP 1010"},
            "SHOP 1010",
        ),
        ("REVOLUT_REVOLT21", {LINES: ["Bizum payment to: SOMEONE", "a note"]}, "SOMEONE"),
        ("SEB_KORT_AB_SE_SKHSFI21", {ADDITIONAL: "SHOP", "amount": "10"}, "SHOP"),
        ("SEB_ESSESESS_PRIVATE", {ADDITIONAL: "SHOP"}, "SHOP"),
        (
            "SWEDBANK_HABALV22",
            {UNSTRUCTURED: "PIRKUMS 42******4242 28.10.24 13:37 22.99 EUR (111111) SHOP"},
            "SHOP",
        ),
        ("VIRGIN_NRNBGB22", {UNSTRUCTURED: "FPS, Ann Other, Rent"}, "Ann Other"),
        ("VIRGIN_NRNBGB22", {UNSTRUCTURED: "Card 12, Corner Shop"}, "Corner Shop"),
        ("VIRGIN_NRNBGB22", {UNSTRUCTURED: "DIRECT DEBIT OF MAY"}, None),
    ],
)
def test_the_other_side_is_found_where_the_bank_puts_it(
    bank: str, fields: dict[str, Any], name: str | None
) -> None:
    assert payee(booked(bank, **fields)) == name


@pytest.mark.parametrize(
    "bank", ["CETELEM_CETMPTP1XXX", "SEB_KORT_AB_NO_SKHSFI21", "SEB_CARD_ESSESESS"]
)
def test_a_flipped_sign_is_turned_before_the_other_side_is_chosen(bank: str) -> None:
    found = booked(bank, amount="10.00", creditorName="SHOP", debtorName="EMPLOYER")
    assert found.amount == Decimal(-10)
    assert payee(found) == "SHOP"
    assert found.details["transactionAmount"] == {"amount": "10.00", "currency": "EUR"}


def test_a_greek_purchase_that_is_pending_gets_its_minus() -> None:
    bank, text = "NBG_ETHNGRAAXXX", "ΑΓΟΡΑ SHOP"
    assert pending(bank, amount="100", remittanceInformationUnstructured=text).amount == -100
    assert pending(bank, amount="-100", remittanceInformationUnstructured=text).amount == -100
    identified = booked(bank, amount="100", transactionId="T1", **{UNSTRUCTURED: text})
    assert identified.amount == 100


def test_a_payment_abroad_is_what_the_account_was_billed() -> None:
    bank = "ENTERCARD_SWEDNOKK"
    text = "SHOP billingAmount: 108.43 SEK"
    found = booked(bank, amount="-10.00", currency="USD", **{UNSTRUCTURED: text})
    assert (found.amount, found.currency) == (Decimal("-108.43"), "SEK")
    assert found.foreign_exchange is not None
    assert found.foreign_exchange.source_amount == -10
    assert found.foreign_exchange.source_currency == "USD"
    same = booked(bank, amount="-10.00", currency="SEK", **{UNSTRUCTURED: text})
    assert (same.amount, same.foreign_exchange) == (Decimal("-108.43"), None)
    assert booked(bank, amount="-10.00", currency="USD").amount == -10


@pytest.mark.parametrize(("text", "amount"), [("1.108,43", "-1108.43"), ("1,108.43", "-1108.43")])
def test_a_billed_amount_is_read_with_either_sign_for_decimals(text: str, amount: str) -> None:
    text = f"billingAmount: {text}"
    found = booked("ENTERCARD_SWEDNOKK", currency="USD", **{UNSTRUCTURED: text})
    assert found.amount == Decimal(amount)


@pytest.mark.parametrize(
    ("bank", "fields", "day"),
    [
        ("ABNAMRO_ABNANL2A", {"valueDateTime": "2026-11-17T23:43:37.950"}, date(2026, 11, 17)),
        ("FINTRO_BE_GEBABEBB", {"valueDate": "2026-11-18"}, date(2026, 11, 18)),
        ("HYPE_HYEEIT22", {"valueDate": "2026-11-18"}, date(2026, 11, 18)),
        ("ING_PL_INGBPLPW", {"valueDate": "2026-11-18"}, date(2026, 11, 18)),
        ("ISYBANK_ITBBITMM", {"valueDate": "2026-11-18"}, date(2026, 11, 18)),
        ("SEB_CARD_ESSESESS", {"valueDate": "2026-11-18"}, date(2026, 11, 18)),
        ("ISYBANK_ITBBITMM", {}, date(2026, 11, 19)),
        ("DANSKEBANK_DABANO22", {"valueDate": "2026-12-31"}, date(2026, 11, 19)),
    ],
)
def test_the_booking_date_is_the_one_that_is_right_at_this_bank(
    bank: str, fields: dict[str, Any], day: date
) -> None:
    assert booked(bank, **fields).booking_date == day


@pytest.mark.parametrize(
    ("bank", "text"),
    [
        ("LHV_LHVBEE22", "(..1234) 2026-11-17 09:32 Shop\\Street 3\\City"),
        ("SWEDBANK_HABALV22", "PIRKUMS 42******4242 17.11.2026 22.99 EUR (111111) SHOP"),
        ("BOURSORAMA_BOUSFRPP", "CARTE 17/11/26 SHOP CB*4567"),
    ],
)
def test_the_day_of_a_card_payment_is_read_from_the_text(bank: str, text: str) -> None:
    found = booked(bank, **{UNSTRUCTURED: text, LINES: [text]})
    assert found.transaction_date == date(2026, 11, 17)
    assert found.booking_date == date(2026, 11, 19)


@pytest.mark.parametrize("text", ["(..1234) 2026-13-45 09:32 Shop\\", "Some info", "PIRKUMS xxx"])
def test_a_text_that_holds_no_day_of_payment_names_none(text: str) -> None:
    for bank in ("LHV_LHVBEE22", "SWEDBANK_HABALV22"):
        assert booked(bank, **{UNSTRUCTURED: text}).transaction_date is None


@pytest.mark.parametrize(
    "bank", ["BELFIUS_GKCCBEBB", "COOPERATIVE_RETAIL_CPBKGB22", "ING_INGBROBU"]
)
def test_ids_that_are_none_at_this_bank_name_no_row(bank: str) -> None:
    assert booked(bank, transactionId="9998", internalTransactionId="i-1").external_id == "i-1"
    for found in (booked(bank, transactionId="9998"), pending(bank, transactionId="9998")):
        assert found.external_id.startswith(FINGERPRINT_PREFIX)


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f", True),
        ("5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f", True),
        ("0123456789", False),
        ("00DEBIT202401010000000000-1000SUPERMARKE", False),
    ],
)
def test_an_id_of_another_length_is_none_at_nationwide(text: str, is_id: bool) -> None:
    found = booked("NATIONWIDE_NAIAGB21", transactionId=text)
    assert (found.external_id == text) is is_id


def test_what_belongs_to_a_text_follows_it() -> None:
    said = {UNSTRUCTURED: "Rechnung 7", ADDITIONAL: "Kundennummer 12"}
    for bank in ("SSK_DUSSELDORF_DUSSDEDDXXX", "SPK_KARLSRUHE_KARSDE66XXX"):
        assert booked(bank, **said).description == "Rechnung 7 Kundennummer 12"
    assert booked(**said).description == "Rechnung 7"


def test_placeholders_for_pending_rows_are_left_out() -> None:
    assert answered([], [row()], bank="SSK_DUSSELDORF_DUSSDEDDXXX").transactions == ()
    assert len(answered([], [row()]).transactions) == 1


def test_a_sparkasse_says_more_in_its_additional_information() -> None:
    found = booked(
        "SPK_KARLSRUHE_KARSDE66XXX",
        **{UNSTRUCTURED: None, STRUCTURED: "Miete", ADDITIONAL: "November"},
    )
    assert found.description == "Miete November"


@pytest.mark.parametrize(
    ("bank", "fields", "description", "cleaned"),
    [
        (
            "COMMERZBANK_COBADEFF",
            {
                UNSTRUCTURED: "Shop\nEnd-to-En",
                LINES: ["Shop", "INV 7", "End-to-En", "d-Ref.: NOTPROVIDED", "Dauerauftrag"],
                "creditorName": "Shop",
            },
            "Shop INV 7 End-to-En d-Ref.: NOTPROVIDED Dauerauftrag",
            "INV 7, Dauerauftrag",
        ),
        (
            "ING_INGDDEFF",
            {UNSTRUCTURED: "mandatereference:,creditorid:,remittanceinformation:Miete"},
            "mandatereference:,creditorid:,remittanceinformation:Miete",
            "Miete",
        ),
        (
            "DANSKEBANK_DABADKKK",
            {UNSTRUCTURED: "Husleje EndToEndID: NOTPROVIDED"},
            "Husleje EndToEndID: NOTPROVIDED",
            "Husleje",
        ),
        (
            "HELLO_BE_GEBABEBB",
            {UNSTRUCTURED: None, ADDITIONAL: "narrative: ['Loyer', 'mars']"},
            "narrative: ['Loyer', 'mars']",
            "Loyer mars",
        ),
        ("REVOLUT_REVOLT21", {UNSTRUCTURED: None, LINES: ["A", "note"]}, "A note", "note"),
        ("VIRGIN_NRNBGB22", {UNSTRUCTURED: "FPS, Joe, Food"}, "FPS, Joe, Food", "Food"),
        ("SPARNORD_SPNODK22", {ADDITIONAL: "Netto"}, "Netto", None),
        (
            "RAIFFEISEN_AT_RZBAATWW",
            {UNSTRUCTURED: None, "endToEndId": "Invoice 1234", "creditorName": "A"},
            "Invoice 1234",
            None,
        ),
    ],
)
def test_the_banks_text_stays_and_its_noise_is_left_out_of_the_cleaned_one(
    bank: str, fields: dict[str, Any], description: str, cleaned: str | None
) -> None:
    found = booked(bank, **fields)
    assert found.description == description
    assert found.cleaned_description == cleaned


def test_a_bank_is_known_in_any_case_and_another_one_is_usual() -> None:
    assert quirks_of("cetelem_cetmptp1xxx") is quirks_of("CETELEM_CETMPTP1XXX")
    assert quirks_of("SOME_BANK") == quirks_of(None) == Quirks()


def test_every_bank_of_the_list_has_its_entry(contracts: Path) -> None:
    quirks = json.loads((contracts / "data" / "gc_bank_quirks.json").read_bytes())
    # What they differ in is the general rule here: their texts are found where they are.
    usual = {"SPK_MARBURG_BIEDENKOPF_HELADEF1MAR", "SPK_WORMS_ALZEY_RIED_MALADE51WOR"}
    usual |= {"DIREKT_HELADEF1822"}
    assert set(quirks["institutions"]) - usual <= set(QUIRKS_OF_BANK)


def test_every_tag_of_the_list_is_in_the_entry(contracts: Path) -> None:
    quirks = json.loads((contracts / "data" / "gc_bank_quirks.json").read_bytes())
    for bank, said in quirks["institutions"].items():
        entry, tags = quirks_of(bank), set(said["tags"])
        assert entry.is_sign_flipped == ("negate_amount" in tags), bank
        assert entry.has_only_internal_ids == ("id_internal_only" in tags), bank
        assert entry.drops_pending == ("drop_pending" in tags), bank
        assert entry.is_iban_masked_pan == ("iban_is_masked_pan" in tags), bank
        assert (entry.id_lengths is not None) == ("drop_malformed_ids" in tags), bank
        assert (entry.unsigned_purchase is not None) == ("negate_pending" in tags), bank
        is_dated = bool(tags & {"date_value_first", "date_value_datetime_first"})
        assert entry.has_own_dates == is_dated, bank
        assert entry.booked_balance == said.get("prefer_balance"), bank
