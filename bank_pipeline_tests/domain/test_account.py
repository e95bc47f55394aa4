from typing import Any

from bank_pipeline.domain.account import Account, match_accounts
from bank_pipeline_tests.builders import account


def named(external_id: str, *stable: str, **more: Any) -> Account:
    return account(1, external_id=external_id, stable_external_ids=stable, **more)


def test_an_account_is_recognised_by_a_stable_id_under_its_new_name() -> None:
    known = [named("old-1", "iban:DE1", "bban:1"), named("old-2", "iban:DE2")]
    fresh = [named("new-2", "iban:DE2"), named("new-1", "bban:1", "hash:x")]
    assert match_accounts(known, fresh) == {"new-2": "old-2", "new-1": "old-1"}


def test_currencies_of_one_iban_are_different_accounts() -> None:
    known = [named("old-eur", "iban:1", currency="EUR"), named("old-usd", "iban:1", currency="USD")]
    fresh = [named("new-usd", "iban:1", currency="USD"), named("new-eur", "iban:1", currency="EUR")]
    assert match_accounts(known, fresh) == {"new-usd": "old-usd", "new-eur": "old-eur"}


def test_where_two_could_be_meant_none_is() -> None:
    known = [named("old-1", "iban:1", currency=None), named("old-2", "iban:1", currency="EUR")]
    assert match_accounts(known, [named("new", "iban:1", currency="EUR")]) == {}


def test_the_same_name_is_the_same_account_whatever_else_it_says() -> None:
    known = [named("a", "iban:1"), named("b", "iban:2")]
    assert match_accounts(known, [named("a", "iban:2")]) == {"a": "a"}


def test_accounts_without_stable_ids_are_strangers() -> None:
    assert match_accounts([named("old")], [named("new")]) == {}
