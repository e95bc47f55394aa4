"""Claims about what tests make happen in the world by hand."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.sandbox.banks import Offer
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.ledger import AccountKind, EntryState, LedgerEvent
from bank_pipeline.sandbox.life import WILD
from bank_pipeline.sandbox.world import World

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
ACCOUNT = "acc-1-1"
FIVE = Decimal("-5.00")


@pytest.fixture
def world() -> World:
    """Return a world in which nothing happens but what a test says."""
    return World(7, clock=VirtualClock(START), logins=2, quiet=True)


def last_event(world: World) -> LedgerEvent:
    return world.events(ACCOUNT, until=world.clock.now())[-1]


def test_a_quiet_world_has_accounts_and_no_entries(world: World) -> None:
    world.clock.advance(timedelta(days=100))

    truth = world.truth(ACCOUNT, world.clock.now())

    assert truth.entries == ()
    assert truth.booked == world.opening_balance(ACCOUNT)


def test_a_pending_entry_is_booked_at_another_amount(world: World) -> None:
    pending = world.add_pending(ACCOUNT, FIVE, description="Fuel")
    world.clock.advance(timedelta(days=2))

    booked = world.book(pending.id, amount=Decimal("-61.17"))

    assert pending.booking_date is None
    assert booked.id == pending.id
    assert booked.booking_date == date(2026, 3, 12)
    assert booked.transaction_date == date(2026, 3, 10)
    assert last_event(world) == LedgerEvent(2, world.clock.now(), booked, pending)
    truth = world.truth(ACCOUNT, world.clock.now())
    assert truth.booked == world.opening_balance(ACCOUNT) - Decimal("61.17")


def test_the_past_stays_as_it_was_when_an_entry_changes(world: World) -> None:
    pending = world.add_pending(ACCOUNT, FIVE)
    before = world.truth(ACCOUNT, START)
    world.clock.advance(timedelta(days=2))

    world.book(pending.id)

    assert world.truth(ACCOUNT, START) == before


def test_a_vanished_entry_leaves_the_available_balance(world: World) -> None:
    pending = world.add_pending(ACCOUNT, FIVE)

    world.vanish(pending.id)

    truth = world.truth(ACCOUNT, START)
    assert truth.entries == ()
    assert truth.available == world.opening_balance(ACCOUNT)
    assert world.entry(pending.id).state is EntryState.VANISHED


def test_a_removed_entry_comes_back_when_restored(world: World) -> None:
    booked = world.add_booked(ACCOUNT, FIVE)

    world.remove(booked.id)
    assert world.truth(ACCOUNT, START).entries == ()
    restored = world.restore(booked.id)

    assert world.truth(ACCOUNT, START).entries == (restored,)
    assert replace(restored, version=1) == booked


def test_an_entry_can_be_booked_late(world: World) -> None:
    late = world.add_booked(ACCOUNT, FIVE, booking_date=date(2026, 2, 1))

    assert late.booking_date == date(2026, 2, 1)
    assert last_event(world).at == START


def test_a_booked_entry_can_be_corrected(world: World) -> None:
    booked = world.add_booked(ACCOUNT, FIVE)

    changed = world.change(booked.id, amount=Decimal("-4.50"), description="Corrected")

    assert (changed.amount, changed.description) == (Decimal("-4.50"), "Corrected")
    assert changed.booking_date == booked.booking_date


def test_a_touch_announces_a_change_that_changes_nothing(world: World) -> None:
    booked = world.add_booked(ACCOUNT, FIVE)

    touched = world.touch(booked.id)

    assert last_event(world).noop
    assert replace(touched, version=1) == booked


def test_a_twin_equals_its_sibling_in_all_but_its_id(world: World) -> None:
    coffee = world.add_booked(ACCOUNT, FIVE, description="Coffee")

    twin = world.add_twin(coffee.id)

    assert twin.id != coffee.id
    assert replace(twin, id=coffee.id) == coffee
    assert len(world.truth(ACCOUNT, START).entries) == 2


def test_entries_refuse_turns_that_banks_do_not_make(world: World) -> None:
    booked = world.add_booked(ACCOUNT, FIVE)

    with pytest.raises(ValueError, match="is booked, not pending"):
        world.book(booked.id)
    with pytest.raises(ValueError, match="is booked, not removed"):
        world.restore(booked.id)
    with pytest.raises(KeyError):
        world.remove(f"{ACCOUNT}.hand.99")
    assert len(world.events(ACCOUNT, until=START)) == 1


def test_what_was_planned_for_a_scripted_entry_no_longer_happens() -> None:
    """A pending entry that a test lets vanish is not booked by the world days later."""
    world = World(7, clock=VirtualClock(START), temper=WILD)
    entries = world.truth(ACCOUNT, START).entries
    pending = next(entry for entry in entries if entry.state is EntryState.PENDING)

    world.vanish(pending.id)
    world.clock.advance(timedelta(days=60))

    assert world.entry(pending.id).state is EntryState.VANISHED


def test_a_closed_account_stands_still_and_is_no_longer_shown() -> None:
    world = World(7, clock=VirtualClock(START), history_days=30)
    events = world.events(ACCOUNT, until=START)

    closed = world.close_account(ACCOUNT)
    world.clock.advance(timedelta(days=30))

    assert closed.closed_at == START
    assert ACCOUNT not in {account.id for account in world.login_accounts("login-1")}
    assert world.accounts[ACCOUNT] == closed
    assert world.events(ACCOUNT, until=world.clock.now()) == events
    with pytest.raises(ValueError, match="closed"):
        world.add_booked(ACCOUNT, FIVE)


def test_what_was_generated_does_not_depend_on_a_later_change_of_the_account() -> None:
    read_first, changed_first = (World(7, clock=VirtualClock(START)) for _ in range(2))
    expected = read_first.events(ACCOUNT, until=START)

    changed_first.change_account(ACCOUNT, name="Renamed", currency="EUR")

    assert changed_first.accounts[ACCOUNT].name == "Renamed"
    assert changed_first.events(ACCOUNT, until=START) == expected


def test_an_account_can_be_added_to_a_login(world: World) -> None:
    offer = Offer(AccountKind.SAVINGS, "Rainy day", None, "USD", "100.00")

    account = world.add_account("login-1", offer)

    assert account.opened_on == date(2026, 3, 10)
    assert world.login_accounts("login-1")[-1] == account
    assert world.truth(account.id, START).booked == Decimal("100.00")


def test_an_added_account_lives_unless_it_is_quiet(world: World) -> None:
    offer = Offer(AccountKind.CHECKING, "Spending", None, "USD", "100.00")

    account = world.add_account("login-1", offer, quiet=False)
    world.clock.advance(timedelta(days=120))

    events = world.events(account.id, until=world.clock.now())
    assert events
    assert events[0].at > START


def test_a_login_can_be_added_at_a_given_bank(world: World) -> None:
    world.clock.advance(timedelta(days=10))

    login = world.add_login("fr-soleil", quiet=False)

    assert world.logins[login.id] == login
    assert world.banks[login.bank_id].name == "Crédit du Soleil"
    events = world.events(login.account_ids[0], until=world.clock.now())
    assert events[0].at < START - timedelta(days=600)


def test_listeners_hear_which_account_changed(world: World) -> None:
    heard: list[str] = []
    world.on_change(heard.append)

    booked = world.add_booked(ACCOUNT, FIVE)
    world.touch(booked.id)
    world.close_account("acc-2-1")

    assert heard == [ACCOUNT, ACCOUNT, "acc-2-1"]


def test_today_is_the_date_at_the_bank(world: World) -> None:
    """Shortly after midnight in UTC it is still yesterday in New York."""
    world.clock.advance_to(datetime(2026, 3, 11, 2, tzinfo=UTC))

    assert world.today("acc-1-1") == date(2026, 3, 10)
    assert world.today("acc-2-1") == date(2026, 3, 11)


def test_scripts_from_many_threads_all_happen(world: World) -> None:
    def spend() -> None:
        for _ in range(50):
            world.add_booked(ACCOUNT, FIVE)

    threads = [Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    truth = world.truth(ACCOUNT, START)
    assert truth.booked == world.opening_balance(ACCOUNT) + 200 * FIVE
    assert len({entry.id for entry in truth.entries}) == 200


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["pending", "booked", "book", "vanish", "remove", "restore", "change", "touch", "twin"]
        ),
        st.integers(0, 10**6),
        st.integers(0, 5000),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), ACTIONS)
def test_scripts_and_generated_events_keep_one_order(
    seed: int, actions: list[tuple[str, int, int]]
) -> None:
    """Whatever is scripted between, sequences stay dense, follow time, and balances add up."""
    world = World(seed, clock=VirtualClock(START), history_days=5, temper=WILD)

    for action, choice, minutes in actions:
        world.clock.advance(timedelta(minutes=minutes))
        act(world, action, choice)

    now = world.clock.now()
    events = world.events(ACCOUNT, until=now)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.at for event in events] == sorted(event.at for event in events)
    truth = world.truth(ACCOUNT, now)
    booked = sum(e.amount for e in truth.entries if e.state is EntryState.BOOKED)
    assert truth.booked == world.opening_balance(ACCOUNT) + booked


def act(world: World, action: str, choice: int) -> None:
    """Do one thing to one of the entries that allow it, if any does."""
    if action in {"pending", "booked"}:
        add = world.add_pending if action == "pending" else world.add_booked
        add(ACCOUNT, Decimal(choice) / 100)
        return
    needed = {
        "book": EntryState.PENDING,
        "vanish": EntryState.PENDING,
        "restore": EntryState.REMOVED,
    }.get(action, EntryState.BOOKED)
    latest = {e.entry.id: e.entry for e in world.events(ACCOUNT, until=world.clock.now())}
    able = sorted(entry.id for entry in latest.values() if entry.state is needed)
    if not able:
        return
    entry_id = able[choice % len(able)]
    match action:
        case "book":
            world.book(entry_id)
        case "vanish":
            world.vanish(entry_id)
        case "remove":
            world.remove(entry_id)
        case "restore":
            world.restore(entry_id)
        case "change":
            world.change(entry_id, amount=Decimal(choice))
        case "touch":
            world.touch(entry_id)
        case _:
            world.add_twin(entry_id)
