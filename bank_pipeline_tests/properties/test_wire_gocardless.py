"""What is true, written as each of GoCardless's banks writes it and read back, is what was."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.providers.answers import WindowAnswer
from bank_pipeline.providers.calls import to_json
from bank_pipeline.providers.gocardless.balances import to_balances
from bank_pipeline.providers.gocardless.quirks import quirks_of
from bank_pipeline.providers.gocardless.schemas import GcBalance
from bank_pipeline.providers.gocardless.windows import to_operation, to_window
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.texts import is_same_name
from bank_pipeline.sandbox.gocardless import profiles
from bank_pipeline.sandbox.gocardless.balances import balance_rows
from bank_pipeline.sandbox.gocardless.bank_table import INSTITUTIONS
from bank_pipeline.sandbox.gocardless.profiles import (
    After,
    Dates,
    Exchange,
    Measure,
    Pending,
    Profile,
    Sign,
)
from bank_pipeline.sandbox.gocardless.rows import Shelf, booked_row, pending_row
from bank_pipeline.sandbox.gocardless.texts import words_of
from bank_pipeline.sandbox.ledger import AccountTruth, Entry
from bank_pipeline_tests.properties import wire_entries
from bank_pipeline_tests.properties.wire_entries import (
    HOLDER,
    NOON,
    PHASES,
    TODAY,
    Habit,
    Movement,
    movements_of,
)
from bank_pipeline_tests.properties.wire_rows import (
    REQUEST,
    Foreign,
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


@dataclass(frozen=True)
class Desk:
    """One bank: its id, if it is known, and its ways. `has_own_ids`: GoCardless adds none."""

    institution_id: str | None
    profile: Profile
    has_own_ids: bool = False

    @property
    def shows_pending(self) -> bool:
        return self.profile.pending not in (Pending.MISSING, Pending.EMPTY)

    @property
    def habit(self) -> Habit:
        # Who shows foreign amounts alone names the billed currency nowhere: it is the bank's.
        currency = "SEK" if self.profile.sign is Sign.FOREIGN else "any"
        return Habit(currency=currency, is_booked_undated=True)


BANKS: Final[Mapping[str, Desk]] = {
    **{one.id: Desk(one.id, one.profile) for one in INSTITUTIONS.values()},
    "unknown, own ids": Desk(None, profiles.SIMPLE, has_own_ids=True),
    "unknown, reused ids": Desk(None, profiles.REUSED, has_own_ids=True),
    "unknown, no ids": Desk(None, profiles.NO_IDS, has_own_ids=True),
    "unknown, blank ids": Desk(None, profiles.ANONYMOUS, has_own_ids=True),
}
READING: Final = (
    "REVOLUT_REVOLT21",
    "ABNAMRO_ABNANL2A",
    "NBG_ETHNGRAAXXX",
    "SEB_KORT_AB_SE_SKHSFI21",
)
"""Banks whose texts name the other side: with nobody stated, what is read may be anybody else."""
ADDING: Final = "SSK_DUSSELDORF_DUSSDEDDXXX"
LINES_FIRST: Final = ("ABNAMRO_ABNANL2A", "COMMERZBANK_COBADEFF")
SHUFFLED: Final = ("MUERITZ_MRTZDE21XXX", "unknown, reused ids", "LABORALKUTXA_CLPEES2M")
few: Final = settings(max_examples=5, deadline=None, phases=PHASES)  # of 30 to 55 rows, by bank


@pytest.mark.parametrize("name", BANKS)
@few
@given(seeds=wire_entries.seeds, texts=wire_entries.texts)
def test_rows_that_were_written_are_read_as_they_were(
    name: str, seeds: list[int], texts: list[str]
) -> None:
    """
    About 200 rows of each bank, 6,000 of all; none is lost, and none is set aside.

    What no reader can use is no part of the truth: pending rows without a date or a text.
    """
    bank = BANKS[name]
    movements = movements_of(seeds, texts, bank.habit)
    answer = _read(bank, *_written(bank, movements))
    assert answer.quarantined == ()
    true = [said for one in movements if (said := _true(bank, one)) is not None]
    rows = list(answer.transactions)
    if bank.profile.pending is Pending.UNDATED:  # a text may hold a date, by chance
        rows = [row for row in rows if row.status is not TransactionStatus.PENDING]
    if name not in READING:
        assert_same(true, rows)
        return
    read = [row.counterparty.name for row in rows if row.counterparty]
    assert not any(is_same_name(one, HOLDER) for one in read)
    named = Counter(one.counterparty for one in true if one.counterparty)
    assert not named - Counter(read)
    assert_same(
        [replace(one, counterparty=None) for one in true],
        map(without_party, rows),
    )


@pytest.mark.parametrize("name", SHUFFLED)
@few
@given(seeds=wire_entries.seeds, texts=wire_entries.texts, dice=st.randoms(use_true_random=False))
def test_the_order_does_not_matter(
    name: str, seeds: list[int], texts: list[str], dice: Any
) -> None:
    """Names included: a row is called the same wherever it stands."""
    bank = BANKS[name]
    booked, pending = _written(bank, movements_of(seeds, texts, bank.habit))
    whole = _read(bank, booked, pending).transactions
    mixed = _read(bank, *(dice.sample(rows, len(rows)) for rows in (booked, pending))).transactions
    assert {row.external_id for row in mixed} == {row.external_id for row in whole}
    assert Counter(map(said_by, mixed)) == Counter(map(said_by, whole))


@few
@given(
    seeds=wire_entries.seeds,
    texts=wire_entries.texts,
    spoilt=st.sampled_from(["amount", "date"]),
)
def test_a_row_without_what_is_vital_is_kept_whole_and_its_siblings_land(
    seeds: list[int], texts: list[str], spoilt: str
) -> None:
    bank = BANKS["MUERITZ_MRTZDE21XXX"]
    movements = [one for one in movements_of(seeds, texts, bank.habit) if not one.is_pending]
    booked, _ = _written(bank, movements)
    for row in booked[::7]:
        if spoilt == "amount":
            row["transactionAmount"] = {"currency": "EUR", "amount": "12,50"}
        else:
            row.update({"bookingDate": "2026-02-30", "valueDate": None})
    answer = _read(bank, booked, [])
    assert_only_odd(answer.quarantined, booked[::7])
    true = [_true(bank, one) for one in movements]
    del true[::7]
    assert_same([one for one in true if one is not None], answer.transactions)


@pytest.mark.parametrize("name", [one.id for one in INSTITUTIONS.values()])
@settings(few, max_examples=10)
@given(dice=st.randoms(use_true_random=False))
def test_balances_are_read_as_they_are(name: str, dice: Any) -> None:
    """Exactly, each under its bank's own type; those chosen are what the truth says."""
    profile = BANKS[name].profile
    booked, available = (_sum_of(dice) if dice.random() < 0.8 else None for _ in range(2))
    entries = [one.entry for one in movements_of([dice.getrandbits(40)], ["x"], Habit("EUR"))]
    entries = [replace(one, amount=_sum_of(dice)) for one in entries]
    truth = AccountTruth(wire_entries.account(), booked, available, tuple(entries))
    stale = replace(truth, booked=_sum_of(dice))
    told = balance_rows(profile, truth, stale, NOON)
    read = _read_balances(told, name)
    newest = {(one["balanceType"], one["balanceAmount"]["currency"]): one for one in told}
    exact = {
        (one.provider_type, one.currency): format(one.amount, "f")
        for one in read
        if (one.provider_type, one.currency) in newest
    }
    assert exact == {
        key: plain(Decimal(one["balanceAmount"]["amount"])) for key, one in newest.items()
    }
    assert _chosen(read, BalanceKind.AVAILABLE) == _measured(profile.available, truth)
    if truth.booked is not None:
        assert _chosen(read, BalanceKind.BOOKED) == _measured(profile.booked, truth)
    else:
        assert "expected" not in {one["balanceType"] for one in told}


