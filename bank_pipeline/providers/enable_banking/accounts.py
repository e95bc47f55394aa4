"""
Enable Banking's accounts, balances and banks in our words. Pure.

Source: https://enablebanking.com/docs/api/reference/#accountresource
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import quote

from pydantic import ValidationError

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.providers.enable_banking.parts import (
    split_currency,
    text_of,
    to_identifiers,
    to_moment,
)
from bank_pipeline.providers.enable_banking.quirks import Quirks
from bank_pipeline.providers.enable_banking.schemas import (
    EbAccess,
    EbAccount,
    EbAspsp,
    EbAspspName,
    EbBalance,
    EbSession,
    EbSessionAccount,
)
from bank_pipeline.providers.newest import newest_of
from bank_pipeline.providers.texts import to_text

AUTHORIZED: Final = "AUTHORIZED"
LIMIT_TYPE: Final = "credit_limit"
_DAY_S: Final = 86_400

_TYPES: Final[Mapping[str, AccountType]] = {
    "CACC": AccountType.CHECKING,
    "CARD": AccountType.CREDIT_CARD,
    "SVGS": AccountType.SAVINGS,
    "LOAN": AccountType.LOAN,
}
_TYPE_NAMES: Final[Mapping[AccountType, str]] = {
    AccountType.CHECKING: "Current account",
    AccountType.CREDIT_CARD: "Card",
    AccountType.SAVINGS: "Savings account",
    AccountType.LOAN: "Loan",
}
_USAGES: Final = {"PRIV": False, "ORGA": True}
_PSU_TYPES: Final = {"personal": False, "business": True}

BOOKED_RANKS: Final[Mapping[str, int]] = {"ITBD": 0, "CLBD": 1, "XPCD": 2, "VALU": 3, "OTHR": 4}
"""What may stand for the booked balance, the most reliable first."""
AVAILABLE_RANKS: Final[Mapping[str, int]] = {"ITAV": 0, "CLAV": 1, "FWAV": 2, "OPAV": 3}
_BOOKED: Final = frozenset({"ITBD", "CLBD"})
_OTHER_KINDS: Final[Mapping[str, BalanceKind]] = {
    "OPBD": BalanceKind.OPENING,
    "PRCD": BalanceKind.OPENING,
    "XPCD": BalanceKind.EXPECTED,
}
_WORDS: Final[Mapping[str, str]] = {
    # The same in words, as some banks' own interfaces call them.
    "interimbooked": "ITBD",
    "closingbooked": "CLBD",
    "openingbooked": "OPBD",
    "previouslyclosedbooked": "PRCD",
    "expected": "XPCD",
    "interimavailable": "ITAV",
    "closingavailable": "CLAV",
    "forwardavailable": "FWAV",
    "openingavailable": "OPAV",
    "information": "INFO",
}


def account_path(uid: str) -> str:
    """Return where an account is."""
    return f"/accounts/{quote(uid, safe='')}"


def to_institution_id(bank: EbAspspName | EbAspsp) -> str:
    """Return what a bank goes by with us: it has no id, only a name within a country."""
    return f"{bank.country.upper()}:{bank.name}"


def to_account(raw: EbAccount, *, psu_type: str | None = None) -> Account:
    """
    Translate one account.

    Its `uid` lives as long as its session; the hashes survive. An account without `uid` goes
    by its hash: there is nothing to ask of it. `psu_type` is the session's.
    """
    identifiers = to_identifiers(raw.account_id, raw.all_account_ids, raw.account_servicer)
    word = (raw.cash_account_type or "").upper()
    kind = _TYPES.get(word, AccountType.OTHER)
    tail = identifiers.masked_number
    numbered = f"{_TYPE_NAMES.get(kind, 'Account')} {tail}" if tail else None
    holder = to_text(raw.name)
    currency, unofficial = split_currency(raw.currency)
    return Account(
        external_id=raw.uid or raw.identification_hash,
        stable_external_ids=to_stable_ids(raw.identification_hash, raw.identification_hashes),
        name=to_text(raw.details) or to_text(raw.product) or numbered or holder or "",
        official_name=to_text(raw.product),
        type=kind,
        provider_type=raw.cash_account_type or "",
        currency=currency,
        unofficial_currency=unofficial,
        identifiers=identifiers,
        holder_name=holder,
        is_business=_USAGES.get((raw.usage or "").upper(), _PSU_TYPES.get(psu_type or "")),
    )


def to_stable_ids(primary: str | None, others: Sequence[str] | None) -> tuple[str, ...]:
    """Return every hash of an account's numbers, each once, the primary one first."""
    return tuple(dict.fromkeys(one for one in (primary, *(others or ())) if one))


def to_hashes(shared: EbSessionAccount) -> tuple[str, ...]:
    """Return the hashes of an account of a session."""
    return to_stable_ids(shared.identification_hash, shared.identification_hashes)


def has_uid(account: Account) -> bool:
    """Say whether an account can be asked for; see `to_account`."""
    return account.external_id not in account.stable_external_ids


def to_credit_limit(raw: EbAccount, account: Account) -> tuple[Balance, ...]:
    """Return the credit limit as a balance, where the bank states one."""
    if raw.credit_limit is None:
        return ()
    currency, unofficial = split_currency(raw.credit_limit.currency)
    return (
        Balance(
            account_external_id=account.external_id,
            kind=BalanceKind.CREDIT_LIMIT,
            provider_type=LIMIT_TYPE,
            amount=raw.credit_limit.amount.copy_abs(),
            currency=currency,
            unofficial_currency=unofficial,
        ),
    )


