"""
Which id a transaction goes by, where the provider's own may be missing or no id at all. Pure.

A provider's id is trusted unless it is repeated with different content in one answer; blank
ones and placeholders must have been left out before. A row without one is named by its
content and its occurrence number: the second equal purchase of a day is the second row of its
name, today and on every later look at that day.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from bank_pipeline.domain.transaction import Transaction, TransactionStatus

FINGERPRINT_PREFIX: Final = "fp-"
UNIDENTIFIED: Final = "unidentified"
"""What a transform writes as `external_id` of a row until `identified` has named it."""


def identified(rows: Iterable[tuple[str | None, Transaction]]) -> tuple[Transaction, ...]:
    """
    Name the rows of one complete answer of one account.

    `rows` are pairs of the provider's id, None without one, and the row. Rows with one id and
    equal content are one row, told twice; of a pending and a booked row with one id, the booked
    one is its later life.
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
        elif external_id not in named or row.status is not TransactionStatus.PENDING:
            named[external_id] = row.model_copy(update={"external_id": external_id})
    return tuple(named.values())


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


def _distrusted(pairs: Sequence[tuple[str | None, Transaction]]) -> frozenset[str]:
    """Return the ids that stand for more than one row among the booked, or among the pending."""
    contents: dict[tuple[str, bool], set[str]] = defaultdict(set)
    for external_id, row in pairs:
        if external_id is not None:
            is_pending = row.status is TransactionStatus.PENDING
            contents[external_id, is_pending].add(fingerprint(row))
    return frozenset(external_id for (external_id, _), known in contents.items() if len(known) > 1)
