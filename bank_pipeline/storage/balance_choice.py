"""What counts as booked, available and credit limit, and what people decided about it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.balance_choice import (
    AccountFacts,
    BalanceRule,
    ChosenBalance,
    ToldBalance,
    choose_balances,
    rule_for,
)
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.storage.balances import series_by_account
from bank_pipeline.storage.belonging import OF_GIVEN, team_of_account
from bank_pipeline.storage.columns import is_any_id
from bank_pipeline.storage.tables import (
    accounts,
    balance_rules,
    balances,
    chosen_balances,
    connections,
)

_RULE: Final = tuple(field.name for field in fields(BalanceRule))
_CHOICE: Final = ("balance_id", "amount", "is_derived", "is_credit_limit_included", "reason")


_FACTS: Final = (
    accounts.c.id,
    accounts.c.type,
    sa.func.coalesce(accounts.c.currency, accounts.c.unofficial_currency).label("code"),
    connections.c.provider,
    connections.c.institution_external_id,
)
_GROUNDS: Final = (
    sa.select(
        *_FACTS,
        balance_rules.c.account_id.label("ruled_id"),
        *(balance_rules.c[name] for name in _RULE),
        chosen_balances.c.kind.label("chosen_kind"),
        *(chosen_balances.c[name].label(f"chosen_{name}") for name in _CHOICE),
        sa.func.coalesce(balances.c.currency, balances.c.unofficial_currency).label("chosen_code"),
    )
    .join(connections, connections.c.id == accounts.c.connection_id)
    .outerjoin(balance_rules, balance_rules.c.account_id == accounts.c.id)
    .outerjoin(chosen_balances, chosen_balances.c.account_id == accounts.c.id)
    .outerjoin(balances, balances.c.id == chosen_balances.c.balance_id)
    .where(is_any_id(accounts.c.id))
)
_new: Final = insert(chosen_balances).values(team_id=team_of_account(sa.bindparam(OF_GIVEN)))
_UPSERT: Final = _new.on_conflict_do_update(
    index_elements=["account_id", "kind"],
    set_={name: _new.excluded[name] for name in (*_CHOICE, "chosen_at")},
)


@dataclass(frozen=True)
class ChoiceGrounds:
    """What choices of one account go by, a person's rule if there is one, and the last choices."""

    facts: AccountFacts
    rule: BalanceRule | None
    chosen: dict[BalanceKind, ChosenBalance]


@dataclass(frozen=True)
class SavedChoices:
    """How many rows were written, and the choices that are new or differ."""

    written_count: int
    changed: tuple[tuple[AccountId, ChosenBalance], ...] = ()


@dataclass(frozen=True)
class ListedChoice:
    """One account's choice of one kind: from which type, why, and whether a person decided it."""

    account_id: str
    institution_name: str | None
    account_name: str
    account_type: str
    kind: str
    provider_type: str | None
    amount: Decimal | None
    currency: str | None
    reason: str | None
    told_types: str
    sign: str
    is_limit_included: bool | None
    is_rule_own: bool


def save_choices(db: sa.Connection, account_ids: Collection[AccountId], *, now: datetime) -> int:
    """
    Choose anew what counts for these accounts, and write what differs; return how many rows.

    Cheap enough for every sync: it reads the newest snapshot of each series and no history.
    """
    if not account_ids:
        return 0
    return save_choices_by(db, load_grounds(db, account_ids), now=now).written_count


