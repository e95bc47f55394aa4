"""Makes what the plan has go wrong: at drawn times, at drawn connections."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.faults import Fault, FaultKind, FaultPlan
from bank_pipeline.simulation import banks
from bank_pipeline.simulation.agenda import Agenda
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.plan import SHARES_OF_CALLS, Plan, Trouble

YEAR: Final = timedelta(days=365)
HOURS: Final = (1, 20)
DAYS: Final = (2, 4)
OFF_DAYS: Final = 12
_DRIP_S: Final = 0.02
_SETTLING_IN: Final = timedelta(days=2)  # nothing is drawn so soon after a customer came
_ALL_OF: Final[Mapping[Provider, str]] = {
    Provider.PLAID: "/*",
    Provider.GOCARDLESS: "gocardless:*",
    Provider.TELLER: "teller:*",
    Provider.ENABLE_BANKING: "enable_banking:*",
}
_DOWN: Final = Fault(FaultKind.HTTP_STATUS, status=503)
_DOWN_AT_BANK: Final[Mapping[Provider, Fault]] = {
    Provider.PLAID: Fault(FaultKind.ERROR, code="INSTITUTION_DOWN"),
    Provider.GOCARDLESS: Fault(FaultKind.ERROR, code="connection_error"),
    Provider.TELLER: Fault(FaultKind.ERROR, code="bad_gateway"),
    Provider.ENABLE_BANKING: Fault(FaultKind.ERROR, code="ASPSP_ERROR"),
}
_REFUSED: Final[Mapping[Provider, Fault]] = {
    Provider.PLAID: Fault(FaultKind.ERROR, code="INVALID_API_KEYS"),
    Provider.GOCARDLESS: Fault(FaultKind.ERROR, code="ip_denied"),
    Provider.TELLER: Fault(
        FaultKind.ERROR,
        code="bad_request",
        message="Missing certificate: Retry request using your Teller client certificate.",
    ),
    Provider.ENABLE_BANKING: Fault(FaultKind.ERROR, code="ACCESS_DENIED"),
}
_READING: Final[Mapping[Provider, str]] = {
    Provider.PLAID: "/transactions/sync",
    Provider.GOCARDLESS: "gocardless:transactions",
    Provider.TELLER: "teller:transactions",
    Provider.ENABLE_BANKING: "enable_banking:transactions",
}
_NEXT_CALL: Final[Mapping[Trouble, tuple[frozenset[Provider], Fault]]] = {
    Trouble.SLOW_DRIP: (frozenset(Provider), Fault(FaultKind.SLOW_DRIP, seconds=_DRIP_S)),
    Trouble.EMPTY_PAGE: (
        frozenset({Provider.PLAID, Provider.ENABLE_BANKING}),
        Fault(FaultKind.EMPTY_PAGE),
    ),
    Trouble.MUTATION: (frozenset({Provider.PLAID}), Fault(FaultKind.MUTATION)),
    Trouble.CURSOR_REJECTED: (
        frozenset({Provider.PLAID, Provider.ENABLE_BANKING}),
        Fault(FaultKind.CURSOR_REJECTED),
    ),
}
"""What strikes the next reading of a connection, and at whom."""

_Rules = frozenset[int]
"""The ids of the rules by which a trouble strikes calls."""

_KINDS: Final = tuple(FaultKind(kind.value) for kind in SHARES_OF_CALLS)


@dataclass(frozen=True)
class Span:
    """When troubles may be drawn: from the start until the year settles."""

    start: datetime
    end: datetime


class Troubles:
    """
    Draw what goes wrong and when, and make it so.

    The same seed, plan and member give the same troubles, whatever else happens.
    """

    def __init__(
        self, place: Installation, agenda: Agenda, *, seed: int, plan: Plan, span: Span
    ) -> None:
        self._place = place
        self._agenda = agenda
        self._seed = seed
        self._plan = plan
        self._span = span
        self._faults: FaultPlan = place.sandbox.faults
        self._done: Counter[Trouble] = Counter()
        self._planned: list[tuple[Trouble, _Rules]] = []
        self.quota_taken: Counter[str] = Counter()  # by what the account is called there
        self.is_machine_off = False

    def draw_common(self, switch_on: Callable[[], None]) -> None:
        """Draw what concerns everybody; `switch_on` is called when the machine is back."""
        for provider in Provider:
            for kind, (low, high), hours in (
                (Trouble.PROVIDER_OUT_FOR_HOURS, HOURS, 1),
                (Trouble.PROVIDER_OUT_FOR_DAYS, DAYS, 24),
                (Trouble.KEYS_REFUSED, HOURS, 1),
            ):
                fault = _REFUSED[provider] if kind is Trouble.KEYS_REFUSED else _DOWN
                for at, rolled in self._times(kind, self._span.start, provider):
                    lasts = timedelta(hours=rolled.randint(low, high) * hours)
                    rule = (_ALL_OF[provider], "*", fault)
                    self._agenda.add(at, partial(self._strike, kind, [rule], lasts))
        for at, _ in self._times(Trouble.MACHINE_OFF, self._span.start, "machine"):
            if at + timedelta(days=OFF_DAYS) < self._span.end:
                self._agenda.add(at, lambda: self._switch_off(switch_on))

    def draw_own(self, member: Member, act: Callable[[Trouble, Random], None]) -> None:
        """Draw what concerns one connection; `act` does what is no matter of the providers."""
        since = self._place.world.clock.now() + _SETTLING_IN
        by_us: dict[Trouble, Callable[[Random], bool | _Rules]] = {
            Trouble.LOGIN_REQUIRED: lambda _: banks.require_login(self._place, member),
            Trouble.CONSENT_EXPIRED: lambda _: banks.expire(self._place, member),
            Trouble.CONSENT_REVOKED: lambda _: banks.revoke(self._place, member),
            Trouble.ACCOUNT_RENAMED: lambda _: banks.churn(self._place, member),
            Trouble.QUOTA_TAKEN: lambda _: self._take_quota(member),
            Trouble.BANK_OUT_FOR_HOURS: lambda rolled: self._bank_out(member, rolled, HOURS, 1),
            Trouble.BANK_OUT_FOR_DAYS: lambda rolled: self._bank_out(member, rolled, DAYS, 24),
            **{kind: partial(self._spoil_next, member, kind) for kind in _NEXT_CALL},
        }
        for kind, make in by_us.items():
            for at, rolled in self._times(kind, since, member.customer.number):
                self._agenda.add(at, partial(self._do, member, kind, partial(make, rolled)))
        for kind in (
            Trouble.RECONNECTED,
            Trouble.RECONNECTED_WITH_OTHER_IDS,
            Trouble.ACCOUNT_CLOSED,
            Trouble.ACCOUNT_OPENED,
            Trouble.LEFT,
            Trouble.KILLED,
            Trouble.CONCURRENT,
        ):
            for at, rolled in self._times(kind, since, member.customer.number):
                self._agenda.add(at, partial(act, kind, rolled))

    @property
    def injected(self) -> Counter[Trouble]:
        """What went wrong by now. What waits for a call that nobody made did not."""
        struck = {one.rule_id for one in self._faults.injected()}
        return self._done + Counter(kind for kind, rules in self._planned if rules & struck)

    def count_calls(self) -> Counter[Trouble]:
        """Return what was injected into calls, by kind, beside what was counted as it began."""
        found: Counter[Trouble] = Counter()
        for one in self._faults.injected():
            if one.fault.kind in _KINDS and one.fault is not _DOWN:
                found[Trouble(one.fault.kind.value)] += 1
        return found

    def end(self) -> None:
        """Have nothing go wrong any more."""
        self._faults.clear()
        self.is_machine_off = False

    def _times(
        self, kind: Trouble, since: datetime, *words: object
    ) -> list[tuple[datetime, Random]]:
        """Draw the moments at which a kind strikes, with the dice for the rest."""
        rolled = dice(self._seed, kind, *words)
        lasts = self._span.end - since
        if lasts <= timedelta(0):
            return []
        expected = self._plan.rate(kind) * (lasts / YEAR)
        count = int(expected) + (rolled.random() < expected % 1)
        minutes = int(lasts / timedelta(minutes=1))
        return [
            (
                since + timedelta(minutes=rolled.randrange(max(1, minutes))),
                dice(self._seed, kind, *words, number),
            )
            for number in range(count)
        ]

    def _do(self, member: Member, kind: Trouble, make: Callable[[], bool | _Rules]) -> None:
        if not member.is_here:
            return
        member.note_external_id(self._place)  # after a renewal the old consent is nobody's
        made = make()
        if isinstance(made, bool):
            self._done[kind] += made
        else:
            self._planned.append((kind, made))

    def _spoil_next(self, member: Member, kind: Trouble, _: Random) -> bool | _Rules:
        at_whom, fault = _NEXT_CALL[kind]
        if member.provider not in at_whom:
            return False
        subject = banks.subjects(self._place, member)[-1]
        return frozenset({self._faults.add(_READING[member.provider], fault, subject=subject).id})

    def _take_quota(self, member: Member) -> bool:
        taken = banks.take_quota(self._place, member)
        if taken:
            self.quota_taken.update(banks.subjects(self._place, member))
        return taken

    def _bank_out(
        self, member: Member, rolled: Random, bounds: tuple[int, int], hours: int
    ) -> _Rules:
        fault = _DOWN_AT_BANK[member.provider]
        rules = [
            (_ALL_OF[member.provider], subject, fault)
            for subject in banks.subjects(self._place, member)
        ]
        return self._begin(rules, timedelta(hours=rolled.randint(*bounds) * hours))

    def _strike(self, kind: Trouble, rules: list[tuple[str, str, Fault]], lasts: timedelta) -> None:
        self._planned.append((kind, self._begin(rules, lasts)))

    def _begin(self, rules: list[tuple[str, str, Fault]], lasts: timedelta) -> _Rules:
        begun = frozenset(
            self._faults.add(operation, fault, subject=subject, times=None).id
            for operation, subject, fault in rules
        )
        ends_at = self._place.world.clock.now() + lasts
        self._agenda.add(ends_at, partial(self._forget, begun))
        return begun

    def _forget(self, rule_ids: _Rules) -> None:
        for rule_id in rule_ids:
            self._faults.remove(rule_id)

    def _switch_off(self, switch_on: Callable[[], None]) -> None:
        if self.is_machine_off:
            return
        self._done[Trouble.MACHINE_OFF] += 1
        self.is_machine_off = True

        def back() -> None:
            self.is_machine_off = False
            switch_on()

        self._agenda.add(self._place.world.clock.now() + timedelta(days=OFF_DAYS), back)


def chances(seed: int, plan: Plan) -> FaultPlan:
    """Return the dice that let single calls fail."""
    share = plan.calls_share()
    if not share:
        return FaultPlan()
    return FaultPlan.seeded(seed, share, kinds=_KINDS)
