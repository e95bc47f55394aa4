"""
The rows of one long update by name, in temporary tables: what each of them means for ours.

What the planner in `domain.changes` has to decide is told apart from what is plain: rows that are
stored as they are, and new ones that nothing links to a stored row. There may be millions of
them, and they never are in our memory together.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.stored import Key, day_of, unlinked_on
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.storage.copying import driver_of, without_details


class Fate(StrEnum):
    """
    What becomes of a row that an update shows.

    UNCHANGED: it is stored as it is. NEW: nothing that is stored, and nothing else in the update,
    can be the same. ORPHAN: its account is not among ours. LINKED: all others.
    """

    UNCHANGED = "unchanged"
    NEW = "new"
    ORPHAN = "orphan"
    LINKED = "linked"


class ShownRows:
    """
    The rows of one update, page by page, inside one database transaction.

    First every page is added, then `settle` is called, and `reconcile` where the update is the
    whole history; then `judge`, after which the rest may be asked for.
    """

    def __init__(self, db: sa.Connection, account_ids: Mapping[str, AccountId]) -> None:
        self._driver = driver_of(db)
        self._account_ids = account_ids
        self._execute(_CREATE)

    def add(self, number: int, delta: TransactionDelta, *, unread: Iterable[Key]) -> None:
        """Add a page by its number in the order; see `LongUpdate`."""
        with without_details(), self._driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            for transaction in delta.upserts:
                copy.write_row(self._to_shown(number, transaction))
            for kind, keys in ((_REMOVED, delta.removed), (_UNREAD, unread)):
                for account, name in keys:
                    account_id = self._account_ids.get(account)
                    copy.write_row((number, kind, account, account_id, name, *_NOTHING_KNOWN))

    def settle(self) -> None:
        """Keep the last word on each row."""
        self._execute(_SETTLE)
        self._execute("SET LOCAL enable_nestloop = off")  # a table that was just filled looks small

    def reconcile(self, accounts: Collection[str], *, unread: Collection[str]) -> None:
        """
        Take what the whole history does not show as removed; see `domain.changes.to_reconciling`.

        `accounts` are external ids of those that it covers whole.
        """
        ids = [self._account_ids[one] for one in accounts if one in self._account_ids]
        self._execute(_RECONCILE, {"accounts": ids, "unread": [*unread]})

    def judge(self) -> None:
        """Say of each row what becomes of it."""
        given = {"accounts": [*self._account_ids.values()]}
        for statement in _JUDGE:
            self._execute(statement, given)
        self._execute("SET LOCAL enable_nestloop TO DEFAULT")

    def fates(self, number: int) -> dict[Key, Fate]:
        """Return what becomes of the rows whose last word is on a page, the unchanged left out."""
        rows = self._fetch(_FATES, {"page": number})
        return {(account, name): Fate(fate) for account, name, fate in rows}

    def orphan_pages(self) -> list[int]:
        """Return the pages that have the last word on rows of accounts that are not ours."""
        return [page for (page,) in self._fetch(_ORPHAN_PAGES)]

    def count_unchanged(self) -> int:
        """Count the rows that are stored as they are."""
        [(count,)] = self._fetch(_COUNT_UNCHANGED)
        return int(count)

    def removed(self) -> frozenset[Key]:
        """Return the names of stored rows that the update took back."""
        return frozenset((account, name) for account, name in self._fetch(_REMOVED_KEYS))

    def days_of_new(self) -> DateWindow | None:
        """Return the days of rows that are neither stored nor linked to pending ones."""
        [(first, last)] = self._fetch(_DAYS_OF_NEW)
        return None if first is None else DateWindow(first=first, last=last)

    def _to_shown(self, number: int, row: Transaction) -> Sequence[Any]:
        return (
            number,
            _SHOWN,
            row.account_external_id,
            self._account_ids.get(row.account_external_id),
            row.external_id,
            row.pending_external_id,
            row.content_hash,
            row.amount,
            day_of(row),
            unlinked_on(row),
        )

    def _execute(self, statement: str, given: Mapping[str, Any] | None = None) -> None:
        with without_details(), self._driver.cursor() as cursor:
            cursor.execute(statement, given)

    def _fetch(self, query: str, given: Mapping[str, Any] | None = None) -> list[Any]:
        with without_details(), self._driver.cursor() as cursor:
            return cursor.execute(query, given).fetchall()


_SHOWN: Final = "shown"
_REMOVED: Final = "removed"
_UNREAD: Final = "unread"
_NOTHING_KNOWN: Final = (None,) * 5
_COPY: Final = """
    COPY pg_temp.shown (page, kind, account, account_id, name, pending_name, hash, amount, day,
                        unlinked_on) FROM STDIN
