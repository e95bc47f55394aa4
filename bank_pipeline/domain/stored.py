"""What a sync needs to know of a transaction that is stored, and when two say the same. Pure."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.transaction import Transaction, TransactionStatus

Key = tuple[str, str]
"""(account_external_id, external_id)"""

BOOKING_DELAY_MAX: Final = timedelta(days=8)  # longest that a card payment was seen to stay pending
_LETTERS: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """
    What a sync needs to know of a row that is already stored.

    `is_dropped`: a person said that it is the same as another one. It stays removed, whatever
    the bank shows, and is matched all the same, so that the bank's copy of it finds it.
    """

    id: TransactionId
    account_external_id: str
    external_id: str
    pending_external_id: str | None
    status: TransactionStatus
    content_hash: bytes
    is_removed: bool
    amount: Decimal | None
    currency: str | None
    transaction_date: date | None
    booking_date: date | None
    description: str
    running_balance: Decimal | None = None
    is_dropped: bool = False

    @property
    def key(self) -> Key:
        """The provider's name of the row."""
        return (self.account_external_id, self.external_id)

    @property
    def pending_key(self) -> Key | None:
        """The name the row had while it was pending, None if it had the same or none."""
        if self.pending_external_id is None:
            return None
        return (self.account_external_id, self.pending_external_id)

    @property
    def day(self) -> date | None:
        """The day by which answers judge the row: booked, else paid."""
        return self.booking_date or self.transaction_date


def key_of(transaction: Transaction) -> Key:
    """Return the provider's name of a row."""
    return (transaction.account_external_id, transaction.external_id)


def day_of(transaction: Transaction) -> date | None:
    """Return the day by which answers judge a row: booked, else paid (`StoredTransaction.day`)."""
    return transaction.booking_date or transaction.transaction_date


def unlinked_on(transaction: Transaction) -> date | None:
    """Return the day of a row that may go on with one that ended near it; None if none can be."""
    is_linked = transaction.pending_external_id is not None
    can_go_on = transaction.status in (TransactionStatus.BOOKED, TransactionStatus.PENDING)
    return day_of(transaction) if can_go_on and not is_linked else None


def plain_text(text: str) -> str:
    """Return a text without what banks change between two looks: case and spaces."""
    return " ".join(text.casefold().split())


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text, without numbers."""
    return frozenset(word for word in text.casefold().split() if not word.isdigit())


def is_similar(one: str, other: str) -> bool:
    """
    Say whether two texts tell of one payment: equal, or half of the shorter one's words shared.

    A word is letters only: dates and numbers come and go when a payment settles.
    """
    if one == other:
        return True
    ours, theirs = (set(_LETTERS.findall(text.casefold())) for text in (one, other))
    common = len(ours & theirs)
    return common > 0 and 2 * common >= min(len(ours), len(theirs))
