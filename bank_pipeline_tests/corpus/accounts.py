"""What other clients expect of one account, beside what we have. Pure."""

import re
from collections.abc import Sequence
from typing import Any, Final

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline_tests.corpus.balances import amount_of, select
from bank_pipeline_tests.corpus.convention import (
    TYPE_WORDS,
    to_currency,
    to_decimal,
    to_owed,
    to_words,
)
from bank_pipeline_tests.corpus.sheet import Sheet

_NAME_TAIL: Final = re.compile(r"( \(XXX \w+\))? [A-Z]{3}$")
_NO_MASK: Final = "0000"
_OWN_WORDS: Final = {"checking": AccountType.CHECKING, "savings": AccountType.SAVINGS}


def compare_account(sheet: Sheet, account: Account, balances: Sequence[Balance]) -> None:
    """Compare every stated field of one account, its balances among them."""
    ids = account.identifiers
    named = [to_words(text) for text in (account.name, account.official_name) if text]
    for name, value in sheet.case.stated.items():
        match name:
            case "id" | "account_id":
                sheet.add(name, value, account.external_id)
            case "iban":
                sheet.add(name, value, ids.iban)
            case "mask":
                shown = ids.masked_number or (ids.iban[-4:] if ids.iban else _NO_MASK)
                sheet.add(name, value, shown)
            case "name" | "official_name":
                wanted = to_words(_NAME_TAIL.sub("", value or ""))
                found = wanted if wanted in named else next(iter(named), "")
                sheet.add(name, wanted, found)
            case "type":
                _compare_type(sheet, account, value)
            case "currency":
                sheet.add(name, to_currency(value), account.currency)
            case "routing_number" | "account_number":
                sheet.add(name, value, getattr(ids, name))
            case "balance" | "available_balance" | "credit_limit":
                _compare_balance(sheet, name, value, account, balances)
            case _:
                sheet.ignore(name)


def _compare_type(sheet: Sheet, account: Account, value: str) -> None:
    if value in _OWN_WORDS:
        sheet.add("type", _OWN_WORDS[value], account.type)
    else:
        sheet.add("type", value, TYPE_WORDS.get(account.type, "other_asset"))


def _compare_balance(
    sheet: Sheet, name: str, value: Any, account: Account, balances: Sequence[Balance]
) -> None:
    if name == "available_balance":
        found = select(balances, BalanceKind.AVAILABLE, account)
        sheet.add(name, to_decimal(value), amount_of(found))
        return
    if name == "credit_limit":
        found = select(balances, BalanceKind.CREDIT_LIMIT, account)
        sheet.add(name, to_decimal(value), amount_of(found))
        return
    booked = select(balances, BalanceKind.BOOKED, account)
    if "amount" in value:
        is_debt = account.type.is_liability
        expected = to_owed(to_decimal(value["amount"]), "credit" if is_debt else None)
        sheet.add("balance", expected, amount_of(booked))
    if "currency" in value:
        found_currency = booked.currency if booked else None
        sheet.add("balance.currency", to_currency(value["currency"]), found_currency)
