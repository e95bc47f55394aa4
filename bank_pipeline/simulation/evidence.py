"""What the tables hold and what the banks show, in one shape. Knows nothing of the transforms."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.ledger import EntryState
from bank_pipeline.simulation import banks
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.matching import HeldRow, ShownRow


@dataclass
class ShownAccount:
    """
    One of the world's accounts as a provider shows it, under one or more ids.

    `first_day` is where the present consent begins to show, None where it shows all.
    """

    name: str
    is_listed: bool
    booked: Decimal | None
    available: Decimal | None
    first_day: date | None
    currency: str | None = None
    external_ids: list[str] = field(default_factory=list)
    rows: dict[str, ShownRow] = field(default_factory=dict)  # by entry id


@dataclass(frozen=True)
class HeldAccount:
    """One account of the tables with its live rows and the dates that count as covered."""

    id: str
    external_id: str
    is_open: bool
    booked: Decimal | None
    available: Decimal | None
    covered: tuple[tuple[date, date], ...]
    rows: tuple[HeldRow, ...]
    currency: str | None = None

    def covers(self, day: date) -> bool:
        """Say whether a complete answer covered this date."""
        return any(first <= day <= last for first, last in self.covered)


@dataclass(frozen=True)
class SetAside:
    """
    A row that waits in quarantine.

    `account` is the one that it waits for, where its account is not listed yet; None where the
    row could not be read.
    """

    external_id: str | None
    account: str | None
    reason: str


def load_shown(
    place: Installation, provider: Provider, external_id: str
) -> dict[str, ShownAccount]:
    """Return what a provider shows of a connection, by the world's account."""
    told = banks.truth(place, provider, external_id)
    accounts: dict[str, ShownAccount] = {}
    for name, account in told["accounts"].items():
        is_new = account["world_account_id"] not in accounts
        if is_new or account["listed"]:
            seen = accounts.get(account["world_account_id"])
            accounts[account["world_account_id"]] = _to_shown(account, provider)
            if seen is not None:
                accounts[account["world_account_id"]].external_ids += seen.external_ids
        accounts[account["world_account_id"]].external_ids.append(name)
    return accounts


def load_names(
    place: Installation, provider: Provider, external_id: str
) -> dict[str, tuple[str, dict[str, str]]]:
    """Return {account's id: (the world's account, {row's id: entry})} of what is shown now."""
    told = banks.truth(place, provider, external_id)
    return {
        name: (
            account["world_account_id"],
            {
                row.external_id: row.entry_id
                for row in _rows(account["transactions"], provider)
                if row.external_id is not None
            },
        )
        for name, account in told["accounts"].items()
    }


def load_taken_back(place: Installation, world_accounts: Iterable[str]) -> set[str]:
    """Return the entries that the bank ever took back; some are there again since."""
    now = place.world.clock.now()
    return {
        event.entry.id
        for account in world_accounts
        for event in place.world.events(account, until=now)
        if event.entry.state is EntryState.REMOVED
    }


def load_held(db: sa.Connection, connection_id: ConnectionId) -> list[HeldAccount]:
    """Load a connection's accounts with all that is comparable."""
    bound = {"connection_id": connection_id}
    rows: dict[str, list[HeldRow]] = defaultdict(list)
    for row in db.execute(_ROWS, bound):
        rows[row.account_id].append(
            HeldRow(
                id=row.id,
                account=row.account,
                external_id=row.external_id,
                amount=row.amount,
                currency=row.currency,
                is_pending=row.status == "pending",
                day=row.day,
                description=row.text if row.provider == Provider.PLAID else row.description,
            )
        )
    covered: dict[str, list[tuple[date, date]]] = defaultdict(list)
    for row in db.execute(_COVERED, bound):
        covered[row.account_id].append((row.first_day, row.last_day))
    return [
        HeldAccount(
            id=account.account_id,
            external_id=account.external_id,
            is_open=account.closed_at is None,
            booked=account.booked_balance,
            available=account.available_balance,
            covered=tuple(covered[account.account_id]),
            rows=tuple(rows[account.account_id]),
            currency=account.currency,
        )
        for account in db.execute(_ACCOUNTS, bound)
    ]


def load_set_aside(db: sa.Connection, connection_id: ConnectionId) -> list[SetAside]:
    """Load the rows that wait in quarantine, where somebody sees them."""
    return [
        SetAside(row.external_id, row.account_external_id, row.reason)
        for row in db.execute(_SET_ASIDE, {"connection_id": connection_id})
    ]


def load_repeated_balances(db: sa.Connection) -> list[str]:
    """Load the accounts with a balance that was kept again although it was the same."""
    return [*db.execute(_REPEATED).scalars()]


