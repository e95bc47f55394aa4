"""What is true, written as Teller writes it and read back, is what was true."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.providers.answers import WindowAnswer
from bank_pipeline.providers.calls import JsonAnswer, to_json
from bank_pipeline.providers.teller.balances import BALANCES, to_balances_answer
from bank_pipeline.providers.teller.window import (
    SMALL_PAGE_ROWS,
    TRANSACTIONS,
    read_pages,
    to_window_answer,
)
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.ledger import AccountKind, AccountTruth
from bank_pipeline.sandbox.teller.accounts import balances_to_json
from bank_pipeline.sandbox.teller.enrollments import Grant
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.transactions import Ledger, Row
from bank_pipeline.sandbox.world import World
from bank_pipeline_tests.properties import wire_entries
from bank_pipeline_tests.properties.wire_entries import (
    NOON,
    PHASES,
    TODAY,
    Habit,
    Movement,
    movements_of,
)
from bank_pipeline_tests.properties.wire_rows import (
    REQUEST,
    Said,
    answered,
    assert_only_odd,
    assert_same,
    holder_account,
    mended,
    plain,
    said_by,
)

TYPES: Final = {
    AccountKind.CHECKING: AccountType.CHECKING,
    AccountKind.SAVINGS: AccountType.SAVINGS,
    AccountKind.CREDIT_CARD: AccountType.CREDIT_CARD,
}
PAGE: Final = f"{TRANSACTIONS}?count={SMALL_PAGE_ROWS}"
many: Final = settings(
    max_examples=20, deadline=None, phases=PHASES
)  # of 30 to 55 rows, for each of three kinds


@pytest.mark.parametrize("kind", TYPES)
@many
@given(wire_entries.seeds, wire_entries.texts, st.sampled_from(["USD", "JPY", "KWD", None, "USDC"]))
def test_rows_that_were_written_are_read_as_they_were(
    kind: AccountKind, seeds: list[int], texts: list[str], currency: str | None
) -> None:
    """About 2,400 rows; none is lost, and none is set aside."""
    account = _account(kind, currency)
    movements = movements_of(seeds, texts, Habit(currency=currency))
    answer = _read([_written(kind, movements)], account)
    assert answer.quarantined == ()
    assert_same([_true(kind, account, one) for one in movements], answer.transactions)


@many
@given(wire_entries.seeds, wire_entries.texts, st.randoms(use_true_random=False))
def test_neither_order_nor_pages_matter(seeds: list[int], texts: list[str], dice: Any) -> None:
    account = _account(AccountKind.CHECKING, "USD")
    rows = _written(AccountKind.CHECKING, movements_of(seeds, texts, Habit(currency="USD")))
    whole = _read([rows], account)
    mixed = dice.sample(rows, len(rows))
    cut = dice.randrange(len(mixed) + 1)
    parts = _read([mixed[:cut], mixed[cut:]], account)
    by_id = {row.external_id: said_by(row) for row in whole.transactions}
    assert {row.external_id: said_by(row) for row in parts.transactions} == by_id


@settings(max_examples=10, deadline=None, phases=PHASES)
@given(wire_entries.seeds, wire_entries.texts, st.sampled_from(["amount", "date", "status", "id"]))
def test_a_row_without_what_is_vital_is_kept_whole_and_its_siblings_land(
    seeds: list[int], texts: list[str], vital: str
) -> None:
    account = _account(AccountKind.CHECKING, "USD")
    movements = movements_of(seeds, texts, Habit(currency="USD"))
    rows = _written(AccountKind.CHECKING, movements)
    for row in rows[::7]:
        row[vital] = None
    answer = _read([rows], account)
    assert_only_odd(answer.quarantined, rows[::7])
    true = [_true(AccountKind.CHECKING, account, one) for one in movements]
    del true[::7]
    assert_same(true, answer.transactions)


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=60, deadline=None, phases=PHASES)
@given(st.randoms(use_true_random=False))
def test_balances_are_read_as_they_are(kind: AccountKind, dice: Any) -> None:
    """What is owed is negative; what a bank does not know is none."""
    account = _account(kind, "KWD")
    stated = [wire_entries.amount_of(dice) if dice.random() < 0.8 else None for _ in range(2)]
    truth = AccountTruth(wire_entries.account(kind, "KWD"), stated[0], stated[1])
    raw = answered(BALANCES, balances_to_json(_ledger(kind)[1], truth, "https://x.test"))
    body = to_json(Provider.TELLER, BALANCES, raw.body)
    answer = to_balances_answer(JsonAnswer(raw, body), account)
    assert answer.quarantined == ()
    assert {one.kind: (format(one.amount, "f"), one.currency) for one in answer.balances} == {
        word: (plain(amount), "KWD")
        for word, amount in zip((BalanceKind.BOOKED, BalanceKind.AVAILABLE), stated, strict=True)
        if amount is not None
    }


def _account(kind: AccountKind, currency: str | None) -> Account:
    is_official = currency != "USDC"
    account = holder_account(TYPES[kind], currency if is_official else None)
    named = {"external_id": _ledger(kind)[1].account_id}
    return account.model_copy(
        update=named | {"unofficial_currency": None if is_official else currency}
    )


@cache
def _ledger(kind: AccountKind) -> tuple[Ledger, Grant]:
    """Return what writes the rows of an account of this kind."""
    world = World(1, clock=VirtualClock(NOON), logins=0, quiet=True, history_days=1)
    login = world.add_login("us-harbor")
    found = next(one for one in world.accounts.values() if one.kind is kind)
    assert found.login_id == login.id
    grant = Grant(f"acc_{kind.value}", found.id, has_balances=True, told_until=NOON)
    return Ledger(world, TellerOptions(), grant, NOON), grant


def _written(kind: AccountKind, movements: Sequence[Movement]) -> list[dict[str, Any]]:
    late = timedelta(days=1)  # some rows are told before their category is known
    rows = [
        Row(
            transaction_id=f"txn_{movement.entry.id}",
            entry=movement.entry,
            place=(
                movement.entry.booking_date or movement.entry.transaction_date,
                movement.is_pending,
                movement.entry.id,
            ),
            running=None if kind is AccountKind.CREDIT_CARD else movement.running,
            sequence=1,
            enriched_at=NOON + late if _is_early(movement) else NOON,
        )
        for movement in movements
    ]
    return _ledger(kind)[0].to_json(rows)


def _is_early(movement: Movement) -> bool:
    return movement.entry.channel == "other"


def _read(pages: Sequence[Sequence[Any]], account: Account) -> WindowAnswer:
    fetched = read_pages([answered(PAGE, page) for page in pages])
    return to_window_answer(fetched, account, REQUEST)


def _true(kind: AccountKind, account: Account, movement: Movement) -> Said:
    """Return the truth as far as Teller tells it: in the account's currency, with one date."""
    entry = movement.entry
    day = entry.booking_date or entry.transaction_date
    status = TransactionStatus.PENDING if movement.is_pending else TransactionStatus.BOOKED
    if status is TransactionStatus.BOOKED and day > TODAY + timedelta(days=1):
        status = TransactionStatus.SCHEDULED
    is_booked = status is TransactionStatus.BOOKED
    if movement.is_pending and day > TODAY + timedelta(days=1):
        day = TODAY  # nobody has paid tomorrow, unless the bank is a day ahead of us
    name = None if _is_early(movement) else movement.party_name
    running = None if kind is AccountKind.CREDIT_CARD else movement.running
    return Said(
        status=status,
        amount=plain(entry.amount) or "",
        currency=account.currency,
        unofficial=account.unofficial_currency,
        booking_date=day if is_booked else None,
        value_date=None,
        transaction_date=None if is_booked else day,
        description=mended(entry.original_description),
        counterparty=None if name is None else name.upper(),
        running=plain(running),
    )


def test_the_truth_can_be_missed() -> None:
    """A sign that is turned, or a twin that is lost, would be seen."""
    account = _account(AccountKind.CHECKING, "USD")
    movements = movements_of([1, 2, 3], ["x"], Habit(currency="USD"))
    rows = _read([_written(AccountKind.CHECKING, movements)], account).transactions
    true = [_true(AccountKind.CHECKING, account, one) for one in movements]
    with pytest.raises(AssertionError):
        assert_same([*true, true[0]], rows)
    turned = str(-Decimal(true[0].amount) - 1)
    with pytest.raises(AssertionError):
        assert_same([replace(true[0], amount=turned), *true[1:]], rows)
