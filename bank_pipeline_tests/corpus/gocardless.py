"""GoCardless's cases through GoCardless's code: rows, pages, accounts, balances, refusals."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import PayloadError
from bank_pipeline.providers.answers import RawAnswer, WindowRequest
from bank_pipeline.providers.calls import parse_model
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.gocardless.accounts import to_account
from bank_pipeline.providers.gocardless.balances import to_balances
from bank_pipeline.providers.gocardless.quirks import quirks_of
from bank_pipeline.providers.gocardless.schemas import (
    GcBalance,
    GcBalancesAnswer,
    GcDetails,
    GcMetadata,
)
from bank_pipeline.providers.gocardless.windows import to_operation, to_window
from bank_pipeline.providers.rows import Rows
from bank_pipeline_tests.corpus.accounts import compare_account
from bank_pipeline_tests.corpus.balances import amount_of, compare_balances, select, to_owner
from bank_pipeline_tests.corpus.cases import Case
from bank_pipeline_tests.corpus.convention import to_decimal
from bank_pipeline_tests.corpus.expectations import compare_row
from bank_pipeline_tests.corpus.replay import Table
from bank_pipeline_tests.corpus.sheet import Fed, Sheet

_DAY: Final = re.compile(r"20\d\d-\d\d-\d\d")
_DATES: Final = ("bookingDate", "valueDate", "bookingDateTime", "valueDateTime")
_SOME_DAY: Final = "2024-09-10"
_OTHER_ROW: Final = {
    "transactionAmount": {"amount": "-1.00", "currency": "EUR"},
    "bookingDate": _SOME_DAY,
    "internalTransactionId": "the-other-row",
}


def to_rows(
    case: Case,
    booked: Sequence[Any],
    pending: Sequence[Any] = (),
    *,
    today: date | None = None,
) -> Fed:
    """Read one answer as it is read from the archive, on the newest day that it names."""
    body = json.dumps({"transactions": {"booked": [*booked], "pending": [*pending]}})
    days = [day for text in _DAY.findall(body) if (day := _to_day(text))]
    last = today or max(days, default=date.fromisoformat(_SOME_DAY))
    owner = to_owner(case.context.get("account_type"))
    request = WindowRequest(DateWindow(first=last - timedelta(days=90), last=last), is_first=False)
    operation = to_operation(owner, institution_id=case.institution_id)
    answer = to_window([RawAnswer(operation, body.encode(), b"", None)], owner, request)
    return Fed(answer.transactions, len(answer.quarantined))


def _to_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def read_transaction(sheet: Sheet) -> None:
    """One row: it lands as another client says, or is set aside, and hurts no sibling."""
    case, stated = sheet.case, dict(sheet.case.stated)
    is_booked = case.context.get("booked", True) is not False
    is_dropped = stated.pop("__row_is_skipped__", False)
    other = stated.pop("other_rows_unaffected", None)
    raw = case.input
    fed = _feed(sheet, raw, is_booked=is_booked, may_drop=is_dropped)
    if is_dropped:
        sheet.add("__row_is_skipped__", 0, len(fed.rows))
        return
    if other:
        pair = to_rows(case, [raw, _OTHER_ROW])
        sheet.add("other_rows_unaffected", 2, len(pair.rows))
    if not fed.rows and is_booked and not any(raw.get(name) for name in _DATES):
        # A specimen without any date: set aside, rightly. With one, the rest can be compared.
        fed = _feed(sheet, {**raw, "bookingDate": _SOME_DAY}, is_booked=True)
    if fed.rows:
        compare_row(sheet, fed.rows[0], stated)
    else:
        sheet.add("landed", 1, 0)


def _feed(sheet: Sheet, raw: Any, *, is_booked: bool, may_drop: bool = False) -> Fed:
    fed = to_rows(sheet.case, [raw] if is_booked else [], [] if is_booked else [raw])
    return sheet.account_for(fed, [raw], may_drop=may_drop)


def read_page(sheet: Sheet) -> None:
    """One answer whole."""
    lists = sheet.case.input["transactions"]
    booked, pending = lists["booked"], lists.get("pending", ())
    fed = sheet.account_for(to_rows(sheet.case, booked, pending), [*booked, *pending])
    landed = [row for row in fed.rows if row.status is TransactionStatus.BOOKED]
    sheet.add("rows_booked", sheet.case.stated["rows_booked"], len(landed))
    sheet.ignore("note")


def read_list(sheet: Sheet) -> None:
    """Rows that were told together: another client's order is its own, the number is not."""
    raws = sheet.case.input
    raws = [raw if any(map(raw.get, _DATES)) else {**raw, "bookingDate": _SOME_DAY} for raw in raws]
    fed = sheet.account_for(to_rows(sheet.case, raws), raws)
    if "bank_statement_shows" in sheet.case.stated:
        sheet.add("rows", sheet.case.stated["bank_statement_shows"], len(fed.rows))
    else:
        sheet.add("rows", len(sheet.case.expected), len(fed.rows))
        sheet.ignore("note")


