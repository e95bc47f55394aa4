"""What is true, written as Plaid writes it and read back, is what was true."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.config import Settings
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.providers.answers import ChangesAnswer
from bank_pipeline.providers.plaid.provider import PlaidProvider, build_plaid
from bank_pipeline.sandbox.ledger import AccountKind, AccountTruth
from bank_pipeline.sandbox.plaid.accounts import _to_json as account_to_json
from bank_pipeline.sandbox.plaid.sync_feed import Grant, Row
from bank_pipeline.sandbox.plaid.transaction_json import Style, transaction_to_json
from bank_pipeline_tests.properties import wire_entries
from bank_pipeline_tests.properties.wire_entries import (
    HOLDER,
    PHASES,
    Habit,
    Movement,
    movements_of,
)
from bank_pipeline_tests.properties.wire_rows import (
    Said,
    answered,
    assert_only_odd,
    assert_same,
    mended,
    plain,
    said_by,
)

SYNC: Final = "transactions/sync"
OWED: Final = (AccountKind.CREDIT_CARD, AccountKind.LOAN, AccountKind.MORTGAGE)
many: Final = settings(max_examples=50, deadline=None, phases=PHASES)  # of 30 to 55 rows each
styles: Final = st.builds(
    Style,
    original_description=st.booleans(),
    category_version=st.sampled_from(["v1", "v2"]),
    counterparty_ibans=st.booleans(),
)


@pytest.fixture(scope="module")
def plaid() -> PlaidProvider:
    """Plaid, of which only the pure half is used."""
    chosen: dict[str, Any] = {"plaid_client_id": "client-1", "plaid_secret": "hush"}
    return build_plaid(Settings(_env_file=None, **chosen))


@many
@given(seeds=wire_entries.seeds, texts=wire_entries.texts, style=styles)
def test_rows_that_were_written_are_read_as_they_were(
    plaid: PlaidProvider, seeds: list[int], texts: list[str], style: Style
) -> None:
    """About 2,000 rows; none is lost, and none is set aside."""
    movements = movements_of(seeds, texts, Habit())
    answer = _read(plaid, [_written(movements, style)])
    assert answer.quarantined == ()
    assert_same([_true(one, style) for one in movements], answer.delta.upserts)


@settings(many, max_examples=10)
@given(
    seeds=wire_entries.seeds,
    texts=wire_entries.texts,
    style=styles,
    dice=st.randoms(use_true_random=False),
)
def test_neither_order_nor_pages_matter(
    plaid: PlaidProvider, seeds: list[int], texts: list[str], style: Style, dice: Any
) -> None:
    rows = _written(movements_of(seeds, texts, Habit()), style)
    whole = _read(plaid, [rows])
    mixed = dice.sample(rows, len(rows))
    cut = dice.randrange(len(mixed) + 1)
    parts = _read(plaid, [mixed[:cut], [], mixed[cut:]])
    by_id = {row.external_id: said_by(row) for row in whole.delta.upserts}
    assert {row.external_id: said_by(row) for row in parts.delta.upserts} == by_id


@settings(many, max_examples=10)
@given(
    seeds=wire_entries.seeds,
    texts=wire_entries.texts,
    vital=st.sampled_from(["amount", "date", "pending", "transaction_id"]),
)
def test_a_row_without_what_is_vital_is_kept_whole_and_its_siblings_land(
    plaid: PlaidProvider, seeds: list[int], texts: list[str], vital: str
) -> None:
    movements = movements_of(seeds, texts, Habit())
    rows = _written(movements, Style())
    for row in rows[::7]:
        row[vital] = None
    answer = _read(plaid, [rows])
    assert_only_odd(answer.quarantined, rows[::7])
    true = [_true(one, Style()) for one in movements]
    del true[::7]
    assert_same(true, answer.delta.upserts)


@pytest.mark.parametrize("kind", AccountKind)
@settings(many, max_examples=40)
@given(dice=st.randoms(use_true_random=False))
def test_balances_are_read_as_they_are(plaid: PlaidProvider, kind: AccountKind, dice: Any) -> None:
    """What is owed is negative; what a bank does not know is none."""
    known = [wire_entries.amount_of(dice) if dice.random() < 0.8 else None for _ in range(3)]
    booked, available, limit = known
    limit = limit.copy_abs() if limit else None
    account = replace(wire_entries.account(kind, "KWD"), credit_limit=limit)
    grant = Grant(account.id, "account-1", wire_entries.NOON)
    told = account_to_json(grant, AccountTruth(account, booked, available))
    answer = _read(plaid, [[]], accounts=[told])
    assert answer.accounts.quarantined == ()
    expected = {
        BalanceKind.BOOKED: booked,
        BalanceKind.AVAILABLE: available,
        BalanceKind.CREDIT_LIMIT: limit,
    }
    assert {
        one.kind: (format(one.amount, "f"), one.currency) for one in answer.accounts.balances
    } == {word: (plain(amount), "KWD") for word, amount in expected.items() if amount is not None}
    assert [one.type.is_liability for one in answer.accounts.accounts] == [kind in OWED]


def _written(movements: Sequence[Movement], style: Style) -> list[dict[str, Any]]:
    rows = []
    for movement in movements:
        entry = movement.entry
        row = transaction_to_json(Row("account-1", f"transaction-{entry.id}", None, entry), style)
        row["running_balance"] = movement.running  # the sandbox tells none
        row["account_owner"] = HOLDER
        rows.append(row)
    return rows


def _read(
    plaid: PlaidProvider, pages: Sequence[Sequence[Any]], *, accounts: Sequence[Any] = ()
) -> ChangesAnswer:
    answers = [
        answered(
            SYNC,
            {
                "accounts": accounts,
                "added": page,
                "modified": [],
                "removed": [],
                "next_cursor": f"cursor-{number}",
                "has_more": number + 1 < len(pages),
                "transactions_update_status": "HISTORICAL_UPDATE_COMPLETE",
            },
        )
        for number, page in enumerate(pages)
    ]
    return plaid.to_changes(answers, cursor_before=None)


def _true(movement: Movement, style: Style) -> Said:
    """Return the truth as far as Plaid tells it."""
    entry = movement.entry
    original = entry.original_description if style.original_description else None
    merchant = entry.party.name if entry.party else ""  # better than no text at all
    return Said(
        status=TransactionStatus.PENDING if movement.is_pending else TransactionStatus.BOOKED,
        amount=plain(entry.amount) or "",
        currency=entry.currency,
        unofficial=entry.unofficial_currency,
        booking_date=entry.booking_date,
        value_date=None,
        transaction_date=entry.transaction_date,
        description=mended(original or entry.description or merchant),
        counterparty=movement.party_name,
        running=plain(movement.running),
        reference=entry.reference,
        check_number=entry.check_number,
    )
