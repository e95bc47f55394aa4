"""The defects themselves: each function breaks one thing in the code that runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain import changes, identity, looks, matching, payments, transitions, window
from bank_pipeline.domain.account_matching import match_accounts
from bank_pipeline.domain.balance_choice import _Chooser
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.moving import find_moved
from bank_pipeline.domain.quota import next_call_at
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.transitions import FailureKind
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.enable_banking import transform as enable_banking
from bank_pipeline.providers.gocardless import transform as gocardless
from bank_pipeline.providers.plaid import client as plaid_client
from bank_pipeline.providers.plaid import transform as plaid
from bank_pipeline.providers.teller import transform as teller
from bank_pipeline.storage import transaction_writes
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.coverage import load_coverage, save_coverage
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.rows import BANK_COLUMNS, to_values
from bank_pipeline.storage.sync_runs import finish_sync_run
from bank_pipeline.sync import apply, circuit, failures, fetch, quota
from bank_pipeline.sync.recognise import recognise
from bank_pipeline_tests.simulation.planting import always, everywhere, other_row, with_answer, with_other

Patch = pytest.MonkeyPatch
LONG_AGO: Final = date(2000, 1, 1)
DAY: Final = timedelta(days=1)

# Windows and coverage.


def overlap_of_none(patch: Patch) -> None:
    everywhere(patch, window.plan_window, with_other(window.plan_window, overlap_days=0))


def window_of_five_days(patch: Patch) -> None:
    def five_days(*_: Any, today: date, **__: Any) -> DateWindow:
        return DateWindow(first=today - 5 * DAY, last=today)

    everywhere(patch, window.plan_window, five_days)


def history_of_thirty_days(patch: Patch) -> None:
    everywhere(patch, window.first_window, with_other(window.first_window, days=30))


def coverage_never_grows(patch: Patch) -> None:
    def save(db: sa.Connection, account_id: Any, covered: DateWindow, **named: Any) -> None:
        if not load_coverage(db, [account_id]):
            save_coverage(db, account_id, covered, **named)

    everywhere(patch, save_coverage, save)


def gaps_papered_over(patch: Patch) -> None:
    def one_range(windows: Any) -> tuple[DateWindow, ...]:
        known = [*windows]
        if not known:
            return ()
        first, last = min(one.first for one in known), max(one.last for one in known)
        return (DateWindow(first=first, last=last),)

    everywhere(patch, window.merged, one_range)


def only_first_page(patch: Patch) -> None:
    from bank_pipeline.providers.enable_banking import schemas

    original = schemas.EbTransactionsPage.model_validate_json
    del original
    patch.setattr(
        "bank_pipeline.providers.enable_banking.schemas.EbTransactionsPage.model_post_init",
        lambda self, _: self.__dict__.__setitem__("continuation_key", None),
        raising=False,
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
    def trusted(shown: Sequence[Transaction], *_: Any) -> matching.Matched:
        return matching.Matched(tuple(shown), {})

    everywhere(patch, matching.match_rows, trusted)


def moved_accounts_forgotten(patch: Patch) -> None:
    everywhere(patch, find_moved, always({}))


def accounts_not_recognised(patch: Patch) -> None:
    def strangers(known: Any, fresh: Any, **named: Any) -> Any:
        return match_accounts([], fresh, **named)

    everywhere(patch, match_accounts, strangers)


# What transforms say.


def plaid_sign_kept(patch: Patch) -> None:
    def flip(row: Transaction) -> Transaction:
        return other_row({"amount": -row.amount if row.amount else row.amount})(row)  # type: ignore[no-any-return]

    everywhere(patch, plaid.to_transaction, with_answer(plaid.to_transaction, flip))


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
        return changes.plan_changes(stored, delta.model_copy(update={"removed": frozenset()}), **named)

    patch.setattr("bank_pipeline.sync.update.plan_changes", deaf)


def nothing_ever_missing(patch: Patch) -> None:
    everywhere(patch, changes.missing_keys, always(frozenset()))


def missing_beyond_the_window(patch: Patch) -> None:
    def judge_all(stored: Any, shown: Any, *, covered: DateWindow, **named: Any) -> Any:
        whole = DateWindow(first=LONG_AGO, last=covered.last)
        return changes.missing_keys(stored, shown, covered=whole, **named)

    loaded = looks.Look.days.fget  # type: ignore[attr-defined]
    patch.setattr(
        looks.Look, "days", property(lambda look: DateWindow(first=LONG_AGO, last=loaded(look).last))
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


def pending_rows_shown_again(patch: Patch) -> None:
    patch.setattr(changes._Rows, "is_superseded", always(False))


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
                db.execute(sa.text("UPDATE bank.connections SET cursor = :cursor WHERE id = :id"), moved)
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


def mutation_ignored(patch: Patch) -> None:
    original = plaid_client.PlaidClient._read_feed

    def read(self: Any, token: Any, *, cursor: Any, loop: Any) -> Any:
        del original
        return ()

    patch.setattr(plaid_client.PlaidClient, "_read_feed", read)


def lock_removed(patch: Patch) -> None:
    @contextmanager
    def open_to_all(engine: sa.Engine, _: Any) -> Iterator[sa.Connection]:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            yield session

    everywhere(patch, connection_lock, open_to_all)


def runs_left_open(patch: Patch) -> None:
    everywhere(patch, finish_sync_run, always(None))


# Limits.


def own_count_ignored(patch: Patch) -> None:
    everywhere(patch, next_call_at, lambda *_, now, **__: now)


def quota_header_ignored(patch: Patch) -> None:
    original = quota.CallBook.end

    def end(self: Any, ticket: Any, ended: Any) -> None:
        original(self, ticket, replace(ended, facts=replace(ended.facts, quota=None)))

    patch.setattr(quota.CallBook, "end", end)


# States.


def _taken_for(patch: Patch, kind: FailureKind, other: FailureKind) -> None:
    kinds = tuple((error, other if known is kind else known) for error, known in failures._KINDS)
    patch.setattr(failures, "_KINDS", kinds)


def outage_taken_for_revocation(patch: Patch) -> None:
    _taken_for(patch, FailureKind.TRANSIENT, FailureKind.ACCESS_REVOKED)


def own_keys_blamed_on_customers(patch: Patch) -> None:
    _taken_for(patch, FailureKind.CONFIGURATION, FailureKind.ACCESS_REVOKED)
    patch.setattr(circuit, "_open", always(None))


def expiry_taken_for_outage(patch: Patch) -> None:
    _taken_for(patch, FailureKind.REAUTH_REQUIRED, FailureKind.TRANSIENT)


def gives_up_after_three(patch: Patch) -> None:
    original = transitions.after_failure

    def tired(*positional: Any, **named: Any) -> Any:
        after = original(*positional, **named)
        if after.error_retries <= 3:
            return after
        return replace(after, status=ConnectionStatus.DISCONNECTED, next_attempt_at=None)

    everywhere(patch, original, tired)


def no_next_try(patch: Patch) -> None:
    original = transitions.after_failure
    everywhere(
        patch, original, with_answer(original, lambda after: replace(after, next_attempt_at=None))
    )


def stops_without_a_reason(patch: Patch) -> None:
    original = transitions.after_failure
    everywhere(patch, original, with_answer(original, lambda after: replace(after, reason=None)))


# Accounts and balances.


def available_taken_for_booked(patch: Patch) -> None:
    patch.setattr(
        _Chooser,
        "booked",
        lambda self: (one := self.available()) and replace(one, kind=_BOOKED),
    )


def balances_written_once(patch: Patch) -> None:
    def save(db: sa.Connection, connection: Any, *positional: Any, **named: Any) -> int:
        known = sa.text(
            "SELECT 1 FROM bank.balances b JOIN bank.accounts a ON a.id = b.account_id "
            "WHERE a.connection_id = :id LIMIT 1"
        )
        if db.scalar(known, {"id": connection.id}):
            return 0
        return save_balances(db, connection, *positional, **named)

    everywhere(patch, save_balances, save)


def only_first_account(patch: Patch) -> None:
    def first(known: Any, answer: Any) -> Any:
        return recognise(known, replace(answer, accounts=answer.accounts[:1]))

    everywhere(patch, recognise, first)


def token_logged(patch: Patch) -> None:
    import logging

    original = plaid_client.PlaidClient._call_once

    def talkative(self: Any, operation: str, send: Any, **named: Any) -> Any:
        token = named["item"].get_secret_value() if named.get("item") else None
        logging.getLogger("bank_pipeline.providers.plaid").debug("%s with %s", operation, token)
        return original(self, operation, send, **named)

    patch.setattr(plaid_client.PlaidClient, "_call_once", talkative)


_BOOKED: Final = __import__("bank_pipeline.domain.balance", fromlist=["BalanceKind"]).BalanceKind.BOOKED
