"""Feeds every case to the code it is about, and says what came of it."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from bank_pipeline_tests.corpus import (
    enable_banking,
    gocardless,
    neutral,
    plaid,
    refusals,
    teller,
)
from bank_pipeline_tests.corpus.cases import load_cases
from bank_pipeline_tests.corpus.sheet import Sheet

DEVIATIONS: Final = Path(__file__).with_name("deviations.csv")

_Reader = Callable[[Sheet], None]

READERS: Final[Mapping[tuple[str, str], _Reader]] = {
    ("gocardless", "transaction"): gocardless.read_transaction,
    ("gocardless", "transactions_page"): gocardless.read_page,
    ("gocardless", "balances"): gocardless.read_balances,
    ("gocardless", "account"): gocardless.read_account,
    ("gocardless", "starting_balance"): gocardless.read_starting_balance,
    ("gocardless", "sort"): gocardless.read_list,
    ("gocardless", "dedupe"): gocardless.read_list,
    ("gocardless", "sync_sequence"): gocardless.read_sequence,
    ("gocardless", "error"): refusals.read_error,
    ("gocardless", "rate_limit"): refusals.read_rate_limit,
    ("gocardless", "link"): refusals.read_gocardless_link,
    ("gocardless", "institution"): refusals.read_gocardless_institution,
    ("gocardless", "history_depth"): refusals.read_gocardless_history,
    ("enablebanking", "transaction"): enable_banking.read_transaction,
    ("enablebanking", "transactions_page"): enable_banking.read_page,
    ("enablebanking", "dedupe"): enable_banking.read_transaction,
    ("enablebanking", "window_and_pending"): enable_banking.read_transaction,
    ("enablebanking", "balances"): enable_banking.read_balances,
    ("enablebanking", "account"): enable_banking.read_account,
    ("enablebanking", "account_match"): enable_banking.read_match,
    ("enablebanking", "sync_sequence"): enable_banking.read_sequence,
    ("enablebanking", "error"): refusals.read_error,
    ("enablebanking", "rate_limit"): refusals.read_rate_limit,
    ("plaid", "transaction"): plaid.read_transaction,
    ("plaid", "sync_page"): plaid.read_page,
    ("plaid", "transactions_page"): plaid.read_page,
    ("plaid", "sync_sequence"): plaid.read_sequence,
    ("plaid", "account"): plaid.read_account,
    ("plaid", "accounts"): plaid.read_accounts,
    ("plaid", "holdings"): plaid.read_accounts,
    ("plaid", "investment_transactions"): plaid.read_accounts,
    ("plaid", "liabilities"): plaid.read_accounts,
    ("plaid", "balances"): plaid.read_balances,
    ("plaid", "item"): plaid.read_item,
    ("plaid", "institution"): plaid.read_institution,
    ("plaid", "webhook"): plaid.read_webhook,
    ("plaid", "error"): refusals.read_error,
    ("plaid", "link"): refusals.read_nothing,
    ("plaid", "lifecycle"): refusals.read_nothing,
    ("plaid", "recurring"): refusals.read_nothing,
    ("plaid", "webhook_key"): refusals.read_nothing,
    ("teller", "transaction"): teller.read_transaction,
    ("teller", "transactions_page"): teller.read_page,
    ("teller", "sync_sequence"): teller.read_sequence,
    ("teller", "account"): teller.read_account,
    ("teller", "balances"): teller.read_balances,
    ("teller", "webhook"): teller.read_webhook,
    ("teller", "error"): refusals.read_error,
    ("any", "account_match"): neutral.read_match,
    ("any", "sync_sequence"): neutral.read_sequence,
    ("any", "window"): neutral.read_window,
    ("any", "state_machine"): neutral.read_states,
}
"""Every kind of case, and who reads it."""


@dataclass(frozen=True)
class Run:
    """What all cases came to. `crashes` and `unread` name cases and kinds, never contents."""

    sheets: tuple[Sheet, ...] = field(repr=False)
    crashes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)

    @property
    def deviations(self) -> set[tuple[str, str]]:
        """Return (case, field) of every expectation that we do not meet."""
        return {one.key for sheet in self.sheets for one in sheet.compared if not one.is_equal}

    @property
    def compared_count(self) -> int:
        """Count the expectations that have a counterpart."""
        return sum(len(sheet.compared) for sheet in self.sheets)

    @property
    def deviating_count(self) -> int:
        """Count those that we do not meet."""
        return sum(not one.is_equal for sheet in self.sheets for one in sheet.compared)

    @property
    def unexplained_count(self) -> int:
        """Count those that we do not meet, and that nobody has given a reason for."""
        return sum(
            not one.is_equal and one.key not in self.reasons
            for sheet in self.sheets
            for one in sheet.compared
        )


@lru_cache(maxsize=1)
def run() -> Run:
    """Feed every case once."""
    sheets: list[Sheet] = []
    crashes: list[str] = []
    unread: set[str] = set()
    for case in load_cases():
        reader = READERS.get((case.provider, case.kind))
        if reader is None:
            unread.add(f"{case.provider} {case.kind}")
            continue
        sheet = Sheet(case)
        try:
            reader(sheet)
        except Exception as error:  # noqa: BLE001 - which one is what the test is about
            crashes.append(f"{case.id}: {type(error).__name__}{_place_of(error)}")
        sheets.append(sheet)
    return Run(tuple(sheets), tuple(crashes), tuple(sorted(unread)), load_reasons())


def _place_of(error: BaseException) -> str:
    """Return where an error was raised: messages may repeat what a case holds."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""


def load_reasons() -> dict[tuple[str, str], str]:
    """Load the one reviewed table of deviations."""
    with DEVIATIONS.open(encoding="utf-8", newline="") as file:
        return {(row["case"], row["field"]): row["reason"] for row in csv.DictReader(file)}
