"""What names people, cards and days: kept where it belongs, and a card's number nowhere."""

from datetime import date
from typing import Any

import pytest

from bank_pipeline.domain.account import AccountIdentifiers
from bank_pipeline.providers.exact_json import dump_json
from bank_pipeline_tests.providers.enable_banking.test_transform import quarantined, row


@pytest.mark.parametrize("number", ["4000 0012 3456 7899", "4000-0012-3456-7899", 4000001234567899])
@pytest.mark.parametrize("issuer", [None, "a\0"])
def test_a_cards_number_is_never_kept_whole_in_any_shape(number: object, issuer: str) -> None:
    """In a list, or beside an odd text, what a bank says of an account is kept as it came."""
    card = {"other": {"identification": number, "scheme_name": "CPAN", "issuer": issuer}}
    for stated in (card, [card], [[card]]):
        found = row(creditor_account=stated, brand_new=stated)
        kept = dump_json(dict(found.details))
        assert "0012" not in kept
        assert kept.count("7899") == 2


def test_a_cards_number_is_never_kept_whole_however_deep_it_is() -> None:
    stated: Any = {"identification": "4000001234567899", "scheme_name": "CPAN"}
    for _ in range(150):
        stated = {"a": stated}
    found = row(creditor_account=stated, brand_new=[stated])
    assert "4000001234567899" not in dump_json(dict(found.details))
    assert found.details["creditor_account"].startswith('{"a":')


@pytest.mark.parametrize("scheme", ["SOSE", "NIDN", "CCPT", "DRLC", "TXID", "CUST", "NEWS"])
def test_what_numbers_a_person_is_no_account_number(scheme: str) -> None:
    number = {"identification": "010170-123A", "scheme_name": scheme}
    giro = {"identification": "5050-1055", "scheme_name": "BGNR"}
    key = "creditor_account_additional_identification"
    found = row(creditor={"name": "A"}, **{key: [number]})
    assert found.counterparty is not None
    assert found.counterparty.identifiers == AccountIdentifiers()
    assert found.details[key] == [number]
    both = row(creditor={"name": "A"}, **{key: [number, giro]})
    assert both.counterparty is not None
    assert both.counterparty.identifiers.account_number == "5050-1055"


def test_a_date_of_the_year_1_is_none() -> None:
    found = row(booking_date="0001-01-01", value_date="2026-03-02")
    assert (found.booking_date, found.details["booking_date"]) == (date(2026, 3, 2), "0001-01-01")
    undated = {"booking_date": "0001-01-01", "value_date": None, "transaction_date": None}
    assert "booked_without_date" in quarantined(**undated).reason
