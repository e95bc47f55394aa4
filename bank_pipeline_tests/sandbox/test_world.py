"""Claims about the world that generates itself."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.ledger import AccountKind, Entry, EntryState, LedgerEvent
from bank_pipeline.sandbox.life import CALM, WILD, Temper
from bank_pipeline.sandbox.world import World

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
SEEDS = st.integers(0, 2**64)
FEW = settings(max_examples=12, deadline=None)

Story = dict[str, tuple[LedgerEvent, ...]]


def make_world(seed: int = 7, *, temper: Temper = WILD, history_days: int = 40) -> World:
    return World(seed, clock=VirtualClock(START), history_days=history_days, temper=temper)


def story(world: World) -> Story:
    now = world.clock.now()
    return {each: tuple(world.events(each, until=now)) for each in world.accounts}


def all_events(world: World) -> Iterable[LedgerEvent]:
    return (event for events in story(world).values() for event in events)


@FEW
@given(SEEDS, st.lists(st.integers(0, 9 * 24 * 60), max_size=5))
def test_a_split_advance_tells_the_same_story_as_one_advance(seed: int, steps: list[int]) -> None:
    """What is generated never depends on how often, or at which moments, it was read."""
    at_once, in_steps = make_world(seed), make_world(seed)

    for minutes in steps:
        in_steps.clock.advance(timedelta(minutes=minutes))
        story(in_steps)
    at_once.clock.advance(timedelta(minutes=sum(steps)))

    assert story(in_steps) == story(at_once)


@FEW
@given(SEEDS, st.permutations([f"acc-1-{index}" for index in range(1, 5)]))
def test_the_order_in_which_accounts_are_read_does_not_matter(seed: int, order: list[str]) -> None:
    sorted_world, shuffled_world = make_world(seed), make_world(seed)

    shuffled = {each: shuffled_world.events(each, until=START) for each in order}

    assert shuffled == {each: sorted_world.events(each, until=START) for each in sorted(order)}


def test_another_seed_is_another_story() -> None:
    assert story(make_world(1)) != story(make_world(2))


def test_a_running_clock_does_not_change_the_past() -> None:
    still, running = (
        make_world(),
        World(7, clock=VirtualClock(START, running=True), history_days=40, temper=WILD),
    )

    for each in still.accounts:
        assert running.events(each, until=START) == still.events(each, until=START)


@FEW
@given(SEEDS)
def test_sequences_are_dense_and_follow_time(seed: int) -> None:
    world = make_world(seed)
    world.clock.advance(timedelta(days=20))

    for events in story(world).values():
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert all(event.at <= world.clock.now() for event in events)


@FEW
@given(SEEDS)
def test_each_event_continues_the_entry_from_its_version_before(seed: int) -> None:
    world = make_world(seed)
    world.clock.advance(timedelta(days=30))

    for events in story(world).values():
        latest: dict[str, Entry] = {}
        for event in events:
            assert event.before == latest.get(event.entry.id)
            assert event.entry.version == (event.before.version + 1 if event.before else 1)
            if event.noop:
                assert replace(event.entry, version=0) == replace(event.before, version=0)  # type: ignore[type-var] # a noop has a version before
            latest[event.entry.id] = event.entry


@FEW
@given(SEEDS)
def test_entries_only_turn_as_banks_let_them(seed: int) -> None:
    world = make_world(seed)
    world.clock.advance(timedelta(days=60))
    pending, booked = EntryState.PENDING, EntryState.BOOKED
    allowed = {
        (None, pending),
        (None, booked),
        (pending, pending),
        (pending, booked),
        (pending, EntryState.VANISHED),
        (booked, booked),
        (booked, EntryState.REMOVED),
        (EntryState.REMOVED, booked),
    }

    turns = {
        (event.before.state if event.before else None, event.entry.state)
        for event in all_events(world)
    }

    assert turns <= allowed


@FEW
@given(SEEDS, st.integers(0, 60 * 24))
def test_truth_is_the_fold_of_the_events_up_to_then(seed: int, hours: int) -> None:
    world = make_world(seed)
    world.clock.advance(timedelta(days=20))
    at = world.clock.now() - timedelta(hours=hours)

    for account_id in world.accounts:
        latest = {e.entry.id: e.entry for e in world.events(account_id, until=at)}
        shown = {k: v for k, v in latest.items() if v.state in {"pending", "booked"}}
        truth = world.truth(account_id, at)
        assert {entry.id: entry for entry in truth.entries} == shown
        assert len(truth.entries) == len(shown)


@FEW
@given(SEEDS)
def test_the_booked_balance_is_the_opening_plus_all_booked_entries(seed: int) -> None:
    world = make_world(seed)

    for account_id in world.accounts:
        truth = world.truth(account_id, START)
        booked = sum(e.amount for e in truth.entries if e.state is EntryState.BOOKED)
        assert truth.booked == world.opening_balance(account_id) + booked


@FEW
@given(SEEDS)
def test_what_can_be_spent_follows_pending_entries_and_a_cards_limit(seed: int) -> None:
    world = make_world(seed)

    for account_id, account in world.accounts.items():
        truth = world.truth(account_id, START)
        assert truth.booked is not None
        pending = sum(e.amount for e in truth.entries if e.state is EntryState.PENDING)
        if account.kind in {AccountKind.CHECKING, AccountKind.SAVINGS}:
            assert truth.available == truth.booked + pending
        elif account.credit_limit is not None:
            assert truth.available == account.credit_limit + truth.booked + pending
        else:
            assert truth.available is None


def test_nothing_of_the_future_is_told() -> None:
    world = make_world()
    asked_early = world.events("acc-1-1", until=START + timedelta(days=30))

    assert asked_early == world.events("acc-1-1", until=START)
    assert world.truth("acc-1-1", START + timedelta(days=30)) == world.truth("acc-1-1", START)


def test_events_can_be_read_from_where_one_stopped() -> None:
    world = make_world()
    everything = world.events("acc-1-1", until=START)

    assert world.events("acc-1-1", until=START, after_sequence=10) == everything[10:]
    assert world.events("acc-1-1", until=START, after_sequence=10**6) == ()


def test_old_history_shows_only_results() -> None:
    """A bank does not tell how what it booked long ago came about."""
    world = make_world(history_days=200)
    long_ago = START - timedelta(days=120)

    old = [event for event in all_events(world) if event.at < long_ago]

    assert old
    assert all(event.entry.state is EntryState.BOOKED and event.before is None for event in old)


def test_the_last_days_have_pending_entries() -> None:
    world = make_world()

    truths = [world.truth(each, START) for each in world.accounts]

    assert any(e.state is EntryState.PENDING for truth in truths for e in truth.entries)


def test_a_wild_world_does_all_that_makes_reconciling_hard() -> None:
    world = make_world(history_days=60)
    world.clock.advance(timedelta(days=90))
    seen: Counter[str] = Counter()

    for event in all_events(world):
        seen.update(_oddities(event))

    assert set(seen) == {
        "vanished", "removed", "restored", "noop", "hold", "unlinked", "late", "scheduled",
        "corrected amount", "corrected text", "changed while pending", "zero", "fine", "foreign",
        "cheque", "emoji", "right to left", "very long", "quotes",
    }  # fmt: skip


def _oddities(event: LedgerEvent) -> Iterable[str]:
    entry, before = event.entry, event.before
    was = before.state if before else None
    is_booked = entry.state is EntryState.BOOKED
    text = entry.original_description
    exponent = entry.amount.as_tuple().exponent
    claims = {
        "vanished": entry.state is EntryState.VANISHED,
        "removed": entry.state is EntryState.REMOVED,
        "restored": was is EntryState.REMOVED and is_booked,
        "noop": event.noop,
        "hold": was is EntryState.PENDING and is_booked and before.amount != entry.amount,  # type: ignore[union-attr] # there is one
        "unlinked": was is EntryState.PENDING and is_booked and not entry.linked,
        "late": entry.booking_date is not None
        and (event.at.date() - entry.booking_date).days > 5
        and before is None,
        "scheduled": entry.booking_date is not None and entry.booking_date > event.at.date(),
        "corrected amount": was is entry.state is EntryState.BOOKED
        and before.amount != entry.amount,  # type: ignore[union-attr] # there is one
        "corrected text": was is entry.state is EntryState.BOOKED
        and before.description != entry.description,  # type: ignore[union-attr] # there is one
        "changed while pending": was is entry.state is EntryState.PENDING,
        "zero": entry.amount == 0,
        "fine": isinstance(exponent, int) and exponent < -3,
        "foreign": entry.source_currency is not None and entry.exchange_rate is not None,
        "cheque": entry.check_number is not None,
        "emoji": "☕" in text or "🍕" in text,
        "right to left": "مطعم" in text or "שכר" in text,
        "very long": len(text) > 500,
        "quotes": '"' in text,
    }
    return (claim for claim, is_true in claims.items() if is_true)


def test_a_calm_world_only_lets_pending_entries_be_booked() -> None:
    world = make_world(temper=CALM)
    world.clock.advance(timedelta(days=40))

    turns = {(e.before.state if e.before else None, e.entry.state) for e in all_events(world)}

    assert turns == {
        (None, EntryState.PENDING),
        (None, EntryState.BOOKED),
        (EntryState.PENDING, EntryState.BOOKED),
    }


def test_genuine_twins_stay_two() -> None:
    """Two equal coffees on one day are two entries that differ in nothing but their ids."""
    world = make_world(temper=CALM, history_days=400)

    looks = Counter(
        replace(entry, id="")
        for account_id in world.accounts
        for entry in world.truth(account_id, START).entries
    )

    assert max(looks.values()) == 2


def test_both_legs_of_a_transfer_meet() -> None:
    world = make_world(temper=CALM, history_days=90)
    legs: dict[str, list[Entry]] = {}
    for account_id in ("acc-1-1", "acc-1-2", "acc-1-3", "acc-1-4"):
        for entry in world.truth(account_id, START).entries:
            if (entry.reference or "").startswith("TRF"):
                legs.setdefault(str(entry.reference), []).append(entry)

    settled = [pair for pair in legs.values() if pair[0].transaction_date < START.date()]

    assert len(settled) >= 6
    for pair in settled:
        assert len(pair) == 2
        assert sum(entry.amount for entry in pair) == Decimal(0)


def test_an_exchanged_transfer_tells_its_source_and_rate() -> None:
    world = make_world(temper=CALM, history_days=90)
    entries = world.truth("acc-3-2", START).entries

    received = [entry for entry in entries if (entry.reference or "").startswith("TRF")]

    assert received
    for entry in received:
        assert entry.source_currency == "GBP"
        assert entry.source_amount is not None
        assert entry.exchange_rate is not None
        assert entry.amount == round(entry.source_amount * entry.exchange_rate)


def test_the_first_three_people_hold_every_kind_of_account_and_currency() -> None:
    accounts = make_world().accounts.values()

    assert {account.kind for account in accounts} == set(AccountKind)
    assert {account.currency for account in accounts} == {"USD", "EUR", "GBP", "JPY", "KWD", None}
    assert {account.unofficial_currency for account in accounts} == {"BTC", None}
    assert any(not (one.currency or one.unofficial_currency) for one in accounts)
    shared = [account.iban for account in accounts if account.currency in {"GBP", "JPY"}]
    assert shared[0] is not None
    assert len(set(shared)) == 1, "one IBAN stands for several currencies"


def test_ibans_have_right_check_digits() -> None:
    world = World(7, clock=VirtualClock(START), logins=12)

    for iban in filter(None, (account.iban for account in world.accounts.values())):
        moved = iban[4:] + iban[:4]
        assert int("".join(str(int(letter, 36)) for letter in moved)) % 97 == 1


def test_a_thousand_logins_cost_nothing_until_they_are_read() -> None:
    world = World(7, clock=VirtualClock(START), logins=1000)

    assert len(world.logins) == 1000
    assert len({login.username for login in world.logins.values()}) == 1000
    assert world.events("acc-1000-1", until=START)


@pytest.mark.parametrize("account_id", ["acc-9-9", ""])
def test_an_unknown_account_is_a_key_error(account_id: str) -> None:
    with pytest.raises(KeyError):
        make_world().events(account_id, until=START)
