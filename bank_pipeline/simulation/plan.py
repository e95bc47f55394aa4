"""What goes wrong in a simulated year, and how often, as data. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bank_pipeline.errors import SetupError
from bank_pipeline.sandbox.life import CALM, USUAL, WILD, Temper


class Trouble(StrEnum):
    """
    The kinds of trouble. What its rate counts stands behind each group.

    A plan that names a kind which never happened has proven nothing of it: the run fails.
    """

    # Shares of all webhooks.
    WEBHOOK_LOST = "webhook lost"
    WEBHOOK_DOUBLED = "webhook doubled"
    WEBHOOK_LATE = "webhook late"
    WEBHOOK_REORDERED = "webhook reordered"
    # Shares of all calls to providers.
    HTTP_STATUS = "http_status"
    RATE_LIMITED = "rate_limited"
    EMPTY_BODY = "empty_body"
    HTML_BODY = "html_body"
    RESET = "reset"
    RESET_BODY = "reset_body"
    TRUNCATED_BODY = "truncated_body"
    LOST_ANSWER = "lost_answer"
    # Times per connection and year.
    SLOW_DRIP = "slow_drip"
    EMPTY_PAGE = "empty_page"
    MUTATION = "mutation"
    CURSOR_REJECTED = "cursor_rejected"
    QUOTA_TAKEN = "quota taken by others"
    LOGIN_REQUIRED = "login required"
    CONSENT_EXPIRED = "consent expired"
    CONSENT_REVOKED = "consent revoked"
    RECONNECTED = "reconnected"
    RECONNECTED_WITH_OTHER_IDS = "reconnected with other ids"
    ACCOUNT_CLOSED = "account closed"
    ACCOUNT_OPENED = "account opened"
    ACCOUNT_RENAMED = "account under another id"
    LEFT = "customer left"
    KILLED = "process killed"
    CONCURRENT = "two triggers at once"
    BANK_OUT_FOR_HOURS = "bank out for hours"
    BANK_OUT_FOR_DAYS = "bank out for days"
    # Times per provider and year.
    PROVIDER_OUT_FOR_HOURS = "provider out for hours"
    PROVIDER_OUT_FOR_DAYS = "provider out for days"
    KEYS_REFUSED = "our keys refused"
    # Times per year.
    MACHINE_OFF = "machine off for 12 days"
    # What banks do by themselves, by the plan's temper and the banks that are linked.
    CORRECTED = "row corrected"
    REMOVED = "row removed"
    RESTORED = "row restored"
    VANISHED = "pending vanished"
    UNLINKED = "booked without a link"
    LATE = "row late"
    FUTURE = "row dated ahead"
    TWINS = "equal rows"
    ODD_BANK = "bank with oddities"


SHARES_OF_CALLS: Final = (
    Trouble.HTTP_STATUS,
    Trouble.RATE_LIMITED,
    Trouble.EMPTY_BODY,
    Trouble.HTML_BODY,
    Trouble.RESET,
    Trouble.RESET_BODY,
    Trouble.TRUNCATED_BODY,
    Trouble.LOST_ANSWER,
)
BY_THE_BANKS: Final = (
    Trouble.CORRECTED,
    Trouble.REMOVED,
    Trouble.RESTORED,
    Trouble.VANISHED,
    Trouble.UNLINKED,
    Trouble.LATE,
    Trouble.FUTURE,
    Trouble.TWINS,
)
TEMPERS: Final[Mapping[str, Temper]] = {"calm": CALM, "usual": USUAL, "wild": WILD}


@dataclass(frozen=True)
class Plan:
    """
    How often each kind happens, and how awkward the banks are.

    A kind without a rate never happens. `has_odd_banks` links banks with known oddities, too.
    """

    name: str
    temper: str = "calm"
    has_odd_banks: bool = False
    rates: Mapping[Trouble, float] = field(default_factory=dict)

    def rate(self, kind: Trouble) -> float:
        """Return how often a kind happens; see `Trouble` for what is counted."""
        return self.rates.get(kind, 0.0)

    def kinds(self) -> frozenset[Trouble]:
        """Return every kind that the plan has happen."""
        own = {kind for kind, rate in self.rates.items() if rate > 0}
        if TEMPERS[self.temper] is not CALM:
            own |= set(BY_THE_BANKS)
        return frozenset(own | ({Trouble.ODD_BANK} if self.has_odd_banks else set()))

    def calls_share(self) -> float:
        """Return which share of all calls fails."""
        return sum(self.rate(kind) for kind in SHARES_OF_CALLS)

    def without(self, *kinds: Trouble) -> "Plan":
        """Return the plan less some kinds."""
        rates = {kind: rate for kind, rate in self.rates.items() if kind not in kinds}
        return replace(self, rates=rates)


_LIGHT_CALLS: Final = dict.fromkeys(SHARES_OF_CALLS, 0.0005)
_FULL_CALLS: Final = dict.fromkeys(SHARES_OF_CALLS, 0.002)

NONE: Final = Plan("none")
LIGHT: Final = Plan(
    "light",
    temper="usual",
    rates={
        **_LIGHT_CALLS,
        Trouble.WEBHOOK_LOST: 0.02,
        Trouble.WEBHOOK_DOUBLED: 0.02,
        Trouble.WEBHOOK_LATE: 0.02,
        Trouble.LOGIN_REQUIRED: 0.5,
        Trouble.RECONNECTED: 1.0,
        Trouble.PROVIDER_OUT_FOR_HOURS: 2.0,
        Trouble.KILLED: 0.5,
    },
)
FULL: Final = Plan(
    "full",
    temper="wild",
    has_odd_banks=True,
    rates={
        **_FULL_CALLS,
        Trouble.WEBHOOK_LOST: 0.1,
        Trouble.WEBHOOK_DOUBLED: 0.1,
        Trouble.WEBHOOK_LATE: 0.1,
        Trouble.WEBHOOK_REORDERED: 0.1,
        Trouble.SLOW_DRIP: 0.5,
        Trouble.EMPTY_PAGE: 1.0,
        Trouble.MUTATION: 2.0,
        Trouble.CURSOR_REJECTED: 1.0,
        Trouble.QUOTA_TAKEN: 1.0,
        Trouble.LOGIN_REQUIRED: 1.0,
        Trouble.CONSENT_EXPIRED: 0.5,
        Trouble.CONSENT_REVOKED: 0.3,
        Trouble.RECONNECTED: 1.0,
        Trouble.RECONNECTED_WITH_OTHER_IDS: 1.0,
        Trouble.ACCOUNT_CLOSED: 0.15,
        Trouble.ACCOUNT_OPENED: 0.2,
        Trouble.ACCOUNT_RENAMED: 0.3,
        Trouble.LEFT: 0.1,
        Trouble.KILLED: 1.5,
        Trouble.CONCURRENT: 1.5,
        Trouble.BANK_OUT_FOR_HOURS: 1.0,
        Trouble.BANK_OUT_FOR_DAYS: 0.3,
        Trouble.PROVIDER_OUT_FOR_HOURS: 4.0,
        Trouble.PROVIDER_OUT_FOR_DAYS: 1.0,
        Trouble.KEYS_REFUSED: 1.0,
        Trouble.MACHINE_OFF: 1.0,
    },
)
PLANS: Final[Mapping[str, Plan]] = {plan.name: plan for plan in (NONE, LIGHT, FULL)}


def load_plan(name: str) -> Plan:
    """
    Return the plan of a name, or the one in a JSON file.

    Raises:
        SetupError: there is no such plan, or the file does not hold one.
    """
    if name in PLANS:
        return PLANS[name]
    try:
        return to_plan(json.loads(Path(name).read_text()))
    except OSError as error:
        known = ", ".join(PLANS)
        raise SetupError(f"no plan {name!r}: choose {known}, or a JSON file") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SetupError(f"{name} is not a plan: {error}") from error


def to_plan(body: Mapping[str, Any]) -> Plan:
    """
    Read a plan: `{"name", "temper", "has_odd_banks", "rates": {kind: number}}`.

    `based_on` names a plan whose rates hold where this one says nothing.
    """
    base = PLANS[body.get("based_on", "none")]
    temper = str(body.get("temper", base.temper))
    if temper not in TEMPERS:
        raise ValueError(f"no temper {temper!r}: choose {', '.join(TEMPERS)}")
    own = {Trouble(kind): float(rate) for kind, rate in body.get("rates", {}).items()}
    return Plan(
        name=str(body.get("name", "own")),
        temper=temper,
        has_odd_banks=bool(body.get("has_odd_banks", base.has_odd_banks)),
        rates={**base.rates, **own},
    )
