"""Defects of rows, windows, order and crashes: each function breaks one thing in the code."""

# ruff: noqa: SLF001 - a defect is planted in the midst of things

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain import changes, identity, looks, matching, payments, window
from bank_pipeline.domain.moving import match_moved
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.enable_banking import transform as enable_banking
from bank_pipeline.providers.gocardless import transform as gocardless
from bank_pipeline.providers.plaid import transform as plaid
from bank_pipeline.providers.rows import read_row
from bank_pipeline.providers.teller import transform as teller
from bank_pipeline.storage import transaction_writes
from bank_pipeline.storage.coverage import save_coverage
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.rows import BANK_COLUMNS, to_values
from bank_pipeline.storage.sync_runs import finish_sync_run
from bank_pipeline.sync import apply, fetch
from bank_pipeline.sync.prune import prune
from bank_pipeline_tests.simulation.planting import (
    always,
    everywhere,
    other_row,
    with_answer,
    with_other,
)

Patch = pytest.MonkeyPatch
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
LONG_AGO: Final = date(2000, 1, 1)
DAY: Final = timedelta(days=1)

# Windows and coverage.


def overlap_of_none(patch: Patch) -> None:
    everywhere(patch, window.plan_window, with_other(window.plan_window, overlap_days=0))


def window_of_five_days(patch: Patch) -> None:
    def five_days(*_: Any, today: date, **__: Any) -> DateWindow:
        return DateWindow(first=today - 5 * DAY, last=today)

    everywhere(patch, window.plan_window, five_days)


def coverage_never_grows(patch: Patch) -> None:
    def save(db: sa.Connection, stored: Any, covered: Any, **named: Any) -> Any:
        new = {id_: one for id_, one in covered.items() if not stored.get(id_)}
        return save_coverage(db, stored, new, **named)

    everywhere(patch, save_coverage, save)


def gaps_papered_over(patch: Patch) -> None:
    def one_range(windows: Any) -> tuple[DateWindow, ...]:
        known = [*windows]
        if not known:
            return ()
        first, last = min(one.first for one in known), max(one.last for one in known)
        return (DateWindow(first=first, last=last),)

    everywhere(patch, window.merged, one_range)


def old_history_pruned(patch: Patch) -> None:
    def forgetful(context: Any, **named: Any) -> Any:
        bound = {"day": context.clock().date() - 5 * DAY, "now": context.clock()}
        with context.engine.begin() as db:
            db.execute(_FORGET_ROWS, bound)
            db.execute(_FORGET_DAYS, bound)
        return prune(context, **named)

    everywhere(patch, prune, forgetful)


_FORGET_ROWS: Final = sa.text(
    "UPDATE bank.transactions SET removed_at = :now WHERE booking_date < :day"
)
_FORGET_DAYS: Final = sa.text(
    "UPDATE bank.account_coverage SET first_day = :day WHERE first_day < :day AND last_day >= :day"
)

# Identity.


def occurrence_ignored(patch: Patch) -> None:
    class Blind(identity.Counter):  # type: ignore[name-defined,misc]
        def __getitem__(self, _: str) -> int:
            return 1

    patch.setattr(identity, "Counter", Blind)


def repeated_ids_trusted(patch: Patch) -> None:
    patch.setattr(identity, "_distrusted", always(frozenset()))


def moved_ids_trusted(patch: Patch) -> None:
    def trusted(shown: Sequence[Transaction], *_: Any, **__: Any) -> matching.Matched:
        return matching.Matched(tuple(shown), {})

    everywhere(patch, matching.match_rows, trusted)


def moved_rows_by_exact_date(patch: Patch) -> None:
    everywhere(patch, match_moved, with_other(match_moved, slack=timedelta(0)))


# What transforms say.


def plaid_sign_kept(patch: Patch) -> None:
    def flip(row: Transaction) -> Transaction:
        return other_row({"amount": -row.amount if row.amount else row.amount})(row)  # type: ignore[no-any-return]

    everywhere(patch, plaid.to_transaction, with_answer(plaid.to_transaction, flip))


def purchases_unreadable(patch: Patch) -> None:
    def picky(model: Any, raw: Any, **named: Any) -> Any:
        is_purchase = str(raw.get("amount", "")).startswith("-")
        return read_row(model, {"id": raw["id"]} if is_purchase else raw, **named)

    everywhere(patch, read_row, picky)


def card_sign_kept(patch: Patch) -> None:
    patch.setattr(teller, "_to_ours", lambda amount, _: amount)


def indicator_ignored(patch: Patch) -> None:
    patch.setattr(enable_banking, "_signed", lambda _, amount: abs(amount))


def everything_booked(patch: Patch) -> None:
    patch.setattr(enable_banking, "_to_status", always(TransactionStatus.BOOKED))


def dollars_assumed(patch: Patch) -> None:
    change = other_row({"currency": "USD", "unofficial_currency": None})
    everywhere(patch, plaid.to_transaction, with_answer(plaid.to_transaction, change))