def _written(
    bank: Desk, movements: Sequence[Movement]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    shelf = Shelf("account-1", bank.profile)
    pending = [pending_row(shelf, _shown(one.entry)) for one in movements if one.is_pending]
    booked = [
        booked_row(shelf, _shown(one.entry), one.running) for one in movements if not one.is_pending
    ]
    if bank.has_own_ids:
        for row in booked:
            row.pop("internalTransactionId", None)
    return booked, pending if bank.shows_pending else []


def _shown(entry: Entry) -> Entry:
    """Return the entry with its unofficial currency where the sandbox has room for it."""
    return replace(entry, currency=entry.currency or entry.unofficial_currency)


def _read(bank: Desk, booked: Sequence[Any], pending: Sequence[Any]) -> WindowAnswer:
    account = holder_account()
    operation = to_operation(account, institution_id=bank.institution_id)
    body = {"transactions": {"booked": booked, "pending": pending}}
    return to_window([answered(operation, body)], account, REQUEST)


def _true(bank: Desk, movement: Movement) -> Said | None:
    """Return the truth as far as this bank tells it; None of a row that nobody can use."""
    profile, entry = bank.profile, movement.entry
    dates = _pending_dates(profile, entry) if movement.is_pending else _booked_dates(profile, entry)
    if dates is None:
        return None
    return Said(
        **dates,
        amount=plain(entry.amount) or "",
        currency=entry.currency,
        unofficial=entry.unofficial_currency,
        description=_description(bank, entry),
        counterparty=_counterparty(profile, movement),
        running=plain(movement.running)
        if profile.after in (After.NESTED, After.FLAT) and not movement.is_pending
        else None,
        foreign=_foreign(profile, entry),
        reference=stated(entry.reference),
        check_number=entry.check_number,
    )


def _pending_dates(profile: Profile, entry: Entry) -> dict[str, Any] | None:
    """Nobody has paid tomorrow, unless the bank is a day ahead of us: then the day is today."""
    if profile.pending not in (Pending.SHOWN, Pending.AHEAD):
        return None
    dates_ahead = profile.pending is Pending.AHEAD
    day = entry.transaction_date + timedelta(days=2 if dates_ahead else 0)
    latest = TODAY if dates_ahead else TODAY + timedelta(days=1)
    return {
        "status": TransactionStatus.PENDING,
        "booking_date": None,
        "value_date": day,
        "transaction_date": day if day <= latest else TODAY,
    }


def _booked_dates(profile: Profile, entry: Entry) -> dict[str, Any]:
    day = entry.booking_date or entry.value_date
    assert isinstance(day, date)
    tells_value = profile.dates is Dates.BOOKING or entry.booking_date is None
    shown = day if tells_value else day + timedelta(days=1)  # what the bank calls the booking date
    is_ahead = shown > TODAY + timedelta(days=1)
    return {
        "status": TransactionStatus.SCHEDULED if is_ahead else TransactionStatus.BOOKED,
        "booking_date": day,
        "value_date": entry.value_date if tells_value else day,
        "transaction_date": None,
    }


def _description(bank: Desk, entry: Entry) -> str:
    words = words_of(bank.profile, entry)
    sources: list[Sequence[str]] = [[words.unstructured or ""], words.lines]
    if bank.institution_id in LINES_FIRST:
        sources.reverse()
    sources += [[words.structured or ""], [words.additional or ""]]
    found = next((text for text in map(joined, sources) if text), "")
    added = joined([words.additional or ""]) if bank.institution_id == ADDING else ""
    return found if added == found else f"{found} {added}".strip()


def _counterparty(profile: Profile, movement: Movement) -> str | None:
    return movement.party_name if movement.entry.amount else None


def _foreign(profile: Profile, entry: Entry) -> Foreign | None:
    if entry.source_amount is None:
        return None
    tells_amount = profile.exchange is Exchange.INSTRUCTED or profile.sign is Sign.FOREIGN
    amount = plain(entry.source_amount) if tells_amount else None
    return amount, entry.source_currency, plain(entry.exchange_rate)


def _sum_of(dice: Any) -> Decimal:
    """Return an amount that can be added up: banks' sums are no longer than 28 digits."""
    return Decimal(dice.randrange(-(10**12), 10**12)).scaleb(-dice.choice((0, 2, 3)))


def _read_balances(told: list[dict[str, Any]], bank: str) -> tuple[Balance, ...]:
    raw = answered("accounts/balances", {"balances": told})
    body = to_json(Provider.GOCARDLESS, raw.operation, raw.body)["balances"]
    rows = Rows.of(raw.operation, [raw.body])
    read = [rows.read(one, GcBalance, lambda row, _: row, id_key="") for one in body]
    assert rows.quarantined == []
    readable = [one for one in read if one is not None]
    return to_balances(readable, holder_account(), quirks_of(bank))


def _chosen(balances: Sequence[Balance], kind: BalanceKind) -> str | None:
    found = [one for one in balances if one.kind is kind]
    return format(min(found, key=lambda one: one.preference).amount, "f") if found else None


def _measured(measure: Measure | None, truth: AccountTruth) -> str | None:
    if measure is None:
        return None
    return plain(truth.available if measure is Measure.AVAILABLE else truth.booked)
