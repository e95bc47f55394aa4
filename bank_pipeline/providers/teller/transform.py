"""
From Teller's JSON to domain values. Pure: nothing is fetched, stored or guessed.

Sign: on deposits Teller's amounts are ours, negative is money out. On credit they are turned:
a purchase is positive there, as is what is owed. Teller's pages say only "signed amount"; its
examples show the rest.

Source: https://teller.io/docs/api/account/transactions
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.domain.account import Account, AccountIdentifiers
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.domain.money import to_currency
from bank_pipeline.domain.transaction import (
    Counterparty,
    CounterpartyType,
    ProviderCategory,
    Transaction,
    TransactionStatus,
    paid_until,
)
from bank_pipeline.providers.exact_json import object_in, text_in, to_plain, without_nulls
from bank_pipeline.providers.teller.schemas import (
    TellerAccount,
    TellerBalances,
    TellerInstitution,
    TellerTransaction,
)
from bank_pipeline.providers.teller.vocabulary import (
    PARTY_TYPE_OF_WORD,
    YOURSELF,
    to_account_type,
    to_category,
    to_payment_method,
)
from bank_pipeline.providers.texts import is_placeholder, is_same_name, to_cleaned

RUNNING_BALANCE: Final = "running_balance"
RUNNING_PREFERENCE: Final = 10  # only where the bank states no balance of its own
COUNTRIES: Final = ("US",)  # Teller connects banks of the United States and names no country
_CLOSED: Final = "closed"
_ISO_CURRENCY: Final = re.compile("[A-Z]{3}")
_A_DAY: Final = timedelta(days=1)  # banks west or east of us may have another today


def to_account(raw: TellerAccount) -> Account:
    """
    Translate one account.

    Its id is stable as long as its enrollment is; a new enrollment has other ids, and nothing
    here tells that the accounts are the same (`last_four` is not unique).

    Source: https://teller.io/docs/api/accounts
    """
    code = to_currency(raw.currency)
    is_official = code is not None and _ISO_CURRENCY.fullmatch(code) is not None
    return Account(
        external_id=raw.id,
        name=raw.name or "",
        type=to_account_type(raw.type, raw.subtype),
        provider_type=raw.type,
        provider_subtype=raw.subtype,
        currency=code if is_official else None,
        unofficial_currency=None if is_official else code,
        identifiers=AccountIdentifiers(masked_number=raw.last_four or None),
    )


def is_open(raw: TellerAccount) -> bool:
    """Say whether Teller still shows the account's data. An unknown status is no end."""
    return raw.status != _CLOSED


def to_status(rows: Sequence[TellerAccount]) -> ProviderStatus:
    """Say how the connection is whose accounts were listed: well. Teller states no expiry."""
    banks = [row.institution for row in rows if row.institution]
    return ProviderStatus(
        institution_external_id=next((bank.id for bank in banks if bank.id), None),
        institution_name=next((bank.name for bank in banks if bank.name), None),
        error_code=None,
        consent_expires_at=None,
        last_refreshed_at=None,
    )


def to_balances(raw: TellerBalances, account: Account) -> tuple[Balance, ...]:
    """
    Translate the balances that are stated; null is no balance, never a zero.

    A credit account's ledger is positive when the holder owes; ours is negative. What is
    available can be spent, and stays.

    Source: https://teller.io/docs/api/account/balances
    """
    booked = None if raw.ledger is None else _to_ours(raw.ledger, account)
    stated = (
        (BalanceKind.BOOKED, "ledger", booked),
        (BalanceKind.AVAILABLE, "available", raw.available),
    )
    return tuple(
        Balance(
            account_external_id=account.external_id,
            kind=kind,
            provider_type=word,
            amount=amount,
            currency=account.currency,
            unofficial_currency=account.unofficial_currency,
        )
        for kind, word, amount in stated
        if amount is not None
    )