"""
_CREATE: Final = """
    DROP TABLE IF EXISTS pg_temp.shown, pg_temp.last_shown, pg_temp.continuable, pg_temp.fates;
    CREATE TEMPORARY TABLE shown (
        page integer, kind text, account text, account_id uuid, name text, pending_name text,
        hash bytea, amount numeric, day date, unlinked_on date
    ) ON COMMIT DROP;
"""
_SETTLE: Final = """
    CREATE TEMPORARY TABLE last_shown ON COMMIT DROP AS
        SELECT DISTINCT ON (account, name) * FROM pg_temp.shown WHERE kind <> 'unread'
        ORDER BY account, name, page DESC;
    DELETE FROM pg_temp.last_shown l USING pg_temp.shown u
        WHERE u.kind = 'unread' AND l.kind = 'removed'
        AND u.account = l.account AND u.name = l.name AND u.page > l.page;
    DROP TABLE pg_temp.shown;
    ANALYZE pg_temp.last_shown;
"""
_RECONCILE: Final = """
    INSERT INTO pg_temp.last_shown (page, kind, account, account_id, name)
    SELECT -1, 'removed', judged.account, t.account_id, t.external_id
    FROM bank.transactions t
    JOIN (
        SELECT account_id, min(account) AS account, min(day) AS oldest FROM pg_temp.last_shown
        WHERE kind = 'shown' AND account_id = ANY(%(accounts)s::uuid[]) GROUP BY account_id
    ) judged USING (account_id)
    WHERE (t.removed_at IS NULL OR t.duplicate_decision = 'drop')
      AND coalesce(t.booking_date, t.transaction_date) >= judged.oldest
      AND t.external_id <> ALL(%(unread)s::text[])
      AND NOT EXISTS (
          SELECT FROM pg_temp.last_shown l
          WHERE l.account_id = t.account_id AND l.name = t.external_id
      )
      AND NOT EXISTS (
          SELECT FROM pg_temp.last_shown l
          WHERE l.account_id = t.account_id AND l.pending_name = t.external_id
      )
"""
# Rows that an entry may go on with, by the money that it then has in common with them: those that
# ended before, and those that this update may end (see domain.payments).
_CONTINUABLE: Final = """
    CREATE TEMPORARY TABLE continuable ON COMMIT DROP AS
    SELECT DISTINCT t.account_id, coalesce(t.amount, 'NaN') AS amount
    FROM bank.transactions t
    LEFT JOIN (
        SELECT account_id, name FROM pg_temp.last_shown WHERE kind = 'removed'
        UNION SELECT account_id, pending_name FROM pg_temp.last_shown WHERE pending_name IS NOT NULL
    ) ending ON ending.account_id = t.account_id AND ending.name = t.external_id
    WHERE t.account_id = ANY(%(accounts)s::uuid[])
      AND (t.removed_at IS NOT NULL OR ending.name IS NOT NULL)
