"""
What programs read over HTTP: pages of one team's rows, out of the views that analysts use.

Every statement is bound to a team, and so is the session that runs it: rows of others are as if
they were not there, even to a statement that forgot. A page goes on
after the last row of the one before (keyset), so that rows which come meanwhile shift nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.connections import load_team_name
from bank_pipeline.storage.sight import seen_by_team

CSV_CHUNK: Final = 2_000


@dataclass(frozen=True)
class Listing:
    """
    What can be listed: a view, its columns, its key and the order of its pages.

    `order` ends with the key; `descending` says that the newest come first. `filters` are
    conditions by the name of their parameter.
    """

    view: str
    columns: tuple[str, ...]
    order: tuple[tuple[str, str], ...]
    descending: bool
    filters: Mapping[str, str]


@dataclass(frozen=True)
class PageOfRows:
    """Some rows, and the values after which the next page begins; None at the end."""

    rows: Sequence[Mapping[str, Any]]
    after: tuple[Any, ...] | None


@dataclass(frozen=True)
class TeamRows:
    """The rows of one team, and no others."""

    engine: sa.Engine
    team_id: TeamId

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Read in a transaction that sees these rows alone, whatever a statement asks for."""
        with seen_by_team(self.engine, self.team_id) as db:
            yield db

    def team_name(self) -> str:
        """Load what the team is called."""
        with self.connect() as db:
            return load_team_name(db, self.team_id)

    def page(
        self,
        listing: Listing,
        *,
        limit: int,
        after: Sequence[Any] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> PageOfRows:
        """
        Load at most `limit` rows that fit what is given.

        Raises:
            ValueError: `after` is no place in this listing.
        """
        known = _known(given or {})
        statement = _to_statement(listing, known, goes_on=after is not None)
        parameters = {"team_id": self.team_id, "limit": limit + 1, **known}
        if after is not None:
            parameters |= {f"after_{number}": value for number, value in enumerate(after)}
        with self.connect() as db:
            try:
                found = db.execute(sa.text(statement), parameters)
            except (sa.exc.DataError, sa.exc.ProgrammingError):
                if after is None:
                    raise  # no word of the caller's can be the reason
                raise ValueError("no place in this listing") from None
            rows = [dict(row) for row in found.mappings()]
        if len(rows) <= limit:
            return PageOfRows(rows, None)
        last = rows[limit - 1]
        return PageOfRows(rows[:limit], tuple(last[name] for name, _ in listing.order))

    def one(self, listing: Listing, key: str) -> Mapping[str, Any]:
        """
        Load one row by its key.

        Raises:
            NotFoundError: the team has none of this key, whether or not another has.
        """
        found = self.page(listing, limit=1, given={"key": key}).rows
        if not found:
            raise NotFoundError("there is no such thing")
        return found[0]

    def stream(
        self, listing: Listing, *, given: Mapping[str, Any]
    ) -> Iterator[Sequence[Mapping[str, Any]]]:
        """
        Load all rows that fit, some thousands at a time, so that memory stays bounded.

        By their key, which never changes: a day that moves would move a row past where we are.
        Between two ends an index finds the rows; without, each page would sort all that is left.
        No row depends on the ends: what came meanwhile makes more pages before the next one.
        """
        by_key = replace(listing, order=listing.order[-1:], descending=False)
        after: tuple[Any, ...] | None = None
        for end in [*self._ends(by_key, given), None]:
            while True:
                up_to = {**given, "key_end": end}
                page = self.page(by_key, limit=CSV_CHUNK, after=after, given=up_to)
                yield page.rows
                if page.after is None:
                    break
                after = page.after
            after = (end,)

    def _ends(self, by_key: Listing, given: Mapping[str, Any]) -> Sequence[Any]:
        """Load the last keys of all pages that are full just now."""
        known = _known(given)
        parameters = {"team_id": self.team_id, "size": CSV_CHUNK, **known}
        with self.connect() as db:
            return db.scalars(sa.text(_to_ends(by_key, known)), parameters).all()


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _to_ends(by_key: Listing, given: Mapping[str, Any]) -> str:
    [(key, _)] = by_key.order
    # S608: as below.
    return (
        f"SELECT {key} FROM (SELECT {key}, row_number() OVER (ORDER BY {key}) AS place "  # noqa: S608
        f"FROM analytics.{by_key.view} WHERE {' AND '.join(_conditions(by_key, given))}) numbered "
        f"WHERE place % :size = 0 ORDER BY {key}"
    )


def _to_statement(listing: Listing, given: Mapping[str, Any], *, goes_on: bool) -> str:
    conditions = _conditions(listing, given)
    if goes_on:
        conditions.append(_beyond(listing))
    way = "DESC" if listing.descending else "ASC"
    order = ", ".join(f"{_sorted_as(name, kind)} {way}" for name, kind in listing.order)
    # S608: names are ours alone; what a program gives is bound as a parameter.
    return (
        f"SELECT {', '.join(listing.columns)} FROM analytics.{listing.view} "  # noqa: S608
        f"WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT :limit"
    )


def _conditions(listing: Listing, given: Mapping[str, Any]) -> list[str]:
    key, kind = listing.order[-1]
    filters = {
        "key": f"{key} = CAST(:key AS {kind})",
        "key_end": f"{key} <= CAST(:key_end AS {kind})",
        **listing.filters,
    }
    return ["team_id = CAST(:team_id AS uuid)", *(filters[name] for name in given)]


def _beyond(listing: Listing) -> str:
    columns = ", ".join(_sorted_as(name, kind) for name, kind in listing.order)
    values = ", ".join(
        _sorted_as(f"CAST(:after_{number} AS {kind})", kind)
        for number, (_, kind) in enumerate(listing.order)
    )
    return f"({columns}) {'<' if listing.descending else '>'} ({values})"


def _sorted_as(expression: str, kind: str) -> str:
    """Give unknown values a place: the comparison of rows knows no NULL."""
    nowhere = {"date": "date '-infinity'", "timestamptz": "timestamptz '-infinity'"}
    return f"coalesce({expression}, {nowhere[kind]})" if kind in nowhere else expression


_BY_CONNECTION: Final = "connection_id = CAST(:connection_id AS uuid)"
_BY_ACCOUNT: Final = "account_id = CAST(:account_id AS uuid)"

CONNECTIONS: Final = Listing(
    "connections",
    (
        "connection_id", "provider", "institution_name", "status", "status_reason",
        "status_since", "history_stage", "consent_expires_at", "last_success_at",
        "next_attempt_at", "next_step", "created_at",
    ),
    (("created_at", "timestamptz"), ("connection_id", "uuid")),
    descending=False,
    filters={"status": "status = :status", "provider": "provider = :provider"},
)  # fmt: skip
ACCOUNTS: Final = Listing(
    "accounts",
    (
        "account_id", "connection_id", "provider", "institution_name", "connection_status",
        "name", "official_name", "type", "currency", "unofficial_currency", "booked_balance",
        "booked_balance_currency", "booked_balance_unofficial_currency", "booked_balance_as_of",
        "available_balance", "available_balance_currency",
        "available_balance_unofficial_currency", "available_balance_as_of", "credit_limit",
        "credit_limit_currency", "credit_limit_unofficial_currency",
        "is_booked_balance_current", "is_available_balance_current",
        "is_credit_limit_in_available", "created_at", "updated_at", "closed_at", "excluded_at",
    ),
    (("created_at", "timestamptz"), ("account_id", "uuid")),
    descending=False,
    filters={"connection_id": _BY_CONNECTION, "type": "type = :type"},
)  # fmt: skip
BALANCES: Final = Listing(
    "balances",
    (
        "balance_id", "connection_id", "account_id", "kind", "provider_type", "amount",
        "currency", "unofficial_currency", "as_of", "as_of_date", "is_credit_limit_included",
        "observed_at", "is_current",
    ),
    (("observed_at", "timestamptz"), ("balance_id", "bigint")),
    descending=True,
    filters={
        "connection_id": _BY_CONNECTION,
        "account_id": _BY_ACCOUNT,
        "is_current": "is_current = :is_current",
    },
)  # fmt: skip
TRANSACTIONS: Final = Listing(
    "transactions",
    (
        "transaction_id", "connection_id", "account_id", "status", "date", "amount", "currency",
        "unofficial_currency", "booking_date", "value_date", "transaction_date", "description",
        "cleaned_description", "counterparty_name", "merchant_name", "merchant_category_code",
        "payment_method", "reference", "category", "source_amount", "source_currency",
        "exchange_rate", "running_balance", "note", "tags", "is_hidden",
        "suspected_duplicate_of", "created_at", "updated_at",
    ),
    (("date", "date"), ("transaction_id", "uuid")),
    descending=True,
    filters={
        "connection_id": _BY_CONNECTION,
        "account_id": _BY_ACCOUNT,
        "status": "status = :status",
        "since": "date >= CAST(:since AS date)",
        "until": "date <= CAST(:until AS date)",
        "amount_min": "amount >= CAST(:amount_min AS numeric)",
        "amount_max": "amount <= CAST(:amount_max AS numeric)",
        "currency": "currency = :currency",
        "updated_since": "updated_at >= CAST(:updated_since AS timestamptz)",
        "text": "strpos(lower(concat_ws(' ', description, cleaned_description, "
        "counterparty_name, merchant_name, reference, note)), lower(:text)) > 0",
    },
)  # fmt: skip
SYNC_RUNS: Final = Listing(
    "sync_runs",
    (
        "sync_run_id", "connection_id", "reason", "started_at", "ended_at", "outcome",
        "error_class", "error_code", "counts", "next_attempt_at",
    ),
    (("started_at", "timestamptz"), ("sync_run_id", "uuid")),
    descending=True,
    filters={"connection_id": _BY_CONNECTION, "outcome": "outcome = :outcome"},
)  # fmt: skip
