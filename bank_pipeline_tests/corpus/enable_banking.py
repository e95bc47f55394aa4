"""Enable Banking's cases through Enable Banking's code: rows, pages, accounts, balances."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.account_matching import match_accounts
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import RawAnswer, WindowRequest
from bank_pipeline.providers.enable_banking.accounts import (
    to_account,
    to_balances,
    to_credit_limit,
)
from bank_pipeline.providers.enable_banking.quirks import NONE
from bank_pipeline.providers.enable_banking.schemas import EbAccount, EbBalance
from bank_pipeline.providers.enable_banking.window import OPERATION, to_window
from bank_pipeline.providers.rows import Rows
from bank_pipeline_tests.corpus.accounts import compare_account
from bank_pipeline_tests.corpus.assertions import Stated, read_assertions
from bank_pipeline_tests.corpus.balances import amount_of, compare_balances, select, to_owner
from bank_pipeline_tests.corpus.cases import TODAY, Case
from bank_pipeline_tests.corpus.convention import (
    shown_name,
    text_like,
    to_decimal,
    to_words,
)
from bank_pipeline_tests.corpus.expectations import compare_row
from bank_pipeline_tests.corpus.replay import Table
from bank_pipeline_tests.corpus.sheet import Fed, Sheet

_DATES: Final = ("booking_date", "value_date", "transaction_date")
_VITAL: Final = ("transaction_amount", "credit_debit_indicator", "status")
_SPOKEN: Final = ("creditor_name", "debtor_name")
_ROW_NAME: Final = re.compile(r"build_\w+|tx|\w+_tx|tx_\w+")


def to_rows(case: Case, raws: Sequence[Any], *, days: int = 30_000) -> Fed:
    """Read one page as it is read from the archive."""
    body = json.dumps({"transactions": [*raws], "continuation_key": None})
    owner = to_owner(case.context.get("account_type"))
    window = DateWindow(first=TODAY - timedelta(days=days), last=TODAY)
    answer = RawAnswer(OPERATION, body.encode(), b"", None)
    read = to_window([answer], owner, WindowRequest(window, is_first=False))
    return Fed(read.transactions, len(read.quarantined))


def _completed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what no bank leaves out, where a case names only what it is about."""
    amount = raw.get("transaction_amount") or {"amount": "1.00", "currency": "EUR"}
    is_out = str(amount.get("amount", "")).startswith("-")
    full: dict[str, Any] = {
        "status": "BOOK",
        "credit_debit_indicator": "DBIT" if is_out else "CRDT",
        **{key: value for key, value in raw.items() if key not in (*_SPOKEN, "_pending")},
        "transaction_amount": amount,
    }
    if raw.get("_pending"):
        full["status"] = "PDNG"
    if full["status"] == "BOOK" and not any(full.get(name) for name in _DATES):
        full["booking_date"] = TODAY.isoformat()
    for name in _SPOKEN:
        side = name.removesuffix("_name")
        if raw.get(name) and not (raw.get(side) or {}).get("name"):
            full[side] = {"name": raw[name]}
    return full


def _is_whole(raw: Any) -> bool:
    return isinstance(raw, dict) and all(raw.get(name) for name in _VITAL)


def _raws_of(given: Any) -> list[dict[str, Any]]:
    """Find the provider's rows in whatever a case wraps them with."""
    if isinstance(given, list):
        return [one for one in given if isinstance(one, dict)]
    values = given.get("values") or given
    if not isinstance(values, dict):
        return []
    for name in ("transactions", "rows"):
        if name in values:
            return [one for one in values[name] if isinstance(one, dict)]
    return [
        one for key, one in values.items() if _ROW_NAME.fullmatch(key) and isinstance(one, dict)
    ]


def read_transaction(sheet: Sheet) -> None:
    """One row or a few that were told together."""
    case = sheet.case
    is_alone = isinstance(case.input, dict) and "transaction_amount" in case.input
    raws = [case.input] if is_alone else _raws_of(case.input)
    sheet.account_for(to_rows(case, raws), raws, may_drop=case.kind == "dedupe")
    has_assertions = "assertions" in case.stated
    if has_assertions:
        stated, others = read_assertions(case.stated["assertions"])
        for _ in range(others):
            sheet.ignore("assertion")
        _compare_assertions(sheet, raws, stated)
    elif "posted" in case.stated:
        _compare_statuses(sheet, raws)
    else:
        _compare_stated(sheet, raws)


