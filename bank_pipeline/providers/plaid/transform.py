"""
Plaid's words in ours. Pure: every rule on signs, dates, texts and parties lives here.

Source: https://plaid.com/docs/api/products/transactions/#transactionssync
"""

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.domain.money import to_currency
from bank_pipeline.domain.transaction import (
    Counterparty,
    CounterpartyType,
    Merchant,
    ProviderCategory,
    Transaction,
    TransactionStatus,
)
from bank_pipeline.providers.exact_json import object_in, text_in, to_plain, without_nulls
from bank_pipeline.providers.fields import FIRST_YEAR
from bank_pipeline.providers.plaid.account_types import to_account_type
from bank_pipeline.providers.plaid.categories import to_category
from bank_pipeline.providers.plaid.payments import to_payment_method
from bank_pipeline.providers.plaid.schemas import (
    PlaidAccount,
    PlaidCategory,
    PlaidInstitution,
    PlaidItemAnswer,
    PlaidTransaction,
)
from bank_pipeline.providers.texts import is_placeholder, is_same_name

_BUSINESS: Final[Mapping[str, bool]] = {"business": True, "personal": False}

_PARTY_RANKS: Final[Mapping[str, int]] = {
    # Who is meant before who carried it: a meal through a delivery app is the restaurant's.
    "income_source": 0,
    "merchant": 1,
    "marketplace": 2,
    "payment_app": 3,
    "payment_terminal": 4,
    "financial_institution": 5,
}
_PARTY_TYPES: Final = {word: CounterpartyType(word) for word in _PARTY_RANKS}
_MIDNIGHT: Final = dt.time(0)
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def to_transaction(raw: PlaidTransaction, unreadable: Mapping[str, Any] = _NOTHING) -> Transaction:
    """
    Translate one transaction; `unreadable` is what it holds in other shapes than documented.

    Plaid signs from the bank's side (positive is money out, for every kind of account), so
    the sign flips. Its `date` is the booking date only once the transaction is no longer
    pending; until then it is the day the payment was made.
    """
    pending = raw.pending
    paid_at = _to_moment(raw.authorized_datetime, midnight_is_unknown=True)
    moment = _to_moment(raw.datetime, midnight_is_unknown=True)
    description = raw.original_description or raw.name or raw.merchant_name or ""
    return Transaction(
        account_external_id=raw.account_id,
        external_id=raw.transaction_id,
        pending_external_id=raw.pending_transaction_id or None,
        status=TransactionStatus.PENDING if pending else TransactionStatus.BOOKED,
        amount=raw.amount.copy_negate(),  # exact; a minus sign would round to 28 digits
        currency=to_currency(raw.iso_currency_code),
        unofficial_currency=raw.unofficial_currency_code,
        booking_date=None if pending else raw.date,
        transaction_date=raw.authorized_date or (raw.date if pending else None),
        booked_at=None if pending else moment,
        transacted_at=paid_at or (moment if pending else None),
        description=description,
        cleaned_description=raw.name if raw.name != description else None,
        counterparty=_to_counterparty(raw),
        merchant=_to_merchant(raw),
        payment_method=to_payment_method(raw),
        payment_channel=raw.payment_channel,
        bank_transaction_code=raw.transaction_code,
        reference=text_in(raw.payment_meta, "reference_number"),
        check_number=raw.check_number,
        category=to_category(raw.personal_finance_category),
        provider_category=_to_provider_category(raw.personal_finance_category),
        running_balance=raw.running_balance,
        details=_to_details(raw, unreadable, moment=moment, paid_at=paid_at),
    )


def to_account(raw: PlaidAccount) -> Account:
    """
    Translate one account.

    Source: https://plaid.com/docs/api/accounts/#accountsget
    """
    return Account(
        external_id=raw.account_id,
        stable_external_ids=(raw.persistent_account_id,) if raw.persistent_account_id else (),
        name=raw.name or raw.official_name or "",
        official_name=raw.official_name,
        type=to_account_type(raw.type, raw.subtype),
        provider_type=raw.type or "",
        provider_subtype=raw.subtype,
        currency=to_currency(raw.balances.iso_currency_code),
        unofficial_currency=raw.balances.unofficial_currency_code,
        identifiers=AccountIdentifiers(masked_number=raw.mask),
        is_business=_BUSINESS.get(raw.holder_category or ""),
    )


def to_balances(raw: PlaidAccount, account: Account) -> tuple[Balance, ...]:
    """
    Translate the balances that are known; null is no balance, never a zero.

    On cards and loans Plaid's `current` is positive when the holder owes; ours is negative.
    `available` is what can still be spent, and stays. Where neither type nor subtype can be
    read, nobody knows which way `current` counts, so it is not stated.

    Source: https://plaid.com/docs/api/accounts/#accounts-get-response-accounts-balances
    """
    owed, balances = raw.balances.current, raw.balances
    if raw.type is None and account.type is AccountType.OTHER:
        owed = None
    if owed is not None and account.type.is_liability:
        owed = owed.copy_negate()
    stated = (
        (BalanceKind.BOOKED, "current", owed),
        (BalanceKind.AVAILABLE, "available", balances.available),
        (BalanceKind.CREDIT_LIMIT, "limit", balances.limit),
    )
    return tuple(
        Balance(
            account_external_id=account.external_id,
            kind=kind,
            provider_type=word,
            amount=amount,
            currency=account.currency,
            unofficial_currency=account.unofficial_currency,
            as_of=_to_moment(balances.last_updated_datetime),
        )
        for kind, word, amount in stated
        if amount is not None
    )


