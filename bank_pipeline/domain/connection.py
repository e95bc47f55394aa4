"""A connection: one customer's consent for one institution, through one provider. Pure."""

from datetime import date, datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from bank_pipeline.domain.ids import ConnectionId, TeamId


class Provider(StrEnum):
    """The bank-data providers."""

    PLAID = "plaid"
    GOCARDLESS = "gocardless"
    TELLER = "teller"
    ENABLE_BANKING = "enable_banking"


class ConnectionStatus(StrEnum):
    """
    Where a connection stands.

    Only a classified user-must-act error, the provider's own status or a webhook may lead
    to NEEDS_REAUTH, REVOKED or DISCONNECTED. ERROR means that the last sync failed and the
    next one is planned: calls go on.
    """

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRING = "expiring"
    NEEDS_REAUTH = "needs_reauth"
    REVOKED = "revoked"
    DISCONNECTED = "disconnected"
    ERROR = "error"

    @property
    def is_syncable(self) -> bool:
        """Say whether scheduled calls go on in this status."""
        return self in _SYNCABLE


_SYNCABLE = frozenset(
    {
        ConnectionStatus.PENDING,
        ConnectionStatus.ACTIVE,
        ConnectionStatus.EXPIRING,
        ConnectionStatus.ERROR,
    }
)
SYNCABLE: Final = tuple(status.value for status in ConnectionStatus if status.is_syncable)
"""Statuses in which scheduled calls go on, as they are stored."""


class HistoryStage(StrEnum):
    """
    How much of the history the provider has handed over so far.

    AWAITING_INITIAL: nothing yet; an empty answer in this stage is not "no transactions".
    INITIAL: the most recent part (Plaid: about 30 days). COMPLETE: all that was asked for.
    """

    AWAITING_INITIAL = "awaiting_initial"
    INITIAL = "initial"
    COMPLETE = "complete"


class Connection(BaseModel):
    """
    One customer's consent for one institution, through one provider.

    Plaid calls this an Item, GoCardless a requisition, Teller an enrollment and Enable
    Banking a session. It is also the Dagster partition: `id` is the key. The secret that
    opens it is a credential, stored apart.

    `cursor` is where a change feed stands (Plaid); None is the beginning. `next_attempt_at`
    is the next planned try, None when the daily schedule is plan enough; `last_attempt_at` is
    when the last one ended. `error_retries`
    counts failures since the last success and is for show only. `last_full_accounts_at` is
    when the full list of accounts was last read, None when it must be read again.
    `refused_beyond_days` is how far back the bank goes under this consent, None until it refused,
    last at `refused_at`;
    `given_days` is how far back it answered, at `given_at`, later than right after the consent.

    `last_deep_at` is when a sync last looked as far back as the bank goes, `deep_requested_at`
    when that was last asked for. `backfill_since` is the first day of a backfill that is not
    done, asked for at `backfill_requested_at`. `sync_requested_at` is when somebody asked for a
    sync that has not begun. None: never, or none.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: ConnectionId
    team_id: TeamId
    provider: Provider
    external_id: str
    institution_external_id: str | None
    institution_name: str | None
    status: ConnectionStatus
    status_reason: str | None
    status_since: datetime
    history_stage: HistoryStage
    cursor: str | None
    consent_expires_at: datetime | None
    next_attempt_at: datetime | None
    error_retries: int
    last_success_at: datetime | None
    last_full_accounts_at: datetime | None
    refused_beyond_days: int | None = None
    refused_at: datetime | None = None
    given_days: int | None = None
    given_at: datetime | None = None
    last_deep_at: datetime | None = None
    deep_requested_at: datetime | None = None
    backfill_since: date | None = None
    backfill_requested_at: datetime | None = None
    sync_requested_at: datetime | None = None
    last_attempt_at: datetime | None = None
    created_at: datetime


class ProviderStatus(BaseModel):
    """
    What a provider says of a connection when asked.

    `error_code` is the provider's own word for what is wrong, None when all is well.
    `last_refreshed_at` is when the provider last got data from the bank: a sync that
    succeeds can still bring stale data.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    institution_external_id: str | None
    institution_name: str | None
    error_code: str | None
    consent_expires_at: datetime | None
    last_refreshed_at: datetime | None