"""
# `stored` is the row of that name; `known` and `known_before` tell whether the name, and that of
# the pending row, lead to a stored row in any way; `booked` is a live row that this one is said to
# book; `named` and `naming` are other entries of this update that name the row, and that it names.
_FATES_TABLE: Final = """
    CREATE TEMPORARY TABLE fates ON COMMIT DROP AS
    SELECT l.page, l.account, l.name, l.unlinked_on, stored.name IS NOT NULL AS is_stored,
        CASE
            WHEN l.account_id IS NULL THEN 'orphan'
            WHEN named.name IS NOT NULL OR naming.name IS NOT NULL THEN 'linked'
            WHEN stored.hash = l.hash AND stored.is_live AND booked.name IS NULL THEN 'unchanged'
            WHEN stored.name IS NULL AND known.name IS NULL AND known_before.name IS NULL
                 AND continuable.account_id IS NULL THEN 'new'
            ELSE 'linked'
        END AS fate
    FROM pg_temp.last_shown l
    LEFT JOIN (
        SELECT account_id, external_id AS name, content_hash AS hash, removed_at IS NULL AS is_live
        FROM bank.transactions WHERE account_id = ANY(%(accounts)s::uuid[])
    ) stored ON stored.account_id = l.account_id AND stored.name = l.name
    LEFT JOIN (
        SELECT DISTINCT account_id, pending_external_id AS name FROM bank.transactions
        WHERE account_id = ANY(%(accounts)s::uuid[]) AND pending_external_id IS NOT NULL
    ) known ON known.account_id = l.account_id AND known.name = l.name
    LEFT JOIN (
        SELECT account_id, unnest(ARRAY[external_id, pending_external_id]) AS name
        FROM bank.transactions
        WHERE account_id = ANY(%(accounts)s::uuid[])
          AND (SELECT bool_or(pending_name IS NOT NULL) FROM pg_temp.last_shown)
        GROUP BY 1, 2
    ) known_before
        ON known_before.account_id = l.account_id AND known_before.name = l.pending_name
    LEFT JOIN (
        SELECT account_id, external_id AS name FROM bank.transactions
        WHERE account_id = ANY(%(accounts)s::uuid[]) AND removed_at IS NULL
          AND (SELECT bool_or(pending_name IS NOT NULL) FROM pg_temp.last_shown)
    ) booked
        ON booked.account_id = l.account_id
        AND booked.name = l.pending_name AND booked.name <> l.name
    LEFT JOIN (
        SELECT DISTINCT account_id, pending_name AS name FROM pg_temp.last_shown
        WHERE pending_name <> name
    ) named ON named.account_id = l.account_id AND named.name = l.name
    LEFT JOIN pg_temp.last_shown naming
        ON naming.account_id = l.account_id
        AND naming.name = l.pending_name AND naming.name <> l.name
    LEFT JOIN pg_temp.continuable
        ON continuable.account_id = l.account_id
        AND continuable.amount = coalesce(l.amount, 'NaN')
    WHERE l.kind = 'shown'
"""
_JUDGE: Final = (
    _CONTINUABLE,
    "ANALYZE pg_temp.continuable",
    _FATES_TABLE,
    "CREATE INDEX ON pg_temp.fates (page) WHERE fate <> 'unchanged'",
    "ANALYZE pg_temp.fates",
)
_FATES: Final = """
    SELECT account, name, fate FROM pg_temp.fates WHERE page = %(page)s AND fate <> 'unchanged'
"""
_ORPHAN_PAGES: Final = "SELECT DISTINCT page FROM pg_temp.fates WHERE fate = 'orphan' ORDER BY page"
_COUNT_UNCHANGED: Final = "SELECT count(*) FROM pg_temp.fates WHERE fate = 'unchanged'"
_REMOVED_KEYS: Final = """
    SELECT l.account, l.name FROM pg_temp.last_shown l
    JOIN bank.transactions t ON t.account_id = l.account_id AND t.external_id = l.name
    WHERE l.kind = 'removed'
"""
_DAYS_OF_NEW: Final = """
    SELECT min(unlinked_on), max(unlinked_on) FROM pg_temp.fates
    WHERE NOT is_stored AND fate <> 'orphan'
"""
