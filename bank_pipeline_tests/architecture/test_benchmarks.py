"""The page of figures says what was measured, and what is measured is what providers say."""

from datetime import date

import pytest

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import RawAnswer, WindowRequest
from bank_pipeline.providers.enable_banking.window import to_operation
from bank_pipeline.providers.enable_banking.window import to_window as to_eb_window
from bank_pipeline.providers.gocardless.windows import to_window as to_gocardless_window
from bank_pipeline.providers.plaid.changes import to_delta
from bank_pipeline.providers.plaid.client import parse_pages
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.teller.window import read_pages, to_window_answer
from bank_pipeline_tests.architecture.sources import ROOT
from benchmarks.banks.answers import build_answers
from benchmarks.banks.rows import ACCOUNTS, BEFORE, NEW, NUMBER, account_id
from benchmarks.page import PAGE, to_page, to_table
from benchmarks.parts import PARTS
from benchmarks.results import load_results

TODAY = date(2026, 6, 16)
ACCOUNT = Account(
    external_id=account_id(0),
    name="Checking",
    type=AccountType.CHECKING,
    provider_type="checking",
    currency="EUR",
)
REQUEST = WindowRequest(window=DateWindow(first=date(2026, 6, 1), last=TODAY), is_first=False)


def test_the_page_shows_the_results_as_they_are() -> None:
    """`python -m benchmarks --tables` has been run since the last measurement."""
    text = PAGE.read_text()

    assert text == to_page(text, load_results())


def test_every_part_has_its_table() -> None:
    """What is measured is shown, and what is shown can be measured."""
    text = PAGE.read_text()

    assert {name for name in PARTS if f"<!-- table: {name} -->" in text} == {*PARTS}


def test_what_misses_its_aim_is_named() -> None:
    """A reader need not compare columns to find it."""
    found = {"us_per_transaction": {"all": 1}, "size": "full", "on": "2026-01-01"}

    table = to_table("parsing", {"parsing": found | {"broken": ["too slow"]}})

    assert "**Missed:** too slow" in table
    assert "Missed" not in to_table("parsing", {"parsing": found | {"broken": []}})


def test_only_benchmarks_install_what_they_compare_with() -> None:
    """Nobody who runs, develops or tests needs dlt."""
    makefile = (ROOT / "Makefile").read_text()
    users = [line for line in makefile.splitlines() if "$(VENV)/.bench" in line]

    assert [line.partition(":")[0] for line in users] == ["bench", "bench-short", "$(VENV)/.bench"]


@pytest.mark.parametrize("day", [0, 1])
def test_prepared_answers_are_read_whole(day: int) -> None:
    """No row of theirs is set aside: what is measured is what a sync does."""
    answers = build_answers(TODAY)

    def told(route: str, operation: str) -> list[RawAnswer]:
        return [RawAnswer(operation, answers[route, day], b"", None)]

    path = f"accounts/{account_id(0)}/transactions"
    gocardless = told(f"GET /gocardless/api/v2/{path}/", "accounts/transactions")
    enable_banking = told(f"GET /enable_banking/{path}", to_operation(None, since=None))
    teller = read_pages(told(f"GET /{path}", "transactions"))
    windows = [
        to_gocardless_window(gocardless, ACCOUNT, REQUEST),
        to_eb_window(enable_banking, ACCOUNT, REQUEST),
        to_window_answer(teller, ACCOUNT, REQUEST),
    ]
    plaid = told("POST /transactions/sync", "transactions/sync")
    rows = Rows.of("transactions/sync", [one.body for one in plaid])
    delta = to_delta(parse_pages(plaid), rows)

    count = BEFORE + day * NEW
    assert [len(one.transactions) for one in windows] == 3 * [count]
    assert not any(one.quarantined for one in windows)
    assert (len(delta.upserts), list(rows.quarantined)) == (ACCOUNTS * count, [])
    assert NUMBER in account_id(0)
