"""
Credit limits, for the few banks whose card balances are what is left of them.

A limit is told with the account, at the link, and rarely changes: it is remembered, and asked
for again when it is not.
"""

import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.errors import ProviderError
from bank_pipeline.providers.answers import Archive
from bank_pipeline.providers.cache import Cache
from bank_pipeline.providers.enable_banking.accounts import LIMIT_TYPE, account_path
from bank_pipeline.providers.enable_banking.client import EnableBankingClient, parse_model
from bank_pipeline.providers.enable_banking.schemas import EbLimit
from bank_pipeline.providers.metering import Subject

TTL_S: Final = 30 * 24 * 3600


class Limits:
    """The credit limits of cards. Safe to share between threads."""

    def __init__(self, client: EnableBankingClient, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    def remember(self, balances: Iterable[Balance]) -> None:
        """Remember the limits among these balances."""
        for balance in balances:
            if balance.kind is BalanceKind.CREDIT_LIMIT:
                value = _to_value(balance.amount, balance.currency)
                self._cache.get_or_create(
                    _key(balance.account_external_id), partial(dict, value), ttl_s=TTL_S
                )

    def with_limit(
        self, balances: Sequence[Balance], account: Account, *, archive: Archive
    ) -> tuple[Balance, ...]:
        """
        Add the credit limit of a card, without which nobody knows what is owed on it.

        Nothing is added while it is unknown, or in another currency than what is left of it.
        """
        left = min(
            (one for one in balances if one.kind is BalanceKind.AVAILABLE),
            key=lambda one: one.preference,
            default=None,
        )
        amount = None if left is None else self._limit_of(account, left.currency, archive)
        if left is None or amount is None:
            return tuple(balances)
        limit = Balance(
            account_external_id=account.external_id,
            kind=BalanceKind.CREDIT_LIMIT,
            provider_type=LIMIT_TYPE,
            amount=amount,
            currency=left.currency,
            unofficial_currency=left.unofficial_currency,
        )
        return (*balances, limit)

    def _limit_of(self, account: Account, currency: str | None, archive: Archive) -> Decimal | None:
        try:
            value = self._cache.get_or_create(
                _key(account.external_id), lambda: self._fetch(account, archive), ttl_s=TTL_S
            )
        except ProviderError:
            return None
        is_fit = "amount" in value and value.get("currency") == currency
        return Decimal(value["amount"]) if is_fit else None

    def _fetch(self, account: Account, archive: Archive) -> dict[str, Any]:
        path = f"{account_path(account.external_id)}/details"
        answer = self._client.call(
            "accounts/details",
            "GET",
            path,
            archive=archive,
            subject=Subject(account.external_id),
        )
        limit = parse_model(EbLimit, answer).credit_limit
        return _to_value(limit.amount.copy_abs(), limit.currency) if limit else {}


def _to_value(amount: Decimal, currency: str | None) -> dict[str, Any]:
    return {"amount": str(amount), "currency": currency}


def _key(account_external_id: str) -> str:
    digest = hashlib.blake2b(account_external_id.encode(), digest_size=16).hexdigest()
    return f"enable_banking/limit/{digest}"