def to_status(raw: PlaidItemAnswer) -> ProviderStatus:
    """
    Translate what Plaid says of an Item.

    Source: https://plaid.com/docs/api/items/#itemget
    """
    transactions = raw.status.transactions if raw.status else None
    error = raw.item.error
    return ProviderStatus(
        institution_external_id=raw.item.institution_id,
        institution_name=raw.item.institution_name,
        error_code=(error.error_code or "UNKNOWN") if error else None,
        consent_expires_at=_to_moment(raw.item.consent_expiration_time),
        last_refreshed_at=_to_moment(transactions.last_successful_update if transactions else None),
    )


def to_institution(raw: PlaidInstitution) -> Institution:
    """Translate an institution. Plaid states no limits of history or consent."""
    return Institution(
        provider=Provider.PLAID,
        external_id=raw.institution_id,
        name=raw.name,
        countries=tuple(raw.country_codes),
        url=raw.url,
        is_oauth=raw.oauth,
    )


def _to_moment(text: str | None, *, midnight_is_unknown: bool = False) -> dt.datetime | None:
    """
    Read a time as UTC; None when it is missing, unreadable or without an offset.

    Banks without times send midnight: "may contain default time values (such as 00:00:00)".
    """
    try:
        moment = dt.datetime.fromisoformat(text) if text else None
        if moment is None or (midnight_is_unknown and moment.time() == _MIDNIGHT):
            return None
        if moment.year < FIRST_YEAR:
            return None
        # A wall clock somewhere is not a moment.
        return moment.astimezone(dt.UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _to_counterparty(raw: PlaidTransaction) -> Counterparty | None:
    """
    Name the other side, never the holder: the creditor of money out, the debtor of money in.

    Banks' own words on a transfer (`payment_meta`) come before what Plaid reads out of the
    text. The payer of money out, and the payee of money in, are the holder.
    """
    meta = raw.payment_meta
    if raw.amount > 0:
        stated = text_in(meta, "payee")
    elif raw.amount < 0:
        stated = text_in(meta, "payer") or text_in(meta, "by_order_of")
    else:
        stated = None
    if stated and _is_somebody(stated, raw):
        return Counterparty(name=stated)
    parties = [
        party
        for party in raw.counterparties or ()
        if (name := text_in(party, "name")) and _is_somebody(name, raw)
    ]
    if parties:
        return _to_party(min(parties, key=_party_rank))
    if raw.merchant_name and _is_somebody(raw.merchant_name, raw):
        return Counterparty(name=raw.merchant_name, type=CounterpartyType.MERCHANT)
    return None


def _is_somebody(name: str, raw: PlaidTransaction) -> bool:
    return not is_placeholder(name) and not is_same_name(name, raw.account_owner)


def _party_rank(party: Mapping[str, Any]) -> int:
    return _PARTY_RANKS.get(text_in(party, "type") or "", len(_PARTY_RANKS))


def _to_party(party: Mapping[str, Any]) -> Counterparty:
    word = text_in(party, "type")
    kind = _PARTY_TYPES.get(word, CounterpartyType.OTHER) if word else None
    numbers = object_in(party, "account_numbers")
    if numbers is None:
        return Counterparty(name=party["name"], type=kind)
    world, bacs = object_in(numbers, "international"), object_in(numbers, "bacs")
    identifiers = AccountIdentifiers(
        iban=text_in(world, "iban"),
        bic=text_in(world, "bic"),
        account_number=text_in(bacs, "account"),
        routing_number=text_in(bacs, "sort_code"),
    )
    return Counterparty(name=party["name"], type=kind, identifiers=identifiers)


def _to_merchant(raw: PlaidTransaction) -> Merchant | None:
    if not (
        raw.merchant_name or raw.merchant_entity_id or raw.website or raw.merchant_category_code
    ):
        return None
    return Merchant(
        name=raw.merchant_name,
        external_id=raw.merchant_entity_id,
        website=raw.website,
        category_code=raw.merchant_category_code,
    )


def _to_provider_category(raw: PlaidCategory | None) -> ProviderCategory | None:
    if raw is None:
        return None
    return ProviderCategory(
        primary=raw.primary,
        detailed=raw.detailed,
        confidence=raw.confidence_level,
        version=raw.version,
    )


def _to_details(
    raw: PlaidTransaction,
    unreadable: Mapping[str, Any],
    *,
    moment: dt.datetime | None,
    paid_at: dt.datetime | None,
) -> dict[str, Any]:
    """
    Keep what has no column, in Plaid's words, and what a column holds only in part.

    What could not be read is kept whole.
    """
    details: dict[str, Any] = {
        **(raw.model_extra or {}),
        "account_owner": raw.account_owner,
        "counterparties": raw.counterparties,
    }
    meta = raw.payment_meta
    if meta:
        has_column = text_in(meta, "reference_number") is not None
        details["payment_meta"] = {**meta, "reference_number": None} if has_column else meta
    category = raw.personal_finance_category
    if category is not None and category.model_extra:
        details["personal_finance_category"] = category.model_extra
    if raw.pending and raw.authorized_date not in (None, raw.date):
        details["date"] = raw.date.isoformat()
    if moment is None or (raw.pending and paid_at is not None):
        details["datetime"] = raw.datetime
    if paid_at is None:
        details["authorized_datetime"] = raw.authorized_datetime
    kept: dict[str, Any] = without_nulls(details)
    if unreadable:
        kept |= {key: to_plain(value) for key, value in unreadable.items()}
    return kept
