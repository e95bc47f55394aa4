"""What a sync begins with, besides its connection: everything in one statement."""

from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.circuit import CircuitState
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.notices import Wishes
from bank_pipeline.domain.transitions import FailureKind
from bank_pipeline.storage.notice_targets import to_wishes
from bank_pipeline.storage.quarantine import ORPHANED


@dataclass(frozen=True)
class Beginning:
    """
    What is true when a sync begins. Accounts are external ids.

    `open_accounts` are those that the bank still lists, `closed_accounts` the others that are
    stored; rows of `moved_accounts` go by names of another id. `awaited_accounts` are those
    that rows wait for which were set aside, `asked_accounts` those of which a person must tell
    whether they are known ones.
    `newest_event_id` is that of the newest webhook event that waits, 0 without. `wishes` are what
    the team wants to be told of, None without a target. `is_failure_told`: it was told that this
    connection fails, since it last succeeded. `is_provider_paused`: it refuses us.
    `is_bank_known`: its bank is described among the institutions. `limited_count`: so many syncs
    in a row, up to now, met a limit; more than `_LIMITED_MAX` are not counted.
    """

    open_accounts: frozenset[str]
    closed_accounts: frozenset[str]
    moved_accounts: frozenset[str]
    awaited_accounts: frozenset[str]
    asked_accounts: frozenset[str]
    newest_event_id: int
    has_next_consent: bool
    wishes: Wishes | None
    is_failure_told: bool
    is_provider_paused: bool
    is_bank_known: bool
    limited_count: int


_LIMITED_MAX: Final = 6


def load_beginning(db: sa.Connection, connection: Connection) -> Beginning:
    """
    Load what a sync of this connection begins with.

    A sync that starts now covers every event up to the newest one: one with a smaller id that
    is not visible yet was received before, hence before the sync asks the provider.
    """
    parameters = {
        "id": connection.id,
        "provider": connection.provider.value,
        "external_id": connection.external_id,
        "institution": connection.institution_external_id,
        "closed": CircuitState.CLOSED.value,
        "orphaned": ORPHANED,
        "team_id": connection.team_id,
        "failing_since": failure_key(connection),
        "most": _LIMITED_MAX,
    }
    row = db.execute(_BEGINNING, parameters).one()
    return Beginning(
        open_accounts=frozenset(row.open_accounts),
        closed_accounts=frozenset(row.closed_accounts),
        moved_accounts=frozenset(row.moved_accounts),
        awaited_accounts=frozenset(row.awaited_accounts),
        asked_accounts=frozenset(row.asked_accounts),
        newest_event_id=row.newest_event_id or 0,
        has_next_consent=row.has_next_consent,
        wishes=None if row.wishes is None else to_wishes(row.wishes),
        is_failure_told=row.is_failure_told,
        is_provider_paused=row.is_provider_paused,
        is_bank_known=row.is_bank_known,
        limited_count=len([*takewhile(FailureKind.RATE_LIMITED.__eq__, row.newest_classes)]),
    )


def failure_key(connection: Connection) -> str:
    """Name the time for which a connection fails: the same from its last success to the next."""
    last = connection.last_success_at
    return f"{connection.id}:{'never' if last is None else last.isoformat()}"


_BEGINNING: Final = sa.text(
    """
    SELECT
        ARRAY(SELECT external_id FROM bank.accounts
              WHERE connection_id = :id AND closed_at IS NULL) AS open_accounts,
        ARRAY(SELECT external_id FROM bank.accounts
              WHERE connection_id = :id AND closed_at IS NOT NULL) AS closed_accounts,
        ARRAY(SELECT external_id FROM bank.accounts
              WHERE connection_id = :id AND moved_from IS NOT NULL) AS moved_accounts,
        ARRAY(SELECT DISTINCT account_external_id FROM bank.quarantine
              WHERE connection_id = :id AND operation = :orphaned AND resolved_at IS NULL
             ) AS awaited_accounts,
        ARRAY(SELECT external_id FROM bank.account_questions
              WHERE connection_id = :id AND decided_at IS NULL) AS asked_accounts,
        (SELECT max(id) FROM bank.webhook_events
         WHERE provider = :provider AND connection_external_id = :external_id
           AND handled_at IS NULL) AS newest_event_id,
        EXISTS (SELECT FROM bank.next_consents WHERE connection_id = :id) AS has_next_consent,
        (SELECT to_jsonb(p) FROM bank.notification_preferences p
         WHERE p.team_id = :team_id
           AND EXISTS (SELECT FROM bank.notification_targets t WHERE t.team_id = p.team_id)
        ) AS wishes,
        EXISTS (SELECT FROM bank.notifications
                WHERE team_id = :team_id AND kind = 'sync_failed' AND dedupe_key = :failing_since
               ) AS is_failure_told,
        EXISTS (SELECT FROM bank.provider_health
                WHERE provider = :provider AND state <> :closed) AS is_provider_paused,
        EXISTS (SELECT FROM bank.institutions
                WHERE provider = :provider AND external_id = :institution) AS is_bank_known,
        ARRAY(SELECT coalesce(error_class, '') FROM bank.sync_runs
              WHERE connection_id = :id ORDER BY started_at DESC LIMIT :most) AS newest_classes
    """
)