def to_balances(rows: Sequence[EbBalance], account: Account, quirks: Quirks) -> tuple[Balance, ...]:
    """
    Translate one account's balances, the newest of each type and currency.

    Amounts are signed already: what is owed on a card is negative. Where a bank states none
    of booked entries in a currency, the next best stands for it; else that is kept as what it is.

    Source: https://enablebanking.com/docs/api/reference/#balanceresource
    """
    newest = newest_of(
        rows, lambda row: (_word(row), split_currency(row.balance_amount.currency)), _age_of
    )
    booked_in = {currency for word, currency in newest if word in _BOOKED}
    return tuple(
        _to_balance(row, account, quirks, has_booked=currency in booked_in)
        for (_, currency), row in newest.items()
    )


def _age_of(row: EbBalance) -> tuple[date, datetime]:
    """Return what the newer of two is greater by: its day, and then its time, as far as told."""
    changed = to_moment(row.last_change_date_time) or datetime.min.replace(tzinfo=UTC)
    return row.reference_date or changed.date(), changed


def _word(row: EbBalance) -> str:
    word = row.balance_type.strip()
    return _WORDS.get(word.casefold(), word.upper())


def _to_balance(row: EbBalance, account: Account, quirks: Quirks, *, has_booked: bool) -> Balance:
    word = _word(row)
    amount = row.balance_amount.amount
    if row.credit_debit_indicator == "DBIT":
        amount = amount.copy_abs().copy_negate()
    kind, preference = _to_kind(word, has_booked=has_booked)
    is_card = account.type is AccountType.CREDIT_CARD
    is_left_over = is_card and quirks.is_card_balance_what_is_left
    if is_left_over and kind is BalanceKind.BOOKED:
        kind = BalanceKind.AVAILABLE  # what can still be spent says nothing of what is owed
    is_included = is_left_over or quirks.is_overdraft_in_available
    currency, unofficial = split_currency(row.balance_amount.currency)
    return Balance(
        account_external_id=account.external_id,
        kind=kind,
        provider_type=row.balance_type,
        amount=amount,
        currency=currency,
        unofficial_currency=unofficial,
        as_of=to_moment(row.last_change_date_time),
        as_of_date=row.reference_date,
        is_credit_limit_included=True if is_included and kind is BalanceKind.AVAILABLE else None,
        preference=preference,
    )


def _to_kind(word: str, *, has_booked: bool) -> tuple[BalanceKind, int]:
    if word in BOOKED_RANKS and (word in _BOOKED or not has_booked):
        return BalanceKind.BOOKED, BOOKED_RANKS[word]
    if word in AVAILABLE_RANKS:
        return BalanceKind.AVAILABLE, AVAILABLE_RANKS[word]
    return _OTHER_KINDS.get(word, BalanceKind.INFORMATION), 0


def to_status(session: EbSession) -> ProviderStatus:
    """
    Translate what Enable Banking says of a session: anything but AUTHORIZED is a trouble.

    Source: https://enablebanking.com/docs/api/reference/#sessionstatus
    """
    word = session.status.upper()
    return status_of(session.aspsp, session.access, error_code=None if word == AUTHORIZED else word)


def status_of(
    bank: EbAspspName | None, access: EbAccess | None, *, error_code: str | None
) -> ProviderStatus:
    """Return the status of a session of this bank."""
    return ProviderStatus(
        institution_external_id=to_institution_id(bank) if bank else None,
        institution_name=bank.name if bank else None,
        error_code=error_code,
        consent_expires_at=to_moment(access.valid_until) if access else None,
        last_refreshed_at=None,
    )


def to_institution(raw: EbAspsp, _unreadable: Mapping[str, Any]) -> Institution:
    """
    Translate a bank. Enable Banking publishes no length of history.

    Source: https://enablebanking.com/docs/api/reference/#aspspdata
    """
    validity_s = raw.maximum_consent_validity
    approaches = {method.approach for method in raw.auth_methods or () if method.approach}
    return Institution(
        provider=Provider.ENABLE_BANKING,
        external_id=to_institution_id(raw),
        name=raw.name,
        countries=(raw.country.upper(),),
        bic=text_of({"bic": raw.bic}, "bic"),
        logo_url=raw.logo or None,
        is_oauth=bool(approaches - {"EMBEDDED"}) if approaches else None,
        is_beta=raw.beta,
        customer_kinds=tuple(raw.psu_types or ()),
        consent_days_max=validity_s // _DAY_S if validity_s else None,
    )


def to_shared(session: EbSession) -> Mapping[str, EbSessionAccount]:
    """Return the accounts that a session shares, by uid, with what it says of each."""
    told = {}
    for raw in session.accounts_data or ():
        try:
            account = EbSessionAccount.model_validate(raw)
        except ValidationError:
            continue  # its uid is in the other list, without which nothing is concluded
        told[account.uid] = account
    named = {uid: EbSessionAccount(uid=uid) for uid in session.accounts or ()}
    return named | told


def to_minimal_account(shared: EbSessionAccount) -> Account:
    """Return what a session says of an account that its bank tells nothing of."""
    return Account(
        external_id=shared.uid,
        stable_external_ids=to_hashes(shared),
        name="",
        type=AccountType.OTHER,
        provider_type="",
        currency=None,
    )
