"""
Which raw record each row was read from, while somebody asks. Pure.

Every provider reads its rows through `rows.Rows`; while a trace is open, what went in is kept
beside what came out. Nobody else pays for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from bank_pipeline.domain.transaction import Transaction


@dataclass
class Trace:
    """The raw records that were read, and the transactions they gave."""

    _read: list[tuple[Any, Transaction]] = field(default_factory=list)
    _by_details: dict[int, list[int]] = field(default_factory=dict)

    def note(self, raw: Any, result: object) -> None:  # noqa: ANN401 - one parsed row
        """Keep a record and what was read from it, if that is a transaction."""
        row = _transaction_in(result)
        if row is not None:
            self._by_details.setdefault(id(row.details), []).append(len(self._read))
            self._read.append((raw, row))

    def raw_of(self, row: Transaction) -> Any | None:  # noqa: ANN401 - one parsed row
        """
        Return the record that a row of the same answer was read from; None when unknown.

        Rows get other names after they are read, but keep their `details`, the object itself.
        """
        found = [self._read[place] for place in self._by_details.get(id(row.details), ())]
        return next((raw for raw, read in found if _is_same(read, row)), None)


_open: Final[ContextVar[Trace | None]] = ContextVar("bank_pipeline_trace", default=None)


def note(raw: Any, result: object) -> None:  # noqa: ANN401 - one parsed row
    """Tell an open trace, if there is one, what was read from a record."""
    trace = _open.get()
    if trace is not None:
        trace.note(raw, result)


@contextmanager
def traced() -> Iterator[Trace]:
    """Trace what is read inside."""
    trace = Trace()
    token = _open.set(trace)
    try:
        yield trace
    finally:
        _open.reset(token)


def _transaction_in(result: object) -> Transaction | None:
    """Find the row in what a provider keeps of it: itself, in a pair, or as `row`."""
    if isinstance(result, Transaction):
        return result
    if isinstance(result, tuple):
        return next((one for one in result if isinstance(one, Transaction)), None)
    row = getattr(result, "row", None)
    return row if isinstance(row, Transaction) else None


def _is_same(read: Transaction, row: Transaction) -> bool:
    return (read.amount, read.booking_date, read.description) == (
        row.amount,
        row.booking_date,
        row.description,
    )
