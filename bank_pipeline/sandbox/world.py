"""
The simulated world: people, banks and the ledger of what really happened. Thread-safe.

The one truth that every provider's app shows in its own way, and that tests compare with.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Unpack

from bank_pipeline.sandbox.banks import OFFERS, Offer
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.ledger import (
    AccountKind,
    AccountTruth,
    Bank,
    BankAccount,
    Entry,
    EntryState,
    LedgerEvent,
    Login,
)
from bank_pipeline.sandbox.life import USUAL, Temper
from bank_pipeline.sandbox.logbook import Logbook, Plan
from bank_pipeline.sandbox.money import money_of
from bank_pipeline.sandbox.movements import Purse, purchases_per_day
from bank_pipeline.sandbox.population import (
    BANKS_BY_ID,
    Desk,
    OpenedAccount,
    bank_of_turn,
    customer,
    open_account,
)
from bank_pipeline.sandbox.routines import StandingTransfer, habits_of, standing_transfers
from bank_pipeline.sandbox.scripts import (
    AccountChanges,
    EntryChanges,
    EntryDetails,
    first_version,
    next_version,
)
from bank_pipeline.sandbox.truth import fold


@dataclass(frozen=True)
class _Birth:
    """How an account began, and what else was decided for good at that moment."""

    desk: Desk
    account: BankAccount  # as opened: what is generated never depends on later changes
    opening: Decimal
    first_checking: bool
    transfers: tuple[StandingTransfer, ...]
    quiet: bool


class World:
    """
    Tell what the banks know, and let tests make things happen.

    The same seed and the same clock start give the same world, regardless of when and how
    often it is read. Nothing later than the clock's present is ever told. What is scripted
    happens at the clock's present.
    """

    def __init__(
        self,
        seed: int,
        *,
        clock: VirtualClock,
        logins: int = 3,
        history_days: int = 730,
        temper: Temper = USUAL,
        quiet: bool = False,
        offers: Mapping[str, Sequence[Offer]] = OFFERS,
        spending: float = 1.0,
    ) -> None:
        """
        Create the people and their accounts; their movements are drawn when asked for.

        History reaches `history_days` back from the clock's start. `temper` is how often
        banks do awkward things. In a `quiet` world only scripted things happen. `offers` are
        the accounts of each bank's customers, and `spending` how often they pay, 1 for usual.
        """
        self._seed = seed
        self._clock = clock
        self._history_days = history_days
        self._temper = temper
        self._quiet = quiet
        self._offers = offers
        self._spending = spending
        self._stands_since: datetime | None = None
        self._lock = threading.RLock()
        self._logins: dict[str, Login] = {}
        self._accounts: dict[str, BankAccount] = {}
        self._births: dict[str, _Birth] = {}
        self._logbooks: dict[str, Logbook] = {}
        self._told: dict[str, tuple[int, BankAccount, AccountTruth]] = {}  # after so many events
        self._listeners: list[Callable[[str], None]] = []
        for _ in range(logins):
            self._welcome(None, clock.start, quiet=quiet)

    @property
    def clock(self) -> VirtualClock:
        """The clock the world lives by."""
        return self._clock

    @property
    def banks(self) -> Mapping[str, Bank]:
        """All banks by id, with or without customers."""
        return BANKS_BY_ID

    @property
    def logins(self) -> Mapping[str, Login]:
        """All logins by id, as of now; the mapping is a snapshot."""
        with self._lock:
            return MappingProxyType(dict(self._logins))

    @property
    def accounts(self) -> Mapping[str, BankAccount]:
        """All accounts by id, closed ones too, as of now; the mapping is a snapshot."""
        with self._lock:
            return MappingProxyType(dict(self._accounts))

    def login_accounts(self, login_id: str) -> Sequence[BankAccount]:
        """Return the accounts that the bank shows now: those of the login that are not closed."""
        with self._lock:
            accounts = (self._accounts[each] for each in self._logins[login_id].account_ids)
            return tuple(one for one in accounts if one.closed_at is None)

    def events(
        self, account_id: str, *, until: datetime, after_sequence: int = 0
    ) -> Sequence[LedgerEvent]:
        """
        Return what happened on an account up to and including `until`, ordered by sequence.

        Sequences count from 1 without gaps and follow time. `until` beyond the clock's present
        means the present.
        """
        with self._lock:
            return self._grown(account_id).events(until, after_sequence)

    def truth(self, account_id: str, at: datetime) -> AccountTruth:
        """Return the account as the bank showed it at `at`: the fold of the events up to then."""
        with self._lock:
            logbook = self._grown(account_id)
            account, opening = self._accounts[account_id], self._births[account_id].opening
            known = self._told.get(account_id)
            is_present = logbook.is_all_by(at)
            if known is not None and is_present and known[:2] == (logbook.count, account):
                return known[2]
            events = logbook.events(at, 0)
        truth = fold(account, opening, events)
        if is_present:
            with self._lock:
                self._told[account_id] = (len(events), account, truth)
        return truth

    def opening_balance(self, account_id: str) -> Decimal:
        """Return the balance before the first entry, negative when owed."""
        return self._births[account_id].opening

    def entry(self, entry_id: str) -> Entry:
        """Return an entry as it is now, vanished and removed ones too. Unknown: KeyError."""
        with self._lock:
            return self._grown(_account_of(entry_id)).entries[entry_id]

    def today(self, account_id: str) -> date:
        """Return the calendar date that it is now at the account's bank."""
        bank = self._births[account_id].desk.bank
        return (self._clock.now() + bank.utc_offset).date()

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with the account's id after everything scripted. See also the clock."""
        with self._lock:
            self._listeners.append(callback)

    # What tests and demonstrations make happen, at the clock's present.

    def add_pending(
        self, account_id: str, amount: Decimal, **details: Unpack[EntryDetails]
    ) -> Entry:
        """Show a new pending entry. `amount` is negative for money out."""
        return self._create(account_id, amount, EntryState.PENDING, details)

    def add_booked(
        self, account_id: str, amount: Decimal, **details: Unpack[EntryDetails]
    ) -> Entry:
        """
        Show a new booked entry, booked today unless `booking_date` says otherwise.

        A date in the past makes it a late one, one in the future a scheduled one.
        """
        return self._create(account_id, amount, EntryState.BOOKED, details)

    def add_twin(self, entry_id: str) -> Entry:
        """Show another genuine entry that equals a given one in all but its id."""

        def twin(logbook: Logbook) -> Entry:
            return replace(logbook.entries[entry_id], id=logbook.new_id(), version=1)

        return self._append(_account_of(entry_id), twin)

    def book(self, entry_id: str, **changes: Unpack[EntryChanges]) -> Entry:
        """Book a pending entry, today unless said otherwise, perhaps at another amount."""
        return self._turn(entry_id, EntryState.PENDING, EntryState.BOOKED, changes)

    def vanish(self, entry_id: str) -> Entry:
        """End a pending entry without booking it."""
        return self._turn(entry_id, EntryState.PENDING, EntryState.VANISHED, {})

    def remove(self, entry_id: str) -> Entry:
        """Take a booked entry back as the bank's error."""
        return self._turn(entry_id, EntryState.BOOKED, EntryState.REMOVED, {})

    def restore(self, entry_id: str) -> Entry:
        """Show a removed entry again."""
        return self._turn(entry_id, EntryState.REMOVED, EntryState.BOOKED, {})

    def change(self, entry_id: str, **changes: Unpack[EntryChanges]) -> Entry:
        """Alter an entry without turning its state: its amount, its texts, its dates."""
        state = self.entry(entry_id).state
        return self._turn(entry_id, state, state, changes)

    def touch(self, entry_id: str) -> Entry:
        """Announce a change of an entry that changes nothing."""

        def same(logbook: Logbook) -> Entry:
            entry = logbook.entries[entry_id]
            return replace(entry, version=entry.version + 1)

        return self._append(_account_of(entry_id), same, noop=True)

    def close_account(self, account_id: str) -> BankAccount:
        """Close an account: nothing more happens on it and the bank no longer shows it."""
        with self._lock:
            now = self._clock.now()
            self._grown(account_id, now)
            account = replace(self._accounts[account_id], closed_at=now)
            self._accounts[account_id] = account
        self._tell(account_id)
        return account

    def change_account(self, account_id: str, **changes: Unpack[AccountChanges]) -> BankAccount:
        """Alter what the bank says of an account; its entries stay as they are."""
        with self._lock:
            account = replace(self._accounts[account_id], **changes)
            self._accounts[account_id] = account
        self._tell(account_id)
        return account

    def stand_still(self) -> None:
        """From now on nothing happens by itself, so that a watcher can catch up with all."""
        with self._lock:
            for account_id in self._accounts:
                self._grown(account_id)
            self._stands_since = self._clock.now()

    def add_account(self, login_id: str, offer: Offer, *, quiet: bool = True) -> BankAccount:
        """Open another account today; unless it is `quiet`, its holder uses it from now on."""
        with self._lock:
            login = self._logins[login_id]
            desk = Desk(self._seed, login_id, self.banks[login.bank_id], self._clock.now(), 0)
            opened = open_account(desk, offer, len(login.account_ids) + 1)
            account = opened.account
            self._register(desk, opened, first_checking=False, transfers=(), quiet=quiet)
            ids = (*login.account_ids, account.id)
            self._logins[login_id] = replace(login, account_ids=ids)
        self._tell(account.id)
        return account

    def share_account(self, account_id: str, login_id: str) -> None:
        """Make an account a joint one: another login shows it, too."""
        with self._lock:
            login = self._logins[login_id]
            self._logins[login_id] = replace(login, account_ids=(*login.account_ids, account_id))

    def add_login(self, bank_id: str | None = None, *, quiet: bool | None = None) -> Login:
        """
        Bring a new customer, of the bank whose turn it is unless one is given.

        Their history reaches as far back from now as the others' did at the start. `quiet`
        None means as the world.
        """
        with self._lock:
            is_quiet = self._quiet if quiet is None else quiet
            return self._welcome(bank_id, self._clock.now(), quiet=is_quiet)

    def _welcome(self, bank_id: str | None, beginning: datetime, *, quiet: bool) -> Login:
        number = len(self._logins)
        bank = self.banks[bank_id] if bank_id else bank_of_turn(number)
        desk = Desk(self._seed, f"login-{number + 1}", bank, beginning, self._history_days)
        newcomer = customer(desk, number, self._offers[bank.id])
        accounts = [one.account for one in newcomer.opened]
        transfers = standing_transfers(self._seed, accounts)
        checking = [one.id for one in accounts if one.kind is AccountKind.CHECKING]
        for opened in newcomer.opened:
            self._register(
                desk,
                opened,
                first_checking=opened.account.id in checking[:1],
                transfers=transfers,
                quiet=quiet,
            )
        self._logins[newcomer.login.id] = newcomer.login
        return newcomer.login

    def _register(
        self,
        desk: Desk,
        opened: OpenedAccount,
        *,
        first_checking: bool,
        transfers: tuple[StandingTransfer, ...],
        quiet: bool,
    ) -> None:
        account_id = opened.account.id
        own = tuple(one for one in transfers if account_id in (one.source.id, one.target.id))
        self._births[account_id] = _Birth(
            desk, opened.account, opened.opening, first_checking, own, quiet
        )
        self._accounts[account_id] = opened.account

    def _grown(self, account_id: str, now: datetime | None = None) -> Logbook:
        """Return the account's record up to the present. The caller holds the lock."""
        logbook = self._logbooks.get(account_id)
        if logbook is None:
            logbook = self._logbooks[account_id] = Logbook(self._plan(account_id))
        if self._accounts[account_id].closed_at is None:
            until = now or self._clock.now()
            logbook.grow(min(until, self._stands_since or until))
        return logbook

    def _plan(self, account_id: str) -> Plan:
        birth = self._births[account_id]
        account = birth.account
        money = money_of(account.currency or account.unofficial_currency)
        usual = purchases_per_day(account.kind, first_checking=birth.first_checking)
        purchases = usual * self._spending
        purse = Purse(account, birth.desk.bank, money, purchases)
        return Plan(
            seed=self._seed,
            purse=purse,
            habits=habits_of(self._seed, purse, main=birth.first_checking),
            transfers=birth.transfers,
            temper=self._temper,
            beginning=birth.desk.beginning,
            quiet=birth.quiet,
        )

    def _create(
        self, account_id: str, amount: Decimal, state: EntryState, details: EntryDetails
    ) -> Entry:
        def new(logbook: Logbook) -> Entry:
            account, today = self._accounts[account_id], self.today(account_id)
            entry = first_version(account, amount, state, today, details)
            return replace(entry, id=logbook.new_id())

        return self._append(account_id, new)

    def _turn(
        self, entry_id: str, allowed: EntryState, state: EntryState, changes: EntryChanges
    ) -> Entry:
        account_id = _account_of(entry_id)

        def turned(logbook: Logbook) -> Entry:
            entry, today = logbook.entries[entry_id], self.today(account_id)
            return next_version(entry, allowed, state, today, changes)

        return self._append(account_id, turned)

    def _append(
        self, account_id: str, make: Callable[[Logbook], Entry], *, noop: bool = False
    ) -> Entry:
        with self._lock:
            now = self._clock.now()
            logbook = self._grown(account_id, now)
            if self._accounts[account_id].closed_at is not None:
                raise ValueError(f"{account_id} is closed")
            entry = logbook.append(make(logbook), now, noop=noop)
        self._tell(account_id)
        return entry

    def _tell(self, account_id: str) -> None:
        """Call the listeners, without the lock, so that they may wait for other threads."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(account_id)


def _account_of(entry_id: str) -> str:
    return entry_id.partition(".")[0]
