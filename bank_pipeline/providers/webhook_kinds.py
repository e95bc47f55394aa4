"""
What every documented webhook asks for, of every provider that sends any: one table. Pure.

A code that is not here is kept and acknowledged like those that ask for nothing. Most of
Plaid's are of products that we do not use; they are listed so that one which is new stands out.
None asks us to erase: that a consent was withdrawn stops the calls, and people decide about rows.

Source: https://plaid.com/docs/api/webhooks/ and https://teller.io/docs/api/webhooks
"""

from collections.abc import Mapping
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.base import EventKind

_PLAID: Final[Mapping[str, EventKind]] = {
    # What we are here for.
    "TRANSACTIONS/SYNC_UPDATES_AVAILABLE": EventKind.SYNC,
    "TRANSACTIONS/INITIAL_UPDATE": EventKind.SYNC,
    "TRANSACTIONS/HISTORICAL_UPDATE": EventKind.HISTORICAL_SYNC,
    "TRANSACTIONS/DEFAULT_UPDATE": EventKind.SYNC,
    "TRANSACTIONS/TRANSACTIONS_REMOVED": EventKind.SYNC,
    "ITEM/ERROR": EventKind.SYNC,  # its error may say more: `kind_of_error` of Plaid's webhooks
    "ITEM/LOGIN_REPAIRED": EventKind.REPAIRED,
    "ITEM/PENDING_EXPIRATION": EventKind.EXPIRING,
    "ITEM/PENDING_DISCONNECT": EventKind.EXPIRING,
    "ITEM/USER_PERMISSION_REVOKED": EventKind.REVOKED,
    "ITEM/USER_ACCOUNT_REVOKED": EventKind.ACCOUNT_REVOKED,
    "ITEM/NEW_ACCOUNTS_AVAILABLE": EventKind.NEW_ACCOUNTS,
    "LINK/SESSION_FINISHED": EventKind.LINK_FINISHED,
    "LINK/ITEM_ADD_RESULT": EventKind.LINK_FINISHED,
    # For the record.
    "ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED": EventKind.IGNORE,
    "LINK/EVENTS": EventKind.IGNORE,
    "TRANSACTIONS/RECURRING_TRANSACTIONS_UPDATE": EventKind.IGNORE,
    "DASHBOARD_CONFIGURED_ALERT/INSTITUTION_STATUS_ALERT_TRIGGERED": EventKind.IGNORE,
    "ISSUES/ISSUE_RESOLVED": EventKind.IGNORE,
    # Of products that we do not use.
    "ASSETS/ERROR": EventKind.IGNORE,
    "ASSETS/PRODUCT_READY": EventKind.IGNORE,
    "AUTH/AUTOMATICALLY_VERIFIED": EventKind.IGNORE,
    "AUTH/DEFAULT_UPDATE": EventKind.IGNORE,
    "AUTH/PRODUCT_PERMISSIONS_REQUIRED": EventKind.IGNORE,
    "AUTH/SMS_MICRODEPOSITS_VERIFICATION": EventKind.IGNORE,
    "AUTH/VERIFICATION_EXPIRED": EventKind.IGNORE,
    "BANK_TRANSFERS/BANK_TRANSFERS_EVENTS_UPDATE": EventKind.IGNORE,
    "BASE_REPORT/ERROR": EventKind.IGNORE,
    "BEACON/DUPLICATE_DETECTED": EventKind.IGNORE,
    "BEACON/REPORT_CREATED": EventKind.IGNORE,
    "BEACON/REPORT_SYNDICATION_CREATED": EventKind.IGNORE,
    "BEACON/REPORT_UPDATED": EventKind.IGNORE,
    "BEACON/USER_STATUS_UPDATED": EventKind.IGNORE,
    "CASH_FLOW_UPDATES/CASH_FLOW_INSIGHTS_UPDATED": EventKind.IGNORE,
    "CASH_FLOW_UPDATES/EXPECTED_DEPOSIT_MISSED": EventKind.IGNORE,
    "CASH_FLOW_UPDATES/INSIGHTS_UPDATED": EventKind.IGNORE,
    "CASH_FLOW_UPDATES/LARGE_DEPOSIT_DETECTED": EventKind.IGNORE,
    "CASH_FLOW_UPDATES/LOW_BALANCE_DETECTED": EventKind.IGNORE,
    "CASH_FLOW_UPDATES/NEW_INCOME_STREAM_DETECTED": EventKind.IGNORE,
    "CASH_FLOW_UPDATES/NEW_LOAN_PAYMENT_DETECTED": EventKind.IGNORE,
    "CASH_FLOW_UPDATES/NSF_OVERDRAFT_DETECTED": EventKind.IGNORE,
    "CHECK_REPORT/CHECK_REPORT_FAILED": EventKind.IGNORE,
    "CHECK_REPORT/CHECK_REPORT_READY": EventKind.IGNORE,
    "CHECK_REPORT/UPGRADE_FAILED": EventKind.IGNORE,
    "CHECK_REPORT/USER_CHECK_REPORT_FAILED": EventKind.IGNORE,
    "CHECK_REPORT/USER_CHECK_REPORT_READY": EventKind.IGNORE,
    "CRA_INCOME/BANK_INCOME_COMPLETE": EventKind.IGNORE,
    "CRA_INCOME/ERROR": EventKind.IGNORE,
    "CRA_INSIGHTS/PARTNER_INSIGHTS_COMPLETE": EventKind.IGNORE,
    "CRA_INSIGHTS/PARTNER_INSIGHTS_ERROR": EventKind.IGNORE,
    "ENTITY_SCREENING/STATUS_UPDATED": EventKind.IGNORE,
    "HOLDINGS/DEFAULT_UPDATE": EventKind.IGNORE,
    "IDENTITY/DEFAULT_UPDATE": EventKind.IGNORE,
    "IDENTITY/PRODUCT_PERMISSIONS_REQUIRED": EventKind.IGNORE,
    "IDENTITY_VERIFICATION/RETRIED": EventKind.IGNORE,
    "IDENTITY_VERIFICATION/STATUS_UPDATED": EventKind.IGNORE,
    "IDENTITY_VERIFICATION/STEP_UPDATED": EventKind.IGNORE,
    "INCOME/BANK_INCOME_COMPLETE": EventKind.IGNORE,
    "INCOME/BANK_INCOME_REFRESH_COMPLETE": EventKind.IGNORE,
    "INCOME/BANK_INCOME_REFRESH_UPDATE": EventKind.IGNORE,
    "INCOME/INCOME_VERIFICATION": EventKind.IGNORE,
    "INCOME/INCOME_VERIFICATION_REFRESH_RECONNECT_NEEDED": EventKind.IGNORE,
    "INCOME/INCOME_VERIFICATION_RISK_SIGNALS": EventKind.IGNORE,
    "INCOME/PRODUCT_READY": EventKind.IGNORE,
    "INVESTMENTS_TRANSACTIONS/DEFAULT_UPDATE": EventKind.IGNORE,
    "INVESTMENTS_TRANSACTIONS/HISTORICAL_UPDATE": EventKind.IGNORE,
    "LAYER/LAYER_AUTHENTICATION_PASSED": EventKind.IGNORE,
    "LIABILITIES/DEFAULT_UPDATE": EventKind.IGNORE,
    "PARTNER/END_CUSTOMER_OAUTH_STATUS_UPDATED": EventKind.IGNORE,
    "PAYMENT_INITIATION/CONSENT_STATUS_UPDATE": EventKind.IGNORE,
    "PAYMENT_INITIATION/PAYMENT_STATUS_UPDATE": EventKind.IGNORE,
    "PROCESSOR_TOKEN/WEBHOOK_UPDATE_ACKNOWLEDGED": EventKind.IGNORE,
    "PROTECT/PROTECT_USER_EVENT": EventKind.IGNORE,
    "SCREENING/STATUS_UPDATED": EventKind.IGNORE,
    "STATEMENTS/STATEMENTS_REFRESH_COMPLETE": EventKind.IGNORE,
    "TRANSFER/PLATFORM_ONBOARDING_UPDATE": EventKind.IGNORE,
    "TRANSFER/RECURRING_CANCELLED": EventKind.IGNORE,
    "TRANSFER/RECURRING_NEW_TRANSFER": EventKind.IGNORE,
    "TRANSFER/RECURRING_TRANSFER_SKIPPED": EventKind.IGNORE,
    "TRANSFER/TRANSFER_EVENTS_UPDATE": EventKind.IGNORE,
    "WALLET/WALLET_TRANSACTION_STATUS_UPDATE": EventKind.IGNORE,
}
"""By type and code together: DEFAULT_UPDATE exists under several types."""

_TELLER: Final[Mapping[str, EventKind]] = {
    "enrollment.disconnected": EventKind.NEEDS_REAUTH,  # whatever its reason: all are repaired
    "transactions.processed": EventKind.SYNC,
    "account.number_verification.processed": EventKind.IGNORE,
    "webhook.test": EventKind.IGNORE,
}

KIND_OF_CODE: Final[Mapping[Provider, Mapping[str, EventKind]]] = {
    Provider.PLAID: _PLAID,
    Provider.TELLER: _TELLER,
}


def kind_of(provider: Provider, code: str) -> EventKind:
    """Return what a code asks for; nothing, where nobody documents it."""
    return KIND_OF_CODE[provider].get(code, EventKind.IGNORE)