def read_sequence(sheet: Sheet) -> None:
    """Answers one after the other, applied to one table; what is to come is no money."""
    stated, table = sheet.case.stated, Table()
    first_seen = _to_day(sheet.case.input.get("first_seen", "")) or None
    statuses = []
    for number, raws in enumerate(sheet.case.input["responses"]):
        today = first_seen if number == 0 else None
        fed = sheet.account_for(to_rows(sheet.case, raws, today=today), raws)
        statuses.append({row.status for row in fed.rows})
        days = [day for row in (*fed.rows, *table.live) if (day := row.booking_date)]
        covered = DateWindow(first=min(days), last=max(days))
        table.apply_window(fed.rows, account="account-1", covered=covered)
    sheet.add("rows", stated["rows"], len(table.live))
    if "while_future" in stated:
        not_yet = {TransactionStatus.PENDING, TransactionStatus.SCHEDULED}
        sheet.add("while_future", True, statuses[0] <= not_yet)


def read_balances_of(
    case: Case, raws: Sequence[Any], account: Account
) -> tuple[tuple[Balance, ...], int]:
    """Read the rows of one answer; return the balances, and how many rows were set aside."""
    body = json.dumps({"balances": [*raws]}).encode()
    parsed = parse_model(
        Provider.GOCARDLESS, "accounts/balances", GcBalancesAnswer, parse_json(body)
    )
    rows = Rows.of("accounts/balances", [body])
    read = [rows.read(raw, GcBalance, _as_it_is, id_key="") for raw in parsed.balances]
    fit = [raw for raw in read if raw is not None]
    return to_balances(fit, account, quirks_of(case.institution_id)), len(rows.quarantined)


def _as_it_is(raw: GcBalance, _unreadable: Mapping[str, Any]) -> GcBalance:
    return raw


def read_balances(sheet: Sheet) -> None:
    """One account's balances, and which of them counts."""
    given, hint, word = sheet.case.input, None, None
    if given is None:
        sheet.add("__undefined__", None, _refused_balances())
        return
    if isinstance(given, dict):
        word = given.get("accountType") or given.get("account_type")
        arguments = given.get("args")
        raws = arguments[0] if arguments else given.get("balances") or _alone(given)
        hint = arguments[1] if arguments else None
        preferred = given.get("setting", {}).get("preferred_balance_type")
        raws = [one for one in raws if preferred in (None, one["balanceType"])]
    else:
        raws = given
    account = to_owner(word, currency=None if hint == "XXX" else hint)
    balances, quarantined_count = read_balances_of(sheet.case, raws, account)
    sheet.fed_count += len(raws)
    if len({one.provider_type for one in balances}) + quarantined_count < min(len(raws), 1):
        sheet.lost.append(f"{sheet.case.id}: a balance")
    compare_balances(sheet, balances, account, sheet.case.stated, word=word)


def _refused_balances() -> object:
    try:
        return parse_model(Provider.GOCARDLESS, "accounts/balances", GcBalancesAnswer, None)
    except PayloadError:
        return None


def _alone(given: Mapping[str, Any]) -> list[Any]:
    """Return the one balance that a client had chosen, in the shape it came in."""
    amount = given.get("balance")
    return [{"balanceAmount": amount, "balanceType": "interimBooked"}] if amount else []


def read_account(sheet: Sheet) -> None:
    """One account from its metadata, its details, and its balances where they lie beside."""
    given = sheet.case.input
    details = GcDetails.model_validate(given.get("account") or given)
    metadata = GcMetadata.model_validate(given)
    bank = quirks_of(given.get("institution_id"))
    account = to_account(given.get("id") or "account-1", metadata, details, bank)
    sheet.fed_count += 1
    raws = given.get("balances") or _alone(given)
    balances, _ = read_balances_of(sheet.case, raws, account)
    compare_account(sheet, account, balances)


def read_starting_balance(sheet: Sheet) -> None:
    """What was there before the first row: the balance that counts, less all rows."""
    given = sheet.case.input
    raws = [
        raw if any(map(raw.get, _DATES)) else {**raw, "bookingDate": _SOME_DAY}
        for raw in given["transactions"]
    ]
    fed = sheet.account_for(to_rows(sheet.case, raws), raws)
    account = to_owner()
    balances, _ = read_balances_of(sheet.case, given["balances"], account)
    booked = amount_of(select(balances, BalanceKind.BOOKED, account))
    moved = sum((row.amount for row in fed.rows if row.amount is not None), Decimal(0))
    expected = to_decimal(sheet.case.stated["starting_balance_minor_units"])
    assert expected is not None, "every such case states one"
    found = None if booked is None else booked - moved
    sheet.add("starting_balance", expected / 100, found)