def load_applied(db: sa.Connection, *, since: datetime) -> list[tuple[str, str, bool]]:
    """Load the answers that sync runs since then applied: (run, what was asked, is archived)."""
    archived = {(row[0], row[1], bytes(row[2])) for row in db.execute(_ARCHIVED)}
    return [
        (run_id, name, (connection_id, name, bytes.fromhex(digest)) in archived)
        for run_id, connection_id, name, digest in db.execute(_APPLIED, {"since": since})
    ]


def _to_shown(account: Mapping[str, Any], provider: Provider) -> ShownAccount:
    first_day = account.get("first_day")
    return ShownAccount(
        name=account["name"],
        is_listed=bool(account["listed"]),
        booked=_decimal(account["booked"]),
        available=_decimal(account["available"]),
        first_day=None if first_day is None else date.fromisoformat(first_day),
        currency=account["currency"] or account["unofficial_currency"],
        rows={row.entry_id: row for row in _rows(account["transactions"], provider)},
    )


def _rows(
    told: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]], provider: Provider
) -> list[ShownRow]:
    rows = told.values() if isinstance(told, Mapping) else told
    read = _from_plaid if provider is Provider.PLAID else _from_neutral
    return [read(row) for row in rows]


def _from_plaid(row: Mapping[str, Any]) -> ShownRow:
    """Read a row in Plaid's words: positive is money out."""
    return ShownRow(
        entry_id=row["entry_id"],
        external_id=row["transaction_id"],
        amount=_plain(-Decimal(row["amount"])),
        currency=row["iso_currency_code"] or row["unofficial_currency_code"],
        is_pending=row["pending"],
        day=date.fromisoformat(row["authorized_date"] if row["pending"] else row["date"]),
        description=row["name"],
    )


def _from_neutral(row: Mapping[str, Any]) -> ShownRow:
    return ShownRow(
        entry_id=row["entry_id"],
        external_id=row["external_id"],
        amount=_plain(Decimal(row["amount"])),
        currency=row["currency"] or row["unofficial_currency"],
        is_pending=row["pending"],
        day=date.fromisoformat(row["day"]),
        description=row["description"],
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else _plain(Decimal(text))


def _plain(amount: Decimal) -> Decimal:
    """Return the amount with one spelling of zero."""
    return amount or Decimal(0)


_ROWS: Final = sa.text(
    "SELECT t.transaction_id::text AS id, t.account_id::text, t.provider, "
    "a.external_id AS account, t.external_id, t.amount, "
    "coalesce(t.currency, t.unofficial_currency) AS currency, t.status, "
    "coalesce(t.booking_date, t.transaction_date, t.value_date) AS day, t.description, "
    "coalesce(t.cleaned_description, t.description) AS text "
    "FROM analytics.transactions t JOIN bank.accounts a ON a.id = t.account_id "
    "WHERE t.connection_id = :connection_id ORDER BY t.transaction_id"
)
_COVERED: Final = sa.text(
    "SELECT v.account_id::text, v.first_day, v.last_day FROM bank.account_coverage v "
    "JOIN bank.accounts a ON a.id = v.account_id WHERE a.connection_id = :connection_id "
    "ORDER BY v.first_day"
)
_ACCOUNTS: Final = sa.text(
    "SELECT account_id::text, external_id, booked_balance, available_balance, closed_at, "
    "coalesce(currency, unofficial_currency) AS currency "
    "FROM analytics.accounts WHERE connection_id = :connection_id ORDER BY account_id"
)
_SET_ASIDE: Final = sa.text(
    "SELECT external_id, account_external_id, reason FROM bank.quarantine "
    "WHERE connection_id = :connection_id AND resolved_at IS NULL ORDER BY id"
)
_REPEATED: Final = sa.text(
    "SELECT DISTINCT account_id::text FROM ("
    "SELECT account_id, ROW(amount, kind, is_credit_limit_included) AS told, "
    "lag(ROW(amount, kind, is_credit_limit_included)) OVER ("
    "PARTITION BY account_id, provider_type, coalesce(currency, unofficial_currency, '') "
    "ORDER BY observed_at, id) AS before FROM bank.balances"
    ") AS snapshots WHERE told IS NOT DISTINCT FROM before ORDER BY 1"
)
_ARCHIVED: Final = sa.text("SELECT connection_id::text, operation, digest FROM bank.raw_payloads")
_APPLIED: Final = sa.text(
    "SELECT r.id::text, r.connection_id::text, answer ->> 0, answer ->> 1 "
    "FROM bank.sync_runs r, jsonb_array_elements(r.lineage -> 'readings') AS reading, "
    "jsonb_array_elements(reading -> 'answers') AS answer WHERE r.started_at >= :since "
    "ORDER BY r.started_at, r.id"
)