def load_grounds(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[AccountId, ChoiceGrounds]:
    """Load what choices go by besides balances, and what was chosen last: all in one query."""
    found: dict[AccountId, ChoiceGrounds] = {}
    for row in db.execute(_GROUNDS, {"ids": [*account_ids]}):
        one = found.get(AccountId(row.id))
        if one is None:
            own = BalanceRule(**{name: getattr(row, name) for name in _RULE})
            one = ChoiceGrounds(_to_facts(row), own if row.ruled_id else None, {})
            found[AccountId(row.id)] = one
        if row.chosen_kind is not None:
            kind = BalanceKind(row.chosen_kind)
            values = {name: getattr(row, f"chosen_{name}") for name in _CHOICE}
            one.chosen[kind] = ChosenBalance(kind=kind, **values, currency=row.chosen_code)
    return found


def save_choices_by(
    db: sa.Connection, grounds: Mapping[AccountId, ChoiceGrounds], *, now: datetime
) -> SavedChoices:
    """Choose anew by grounds that were just loaded, and write what differs."""
    told = series_by_account(db, grounds.keys())
    before = {
        (account_id, kind): chosen
        for account_id, one in grounds.items()
        for kind, chosen in one.chosen.items()
    }
    after = {
        (account_id, one.kind): one
        for account_id, known in grounds.items()
        for one in choose_balances(
            [_to_told(row) for row in told.get(account_id, ())],
            known.facts,
            known.rule or BalanceRule(),
        )
    }
    gone = [key for key in before if key not in after]
    changed = [(key, one) for key, one in after.items() if before.get(key) != one]
    for account_id, kind in gone:
        is_this = (chosen_balances.c.account_id == account_id) & (chosen_balances.c.kind == kind)
        db.execute(sa.delete(chosen_balances).where(is_this))
    if changed:
        db.execute(_UPSERT, [_to_row(key[0], one, now) for key, one in changed])
    return SavedChoices(len(gone) + len(changed), tuple((key[0], one) for key, one in changed))


def load_rules(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[AccountId, BalanceRule]:
    """Load what people decided; accounts without a decision are absent."""
    query = sa.select(balance_rules).where(balance_rules.c.account_id.in_(account_ids))
    return {
        AccountId(row.account_id): BalanceRule(**{name: getattr(row, name) for name in _RULE})
        for row in db.execute(query)
    }


def set_rule(db: sa.Connection, account_id: AccountId, rule: BalanceRule, *, now: datetime) -> None:
    """Keep what a person decided for an account; an empty rule forgets it."""
    if rule.is_empty:
        db.execute(sa.delete(balance_rules).where(balance_rules.c.account_id == account_id))
        return
    values = asdict(rule) | {"updated_at": now}
    belonging = {"account_id": account_id, "team_id": team_of_account(account_id)}
    statement = insert(balance_rules).values(**belonging, **values)
    db.execute(statement.on_conflict_do_update(index_elements=["account_id"], set_=values))


def load_told_types(db: sa.Connection, account_id: AccountId) -> frozenset[str]:
    """Load the types of balances that were ever told of an account."""
    rows = series_by_account(db, [account_id]).get(account_id, ())
    return frozenset(row.provider_type for row in rows)


def list_choices(
    db: sa.Connection, *, connection_id: ConnectionId | None = None
) -> list[ListedChoice]:
    """List what is chosen for each account and why; a kind that is unknown is listed without."""
    query = sa.select(accounts.c.id, accounts.c.name, connections.c.institution_name).join(
        connections, connections.c.id == accounts.c.connection_id
    )
    if connection_id is not None:
        query = query.where(accounts.c.connection_id == connection_id)
    rows = db.execute(
        query.order_by(connections.c.institution_name, accounts.c.name, accounts.c.id)
    ).all()
    ids = [AccountId(row.id) for row in rows]
    facts, told = _load_facts(db, ids), series_by_account(db, ids)
    chosen, rules = _load_chosen(db, ids), load_rules(db, ids)
    listed: list[ListedChoice] = []
    for row in rows:
        account_id = AccountId(row.id)
        own = rules.get(account_id, BalanceRule())
        by_id = {one.id: one for one in told.get(account_id, ())}
        whole = rule_for(facts[account_id], own)
        for kind in (BalanceKind.BOOKED, BalanceKind.AVAILABLE, BalanceKind.CREDIT_LIMIT):
            one = chosen.get((account_id, kind))
            source = by_id.get(one.balance_id) if one else None
            listed.append(
                ListedChoice(
                    account_id=account_id,
                    institution_name=row.institution_name,
                    account_name=row.name,
                    account_type=facts[account_id].type,
                    kind=kind,
                    provider_type=source.provider_type if source else None,
                    amount=one.amount if one else None,
                    currency=(source.currency or source.unofficial_currency) if source else None,
                    reason=one.reason if one else None,
                    told_types=", ".join(sorted({one.provider_type for one in by_id.values()})),
                    sign="flipped" if whole.is_sign_flipped else "as-told",
                    is_limit_included=one.is_credit_limit_included if one else None,
                    is_rule_own=not own.is_empty,
                )
            )
    return listed


def _load_facts(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[AccountId, AccountFacts]:
    query = (
        sa.select(*_FACTS)
        .join(connections, connections.c.id == accounts.c.connection_id)
        .where(accounts.c.id.in_(account_ids))
    )
    return {AccountId(row.id): _to_facts(row) for row in db.execute(query)}


def _to_facts(row: sa.Row[*tuple[Any, ...]]) -> AccountFacts:
    return AccountFacts(
        provider=Provider(row.provider),
        type=AccountType(row.type),
        institution_external_id=row.institution_external_id,
        currency=row.code,
    )


def _to_told(row: sa.Row[Any]) -> ToldBalance:
    values = {field.name: getattr(row, field.name) for field in fields(ToldBalance)}
    return ToldBalance(**values | {"kind": BalanceKind(row.kind)})


def _load_chosen(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[tuple[AccountId, BalanceKind], ChosenBalance]:
    query = sa.select(chosen_balances).where(chosen_balances.c.account_id.in_(account_ids))
    return {
        (AccountId(row.account_id), BalanceKind(row.kind)): ChosenBalance(
            kind=BalanceKind(row.kind), **{name: getattr(row, name) for name in _CHOICE}
        )
        for row in db.execute(query)
    }


def _to_row(account_id: AccountId, one: ChosenBalance, now: datetime) -> dict[str, Any]:
    return asdict(one) | {"account_id": account_id, OF_GIVEN: account_id, "chosen_at": now}
