"""The lists of `/api/v1`: connections, accounts, balances, transactions, syncs, banks."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.gateway.api.models import (
    AccountPage,
    AccountRow,
    BalancePage,
    BalanceRow,
    ConnectionPage,
    ConnectionRow,
    InstitutionRow,
    SyncRunPage,
    SyncRunRow,
    TeamRow,
    TransactionPage,
    TransactionRow,
)
from bank_pipeline.gateway.api.paging import LIMIT_MAX, Cursor, Limit, answer_page
from bank_pipeline.gateway.auth import Rows
from bank_pipeline.storage.institution_search import search_institutions
from bank_pipeline.storage.reading import (
    ACCOUNTS,
    BALANCES,
    CONNECTIONS,
    SYNC_RUNS,
    TRANSACTIONS,
    TeamRows,
)
from bank_pipeline.storage.sync_runs import SyncOutcome

router = APIRouter(tags=["rows"])

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets would run
_TEXT_MAX: Final = 200
_TEXT: Final = r"^[^\x00]*$"  # Postgres keeps no NUL, and finds none
Finite = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=40)]
AccountId = Annotated[UUID | None, Query(description="Rows of this account alone.")]
OfConnection = Annotated[UUID | None, Query(description="Rows of this connection alone.")]


@router.get("/team")
def read_team(rows: Rows) -> TeamRow:
    """Whose key this is."""
    return TeamRow(team_id=UUID(rows.team_id), name=rows.team_name())


@router.get("/connections", response_model=ConnectionPage)
def list_connections(
    rows: Rows,
    status: ConnectionStatus | None = None,
    provider: Provider | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List the connections, in the order in which they were made."""
    given = {"status": status, "provider": provider}
    return answer_page(rows, CONNECTIONS, ConnectionRow, limit=limit, cursor=cursor, given=given)


@router.get("/connections/{connection_id}")
def read_connection(rows: Rows, connection_id: UUID) -> ConnectionRow:
    """Read one connection."""
    return ConnectionRow.model_validate(rows.one(CONNECTIONS, str(connection_id)))


@router.get("/accounts", response_model=AccountPage)
def list_accounts(
    rows: Rows,
    connection_id: OfConnection = None,
    type: AccountType | None = None,  # noqa: A002 - the field's name
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List the accounts with their balances, closed ones too."""
    given = {"connection_id": _text(connection_id), "type": type}
    return answer_page(rows, ACCOUNTS, AccountRow, limit=limit, cursor=cursor, given=given)


@router.get("/accounts/{account_id}")
def read_account(rows: Rows, account_id: UUID) -> AccountRow:
    """Read one account."""
    return AccountRow.model_validate(rows.one(ACCOUNTS, str(account_id)))


@router.get("/balances", response_model=BalancePage)
def list_balances(
    rows: Rows,
    connection_id: OfConnection = None,
    account_id: AccountId = None,
    is_current: Annotated[bool | None, Query(description="The newest of each type.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List balances as they were observed, the newest first."""
    given = {
        "connection_id": _text(connection_id),
        "account_id": _text(account_id),
        "is_current": is_current,
    }
    return answer_page(rows, BALANCES, BalanceRow, limit=limit, cursor=cursor, given=given)


class TransactionFilter(BaseModel):
    """What transactions can be asked for by."""

    model_config = ConfigDict(extra="forbid")

    connection_id: UUID | None = Field(None, description="Rows of this connection alone.")
    account_id: UUID | None = Field(None, description="Rows of this account alone.")
    status: TransactionStatus | None = None
    since: date | None = Field(None, description="First day.")
    until: date | None = Field(None, description="Last day.")
    amount_min: Finite | None = Field(None, description="At least; debits are below 0.")
    amount_max: Finite | None = Field(None, description="At most.")
    currency: str | None = Field(None, pattern="^[A-Z]{3}$")
    updated_since: AwareDatetime | None = Field(
        None,
        description="Brought or changed by a sync that read the bank since then; its rows come "
        "when it commits: ask from an hour before your last look.",
    )
    text: str | None = Field(
        None, max_length=_TEXT_MAX, pattern=_TEXT, description="In any text of the row."
    )

    def given(self) -> dict[str, Any]:
        """Return the conditions by name."""
        values = self.model_dump(include=set(TransactionFilter.model_fields))
        return {n: _text(one) if isinstance(one, UUID) else one for n, one in values.items()}


class TransactionQuery(TransactionFilter):
    """The same, by pages."""

    limit: int = Field(100, ge=1, le=LIMIT_MAX, description="Rows of a page at most.")
    cursor: str | None = Field(None, max_length=300, description="`next` of the page before.")


@router.get("/transactions", response_model=TransactionPage)
def list_transactions(rows: Rows, asked: Annotated[TransactionQuery, Query()]) -> dict[str, Any]:
    """List booked and pending transactions, the newest first; what was removed is not there."""
    return answer_page(
        rows,
        TRANSACTIONS,
        TransactionRow,
        limit=asked.limit,
        cursor=asked.cursor,
        given=asked.given(),
    )


@router.get("/transactions.csv", response_class=StreamingResponse)
def export_transactions(
    rows: Rows, asked: Annotated[TransactionFilter, Query()]
) -> StreamingResponse:
    """
    Return all that fit as CSV, by `transaction_id`.

    UTF-8, a header, exact amounts, empty where unknown.
    """
    lines = _to_csv(rows, asked.given())
    headers = {"Content-Disposition": 'attachment; filename="transactions.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/transactions/{transaction_id}")
def read_transaction(rows: Rows, transaction_id: UUID) -> TransactionRow:
    """Read one transaction."""
    return TransactionRow.model_validate(rows.one(TRANSACTIONS, str(transaction_id)))


@router.get("/sync-runs", response_model=SyncRunPage)
def list_sync_runs(
    rows: Rows,
    connection_id: OfConnection = None,
    outcome: SyncOutcome | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List syncs, the newest first."""
    given = {"connection_id": _text(connection_id), "outcome": outcome}
    return answer_page(rows, SYNC_RUNS, SyncRunRow, limit=limit, cursor=cursor, given=given)


@router.get("/institutions")
def find_institutions(
    rows: Rows,
    text: Annotated[str, Query(max_length=_TEXT_MAX, description="Words of its name.")] = "",
    country: Annotated[str | None, Query(pattern="^[A-Z]{2}$")] = None,
    provider: Provider | None = None,
    limit: Limit = 50,
) -> list[InstitutionRow]:
    """Find banks that can be linked, the best fit first."""
    with rows.connect() as db:
        wanted = None if provider is None else [provider]
        found = search_institutions(db, text, country=country, providers=wanted, limit=limit)
    return [InstitutionRow.model_validate(one, from_attributes=True) for one in found]


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def _to_csv(rows: TeamRows, given: Mapping[str, Any]) -> Iterator[str]:
    yield ",".join(TRANSACTIONS.columns) + "\r\n"
    for chunk in rows.stream(TRANSACTIONS, given=given):
        text = io.StringIO(newline="")
        cells = ([_to_cell(row[name]) for name in TRANSACTIONS.columns] for row in chunk)
        csv.writer(text).writerows(cells)
        yield text.getvalue()


def _to_cell(value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    """Write a value as text; one of others that a spreadsheet would run is quoted by a sign."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    text = ";".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
