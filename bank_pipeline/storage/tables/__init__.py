"""
The schema `bank` on a few pages: what each table holds and what keeps it true.

Conventions: ids are UUIDv7; times are timestamptz in UTC; dates are the bank's; amounts are
numeric without a scale, signed from the account holder; unknown is NULL. Enumerations are
text with a check, so that a new value is a migration of one line. Migrations build the real
tables; a test compares them with this page.
"""

from bank_pipeline.storage.tables.access import analysts, api_keys
from bank_pipeline.storage.tables.audit import audit_log, audit_seals, erasures
from bank_pipeline.storage.tables.balances import (
    balance_checkpoints,
    balance_checks,
    balance_rules,
    balance_series,
    chosen_balances,
)
from bank_pipeline.storage.tables.base import NOBODYS, metadata
from bank_pipeline.storage.tables.connections import (
    connection_events,
    connections,
    credentials,
    institutions,
    link_sessions,
    teams,
)
from bank_pipeline.storage.tables.consents import (
    account_questions,
    consents_to_end,
    next_consents,
)
from bank_pipeline.storage.tables.keys import data_keys, encryption_keys
from bank_pipeline.storage.tables.money import (
    account_coverage,
    accounts,
    balances,
    transaction_annotations,
    transaction_revisions,
    transactions,
)
from bank_pipeline.storage.tables.notices import (
    notification_preferences,
    notification_targets,
    notifications,
    operator_faults,
)
from bank_pipeline.storage.tables.work import (
    provider_calls,
    provider_health,
    quarantine,
    rate_limits,
    raw_payloads,
    sync_runs,
    webhook_events,
    webhook_refusals,
)

__all__ = [
    "NOBODYS",
    "account_coverage",
    "account_questions",
    "accounts",
    "analysts",
    "api_keys",
    "audit_log",
    "audit_seals",
    "balance_checkpoints",
    "balance_checks",
    "balance_rules",
    "balance_series",
    "balances",
    "chosen_balances",
    "connection_events",
    "connections",
    "consents_to_end",
    "credentials",
    "data_keys",
    "encryption_keys",
    "erasures",
    "institutions",
    "link_sessions",
    "metadata",
    "next_consents",
    "notification_preferences",
    "notification_targets",
    "notifications",
    "operator_faults",
    "provider_calls",
    "provider_health",
    "quarantine",
    "rate_limits",
    "raw_payloads",
    "sync_runs",
    "teams",
    "transaction_annotations",
    "transaction_revisions",
    "transactions",
    "webhook_events",
    "webhook_refusals",
]