def text_cut(patch: Patch) -> None:
    patch.setattr(gocardless, "to_description", lambda *_: "payment")


def pending_link_dropped(patch: Patch) -> None:
    change = other_row({"pending_external_id": None})
    everywhere(patch, plaid.to_transaction, with_answer(plaid.to_transaction, change))


def dates_in_another_zone(patch: Patch) -> None:
    place = BANK_COLUMNS.index("booking_date")

    def shifted(row: Transaction) -> Any:
        values = [*to_values(row)]
        values[place] = values[place] - DAY if values[place] else None
        return tuple(values)

    everywhere(patch, to_values, shifted)


# What becomes of rows.


def content_always_equal(patch: Patch) -> None:
    patch.setattr(Transaction, "content_hash", property(lambda _: bytes(16)))


def amounts_never_corrected(patch: Patch) -> None:
    columns = tuple(one for one in transaction_writes._UPDATED_COLUMNS if one != "amount")
    patch.setattr(transaction_writes, "_UPDATED_COLUMNS", columns)
    patch.setattr(transaction_writes, "_UPDATE", transaction_writes._build_update())


def removals_of_feed_ignored(patch: Patch) -> None:
    def deaf(stored: Any, delta: Any, **named: Any) -> Any:
        return changes.plan_changes(
            stored, delta.model_copy(update={"removed": frozenset()}), **named
        )

    patch.setattr("bank_pipeline.sync.update.plan_changes", deaf)


def nothing_ever_missing(patch: Patch) -> None:
    everywhere(patch, changes.missing_keys, always(frozenset()))


def missing_beyond_the_window(patch: Patch) -> None:
    def judge_all(stored: Any, shown: Any, *, covered: DateWindow, **named: Any) -> Any:
        whole = DateWindow(first=LONG_AGO, last=covered.last)
        return changes.missing_keys(stored, shown, covered=whole, **named)

    loaded = looks.Look.days.fget  # type: ignore[attr-defined]
    patch.setattr(
        looks.Look,
        "days",
        property(lambda look: DateWindow(first=LONG_AGO, last=loaded(look).last)),
    )
    patch.setattr(looks, "missing_keys", judge_all)


def restored_rows_stay_away(patch: Patch) -> None:
    original = transaction_writes._Writer.update

    def update(self: Any, updates: Any) -> Any:
        ids = {"ids": [one.id for one in updates]}
        gone = {
            row.id: row.removed_at
            for row in self._db.execute(
                sa.text(
                    "SELECT id::text, removed_at FROM bank.transactions "
                    "WHERE removed_at IS NOT NULL AND id = ANY(CAST(:ids AS uuid[]))"
                ),
                ids,
            )
        }
        count = original(self, updates)
        for id_, at in gone.items():
            self._db.execute(
                sa.text("UPDATE bank.transactions SET removed_at = :at WHERE id = :id"),
                {"id": id_, "at": at},
            )
        return count

    patch.setattr(transaction_writes._Writer, "update", update)


def payments_not_continued(patch: Patch) -> None:
    everywhere(patch, payments.match_payments, always({}))


def notes_lost_with_updates(patch: Patch) -> None:
    original = transaction_writes._Writer.update

    def update(self: Any, updates: Any) -> Any:
        count = original(self, updates)
        self._db.execute(
            sa.text(
                "DELETE FROM bank.transaction_annotations "
                "WHERE transaction_id = ANY(CAST(:ids AS uuid[]))"
            ),
            {"ids": [one.id for one in updates]},
        )
        return count

    patch.setattr(transaction_writes._Writer, "update", update)


# Order, crashes, and two at once.


def cursor_before_rows(patch: Patch) -> None:
    def early(engine: sa.Engine, started: Any, fetched: Any, **named: Any) -> Any:
        changed = fetched.changes
        if changed is not None and changed.cursor_after is not None:
            moved = {"cursor": changed.cursor_after, "id": started.connection.id}
            with engine.begin() as db:
                db.execute(
                    sa.text("UPDATE bank.connections SET cursor = :cursor WHERE id = :id"), moved
                )
            connection = started.connection.model_copy(update={"cursor": changed.cursor_after})
            started = replace(started, connection=connection)
        return apply.apply_fetched(engine, started, fetched, **named)

    patch.setattr("bank_pipeline.sync.connection.apply_fetched", early)


def replay_not_reconciled(patch: Patch) -> None:
    patch.setattr(
        fetch,
        "_fetch_changes",
        with_answer(fetch._fetch_changes, lambda told: (told[0], False, told[2])),
    )


def lock_removed(patch: Patch) -> None:
    @contextmanager
    def open_to_all(engine: sa.Engine, _: Any) -> Iterator[sa.Connection]:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            yield session

    everywhere(patch, connection_lock, open_to_all)


def runs_left_open(patch: Patch) -> None:
    everywhere(patch, finish_sync_run, always(None))
