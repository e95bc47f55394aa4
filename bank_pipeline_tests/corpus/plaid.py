"""Plaid's cases through Plaid's code: rows, feeds, accounts, Items, institutions, webhooks."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.providers.base import EventKind
from bank_pipeline.providers.calls import parse_model
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.plaid.changes import to_accounts, to_delta
from bank_pipeline.providers.plaid.schemas import (
    PlaidInstitutionAnswer,
    PlaidItemAnswer,
    PlaidSyncPage,
    PlaidTransaction,
)
from bank_pipeline.providers.plaid.transform import to_institution, to_status, to_transaction
from bank_pipeline.providers.plaid.webhooks import to_event
from bank_pipeline.providers.rows import Rows
from bank_pipeline_tests.corpus.accounts import compare_account
from bank_pipeline_tests.corpus.assertions import read_assertions
from bank_pipeline_tests.corpus.balances import compare_balances
from bank_pipeline_tests.corpus.convention import shown_name, text_like
from bank_pipeline_tests.corpus.expectations import compare_row
from bank_pipeline_tests.corpus.replay import Table
from bank_pipeline_tests.corpus.sheet import Fed, Sheet

_OPERATION: Final = "transactions/sync"
_USUAL: Final[Mapping[str, Any]] = {"account_id": "account-1", "pending": False}


def _exact(value: Any) -> Any:
    """Return what a case holds as it comes from the wire, with exact numbers."""
    return parse_json(json.dumps(value))


def to_rows(raws: Sequence[Any]) -> Fed:
    """Read rows one by one, as a page's are read."""
    rows = Rows.of(_OPERATION, [json.dumps(raws).encode()])
    read = [
        rows.read(_exact(raw), PlaidTransaction, to_transaction, id_key="transaction_id")
        for raw in raws
    ]
    return Fed(tuple(row for row in read if row is not None), len(rows.quarantined))


def read_transaction(sheet: Sheet) -> None:
    """One row, in that client's shape of it where it was cut short."""
    given = sheet.case.input
    if "values" in given:
        given = {**_USUAL, **given["values"]["plaid_transaction"]}
    fed = sheet.account_for(to_rows([given]), [given])
    if not fed.rows:
        sheet.add("landed", 1, 0)
        return
    row = fed.rows[0]
    if "assertions" not in sheet.case.stated:
        compare_row(sheet, row, sheet.case.stated)
        return
    stated, others = read_assertions(sheet.case.stated["assertions"])
    for _ in range(others):
        sheet.ignore("assertion")
    for one in stated:
        match one.field:
            case "amount":
                sheet.add("amount", one.value, row.amount)
            case "currency":
                sheet.add("currency", one.value, row.currency)
            case "shown":
                sheet.add("shown", *text_like(one.value, shown_name(row)))
            case "rows_added":
                sheet.add("rows_added", one.value, len(fed.rows))
            case _:
                sheet.ignore("assertion")


def read_page(sheet: Sheet) -> None:
    """One page of the feed, or one answer of the older call for transactions."""
    given = sheet.case.input
    if "transactions" in given:
        sheet.account_for(to_rows(given["transactions"]), given["transactions"])
    else:
        table = Table()
        _apply(sheet, table, given)
    read_accounts(sheet)


def _apply(sheet: Sheet, table: Table, raw: Mapping[str, Any]) -> None:
    body = json.dumps(raw).encode()
    page = parse_model(Provider.PLAID, _OPERATION, PlaidSyncPage, parse_json(body))
    rows = Rows.of(_OPERATION, [body])
    delta = to_delta([page], rows)
    told = [*raw["added"], *raw["modified"], *raw["removed"]]
    sheet.fed_count += len(told)
    if len(delta.upserts) + len(delta.removed) + len(rows.quarantined) < len(told):
        sheet.lost.append(f"{sheet.case.id}: rows of a page")
    table.apply(delta)


def read_sequence(sheet: Sheet) -> None:
    """Pages one after the other, applied to one table."""
    table, visible = Table(), {}
    for number, page in enumerate(sheet.case.input["pages"], start=1):
        _apply(sheet, table, page)
        visible[f"rows_visible_after_page_{number}"] = len(table.live)
    live = table.live
    for name, value in sheet.case.stated.items():
        match name:
            case "rows":
                sheet.add(name, value, len(live))
            case "amount":
                sheet.add(name, -Decimal(str(value)), live[0].amount)
            case "pending":
                sheet.add(name, value, live[0].status is TransactionStatus.PENDING)
            case "same_internal_id":
                sheet.add(name, value, len(table.rows) == 1)
            case _ if name in visible:
                sheet.add(name, value, visible[name])
            case _:
                sheet.ignore("assertion")


def read_accounts(sheet: Sheet) -> None:
    """The accounts of any answer, with their balances."""
    raws = sheet.case.input.get("accounts") or ()
    rows = Rows("accounts/get", has_odd_text=True)
    accounts, _ = to_accounts([_exact(raw) for raw in raws], rows)
    sheet.fed_count += len(raws)
    if len(accounts) + len(rows.quarantined) < len(raws):
        sheet.lost.append(f"{sheet.case.id}: an account")


def read_account(sheet: Sheet) -> None:
    """One account with its balances."""
    accounts, balances = to_accounts(
        [_exact(sheet.case.input)], Rows("accounts/get", has_odd_text=True)
    )
    sheet.fed_count += 1
    compare_account(sheet, accounts[0], balances)


def read_balances(sheet: Sheet) -> None:
    """The balances of one account; that client shows what is available as the amount."""
    given = sheet.case.input
    if "accounts" in given:
        read_accounts(sheet)
        return
    word = given["accountType"]
    raw = {"account_id": "account-1", "name": "", "type": word, "balances": given["balances"]}
    accounts, balances = to_accounts([_exact(raw)], Rows("accounts/get", has_odd_text=True))
    sheet.fed_count += 1
    owed = "credit" if accounts[0].type.is_liability else None
    compare_balances(sheet, balances, accounts[0], sheet.case.stated, word=owed)


def read_item(sheet: Sheet) -> None:
    """An Item says how it is."""
    answer = parse_model(Provider.PLAID, "item/get", PlaidItemAnswer, _exact(sheet.case.input))
    sheet.fed_count += 1
    stated = sheet.case.input["item"]
    sheet.add("institution", stated["institution_id"], to_status(answer).institution_external_id)


def read_institution(sheet: Sheet) -> None:
    """An institution is read whole."""
    body = _exact(sheet.case.input)
    raw = parse_model(Provider.PLAID, "institutions/get_by_id", PlaidInstitutionAnswer, body)
    sheet.fed_count += 1
    sheet.add("name", body["institution"]["name"], to_institution(raw.institution).name)


def read_webhook(sheet: Sheet) -> None:
    """A webhook names its connection; one about products that we do not read is ignored."""
    event = to_event(json.dumps(sheet.case.input).encode(), event_key="key-1")
    sheet.fed_count += 1
    sheet.add("external_id", sheet.case.input["item_id"], event.external_id)
    is_ours = sheet.case.input["webhook_type"] in ("ITEM", "TRANSACTIONS")
    if not is_ours:
        sheet.add("kind", EventKind.IGNORE, event.kind)
