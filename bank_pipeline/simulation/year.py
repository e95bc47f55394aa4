"""One simulated year: customers come, banks change, things go wrong, and syncs go on."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final

from bank_pipeline.domain.cadence import SLOT_MINUTES, slot_of
from bank_pipeline.domain.connection import Connection, ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.simulation import banks
from bank_pipeline.simulation.agenda import Agenda
from bank_pipeline.simulation.customers import OPENED_LATER, Customer
from bank_pipeline.simulation.driver import Driver, Tally
from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.kills import Killer
from bank_pipeline.simulation.links import link
from bank_pipeline.simulation.mailbox import Mailbox
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.plan import NONE, Plan, Trouble
from bank_pipeline.simulation.troubles import Span, Troubles
from bank_pipeline.simulation.watcher import Watcher
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.prune import prune
from bank_pipeline.sync.reports import SyncReport

DAY: Final = timedelta(days=1)
SETTLING_DAYS: Final = 16
"""After the troubles: time for the slowest retry, a weekly deeper pass, and those who reconnect."""

LOOK_EVERY_DAYS: Final = 10
RETENTION: Final = timedelta(days=30)
_TRY_AGAIN: Final = timedelta(hours=3)
_PATIENCE_DAYS: Final = (0, 12)
_REFUSED_ACCOUNT: Final = "ASPSP_ACCOUNT_NOT_ACCESSIBLE"


class Year:
    """Live through the days; see `Plan` for what goes wrong, and `Watcher` for what is checked."""

    def __init__(
        self,
        place: Installation,
        killer: Killer,
        *,
        seed: int,
        days: int,
        plan: Plan,
        customers: list[Customer],
        findings: Findings,
        on_day: Callable[[], None] | None = None,
    ) -> None:
        self._place = place
        self._killer = killer
        self._seed = seed
        self._days = days
        self._plan = plan
        self._customers = customers
        self._on_day = on_day
        self._agenda = Agenda()
        self._start = place.world.clock.now()
        self._settles_at = self._start + days * DAY
        self._ends_at = self._settles_at + SETTLING_DAYS * DAY
        self.members: list[Member] = []
        self.watcher = Watcher(place, findings)
        self.driver = Driver(place, self._after_sync)
        self.troubles = Troubles(
            place,
            self._agenda,
            seed=seed,
            plan=plan,
            span=Span(self._start, self._settles_at),
        )
        self.mailbox = Mailbox(
            place,
            self._agenda,
            seed=seed,
            plan=plan,
            is_open=lambda: not self.troubles.is_machine_off,
            on_news=self._on_news,
        )
        self.injected: Counter[Trouble] = Counter()
        self._by_connection: dict[ConnectionId, Member] = {}
        self._is_settling = False

    def live(self) -> None:
        """Live through all days and the time of settling, then look at everything."""
        self.mailbox.divert()
        self.troubles.draw_common(self._switch_on)
        for customer in self._customers:
            arrives = self._start + customer.arrives_after
            self._agenda.add(arrives, partial(self._arrive, customer))
        self._agenda.add(self._start, self._begin_day)
        self._agenda.add(self._settles_at, self._settle)
        while True:
            at = self._next_at()
            if at is None or at >= self._ends_at:
                break
            self._place.world.clock.advance_to(at)
            for act in self._agenda.take_due(self._place.world.clock.now()):
                act()
            if not self.troubles.is_machine_off:
                self.driver.run_due()
            self.driver.look_if_stale()
        self._place.world.clock.advance_to(self._ends_at)
        prune(self._place.context, retention=RETENTION)
        self.injected += self.troubles.injected + self.mailbox.injected
        self.injected += self.troubles.count_calls()
        self.watcher.conclude(self.members, self.troubles, kills=self._killer.kills)
        self._count_renewals()
        self._tell(self.driver.tally)

    def _count_renewals(self) -> None:
        """Count them by what came of them: other ids come into use with a later sync."""
        renames = sum(one.renames for one in self.members)
        renewals = sum(one.renewals for one in self.members)
        self.injected[Trouble.RECONNECTED_WITH_OTHER_IDS] += renames
        self.injected[Trouble.RECONNECTED] += max(0, renewals - renames)

    def _tell(self, tally: Tally) -> None:
        findings = self.watcher.findings
        findings.look(Checker.STRANGE_FAILURE, tally.failures.total())
        findings.look(Checker.TWO_AT_ONCE, tally.folded + len(tally.unfolded))
        for words in tally.strange:
            findings.add(Checker.STRANGE_FAILURE, "a sync", words)
        for words in tally.unfolded:
            findings.add(Checker.TWO_AT_ONCE, "a sync", words)

    def _next_at(self) -> datetime | None:
        planned = None if self.troubles.is_machine_off else self.driver.next_planned
        known = [one for one in (self._agenda.next_at(), planned) if one is not None]
        return min(known, default=None)

    # Days.

    def _begin_day(self) -> None:
        now = self._place.world.clock.now()
        number = (now - self._start) // DAY
        rolled = dice(self._seed, "day", number)
        self._agenda.add(now + DAY, self._begin_day)
        self._place.begin_day()
        if self._on_day is not None:
            self._on_day()
        self._agenda.add(now + timedelta(minutes=rolled.randrange(24 * 60)), self._look)
        for member in self.members:
            if member.is_here:
                self._plan_slot(member, now)
                minutes = rolled.randrange(24 * 60)
                self._agenda.add(now + timedelta(minutes=minutes), partial(self._care, member))
        if self.troubles.is_machine_off:
            return
        self.driver.has_news = True  # what no webhook told of, and what no schedule reached
        if number % 7 == 0:
            prune(self._place.context, retention=RETENTION)
        if number % LOOK_EVERY_DAYS == LOOK_EVERY_DAYS - 1:
            self.watcher.check_states(self.members)
            if not self._is_settling:
                self.watcher.ask_for_look(self.members)

    def _plan_slot(self, member: Member, day_begins: datetime) -> None:
        assert member.connection_id is not None
        connection_id = member.connection_id
        midnight = day_begins.replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + timedelta(minutes=slot_of(connection_id) * SLOT_MINUTES)
        self._agenda.add(at if at >= day_begins else at + DAY, lambda: self._slot(connection_id))

    def _slot(self, connection_id: ConnectionId) -> None:
        if not self.troubles.is_machine_off:
            self.driver.run_slot(connection_id)

    def _look(self) -> None:
        banks.look(self._place)

    def _on_news(self) -> None:
        self.driver.has_news = True

    def _switch_on(self) -> None:
        self.driver.has_news = True
        self.driver.is_stale = True

    # Customers.

    def _arrive(self, customer: Customer) -> None:
        login = self._place.world.add_login(customer.bank_id)
        member = Member(customer, login.id)
        self.members.append(member)
        self._join(member)

    def _join(self, member: Member) -> None:
        """Link, or try again later."""
        if member.connection_id is not None or not self._try_link(member):
            return
        now = self._place.world.clock.now()
        member.linked_at = now
        if member.customer.is_odd:
            self.injected[Trouble.ODD_BANK] += 1
        self._plan_slot(member, now)
        if not self._is_settling:
            self.troubles.draw_own(member, lambda kind, rolled: self._act(member, kind, rolled))

    def _try_link(self, member: Member) -> bool:
        now = self._place.world.clock.now()
        if self.troubles.is_machine_off:
            self._agenda.add(now + _TRY_AGAIN, lambda: self._join(member))
            return False
        try:
            state = link(self._place, member.customer, member.login_id)
        except BankPipelineError:
            state = None
        if state is None or not state.connection_ids:
            self._agenda.add(now + _TRY_AGAIN, lambda: self._join(member))
            return False
        member.connection_id = state.connection_ids[0]
        member.external_ids = []
        member.note_external_id(self._place)
        self._by_connection[member.connection_id] = member
        self.driver.is_stale = True
        return True

    def _care(self, member: Member) -> None:
        """Let a customer see that their bank wants them, and act when they feel like it."""
        if not member.is_here or self.troubles.is_machine_off:
            return
        now, connection = self._place.world.clock.now(), member.connection(self._place)
        if _wants_its_customer(connection):
            if member.stopped_since is None:
                rolled = dice(self._seed, "patience", member.customer.number, now)
                member.stopped_since = now
                member.patience = timedelta(days=rolled.randint(*_PATIENCE_DAYS))
            is_urgent = self._is_settling
            if is_urgent or now >= member.stopped_since + member.patience:
                self._renew(member)
        elif connection.status is ConnectionStatus.EXPIRING:
            rolled = dice(self._seed, "expiring", member.customer.number, now)
            if self._is_settling or rolled.random() < 0.15:  # noqa: PLR2004 - one in seven days
                self._renew(member)

    def _renew(self, member: Member) -> bool:
        """Renew the consent; a connection that is gone for good is followed by a new one."""
        assert member.connection_id is not None
        connection = member.connection(self._place)
        is_gone = connection.status is ConnectionStatus.REVOKED
        if is_gone and member.provider in (Provider.PLAID, Provider.TELLER):
            member.earlier.append(member.connection_id)
            member.connection_id = None
            member.stopped_since = None
            self._join_again(member)
            return True
        self.watcher.remember(member)
        try:
            state = link(self._place, member.customer, member.login_id, renews=member.connection_id)
        except BankPipelineError:
            return False
        if not state.connection_ids:
            return False
        member.renewals += 1
        member.stopped_since = None
        self.driver.is_stale = True
        return True

    def _join_again(self, member: Member) -> None:
        if self._try_link(member):
            self._plan_slot(member, self._place.world.clock.now())

    def _leave(self, member: Member) -> None:
        """End the connection; what the provider refuses is tried again."""
        if not member.is_here or member.connection_id is None:
            return
        self.watcher.remember(member)
        try:
            disconnect(self._place.context, member.connection_id)
        except BankPipelineError:
            now = self._place.world.clock.now()
            self._agenda.add(now + _TRY_AGAIN, lambda: self._leave(member))
            return
        member.has_left = True
        self.injected[Trouble.LEFT] += 1

    def _act(self, member: Member, kind: Trouble, rolled: Random) -> None:
        """Do what is a customer's or our own machine's doing."""
        if not member.is_here or member.connection_id is None or self.troubles.is_machine_off:
            return
        self.watcher.keep_up(member)
        match kind:
            case Trouble.RECONNECTED | Trouble.RECONNECTED_WITH_OTHER_IDS:
                self._renew(member)
            case Trouble.LEFT:
                self._leave(member)
            case Trouble.ACCOUNT_OPENED:
                self.injected[kind] += self._open_account(member)
            case Trouble.ACCOUNT_CLOSED:
                self.injected[kind] += self._close_account(member)
            case Trouble.KILLED:
                point = rolled.randrange(1, 60)
                self.injected[kind] += self._killer.kill(self._place, member.connection_id, point)
                self.driver.is_stale = True
            case Trouble.CONCURRENT:
                self.injected[kind] += self.driver.sync_twice_at_once(member.connection_id)
            case _:
                raise AssertionError(f"{kind} is no act of a customer")

    def _open_account(self, member: Member) -> bool:
        """Open another account, if this customer has not done so before."""
        offer = OPENED_LATER[member.customer.bank_id]
        world = self._place.world
        ids = world.logins[member.login_id].account_ids
        if any(world.accounts[one].name == offer.name for one in ids):
            return False
        world.add_account(member.login_id, offer, quiet=False)
        return True

    def _close_account(self, member: Member) -> bool:
        """Close the last opened account of a login that has another of its kind."""
        is_used = (AccountKind.CHECKING, AccountKind.SAVINGS, AccountKind.CREDIT_CARD)
        accounts = self._place.world.login_accounts(member.login_id)
        used = [one for one in accounts if one.kind in is_used]
        if len(used) <= 1:
            return False
        self._place.world.close_account(used[-1].id)
        return True

    # The end.

    def _settle(self) -> None:
        """From now on nothing goes wrong, and soon nothing happens at all."""
        self._is_settling = True
        self.troubles.end()
        self.mailbox.plan = NONE
        self._switch_on()
        for member in self.members:
            if member.connection_id is None and not member.has_left:
                self._join(member)
        self._agenda.add(
            self._settles_at + (SETTLING_DAYS - 11) * DAY, self._place.world.stand_still
        )
        for days in range(2, 0, -1):
            self._agenda.add(self._ends_at - days * DAY, self._ask_for_last_look)

    def _ask_for_last_look(self) -> None:
        self.watcher.ask_for_look(self.members, is_last=True)

    def _after_sync(self, connection_id: ConnectionId, report: SyncReport) -> None:
        member = self._by_connection.get(connection_id)
        if member is not None:
            self.watcher.after_sync(member, report)


def _wants_its_customer(connection: Connection) -> bool:
    """Say whether a connection waits for a new consent: without an account that was closed, too."""
    if connection.status in (ConnectionStatus.NEEDS_REAUTH, ConnectionStatus.REVOKED):
        return True
    is_error = connection.status is ConnectionStatus.ERROR
    return is_error and connection.status_reason == _REFUSED_ACCOUNT
