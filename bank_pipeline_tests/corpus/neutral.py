"""Cases of no provider in particular, through the domain: imports, matches, windows, states."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.domain.account import Account, AccountIdentifiers
from bank_pipeline.domain.account_matching import match_accounts
from bank_pipeline.domain.changes import keys_of
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.transitions import FailureKind, after_failure
from bank_pipeline.domain.window import DateWindow, next_window
from bank_pipeline.providers.enable_banking.provider import EnableBankingProvider
from bank_pipeline.providers.gocardless.provider import GoCardlessProvider
from bank_pipeline.providers.teller.provider import TellerProvider
from bank_pipeline_tests.corpus.balances import to_owner
from bank_pipeline_tests.corpus.convention import to_day
from bank_pipeline_tests.corpus.replay import Table
from bank_pipeline_tests.corpus.sheet import Sheet
from bank_pipeline_tests.domain.test_transitions import connection

_CLAIMED: Final = re.compile(
    r"assert_equal (\w*pending\w*|entry|original_id)(?:\.id)?, (?:posted|booked|updated)_entry\.id"
)
_NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)


def read_match(sheet: Sheet) -> None:
    """Accounts of a renewed consent; only what is certain is matched here."""
    given, stated = sheet.case.input, sheet.case.stated
    taken = set(given.get("already_matched", ()))
    fresh = [_to_account(raw) for raw in given.get("api_accounts") or [given["api_account"]]]
    known = [_to_account(raw) for raw in given["db_accounts"] if raw["id"] not in taken]
    sheet.fed_count += len(fresh) + len(known)
    matched = match_accounts(known, fresh).same
    if "matched_db_id" in stated:
        sheet.add("matched", stated["matched_db_id"], matched.get(fresh[0].external_id))
        return
    for name, value in stated.items():
        sheet.add("matched", value, matched.get(name))


def _to_account(raw: Mapping[str, Any]) -> Account:
    reference = raw.get("resource_id") or raw.get("account_reference")
    iban = raw.get("iban")
    ids = (f"iban:{iban}" if iban else None, f"resource:{reference}" if reference else None)
    return to_owner(
        raw.get("type"),
        currency=raw.get("currency"),
        external_id=raw["id"],
        name=raw.get("name") or "",
        stable_external_ids=tuple(one for one in ids if one),
        identifiers=AccountIdentifiers(iban=iban),
    )


def read_sequence(sheet: Sheet) -> None:
    """
    Imports one after the other. Each source is a connection, and so an account, of its own.

    With a booked row its source shows no pending ones any more, but for a feed that names
    the one which was booked.
    """
    table, added, keys = Table(), list[int](), list[TransactionId | None]()
    rows = [_to_transaction(raw) for raw in sheet.case.input["sequence"]]
    for row in rows:
        added.append(_import(table, row))
        keys.append(table.id_of(row.account_external_id, row.external_id))
        sheet.fed_count += 1
    lines = sheet.case.stated["assertions"]
    if _is_about_files(lines):
        sheet.ignore("assertion")  # rows that people had typed or uploaded, which we never match
        return
    for line in lines:
        if line.startswith("assert_difference"):
            sheet.add("rows_added", 1, added[-1])
        elif line.startswith("assert_no_difference"):
            sheet.add("rows_added", 0, added[-1])
        elif claimed := _CLAIMED.match(line):
            is_second = claimed[1].startswith("newer") or claimed[1].endswith("2")
            sheet.add("same_row", keys[1 if is_second else 0], keys[-1])
        else:
            sheet.ignore("assertion")
    _compare_last(sheet, table, rows[-1], lines)


def _is_about_files(lines: Sequence[str]) -> bool:
    words = ("manual_entry", "csv_entry", "older_entry")
    return any(word in line for line in lines for word in words)


def _compare_last(sheet: Sheet, table: Table, last: Transaction, lines: Sequence[str]) -> None:
    key = table.id_of(last.account_external_id, last.external_id)
    assert key is not None, "the last import is there"
    stored = table.rows[key]
    sheet.add("amount", last.amount, stored.amount)
    if any("pending?" in line and "assert_not" in line for line in lines):
        sheet.add("is_booked", True, stored.status is TransactionStatus.BOOKED)


def _import(table: Table, row: Transaction) -> int:
    """Import one row; return how many rows are new."""
    delta = TransactionDelta(upserts=(row,), removed=frozenset())
    is_named = row.pending_external_id is not None or any(
        one.external_id == row.external_id for one in table.live
    )
    if row.status is TransactionStatus.BOOKED and not is_named:
        gone = {
            (one.account_external_id, one.external_id)
            for one in table.live
            if one.status is TransactionStatus.PENDING
            and one.account_external_id == row.account_external_id
        }
        delta = delta.model_copy(update={"removed": frozenset(gone - keys_of(delta))})
    return table.apply(delta)


def _to_transaction(raw: Mapping[str, Any]) -> Transaction:
    """Translate one import: positive is money out there."""
    extra = raw.get("extra") or {}
    is_pending = any(isinstance(one, dict) and one.get("pending") for one in extra.values())
    day = to_day(raw["date"])
    return Transaction(
        account_external_id=raw["source"],
        external_id=raw["external_id"],
        pending_external_id=raw.get("pending_transaction_id"),
        status=TransactionStatus.PENDING if is_pending else TransactionStatus.BOOKED,
        amount=-Decimal(str(raw["amount"])),
        currency=raw["currency"],
        booking_date=None if is_pending else day,
        transaction_date=day if is_pending else None,
        description=raw["name"],
    )


def read_window(sheet: Sheet) -> None:
    """What is asked for after a gap reaches back far enough, at every provider by dates."""
    given, stated = sheet.case.input, sheet.case.stated
    last = to_day(given.get("last_sync") or given.get("last_successful_sync"))
    today = to_day(given.get("first_visible") or given.get("now"))
    assert last is not None, "every such case has a last sync"
    assert today is not None, "and a day"
    sheet.fed_count += 1
    for provider in (EnableBankingProvider, GoCardlessProvider, TellerProvider):
        days = provider.capabilities.overlap_days
        covered = DateWindow(first=last, last=last)
        window = next_window(covered, oldest_pending=None, overlap_days=days, today=today)
        if "imported" in stated:
            day = to_day(given["row_posted_date"])
            sheet.add("imported", stated["imported"], day is not None and day in window)
        else:
            latest = to_day(stated["date_from_not_after"])
            sheet.add("date_from", True, latest is not None and window.first <= latest)


def read_states(sheet: Sheet) -> None:
    """Outages disconnect nobody: there is always a next try, and the status tells."""
    held = connection()
    transition = None
    for event in sheet.case.input["events"]:
        if "error" in event:
            transition = after_failure(
                held, FailureKind.TRANSIENT, code="TIMEOUT", retry_after=None, now=_NOW
            )
            changes = {"status": transition.status, "error_retries": transition.error_retries}
            held = held.model_copy(update=changes)
    sheet.fed_count += 1
    assert transition is not None, "the case has failures"
    stated = sheet.case.stated
    tries = transition.status.is_syncable and transition.next_attempt_at is not None
    sheet.add("tries_again", stated["daily_run_tries_again"], tries)
    sheet.add("user_told", stated["user_told"], transition.reason is not None)
