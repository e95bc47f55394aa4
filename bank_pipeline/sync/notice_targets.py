"""What teams want to be told of and where it goes, and whether that works."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from pydantic import SecretStr

from bank_pipeline.channels.message import Message, render
from bank_pipeline.channels.sending import describe_service
from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.notices import OPERATOR_KINDS, USUAL_KINDS, NoticeKind, Wishes
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.connections import ensure_team, load_team
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.notice_targets import (
    delete_target,
    insert_target,
    load_targets,
    load_wishes,
    save_wishes,
)
from bank_pipeline.storage.notices import retry_failed
from bank_pipeline.sync.audit import note
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.delivering import send_to, to_renewal

_CHOICES: Final[Mapping[str, frozenset[NoticeKind]]] = {
    "all": frozenset(NoticeKind),
    "usual": USUAL_KINDS,
    "none": frozenset(),
}


@dataclass(frozen=True)
class TriedTarget:
    """Whether one target took a message; `error` is a class that is safe to show."""

    target: str
    outcome: str
    error: str | None


def add_target(context: SyncContext, team_name: str, name: str, url: SecretStr) -> str:
    """
    Add where a team's notices go, and return what kind of service that is.

    Raises:
        RefusedError: no service has such an address, or the name is taken.
    """
    service = describe_service(url)
    now = context.clock()
    with context.engine.begin() as db:
        team_id = ensure_team(db, team_name, now=now)
        insert_target(db, team_id, name, url, service=service, vault=context.vault, now=now)
        note(context, db, AuditAction.TARGET_SET, team_id, subject="notices")
    return service


def remove_target(context: SyncContext, team_name: str, name: str) -> None:
    """
    Forget where notices went.

    Raises:
        NotFoundError: there is no such team, or no such target.
    """
    with context.engine.begin() as db:
        team_id = load_team(db, team_name)
        delete_target(db, team_id, name)
        note(context, db, AuditAction.TARGET_REMOVED, team_id, subject="notices")


def change_wishes(
    context: SyncContext,
    team_name: str,
    *,
    kinds: str | frozenset[NoticeKind] | None,
    large: Mapping[str, Decimal | None],
    low: Mapping[str, Decimal | None],
) -> Wishes:
    """
    Change what a team wants to be told of, and return it whole.

    `kinds` are given or `all`, `usual`, `none`; None leaves them. A threshold of None is taken
    away; currencies that are not named stay.

    Raises:
        NotFoundError: there is no such team.
    """
    now = context.clock()
    with context.engine.begin() as db:
        team_id = load_team(db, team_name)
        wishes = load_wishes(db, team_id) or Wishes()
        if kinds is not None:
            wishes = replace(wishes, kinds=_CHOICES[kinds] if isinstance(kinds, str) else kinds)
        wishes = replace(
            wishes,
            large_amounts=_changed(wishes.large_amounts, large),
            low_balances=_changed(wishes.low_balances, low),
        )
        save_wishes(db, team_id, wishes, now=now)
        note(context, db, AuditAction.SETTINGS_CHANGED, team_id, subject="notices")
    return wishes


def try_targets(
    context: SyncContext,
    team_name: str,
    kind: NoticeKind,
    *,
    target: str | None,
    renewal_url: str | None,
) -> list[TriedTarget]:
    """
    Send a made-up notice to each target of a team, or to one of them; nothing is written down.

    Raises:
        NotFoundError: there is no such team, or no target of this name.
    """
    with context.engine.connect() as db:
        targets = load_targets(db, load_team(db, team_name), context.vault)
    chosen = [one for one in targets if target in (None, one.name)]
    if target is not None and not chosen:
        raise NotFoundError(f"no target {target!r}; see `bank-pipeline notify targets list`")
    message = made_up(kind, now=context.clock(), renewal_url=renewal_url)
    errors = [(one.name, send_to(one, message, notice_id=new_id())) for one in chosen]
    return [
        TriedTarget(name, "sent" if error is None else "failed", error) for name, error in errors
    ]


def retry_given_up(context: SyncContext) -> int:
    """Have notices that were given up sent after all; return how many."""
    with context.engine.begin() as db:
        return retry_failed(db, now=context.clock())


def made_up(kind: NoticeKind, *, now: datetime, renewal_url: str | None) -> Message:
    """Write a notice of things that never happened, to see how one looks."""
    connection_id = "00000000-0000-7000-8000-000000000000"
    payload = {"institution": "Example Bank", "provider": "plaid", **_made_up_facts(now)[kind]}
    message = render(
        kind,
        payload,
        told_at=now,
        renewal=to_renewal(connection_id, "plaid", renewal_url),
        connection_id=None if kind in OPERATOR_KINDS else connection_id,
    )
    return replace(message, subject=f"Test: {message.subject}")


def _changed(
    before: Mapping[str, Decimal], changes: Mapping[str, Decimal | None]
) -> dict[str, Decimal]:
    after = {**before, **changes}
    return {currency: amount for currency, amount in after.items() if amount is not None}


def _made_up_facts(now: datetime) -> Mapping[NoticeKind, Mapping[str, Any]]:
    account = {"type": "checking", "currency": "EUR", "digits": "1234"}
    savings = {"type": "savings", "currency": "EUR", "digits": "5678"}
    day, later = (now - timedelta(days=1)).isoformat(), (now + timedelta(hours=4)).isoformat()
    totals = [{"currency": "EUR", "in": "2450.00", "out": "318.40"}]
    row = {"amount": "-1499.00", "currency": "EUR", "date": day[:10], "is_pending": False}
    fault = {"subject": "prune_job", "cause": "OperationalError", "opened_at": day}
    outcomes = [
        {**account, "covered_to": now.date().isoformat(), "trouble": None},
        {**savings, "covered_to": None, "trouble": "transient: HTTP_503"},
    ]
    return {
        NoticeKind.NEW_TRANSACTIONS: {
            "count": 6,
            "accounts": [
                {**account, "count": 5, "totals": totals},
                {**savings, "count": 1, "totals": [{"currency": "EUR", "in": "25", "out": "0"}]},
            ],
        },
        NoticeKind.EXPIRING: {"ends_at": (now + timedelta(days=7)).isoformat(), "days_left": 7},
        NoticeKind.DISCONNECTED: {"status": "needs_reauth", "reason": None, "since": day},
        NoticeKind.SYNC_FAILED: {
            "cause": "transient",
            "code": "HTTP_503",
            "failures": 3,
            "last_success_at": day,
            "next_attempt_at": later,
            "accounts": outcomes,
            "accounts_count": 2,
        },
        NoticeKind.SYNC_RECOVERED: {
            "last_success_at": day,
            "accounts": outcomes[:1],
            "accounts_count": 1,
        },
        NoticeKind.LARGE_TRANSACTION: {
            "count": 1,
            "transactions": [{**account, **row}],
            "more": 0,
        },
        NoticeKind.LOW_BALANCE: {
            **account,
            "kind": "available",
            "amount": "42.10",
            "threshold": "100",
        },
        NoticeKind.OPERATOR_ALERT: {"source": "run", "run_id": "example", "count": 1, **fault},
        NoticeKind.OPERATOR_RECOVERED: {"source": "run", "occurrences": 3, **fault},
    }
