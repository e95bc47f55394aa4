"""Hold our tables against what the simulated banks say, to the row and the cent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from bank_pipeline.domain.money import normalise_amount
from bank_pipeline.storage.evidence import AccountEvidence, TransactionEvidence


@dataclass(frozen=True)
class Comparison:
    """One account: what the bank says, what the tables hold, and every difference in words."""

    institution: str
    account: str
    bank_rows: int
    table_rows: int
    bank_balance: Decimal | None
    table_balance: Decimal | None
    currency: str | None
    differences: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Say `identical` or `DIFFERENT`."""
        return "DIFFERENT" if self.differences else "identical"


def compare_connection(
    institution: str, truth: Mapping[str, Any], held: list[AccountEvidence]
) -> list[Comparison]:
    """
    Compare one connection's accounts, account by account, both ways.

    `truth` is the simulator's own account of a connection, which it computes from the banks'
    ledgers and not from what it told us: Plaid's words of an Item, or the neutral form of the
    other providers.
    """
    ours = {account.external_id: account for account in held}
    shown = truth["accounts"]
    missing = [
        Comparison(institution, account["name"], len(account["transactions"]), 0,
                   _decimal(account["booked"]), None, _currency(account), ("account is missing",))
        for external_id, account in shown.items()
        if external_id not in ours and account["listed"]
    ]  # fmt: skip
    compared = [
        _compare_account(institution, shown.get(account.external_id), account) for account in held
    ]
    return [*compared, *missing]


def _compare_account(
    institution: str, shown: Mapping[str, Any] | None, held: AccountEvidence
) -> Comparison:
    if shown is None:
        return Comparison(institution, held.name, 0, len(held.transactions), None, held.booked,
                          held.currency, ("the bank has no such account",))  # fmt: skip
    booked, available = _decimal(shown["booked"]), _decimal(shown["available"])
    differences = [*_compare_rows(shown["transactions"], held.transactions)]
    if shown["listed"] and booked != held.booked:
        differences.append(f"booked balance {held.booked}, not {booked}")
    if shown["listed"] and available is not None and available != held.available:
        differences.append(f"available balance {held.available}, not {available}")
    return Comparison(
        institution=institution,
        account=held.name,
        bank_rows=len(shown["transactions"]),
        table_rows=len(held.transactions),
        bank_balance=booked,
        table_balance=held.booked,
        currency=held.currency,
        differences=tuple(differences),
    )


def _compare_rows(
    shown: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]],
    held: Mapping[str, TransactionEvidence],
) -> list[str]:
    """Compare by id where the provider has one that can be trusted, else by content."""
    if isinstance(shown, Mapping):
        return _compare_by_id({key: _to_evidence(row) for key, row in shown.items()}, held)
    named = {row["external_id"]: row for row in shown if row["external_id"] is not None}
    differences = _compare_by_id(
        {key: _to_content(row) for key, row in named.items()},
        {key: _without_text(row) for key, row in held.items() if key in named},
    )
    nameless = Counter(_to_content(row) for row in shown if row["external_id"] is None)
    ours = Counter(
        replace(_without_text(row), external_id="") for key, row in held.items() if key not in named
    )
    differences += [f"a row is missing: {row}" for row in (nameless - ours).elements()]
    differences += [f"a row is too many: {row}" for row in (ours - nameless).elements()]
    return sorted(differences)


def _compare_by_id(
    shown: Mapping[str, TransactionEvidence], held: Mapping[str, TransactionEvidence]
) -> list[str]:
    differences = [f"row {external_id} is missing" for external_id in shown.keys() - held.keys()]
    differences += [f"row {external_id} is too many" for external_id in held.keys() - shown.keys()]
    for external_id in shown.keys() & held.keys():
        bank, ours = shown[external_id], held[external_id]
        if bank != ours:
            differences.append(f"row {external_id}: {ours} should be {bank}")
    return sorted(differences)


def _to_evidence(row: Mapping[str, Any]) -> TransactionEvidence:
    """Read a row in Plaid's words: positive is money out."""
    return TransactionEvidence(
        external_id=row["transaction_id"],
        amount=normalise_amount(-Decimal(row["amount"])),
        currency=_currency(row),
        is_pending=row["pending"],
        day=date.fromisoformat(row["authorized_date"] if row["pending"] else row["date"]),
        description=row["name"],
    )


def _to_content(row: Mapping[str, Any]) -> TransactionEvidence:
    """Read a row in the neutral form: positive is money in."""
    return TransactionEvidence(
        external_id=row["external_id"] or "",
        amount=normalise_amount(Decimal(row["amount"])),
        currency=_currency(row),
        is_pending=row["pending"],
        day=date.fromisoformat(row["day"]),
        description=row["description"],
    )


def _without_text(row: TransactionEvidence) -> TransactionEvidence:
    """Hold the bank's own text against the bank, not what was made of it for display."""
    return replace(row, description=row.original)


def _currency(row: Mapping[str, Any]) -> str | None:
    names = ("iso_currency_code", "currency", "unofficial_currency_code", "unofficial_currency")
    return next((row[name] for name in names if row.get(name)), None)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else normalise_amount(Decimal(text))
