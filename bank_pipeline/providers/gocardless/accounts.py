"""
GoCardless's accounts, requisitions and agreements in our words. Pure.

Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
"""

import datetime as dt
import re
from typing import Final

from bank_pipeline.domain.account import Account, AccountIdentifiers
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.providers.gocardless.account_types import to_account_type
from bank_pipeline.providers.gocardless.dates import to_instant
from bank_pipeline.providers.gocardless.errors import LINKED
from bank_pipeline.providers.gocardless.money import read_currency
from bank_pipeline.providers.gocardless.parties import to_iban
from bank_pipeline.providers.gocardless.quirks import Quirks
from bank_pipeline.providers.gocardless.schemas import (
    GcAgreement,
    GcDetails,
    GcInstitution,
    GcMetadata,
    GcRequisition,
)
from bank_pipeline.providers.texts import to_text

CONSENT_DAYS_USUAL: Final = 180  # where a bank states no limit of its own
HISTORY_DAYS_USUAL: Final = 90
HISTORY_ONCE: Final = "separate_continuous_history_consent"
"""
A bank with this feature gives a history of more than 90 days once, and then nothing new as
long as that agreement lasts.

Source: https://bankaccountdata.zendesk.com/hc/en-gb/articles/11529718632476
"""

_SCAN: Final = re.compile(r"[0-9]{14}")
_SORT_CODE_DIGITS: Final = 6
_MASKED: Final = re.compile(r"\*|[xX]{2}")
_LAST: Final = 4
_CARD_LAST: Final = 5  # American Express shows so many
_BUSINESS: Final = {"ORGA": True, "PRIV": False}
_KINDS: Final = {
    "private_accounts": "personal",
    "business_accounts": "business",
    "corporate_accounts": "business",
}


def to_account(
    account_id: str, metadata: GcMetadata, details: GcDetails | None, quirks: Quirks
) -> Account:
    """
    Translate one account from its free metadata and, where they were read, its details.

    `provider_type` and `provider_subtype` come from the details: with neither, they were
    never read. Its account id lasts as long as the consent; its number is what stays.
    """
    said = details or GcDetails()
    iban = _first(said.iban, metadata.iban)
    number = None if quirks.is_iban_masked_pan else to_iban(iban)
    bban = _first(*(one for one in (said.bban, metadata.bban) if not _is_masked(one)))
    masked = _first(said.masked_pan, iban if number is None and _is_masked(iban) else None)
    texts = (said.name, metadata.name, said.display_name, said.product, said.details)
    named = [name for name in map(_first, texts) if name]
    scan = said.scan if said.scan and _SCAN.fullmatch(said.scan) else None
    currency = read_currency(said.currency)
    return Account(
        external_id=account_id,
        stable_external_ids=_stable_ids(number, bban, said.resource_id),
        name=named[0] if named else _unnamed(number, masked),
        official_name=next((name for name in named[1:] if name != named[0]), None),
        type=to_account_type(said.cash_account_type, named),
        provider_type=_first(said.cash_account_type) or "",
        provider_subtype=None if details is None else _first(said.product) or "",
        currency=currency.official,
        unofficial_currency=currency.unofficial,
        identifiers=AccountIdentifiers(
            iban=number,
            bban=bban,
            bic=_first(said.bic),
            account_number=scan[_SORT_CODE_DIGITS:] if scan else None,
            routing_number=scan[:_SORT_CODE_DIGITS] if scan else None,
            masked_number=_last(masked, quirks),
        ),
        holder_name=_first(said.owner_name, metadata.owner_name),
        is_business=_BUSINESS.get((said.usage or "").upper()),
    )


def has_details(account: Account) -> bool:
    """Say whether an account's details were read at some time, so that they need no call."""
    return bool(account.provider_type) or account.provider_subtype is not None


def to_consent_end(agreement: GcAgreement) -> dt.datetime | None:
    """
    Return when the consent ends: days from its acceptance, None before that.

    Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
    """
    accepted = to_instant(agreement.accepted)
    days = agreement.access_valid_for_days
    if accepted is None or days is None:
        return None
    return _moved(accepted, days=days)


def to_history_start(agreement: GcAgreement) -> dt.date | None:
    """Return the first day of the history that the consent permits, None before acceptance."""
    accepted = to_instant(agreement.accepted)
    days = agreement.max_historical_days
    if accepted is None or days is None:
        return None
    first = _moved(accepted, days=-days)
    return first.date() if first else None


def _moved(moment: dt.datetime, *, days: int) -> dt.datetime | None:
    """Return a time so many days later; None where there is none, as after the year 9999."""
    try:
        return moment + dt.timedelta(days=days)
    except OverflowError:
        return None


def to_status(
    requisition: GcRequisition,
    *,
    consent_ends_at: dt.datetime | None,
    account_fault: str | None = None,
) -> ProviderStatus:
    """
    Translate how a requisition stands: only LN is usable, and others still linking.

    `account_fault` is what all accounts of it say, where the requisition itself is well.
    """
    fault = account_fault if requisition.status == LINKED else requisition.status
    return ProviderStatus(
        institution_external_id=requisition.institution_id,
        institution_name=None,
        error_code=fault,
        consent_expires_at=consent_ends_at,
        last_refreshed_at=None,
    )


def to_institution(raw: GcInstitution) -> Institution:
    """
    Translate a bank. Its limits are texts; a blank BIC is none.

    Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
    """
    features = raw.supported_features or ()
    return Institution(
        provider=Provider.GOCARDLESS,
        external_id=raw.id,
        name=raw.name,
        countries=tuple(code.strip().upper() for code in raw.countries or ()),
        bic=_first(raw.bic),
        logo_url=_first(raw.logo),
        customer_kinds=tuple(dict.fromkeys(_KINDS[one] for one in features if one in _KINDS)),
        history_days_max=_to_days(raw.transaction_total_days) or HISTORY_DAYS_USUAL,
        consent_days_max=_to_days(raw.max_access_valid_for_days),
    )


def _first(*texts: str | None) -> str | None:
    return next((text for text in map(to_text, texts) if text), None)


def _stable_ids(iban: str | None, bban: str | None, resource_id: str | None) -> tuple[str, ...]:
    compact = "".join((bban or "").split()).upper()
    numbers = (
        f"iban:{iban}" if iban else None,
        f"bban:{compact}" if compact else None,
    )
    known = tuple(number for number in numbers if number)
    resource = to_text(resource_id)
    return known or ((f"resource:{resource}",) if resource else ())


def _is_masked(number: str | None) -> bool:
    return number is not None and _MASKED.search(number) is not None


def _last(masked: str | None, quirks: Quirks) -> str | None:
    digits = re.sub(r"\W", "", masked or "")
    return digits[-(_CARD_LAST if quirks.is_iban_masked_pan else _LAST) :] or None


def _unnamed(iban: str | None, masked: str | None) -> str:
    number = iban or masked
    return f"Account {number[-_LAST:]}" if number else "Account"


def _to_days(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() and int(text) > 0 else None
