"""Metadata and details make one account; limits that are texts make one bank."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.providers.gocardless.accounts import (
    has_details,
    to_account,
    to_consent_end,
    to_history_start,
    to_institution,
    to_status,
)
from bank_pipeline.providers.gocardless.quirks import quirks_of
from bank_pipeline.providers.gocardless.schemas import (
    GcAgreement,
    GcDetails,
    GcInstitution,
    GcMetadata,
    GcRequisition,
)
from bank_pipeline_tests.providers.gocardless.builders import (
    agreement,
    details,
    institution,
    metadata,
    requisition,
)


def read(said: dict[str, Any] | None = None, bank: str | None = None, **meta: Any) -> Account:
    known = None if said is None else GcDetails.model_validate(details(**said)["account"])
    return to_account(
        "account-1", GcMetadata.model_validate(metadata(**meta)), known, quirks_of(bank)
    )


def test_details_come_before_metadata_unless_they_are_blank() -> None:
    both = read({"iban": "", "ownerName": "J. Doe"}, iban="GB33BUKB20201555555555")
    assert both.identifiers.iban == "GB33BUKB20201555555555"
    assert both.holder_name == "J. Doe"
    assert read({"ownerName": " "}).holder_name == "JANE DOE"


def test_an_account_without_details_says_so() -> None:
    assert not has_details(read())
    assert read().provider_type == ""
    assert has_details(read({}))
    assert has_details(read({"cashAccountType": None, "product": None}))


@pytest.mark.parametrize(
    ("said", "meta", "ids"),
    [
        ({"iban": "GB33 BUKB 2020 1555 5555 55"}, {}, ("iban:GB33BUKB20201555555555",)),
        ({"bban": "54910 000003"}, {"iban": ""}, ("bban:54910000003",)),
        ({}, {"iban": ""}, ("resource:resource-1",)),
        ({"resourceId": None}, {"iban": ""}, ()),
        ({"bban": "****1234"}, {"iban": "XXXX-XXXX-12345"}, ("resource:resource-1",)),
    ],
)
def test_what_stays_after_a_reconnect_is_the_accounts_number(
    said: dict[str, Any], meta: dict[str, Any], ids: tuple[str, ...]
) -> None:
    assert read(said, **meta).stable_external_ids == ids


def test_a_masked_card_number_is_no_iban() -> None:
    card = read({}, "AMERICAN_EXPRESS_AESUDEF1", iban="XXXXXXXXXX12345")
    assert (card.identifiers.iban, card.identifiers.masked_number) == (None, "12345")
    assert read({"maskedPan": "4242****4321"}).identifiers.masked_number == "4321"


@pytest.mark.parametrize("number", ["DE89XXXXXXXXXXXX3000", "****3000", "4242 **** **** 3000"])
def test_a_masked_number_is_none(number: str) -> None:
    found = read({"iban": number, "bban": number}, iban="").identifiers
    assert (found.iban, found.bban, found.masked_number) == (None, None, "3000")


def test_a_british_number_is_a_sort_code_and_an_account() -> None:
    found = read({"scan": "40478470872490"}).identifiers
    assert (found.routing_number, found.account_number) == ("404784", "70872490")
    assert read({"scan": "4047"}).identifiers.account_number is None


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"name": "Mine"}, "Mine"),
        ({"name": None}, "From metadata"),
        ({"name": None, "displayName": "EKONTO"}, "From metadata"),
    ],
)
def test_an_account_has_the_first_name_that_is_given(said: dict[str, Any], name: str) -> None:
    assert read(said, name="From metadata").name == name


def test_an_account_without_a_name_is_called_by_its_number() -> None:
    nameless = {"name": None, "product": None}
    assert read(nameless).name == "Account 5555"
    assert read(nameless, iban="").name == "Account"
    assert read({"name": None, "product": "Giro"}).name == "Giro"
    assert read({"name": None, "product": None, "details": "Gold Card"}).name == "Gold Card"


@pytest.mark.parametrize(
    ("code", "product", "kind"),
    [
        ("CACC", "Girokonto", AccountType.CHECKING),
        ("cacc", None, AccountType.CHECKING),
        ("CACC", "Credit Card", AccountType.CREDIT_CARD),
        ("CACC", "Tagesgeld", AccountType.SAVINGS),
        ("SVGS", "Credit Card", AccountType.SAVINGS),
        ("CARD", None, AccountType.CREDIT_CARD),
        ("LOAN", None, AccountType.LOAN),
        ("TRAN", "Livret A", AccountType.SAVINGS),
        (None, "Kreditkarte Gold", AccountType.CREDIT_CARD),
        (None, "Boliglån", AccountType.MORTGAGE),
        (None, "RACHUNEK BIEŻĄCY", AccountType.CHECKING),
        (None, "Sichteinlage privat", AccountType.CHECKING),
        ("NEWW", "Something", AccountType.OTHER),
        (None, None, AccountType.OTHER),
    ],
)
def test_the_type_comes_from_the_code_or_else_from_the_names(
    code: str | None, product: str | None, kind: AccountType
) -> None:
    said = {"cashAccountType": code, "product": product, "name": None}
    assert read(said).type is kind


@pytest.mark.parametrize(
    ("code", "official", "unofficial"),
    [("SEK", "SEK", None), ("XXX", None, None), ("BTC1", None, "BTC1"), (None, None, None)],
)
def test_an_accounts_currency_may_be_unknown(
    code: str | None, official: str | None, unofficial: str | None
) -> None:
    found = read({"currency": code})
    assert (found.currency, found.unofficial_currency) == (official, unofficial)


@pytest.mark.parametrize(("usage", "expected"), [("ORGA", True), ("PRIV", False), (None, None)])
def test_whose_account_it_is(usage: str | None, expected: bool | None) -> None:
    assert read({"usage": usage}).is_business is expected


def test_a_consent_ends_so_many_days_after_it_was_given() -> None:
    given = GcAgreement.model_validate(agreement(accepted="2026-04-08T22:54:54.869Z"))
    ends_at = to_consent_end(given)
    assert ends_at == datetime(2026, 10, 5, 22, 54, 54, 869_000, tzinfo=UTC)
    assert to_history_start(given) == date(2024, 4, 8)


@pytest.mark.parametrize("accepted", [None, "", True, "soon"])
def test_a_consent_that_was_not_given_has_no_end(accepted: object) -> None:
    waiting = GcAgreement.model_validate(agreement(accepted=accepted))
    assert to_consent_end(waiting) is None
    assert to_history_start(waiting) is None


@pytest.mark.parametrize("status", ["EX", "RJ", "SU", "ER", "CR", "GC", "UA", "SA", "GA", "ID"])
def test_a_requisition_that_is_not_linked_says_why(status: str) -> None:
    raw = GcRequisition.model_validate(requisition(status))
    assert to_status(raw, consent_ends_at=None).error_code == status


def test_a_linked_requisition_is_well_unless_its_accounts_are_not() -> None:
    raw = GcRequisition.model_validate(requisition())
    assert to_status(raw, consent_ends_at=None).error_code is None
    broken = to_status(raw, consent_ends_at=None, account_fault="ACCOUNT_EXPIRED")
    assert broken.error_code == "ACCOUNT_EXPIRED"
    assert broken.institution_external_id == "REVOLUT_REVOLT21"


def test_a_banks_limits_are_read_from_texts() -> None:
    bank = to_institution(GcInstitution.model_validate(institution()))
    assert (bank.history_days_max, bank.consent_days_max) == (730, 180)
    assert (bank.bic, bank.logo_url) == ("REVOLT21", "https://cdn.example.com/revolut.png")
    assert bank.customer_kinds == ("personal", "business")
    assert bank.countries == ("GB",)


def test_a_bank_without_limits_has_the_usual_history_and_no_stated_consent() -> None:
    raw = institution(bic="", transaction_total_days=None, supported_features=None)
    del raw["max_access_valid_for_days"]
    bank = to_institution(GcInstitution.model_validate(raw))
    assert (bank.history_days_max, bank.consent_days_max) == (90, None)
    assert (bank.bic, bank.customer_kinds) == (None, ())
    number = to_institution(GcInstitution.model_validate(institution(transaction_total_days=540)))
    assert number.history_days_max == 540


@pytest.mark.parametrize("accepted", ["0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00Z"])
def test_an_agreement_accepted_on_no_real_day_ends_and_begins_nothing(accepted: str) -> None:
    odd = GcAgreement.model_validate(agreement(accepted=accepted))
    assert (to_consent_end(odd), to_history_start(odd)) == (None, None)


def test_an_agreement_of_endless_days_ends_and_begins_nothing() -> None:
    days = {"access_valid_for_days": 10**9, "max_historical_days": 10**6}
    odd = GcAgreement.model_validate(agreement(**days))
    assert (to_consent_end(odd), to_history_start(odd)) == (None, None)
    late = GcAgreement.model_validate(agreement(accepted="9999-12-31T23:59:59-01:00"))
    assert to_consent_end(late) is None
