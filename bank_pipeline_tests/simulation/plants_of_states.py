"""Defects of limits, states, accounts and balances: each function breaks one thing."""

# ruff: noqa: SLF001 - a defect is planted in the midst of things

import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain import transitions
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.balance_choice import _Chooser
from bank_pipeline.domain.circuit import after_refusal
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.quota import next_call_at
from bank_pipeline.domain.transitions import FailureKind
from bank_pipeline.providers.answers import keep_nothing
from bank_pipeline.providers.plaid import client as plaid_client
from bank_pipeline.storage import accounts, connections
from bank_pipeline.storage.accounts import save_accounts
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.sync import circuit, connection, failures
from bank_pipeline.sync.recognise import recognise
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.simulation.planting import (
    always,
    everywhere,
    with_answer,
)

Patch = pytest.MonkeyPatch
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
LONG_AGO: Final = date(2000, 1, 1)
DAY: Final = timedelta(days=1)

# Limits.


def own_count_ignored(patch: Patch) -> None:
    everywhere(patch, next_call_at, lambda *_, now, **__: now)


def quota_header_ignored(patch: Patch) -> None:
    def count(past: Any, allowance: Any, **named: Any) -> Any:
        return next_call_at([replace(one, calls_left=None) for one in past], allowance, **named)

    everywhere(patch, next_call_at, count)


def schedule_takes_all(patch: Patch) -> None:
    def spend(past: Any, allowance: Any, **named: Any) -> Any:
        return next_call_at(past, replace(allowance, scheduled_max=allowance.calls_max), **named)

    everywhere(patch, next_call_at, spend)


def paused_for_ever(patch: Patch) -> None:
    later = with_answer(after_refusal, lambda health: replace(health, next_probe_at=NEVER))
    everywhere(patch, after_refusal, later)


# States.


def _taken_for(patch: Patch, kind: FailureKind, other: FailureKind) -> None:
    kinds = tuple((error, other if known is kind else known) for error, known in failures._KINDS)
    patch.setattr(failures, "_KINDS", kinds)


def outage_taken_for_revocation(patch: Patch) -> None:
    _taken_for(patch, FailureKind.TRANSIENT, FailureKind.ACCESS_REVOKED)


def own_keys_blamed_on_customers(patch: Patch) -> None:
    _taken_for(patch, FailureKind.CONFIGURATION, FailureKind.ACCESS_REVOKED)
    everywhere(patch, circuit.open_circuit, always(None))


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


def failures_taken_for_success(patch: Patch) -> None:
    original = connections.apply_transition

    def pleased(*positional: Any, is_part: bool = False, **named: Any) -> Any:
        return original(*positional, **{**named, "is_part": is_part, "is_success": not is_part})

    everywhere(patch, original, pleased)


def stops_without_a_reason(patch: Patch) -> None:
    original = transitions.after_failure
    everywhere(patch, original, with_answer(original, lambda after: replace(after, reason=None)))


def only_daily_syncs_archived(patch: Patch) -> None:
    original = connection._fetch

    def fetch(context: Any, session: Any, started: Any, calls: Any, archive: Any) -> Any:
        is_daily = started.request.reason is SyncReason.SCHEDULE
        return original(context, session, started, calls, archive if is_daily else keep_nothing)

    patch.setattr(connection, "_fetch", fetch)


# Accounts and balances.


def available_taken_for_booked(patch: Patch) -> None:
    patch.setattr(
        _Chooser,
        "booked",
        lambda self: (one := self.available()) and replace(one, kind=BalanceKind.BOOKED),
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


def balances_carried_on(patch: Patch) -> None:
    def save(db: sa.Connection, connection: Any, *positional: Any, **named: Any) -> int:
        count = save_balances(db, connection, *positional, **named)
        db.execute(_CARRY_ON, {"id": connection.id, "now": named["now"]})
        return count

    everywhere(patch, save_balances, save)


_CARRY_ON: Final = sa.text(
    "INSERT INTO bank.balances (team_id, account_id, kind, provider_type, amount, currency, "
    "unofficial_currency, observed_at, sync_run_id) "
    "SELECT b.team_id, b.account_id, b.kind, b.provider_type, b.amount, b.currency, "
    "b.unofficial_currency, :now, b.sync_run_id FROM bank.balances b "
    "JOIN bank.balance_series s ON s.balance_id = b.id JOIN bank.accounts a ON a.id = b.account_id "
    "WHERE a.connection_id = :id AND b.observed_at < :now"
)


def only_first_account(patch: Patch) -> None:
    def first(known: Any, answer: Any) -> Any:
        return recognise(known, replace(answer, accounts=answer.accounts[:1]))

    everywhere(patch, recognise, first)


def accounts_in_dollars(patch: Patch) -> None:
    def save(db: sa.Connection, connection: Any, answered: Any, **named: Any) -> Any:
        dollars = [one.model_copy(update={"currency": "USD"}) for one in answered]
        return save_accounts(db, connection, dollars, **named)

    everywhere(patch, save_accounts, save)


def closed_accounts_stay_open(patch: Patch) -> None:
    patch.setattr(accounts, "_close", always(0))


def token_logged(patch: Patch) -> None:
    original = plaid_client.PlaidClient._call_once

    def talkative(self: Any, operation: str, send: Any, **named: Any) -> Any:
        token = named["item"].get_secret_value() if named.get("item") else None
        logging.getLogger("bank_pipeline.providers.plaid").debug("%s with %s", operation, token)
        return original(self, operation, send, **named)

    patch.setattr(plaid_client.PlaidClient, "_call_once", talkative)
