"""All rows that a bank shows of an account at a moment, before anybody filters them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.sandbox.enable_banking.profiles import Profile, References
from bank_pipeline.sandbox.enable_banking.transaction_json import Row
from bank_pipeline.sandbox.enable_banking.words import dates_of, mirror, phantoms, status_of
from bank_pipeline.sandbox.ledger import AccountKind, BankAccount, Entry, EntryState
from bank_pipeline.sandbox.world import World

_LINGERS: Final = timedelta(days=2)  # how long some banks show a pending row beside its booked one


def rows_shown(world: World, profile: Profile, account_id: str, at: datetime) -> list[Row]:
    """Return the rows, newest first."""
    account = world.accounts[account_id]
    entries = _entries(world, profile, account, at)
    rows = [_row(profile, one, running) for one, running in _with_balance(world, profile, entries)]
    if profile.pending_stays:
        rows += _lingering(world, profile, account_id, at)
    if profile.holds_and_others:
        rows += [
            Row(one.id, status, one, dates_of(profile, one).day)
            for status, one in phantoms(account, at.date())
        ]
    shown = sorted(rows, key=lambda row: row.place, reverse=True)
    return _numbered(shown) if profile.references is References.NUMBERED else shown


def _numbered(rows: Iterable[Row]) -> list[Row]:
    """Number the rows of each day."""
    counts: Counter[date] = Counter()
    numbered = []
    for row in rows:
        counts[row.day] += 1
        numbered.append(replace(row, number=counts[row.day]))
    return numbered


def _entries(world: World, profile: Profile, account: BankAccount, at: datetime) -> Sequence[Entry]:
    source_id = account.id
    is_mirror = profile.mirrored_cards and account.kind is AccountKind.CREDIT_CARD
    if is_mirror:
        source_id = current_account(world, account).id
    entries = world.truth(source_id, at).entries
    if not profile.shows_pending:
        entries = tuple(one for one in entries if one.state is EntryState.BOOKED)
    return mirror(entries, account.id) if is_mirror else entries


def current_account(world: World, card: BankAccount) -> BankAccount:
    """Return the account from which the card is paid, or the card's own where there is none."""
    accounts = world.login_accounts(card.login_id)
    return next((one for one in accounts if one.kind is AccountKind.CHECKING), card)


def _with_balance(
    world: World, profile: Profile, entries: Sequence[Entry]
) -> Iterable[tuple[Entry, Decimal | None]]:
    if profile.running_balance is None or not entries:
        return [(one, None) for one in entries]
    balance = world.opening_balance(entries[0].account_id)
    known: list[tuple[Entry, Decimal | None]] = []
    for one in sorted(entries, key=lambda one: (dates_of(profile, one).day, one.id)):
        is_booked = one.state is EntryState.BOOKED
        balance += one.amount if is_booked else 0
        known.append((one, balance if is_booked else None))
    return known


def _row(profile: Profile, entry: Entry, running: Decimal | None) -> Row:
    return Row(entry.id, status_of(profile, entry), entry, dates_of(profile, entry).day, running)


def _lingering(world: World, profile: Profile, account_id: str, at: datetime) -> list[Row]:
    """Return pending rows that were booked of late and are shown all the same."""
    events = world.events(account_id, until=at)
    turned = [
        one.before
        for one in events
        if one.at > at - _LINGERS
        and one.before is not None
        and one.before.state is EntryState.PENDING
        and one.entry.state is EntryState.BOOKED
    ]
    return [Row(f"{one.id}.echo", "PDNG", one, dates_of(profile, one).day) for one in turned]
