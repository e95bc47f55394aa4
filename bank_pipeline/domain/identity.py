"""
Which id a transaction goes by, where the provider's own may be missing or no id at all. Pure.

A provider's id is trusted unless it is repeated with different content in one answer; blank
ones and placeholders must have been left out before. A row without one is named by its
content and its occurrence number: the second equal purchase of a day is the second row of its
name, today and on every later look at that day.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Final

from bank_pipeline.domain.stored import StoredTransaction
from bank_pipeline.domain.transaction import Transaction, TransactionStatus

FINGERPRINT_PREFIX: Final = "fp-"
REUSED_AFTER: Final = timedelta(days=31)
"""A correction of an amount comes within a month; an id that comes back later is used again."""
_RANKS: Final = {TransactionStatus.PENDING: 0, TransactionStatus.BOOKED: 2}
UNIDENTIFIED: Final = "unidentified"
"""What a transform writes as `external_id` of a row until `identified` has named it."""


def identified(rows: Iterable[tuple[str | None, Transaction]]) -> tuple[Transaction, ...]:
    """
    Name the rows of one complete answer of one account.

    `rows` are pairs of the provider's id, None without one, and the row. Rows with one id and
    equal content are one row, told twice; of a pending and a booked row with one id, the booked
    one is its later life, and what was booked is money whatever else is said of it.
    """
    pairs = list(rows)
    distrusted = _distrusted(pairs)
    named: dict[str, Transaction] = {}
    counts: Counter[str] = Counter()
    for external_id, row in pairs:
        if external_id is None or external_id in distrusted:
            content = fingerprint(row)
            counts[content] += 1
            name = f"{FINGERPRINT_PREFIX}{content}-{counts[content]}"
            named[name] = row.model_copy(update={"external_id": name})
        elif external_id not in named or _rank(row) >= _rank(named[external_id]):
            named[external_id] = row.model_copy(update={"external_id": external_id})
    return tuple(named.values())


def told_apart(
    rows: Sequence[Transaction], stored: Iterable[StoredTransaction]
) -> tuple[Transaction, ...]:
    """
    Name those rows anew whose id belongs to another row that is stored already.

    Some banks count their rows from 1 every month. A booked row that had another direction or
    currency, or another amount more than a month away, is not the same one, whatever it is called.
    """
    known = {row.external_id: row for row in stored}
    return renamed(
        rows,
        {
            row.external_id
            for row in rows
            if (held := known.get(row.external_id)) is not None and is_another(row, held)
        },
    )


def renamed(rows: Sequence[Transaction], names: Collection[str]) -> tuple[Transaction, ...]:
    """Name the rows that go by `names` by their content instead."""
    if not names:
        return tuple(rows)
    # Names by content are counted anew, so that no two rows get one.
    return identified(
        (
            None
            if row.external_id in names or row.external_id.startswith(FINGERPRINT_PREFIX)
            else row.external_id,
            row,
        )
        for row in rows
    )


def is_another(row: Transaction, stored: StoredTransaction) -> bool:
    """Say whether a row is not the stored one, though it goes by its id."""
    if {row.status, stored.status} != {TransactionStatus.BOOKED}:
        return False
    if row.currency and stored.currency and row.currency != stored.currency:
        return True
    if row.amount is None or stored.amount is None or row.amount == stored.amount:
        return False
    if row.amount * stored.amount < 0:
        return True
    days = (row.booking_date, stored.booking_date)
    return days[0] is not None and days[1] is not None and abs(days[0] - days[1]) > REUSED_AFTER


def fingerprint(row: Transaction) -> str:
    """
    Return a name made of what a bank does not change between two looks at a row.

    Account and id are no part of it: the same row under another account id, after a new
    consent, has the same name.
    """
    is_pending = row.status is TransactionStatus.PENDING
    day = row.transaction_date or row.value_date if is_pending else row.booking_date
    content = (
        "pending" if is_pending else "booked",
        str(day or row.value_date),
        str(row.amount),
        row.currency or row.unofficial_currency or "",
        " ".join(row.description.casefold().split()),
        (row.counterparty.name if row.counterparty else "").casefold(),
    )
    return hashlib.blake2b("\x1f".join(content).encode(), digest_size=10).hexdigest()


def _rank(row: Transaction) -> int:
    return _RANKS.get(row.status, 1)


def _distrusted(pairs: Sequence[tuple[str | None, Transaction]]) -> frozenset[str]:
    """Return the ids that stand for more than one row among the booked, or among the pending."""
    contents: dict[tuple[str, bool], set[str]] = defaultdict(set)
    for external_id, row in pairs:
        if external_id is not None:
            is_pending = row.status is TransactionStatus.PENDING
            contents[external_id, is_pending].add(fingerprint(row))
    return frozenset(external_id for (external_id, _), known in contents.items() if len(known) > 1)