def _compare_stated(sheet: Sheet, raws: Sequence[dict[str, Any]]) -> None:
    stated = dict(sheet.case.stated)
    if stated.pop("__also__", None):
        sheet.ignore("note")
    if stated.pop("__stated_in_comment__", None):
        _compare_address(sheet, raws[0])
    if stated.pop("__raises__", None):
        sheet.add("landed", 0, len(to_rows(sheet.case, raws).rows))
        return
    if stated.pop("__route_result__", None):
        sheet.add("landed", 0, len(to_rows(sheet.case, [_completed(raws[0])]).rows))
        return
    for name in ("rows", "rows_after_second_identical_sync"):
        if name in stated:
            _compare_count(sheet, name, raws, stated.pop(name))
    if stated:
        compare_row(sheet, to_rows(sheet.case, [_completed(raws[0])]).rows[0], stated)


def _compare_address(sheet: Sheet, raw: Mapping[str, Any]) -> None:
    """The other side may be named by its address alone."""
    side = "debtor" if raw["credit_debit_indicator"] == "CRDT" else "creditor"
    expected = raw[side]["postal_address"]["address_line"][0]
    row = to_rows(sheet.case, [raw]).rows[0]
    sheet.add("counterparty", expected, row.counterparty.name if row.counterparty else None)


def _compare_count(sheet: Sheet, name: str, raws: Sequence[Any], expected: int) -> None:
    table, window = Table(), DateWindow(first=date(2000, 1, 1), last=TODAY)
    is_apart = isinstance(sheet.case.input, dict) and "DIFFERENT" in sheet.case.input["note"]
    answers = [[raw] for raw in raws] if is_apart else [raws]
    for answer in [*answers, *(answers if "second" in name else [])]:
        table.apply_window(to_rows(sheet.case, answer).rows, account="account-1", covered=window)
    sheet.add(name, expected, len(table.live))


def _compare_statuses(sheet: Sheet, raws: Sequence[dict[str, Any]]) -> None:
    """Only what is booked counts as posted: one row per status, told by its id."""
    for raw in raws:
        fed = to_rows(sheet.case, [raw])
        word = raw.get("status") or "missing"
        is_posted = any(word in text for text in sheet.case.stated["posted"])
        booked = [row for row in fed.rows if row.status is TransactionStatus.BOOKED]
        sheet.add(f"posted {word}", is_posted, bool(booked))


def _compare_assertions(
    sheet: Sheet, raws: Sequence[dict[str, Any]], stated: Sequence[Stated]
) -> None:
    is_named = {one.field for one in stated} & {"rows", "first_id", "landed"}
    fed = [raw if is_named and _is_whole(raw) else _completed(raw) for raw in raws]
    if any(one.field == "landed" for one in stated):
        fed = list(raws)
    rows = to_rows(sheet.case, fed).rows
    for one in stated:
        _compare_assertion(sheet, rows, one)


def _compare_assertion(sheet: Sheet, rows: Sequence[Transaction], one: Stated) -> None:
    if one.field in ("rows", "landed"):
        sheet.add(one.field, one.value, len(rows))
        return
    if one.field in ("rows_added", "rows_added_again"):
        table = Table()
        counts = [
            table.apply_window(rows, account="account-1", covered=None),
            table.apply_window(rows, account="account-1", covered=None),
        ]
        sheet.add(one.field, one.value, counts[one.field == "rows_added_again"])
        return
    if not rows:
        sheet.add(one.field, one.value, "no row")
        return
    sheet.add(one.field, *_pair(rows[0], one))


def _text_part(row: Transaction) -> str:
    return to_words(f"{row.description} {row.details.get('note', '')}")


def _paid(row: Transaction) -> Decimal | None:
    exchange = row.foreign_exchange
    return exchange.source_amount.copy_abs() if exchange and exchange.source_amount else None


_FOUND: Final[Mapping[str, Callable[[Transaction], Any]]] = {
    "amount": lambda row: row.amount,
    "currency": lambda row: row.currency,
    "is_pending": lambda row: row.status is TransactionStatus.PENDING,
    "nobody": lambda row: row.counterparty,
    "first_id": lambda row: row.external_id,
    "day": lambda row: row.booking_date,
    "rate": lambda row: row.foreign_exchange.rate if row.foreign_exchange else None,
    "source_currency": lambda row: (
        row.foreign_exchange.source_currency if row.foreign_exchange else None
    ),
    "source_amount": _paid,
    "category_code": lambda row: row.merchant.category_code if row.merchant else None,
}
_AMOUNTS: Final = frozenset({"rate", "source_amount"})


