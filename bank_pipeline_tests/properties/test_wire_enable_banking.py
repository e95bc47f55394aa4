"""What is true, written as each of Enable Banking's banks writes it and read back, is what was."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.providers.answers import WindowAnswer
from bank_pipeline.providers.calls import to_json
from bank_pipeline.providers.enable_banking.accounts import to_balances
from bank_pipeline.providers.enable_banking.quirks import quirks_of
from bank_pipeline.providers.enable_banking.schemas import EbAspspName, EbBalance
from bank_pipeline.providers.enable_banking.window import to_operation, to_window
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.texts import is_same_name
from bank_pipeline.sandbox.enable_banking.account_endpoints import OVERDRAFT, _amounts
from bank_pipeline.sandbox.enable_banking.aspsp_table import ASPSPS
from bank_pipeline.sandbox.enable_banking.profiles import Aspsp, Balances, Profile, Remittance
from bank_pipeline.sandbox.enable_banking.transaction_json import Row, Telling, transaction_json
from bank_pipeline.sandbox.enable_banking.words import (
    Dates,
    amount_text,
    dates_of,
    money_shown,
    remittance_of,
    status_of,
)
from bank_pipeline.sandbox.ledger import AccountKind, AccountTruth, Entry
from bank_pipeline_tests.properties import wire_entries
from bank_pipeline_tests.properties.wire_entries import (
    HOLDER,
    OWN_IBAN,
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
    joined,
    plain,
    said_by,
    stated,
    without_party,
)

BANKS: Final[Mapping[str, Aspsp]] = {
    # Of banks with the same ways one is enough.
    f"{one.country}-{one.name}": one
    for one in {repr(one.profile): one for one in ASPSPS if not one.is_mock}.values()
}
ODDEST: Final = ("AT-Minusbank", "DE-Namenlose Bank", "DE-Doppelbank", "SE-Nullbanken")
TYPES: Final = {
    AccountKind.CHECKING: AccountType.CHECKING,
    AccountKind.CREDIT_CARD: AccountType.CREDIT_CARD,
}
few: Final = settings(max_examples=5, deadline=None, phases=PHASES)  # of 30 to 55 rows, by bank


@pytest.mark.parametrize("bank", BANKS)
@few
@given(seeds=wire_entries.seeds, texts=wire_entries.texts)
def test_rows_that_were_written_are_read_as_they_were(
    bank: str, seeds: list[int], texts: list[str]
) -> None:
    """About 200 rows of each bank, 4,000 of all; none is lost, and none is set aside."""
    aspsp = BANKS[bank]
    movements = movements_of(seeds, texts, Habit())
    answer = _read([_written(aspsp.profile, movements)], aspsp)
    assert answer.quarantined == ()
    true = [_true(aspsp.profile, one) for one in movements]
    if aspsp.profile.party_is_card:
        read = [row.counterparty.name for row in answer.transactions if row.counterparty]
        assert not any(one.startswith("CARD-") or is_same_name(one, HOLDER) for one in read)
        true = [replace(one, counterparty=None) for one in true]
        answer = replace(answer, transactions=tuple(map(without_party, answer.transactions)))
    assert_same(true, answer.transactions)


@pytest.mark.parametrize("bank", ODDEST)
@few
@given(seeds=wire_entries.seeds, texts=wire_entries.texts, dice=st.randoms(use_true_random=False))
def test_neither_order_nor_pages_matter(
    bank: str, seeds: list[int], texts: list[str], dice: Any
) -> None:
    """Names included: a row is called the same wherever it stands."""
    aspsp = BANKS[bank]
    rows = _written(aspsp.profile, movements_of(seeds, texts, Habit()))
    whole = _read([rows], aspsp)
    mixed = dice.sample(rows, len(rows))
    cuts = sorted(dice.randrange(len(mixed) + 1) for _ in range(3))
    parts = [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]
    by_id = {row.external_id: said_by(row) for row in whole.transactions}
    again = {row.external_id: said_by(row) for row in _read(parts, aspsp).transactions}
    assert set(again) == set(by_id)
    assert Counter(again.values()) == Counter(by_id.values())


@few
@given(
    seeds=wire_entries.seeds,
    texts=wire_entries.texts,
    vital=st.sampled_from(["transaction_amount", "credit_debit_indicator", "status"]),
)
def test_a_row_without_what_is_vital_is_kept_whole_and_its_siblings_land(
    seeds: list[int], texts: list[str], vital: str
) -> None:
    aspsp = BANKS["DE-Namenlose Bank"]
    movements = movements_of(seeds, texts, Habit())
    rows = _written(aspsp.profile, movements)
    for row in rows[::7]:
        row[vital] = {"amount": "1.00"} if vital == "transaction_amount" else None
    answer = _read([rows], aspsp)
    assert_only_odd(answer.quarantined, rows[::7])
    true = [_true(aspsp.profile, one) for one in movements]
    del true[::7]
    assert_same(true, answer.transactions)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("style", Balances)
@few
@given(dice=st.randoms(use_true_random=False))
def test_balances_are_read_as_they_are(style: Balances, kind: AccountKind, dice: Any) -> None:
    """Exactly, and what a bank does not tell is none; what is chosen is the booked one."""
    aspsp = next(one for one in ASPSPS if one.profile.balances is style)
    booked, available = (
        wire_entries.amount_of(dice) if dice.random() < 0.8 else None for _ in range(2)
    )
    truth = AccountTruth(wire_entries.account(kind, "KWD"), booked, available)
    told = [(word, amount) for word, amount in _amounts(style, truth, booked) if amount is not None]
    body = [
        {
            "balance_amount": {"currency": "KWD", "amount": amount_text(amount, "KWD")},
            "balance_type": word,
        }
        for word, amount in told
    ]
    read = _read_balances(body, aspsp, holder_account(TYPES[kind], "KWD"))
    assert [(one.provider_type, format(one.amount, "f"), one.currency) for one in read] == [
        (word, plain(amount), "KWD") for word, amount in told
    ]
    assert _chosen(read, BalanceKind.BOOKED) == _true_booked(style, truth)
    if style is not Balances.REMAINING:
        assert _chosen(read, BalanceKind.AVAILABLE) == _true_available(style, truth)


def _written(profile: Profile, movements: Sequence[Movement]) -> list[dict[str, Any]]:
    telling = Telling(
        profile=profile,
        seed=7,
        listing=1,
        nonce="1f",
        holder=HOLDER,
        number={"iban": OWN_IBAN, "other": None},
    )
    return [_row(profile, one, telling) for one in movements]


def _row(profile: Profile, movement: Movement, telling: Telling) -> dict[str, Any]:
    entry = _shown(movement.entry)
    running = None if profile.running_balance is None else movement.running
    status = status_of(profile, entry)
    return transaction_json(
        Row(entry.id, status, entry, dates_of(profile, entry).day, running), telling
    )


def _shown(entry: Entry) -> Entry:
    """Return the entry with its unofficial currency where the sandbox has room for it."""
    return replace(entry, currency=entry.currency or entry.unofficial_currency)


def _read(pages: Sequence[Sequence[Any]], aspsp: Aspsp) -> WindowAnswer:
    operation = to_operation(EbAspspName(name=aspsp.name, country=aspsp.country))
    keys = [*(f"key-{number}" for number in range(1, len(pages))), None]
    answers = [
        answered(operation, {"transactions": page, "continuation_key": key})
        for page, key in zip(pages, keys, strict=True)
    ]
    return to_window(answers, holder_account(), REQUEST)


def _true(profile: Profile, movement: Movement) -> Said:
    """Return the truth as far as this bank tells it."""
    entry, dates = movement.entry, dates_of(profile, movement.entry)
    amount, code = money_shown(profile, _shown(entry))
    day = None if movement.is_pending else dates.day
    status = TransactionStatus.PENDING if movement.is_pending else TransactionStatus.BOOKED
    if day is not None and day > TODAY + timedelta(days=1):
        status = TransactionStatus.SCHEDULED
    lines = remittance_of(profile, _shown(entry))
    has_pairs = profile.remittance is Remittance.KEY_VALUE
    told_extra = not profile.all_null
    running = movement.running if told_extra and profile.running_balance else None
    return Said(
        status=status,
        amount=plain(amount) or "",
        currency=None if code == "USDC" else code,
        unofficial=code if code == "USDC" else None,
        booking_date=day,
        value_date=dates.value,
        transaction_date=_paid_on(movement, dates),
        description=joined([lines] if isinstance(lines, str) else lines),
        counterparty=movement.party_name if told_extra else None,
        running=plain(running),
        foreign=_foreign(entry) if told_extra else None,
        reference=stated(entry.reference) if has_pairs else None,
    )


def _paid_on(movement: Movement, dates: Dates) -> date | None:
    """Nobody has paid tomorrow, unless the bank is a day ahead of us; a value date may be any."""
    day = dates.transaction
    latest = TODAY if day == dates.value else TODAY + timedelta(days=1)
    return TODAY if movement.is_pending and day is not None and day > latest else day


def _foreign(entry: Entry) -> tuple[str | None, str | None, str | None] | None:
    if entry.source_amount is None:
        return None
    return plain(entry.source_amount), entry.source_currency, plain(entry.exchange_rate)


def _read_balances(body: list[dict[str, Any]], aspsp: Aspsp, account: Account) -> list[Balance]:
    raw = answered("accounts/balances", {"balances": body})
    rows = Rows.of(raw.operation, [raw.body])
    told = to_json(Provider.ENABLE_BANKING, raw.operation, raw.body)["balances"]
    read = [rows.read(one, EbBalance, lambda row, _: row, id_key="") for one in told]
    assert rows.quarantined == []
    readable = [one for one in read if one is not None]
    return list(to_balances(readable, account, quirks_of(aspsp.country, aspsp.name)))


def _chosen(balances: Sequence[Balance], kind: BalanceKind) -> str | None:
    found = [one for one in balances if one.kind is kind]
    return format(min(found, key=lambda one: one.preference).amount, "f") if found else None


def _true_booked(style: Balances, truth: AccountTruth) -> str | None:
    is_card = truth.account.kind is AccountKind.CREDIT_CARD
    if is_card and style is Balances.CARD_ZERO:
        return "0"
    is_untold = style is Balances.EMPTY or (is_card and style is Balances.REMAINING)
    return None if is_untold else plain(truth.booked)


def _true_available(style: Balances, truth: AccountTruth) -> str | None:
    is_card = truth.account.kind is AccountKind.CREDIT_CARD
    if style is Balances.EMPTY or (is_card and style in (Balances.CARD_ZERO, Balances.CLOSING)):
        return None
    if style is Balances.OVERDRAFT and not is_card and truth.available is not None:
        return plain(truth.available + OVERDRAFT)
    return plain(truth.available)
