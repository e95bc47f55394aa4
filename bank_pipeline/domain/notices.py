"""What teams are told of, and when. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from bank_pipeline.domain.connection import ConnectionStatus

EXPIRY_STEPS: Final = (14, 7, 3, 1, 0)
"""Days before the end of a consent on which its team is told; 0 is the day itself."""

FAILURES_BEFORE_NOTICE: Final = 3
"""Failures in a row before a team is told: what passes within twenty minutes is no news."""

NEWS_WITHIN: Final = timedelta(days=10)
"""Rows dated longer than this before the last success are history that came late, not news."""

DELIVERY_WAITS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
    timedelta(days=1),
)
"""Waits after the first, second, … delivery that failed; the last one repeats."""

DELIVERIES_MAX: Final = 12
"""Tries, over about a week; then a person has to say `notify retry`."""


class NoticeKind(StrEnum):
    """What a notice is about."""

    NEW_TRANSACTIONS = "new_transactions"
    EXPIRING = "expiring"
    DISCONNECTED = "disconnected"
    SYNC_FAILED = "sync_failed"
    SYNC_RECOVERED = "sync_recovered"
    LARGE_TRANSACTION = "large_transaction"
    LOW_BALANCE = "low_balance"
    OPERATOR_ALERT = "operator_alert"
    OPERATOR_RECOVERED = "operator_recovered"


OPERATOR_KINDS: Final = frozenset({NoticeKind.OPERATOR_ALERT, NoticeKind.OPERATOR_RECOVERED})
"""About the installation: only for teams that ask for them."""

ENDS_OF: Final = {
    NoticeKind.SYNC_FAILED: NoticeKind.SYNC_RECOVERED,
    NoticeKind.OPERATOR_ALERT: NoticeKind.OPERATOR_RECOVERED,
}
"""Kinds that are told again, under the same key, when what they tell of is over."""

USUAL_KINDS: Final = frozenset(NoticeKind) - OPERATOR_KINDS
"""What a team is told of that chose nothing else."""


class NoticeState(StrEnum):
    """
    Where a notice stands.

    SENDING: somebody delivers it right now, or died doing so. SUPPRESSED: there was nobody to
    send it to, or it was no longer true when its turn came. FAILED: given up after many tries.
    """

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    SUPPRESSED = "suppressed"
    FAILED = "failed"


STOPPED: Final = frozenset(
    {ConnectionStatus.NEEDS_REAUTH, ConnectionStatus.REVOKED, ConnectionStatus.DISCONNECTED}
)
"""Statuses in which no data comes until a person acts."""


@dataclass(frozen=True)
class Wishes:
    """
    What a team wants to be told of; thresholds are by currency.

    `large_amounts`: rows of at least this much, in or out. `low_balances`: accounts that fall
    below. A currency that is absent is never large, and never low.
    """

    kinds: frozenset[NoticeKind] = USUAL_KINDS
    large_amounts: Mapping[str, Decimal] = field(default_factory=dict)
    low_balances: Mapping[str, Decimal] = field(default_factory=dict)

    def is_large(self, amount: Decimal | None, currency: str | None) -> bool:
        """Say whether a row moves as much as the team wants to hear of."""
        threshold = self.large_amounts.get(currency or "")
        return threshold is not None and amount is not None and abs(amount) >= threshold

    def has_fallen(self, before: Decimal | None, after: Decimal, currency: str | None) -> bool:
        """Say whether a balance fell below its threshold; the first one known falls nowhere."""
        threshold = self.low_balances.get(currency or "")
        return threshold is not None and before is not None and after < threshold <= before


def expiry_step(ends_on: date, today: date) -> int | None:
    """
    Return which of EXPIRY_STEPS is due today for a consent that ends on this day.

    Days that nobody looked on are skipped: only the newest step is due. None: the end is
    further away than the first step, or past.
    """
    left = (ends_on - today).days
    return next((step for step in reversed(EXPIRY_STEPS) if 0 <= left <= step), None)


def is_news(day: date | None, *, last_success_at: datetime | None, now: datetime) -> bool:
    """Say whether a row of this day may have happened since the last look, not long before."""
    since = (last_success_at or now) - NEWS_WITHIN
    return day is None or day >= since.date()


def to_digits(masked_number: str | None) -> str | None:
    """Return the last four digits of what a bank shows of an account's number, never more."""
    digits = "".join(c for c in masked_number or "" if c.isascii() and c.isdigit())
    return digits[-4:] if len(digits) >= 4 else None  # noqa: PLR2004 -- as the line above


def one_line(text: str, *, length_max: int = 200) -> str:
    """Take out of a foreign text what would break a subject line, a header or a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:length_max]


def parse_kinds(names: Iterable[str]) -> frozenset[NoticeKind]:
    """
    Return the kinds of these names.

    Raises:
        ValueError: there is no such kind.
    """
    return frozenset(NoticeKind(name) for name in names)