def _pair(row: Transaction, one: Stated) -> tuple[Any, Any]:
    if one.field == "shown":
        return text_like(one.value, shown_name(row))
    if one.field == "text_part":
        return True, to_words(one.value) in _text_part(row)
    expected = to_decimal(one.value) if one.field in _AMOUNTS else one.value
    return expected, _FOUND[one.field](row)


def read_sequence(sheet: Sheet) -> None:
    """Answers one after the other, applied to one table."""
    given, stated, table = sheet.case.input, sheet.case.stated, Table()
    window = DateWindow(first=date(2000, 1, 1), last=TODAY)
    values = given.get("values", {})
    answers = given.get("responses") or [[_completed(one)] for one in values.values()]
    for raws in answers:
        fed = sheet.account_for(to_rows(sheet.case, raws), raws)
        fed = fed if fed.rows else to_rows(sheet.case, [_completed(raw) for raw in raws])
        table.apply_window(fed.rows, account="account-1", covered=window)
    live = table.live
    for name, value in stated.items():
        match name:
            case "rows" | "rows_after_second_sync":
                sheet.add(name, value, len(live))
            case "signed_amounts":
                expected = sorted(to_decimal(one) or 0 for one in value)
                sheet.add(name, expected, sorted(row.amount or 0 for row in live))
            case "assertions" if answers:
                sheet.add("rows", 1, len(live))
                is_booked = [row.status is TransactionStatus.BOOKED for row in live]
                sheet.add("is_booked", [True], is_booked)
            case _:
                sheet.ignore("assertion")


def read_balances_of(raws: Sequence[Any], account: Account) -> tuple[tuple[Balance, ...], int]:
    """Read the rows of one answer; return the balances, and how many rows were set aside."""
    rows = Rows("accounts/balances", has_odd_text=True)
    read = [rows.read(raw, EbBalance, _as_it_is, id_key="") for raw in raws]
    fit = [raw for raw in read if raw is not None]
    return to_balances(fit, account, NONE), len(rows.quarantined)


def _as_it_is(raw: EbBalance, _unreadable: Mapping[str, Any]) -> EbBalance:
    return raw


def read_balances(sheet: Sheet) -> None:
    """One account's balances, and which of them counts."""
    given, hint, word = sheet.case.input, None, None
    raws: Any = given
    if isinstance(given, dict):
        if not {"balance", "balances", "args", "provider_returns"} & given.keys():
            sheet.ignore("no_payload")  # that client's settings
            return
        word = given.get("accountType")
        alone = [given["balance"]] if "balance" in given else []
        told = given.get("balances", [])
        raws = [*(one for one in alone if one not in told), *told]
        if "args" in given:
            raws, hint = given["args"]
        if "provider_returns" in given:
            raws = given["provider_returns"][0]["balances"]
    account = to_owner(word, currency=None if hint == "XXX" else hint)
    balances, quarantined_count = read_balances_of(raws, account)
    sheet.fed_count += len(raws)
    if len(balances) + quarantined_count < len(raws):
        sheet.lost.append(f"{sheet.case.id}: a balance")
    if "assertions" not in sheet.case.stated:
        compare_balances(sheet, balances, account, sheet.case.stated, word=word)
        return
    for one in read_assertions(sheet.case.stated["assertions"])[0]:
        booked = select(balances, BalanceKind.BOOKED, account)
        sheet.add(one.field, one.value, amount_of(booked))


def read_account(sheet: Sheet) -> None:
    """One account with its balance and its limit, where they lie beside."""
    given = sheet.case.input
    raw = EbAccount.model_validate(given)
    account = to_account(raw)
    sheet.fed_count += 1
    balances, _ = read_balances_of([given["balance"]] if "balance" in given else [], account)
    compare_account(sheet, account, [*balances, *to_credit_limit(raw, account)])


def read_match(sheet: Sheet) -> None:
    """The same account in two sessions."""
    sessions = (sheet.case.input["session_1"], sheet.case.input["session_2"])
    known, fresh = (to_account(EbAccount.model_validate(raw)) for raw in sessions)
    sheet.fed_count += 2
    matched = match_accounts([known], [fresh]).same
    sheet.add("same_account", sheet.case.stated["same_account"], bool(matched))
    moved_to = next((new for new, old in matched.items() if old == known.external_id), None)
    sheet.add("external_id", sheet.case.stated["api_account_id_updated_to"], moved_to)


def read_page(sheet: Sheet) -> None:
    """One page whole."""
    raws = sheet.case.input["transactions"]
    sheet.account_for(to_rows(sheet.case, raws), raws)