def to_running_balance(rows: Sequence[Transaction], account: Account) -> Balance | None:
    """
    Return the balance after the newest booked row that states one; None when none does.

    `rows` are the newest first, as Teller orders them. Pending rows state none.
    """
    booked = (row for row in rows if row.status is TransactionStatus.BOOKED)
    newest = next((row for row in booked if row.running_balance is not None), None)
    if newest is None or newest.running_balance is None:
        return None
    return Balance(
        account_external_id=account.external_id,
        kind=BalanceKind.BOOKED,
        provider_type=RUNNING_BALANCE,
        amount=newest.running_balance,
        currency=account.currency,
        unofficial_currency=account.unofficial_currency,
        as_of_date=newest.booking_date,
        preference=RUNNING_PREFERENCE,
    )


def to_transaction(
    raw: TellerTransaction, unreadable: Mapping[str, Any], account: Account, *, today: date
) -> Transaction:
    """
    Translate one transaction of `account`, whose currency it has.

    `date` is when a posted row was booked, and when a pending one was paid, today at the latest.
    A posted row of a day to come is scheduled.
    """
    amount = _to_ours(raw.amount, account)
    status = _to_booking(raw, today=today)
    is_booked = status is TransactionStatus.BOOKED
    description = raw.description or ""
    details = raw.details or {}
    category = text_in(details, "category")
    running = raw.running_balance
    row = Transaction(
        account_external_id=raw.account_id,
        external_id=raw.id,
        status=status,
        amount=amount,
        currency=account.currency,
        unofficial_currency=account.unofficial_currency,
        booking_date=raw.date if is_booked else None,
        transaction_date=None if is_booked else raw.date,
        description=description,
        cleaned_description=to_cleaned(description),
        counterparty=_to_counterparty(details, account),
        payment_method=to_payment_method(raw.type),
        category=to_category(category, raw.type, amount, is_debt=account.type.is_liability),
        provider_category=ProviderCategory(primary=category) if category else None,
        running_balance=None if running is None else _to_ours(running, account),
        details=_to_details(raw, unreadable, account),
    )
    return paid_until(row, today, ahead=_A_DAY)


def to_institution(raw: TellerInstitution, _unreadable: Mapping[str, Any]) -> Institution:
    """Translate an institution. Teller states no country and no limits of history or consent."""
    return Institution(
        provider=Provider.TELLER, external_id=raw.id, name=raw.name, countries=COUNTRIES
    )


def _to_ours(amount: Decimal, account: Account) -> Decimal:
    # Exact; a minus sign would round to 28 digits.
    return amount.copy_negate() if account.type.is_liability else amount


def _to_booking(raw: TellerTransaction, *, today: date) -> TransactionStatus:
    if raw.status == "pending":
        return TransactionStatus.PENDING
    is_to_come = raw.date > today + _A_DAY
    return TransactionStatus.SCHEDULED if is_to_come else TransactionStatus.BOOKED


def _to_counterparty(details: Mapping[str, Any], account: Account) -> Counterparty | None:
    """Name the other side as Teller recognised it, never the holder."""
    party = object_in(details, "counterparty")
    name = text_in(party, "name")
    if name is None or is_placeholder(name) or _is_own(name, account):
        return None
    word = text_in(party, "type")
    kind = PARTY_TYPE_OF_WORD.get(word.lower(), CounterpartyType.OTHER) if word else None
    return Counterparty(name=name, type=kind)


def _is_own(name: str, account: Account) -> bool:
    return name.strip().casefold() == YOURSELF or is_same_name(name, account.holder_name)


def _to_details(
    raw: TellerTransaction, unreadable: Mapping[str, Any], account: Account
) -> dict[str, Any]:
    """
    Keep what has no column, in Teller's words. What could not be read is kept whole.

    `links` only repeat the ids, and are left out.
    """
    extra = {key: value for key, value in (raw.model_extra or {}).items() if key != "links"}
    inner = dict(raw.details or {})
    if text_in(inner, "category") is not None:
        inner.pop("category")
    party = _to_counterparty(inner, account)
    if party is not None and party.type is not CounterpartyType.OTHER:
        told = inner["counterparty"].items()
        inner["counterparty"] = {k: v for k, v in told if k not in ("name", "type")}
    kept: dict[str, Any] = without_nulls({**extra, "type": raw.type, "details": inner})
    if unreadable:
        kept |= {key: to_plain(value) for key, value in unreadable.items()}
    return kept
