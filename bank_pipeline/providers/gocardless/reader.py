"""
Reads a connection: its requisition, its agreement and its accounts, with the fewest calls.

An account's metadata costs none of the daily calls and is read before anything that does.
Details cost one of four, and change so rarely that they are read once.

Source: https://developer.gocardless.com/bank-account-data/statuses
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel, SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.errors import (
    AccountBlockedError,
    AccountGoneError,
    ConfigurationError,
    PayloadError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    TransientError,
    UserActionError,
)
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import AccountsAnswer, Archive, RawAnswer
from bank_pipeline.providers.base import Scope
from bank_pipeline.providers.cache import Cache
from bank_pipeline.providers.gocardless.accounts import (
    HISTORY_DAYS_USUAL,
    has_details,
    to_account,
    to_consent_end,
    to_history_start,
    to_status,
)
from bank_pipeline.providers.gocardless.client import Answer, Call, GoCardlessClient, to_segment
from bank_pipeline.providers.gocardless.errors import LINKED, error_of_account
from bank_pipeline.providers.gocardless.quirks import quirks_of
from bank_pipeline.providers.gocardless.refusals import Refusals
from bank_pipeline.providers.gocardless.schemas import (
    GcAgreement,
    GcDetails,
    GcDetailsAnswer,
    GcMetadata,
    GcRequisition,
)
from bank_pipeline.providers.metering import Subject

AGREEMENT_TTL_S: Final = 3_600
FACTS_TTL_S: Final = 30 * 86_400  # an account is of one bank and one agreement for ever

_METADATA: Final = "accounts/get"
_DETAILS: Final = "accounts/details"
_REQUISITION: Final = "requisitions/get"
_AGREEMENT: Final = "agreements/get"

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class AccountFacts:
    """What an account's answers do not say: its institution, and the agreement it is read by."""

    institution: str | None
    agreement: str | None


@dataclass
class _Reading:
    """The accounts of one requisition while they are read."""

    archive: Archive
    accounts: list[Account] = field(default_factory=list)
    troubles: dict[str, ProviderError] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    is_complete: bool = True
    calls_count: int = 0


class ConnectionReader:
    """Reads requisitions and what hangs on them. Safe to share between threads."""

    def __init__(self, client: GoCardlessClient, cache: Cache, refusals: Refusals) -> None:
        self._client = client
        self._cache = cache
        self._refusals = refusals

    def fetch_requisition(self, credential: SecretStr, *, archive: Archive) -> GcRequisition:
        """Read a requisition. It is archived without its id, which is the credential."""
        path = f"requisitions/{to_segment(credential.get_secret_value())}/"
        call = Call(_REQUISITION, path, credential=credential)
        return _parse(GcRequisition, self._client.call(call, archive=archive))

    def fetch_status(self, credential: SecretStr, *, archive: Archive) -> ProviderStatus:
        """Say how a requisition stands, and when its agreement ends."""
        requisition = self.fetch_requisition(credential, archive=archive)
        return to_status(requisition, consent_ends_at=self.consent_end(requisition))

    def fetch_accounts(
        self, credential: SecretStr, *, archive: Archive, known: Sequence[Account]
    ) -> AccountsAnswer:
        """
        Read every account of a requisition; details only of those that have none in `known`.

        One account's failure is its own trouble. What concerns all of them is raised.
        """
        requisition = self.fetch_requisition(credential, archive=archive)
        return self.read_accounts(requisition, archive=archive, known=known)

    def read_accounts(
        self,
        requisition: GcRequisition,
        *,
        archive: Archive,
        known: Sequence[Account] = (),
        is_best_effort: bool = False,
    ) -> AccountsAnswer:
        """Read the accounts of a requisition; `is_best_effort` raises for no details."""
        reading = _Reading(archive, calls_count=1)
        if requisition.status == LINKED:
            reading.is_complete = bool(requisition.accounts)  # none at all denies no account
            by_id = {account.external_id: account for account in known}
            for account_id in dict.fromkeys(requisition.accounts):
                held = by_id.get(account_id)
                self._read_account(
                    account_id, requisition, held, reading, is_best_effort=is_best_effort
                )
        else:
            reading.is_complete = False
        return AccountsAnswer(
            accounts=tuple(reading.accounts),
            balances=(),
            is_complete=reading.is_complete,
            status=self._status_of(requisition, reading),
            troubles=reading.troubles,
            calls_count=reading.calls_count,
        )

    def facts_of(
        self, account: Account, credential: SecretStr, *, archive: Archive
    ) -> AccountFacts:
        """Return what is known of an account since its accounts were read, or else asked."""

        def ask() -> dict[str, Any]:
            return _to_facts(self.fetch_requisition(credential, archive=archive))

        key = _facts_key(account.external_id)
        return AccountFacts(**self._cache.get_or_create(key, ask, ttl_s=FACTS_TTL_S))

    def consent_end(self, requisition: GcRequisition) -> datetime | None:
        """Return when the consent ends; None before it was given, or when nothing is known."""
        agreement = self._fetch_agreement(requisition.agreement)
        return to_consent_end(agreement) if agreement else None

    def whole_since(self, facts: AccountFacts, *, today: date) -> date:
        """
        Return since when an answer is whole, however early it was asked to begin.

        A consent that was given anew shows less than the one before it: what we hold from
        before its first day is not gone for being absent.
        """
        agreement = self._fetch_agreement(facts.agreement)
        first = to_history_start(agreement) if agreement else None
        return first or today - timedelta(days=HISTORY_DAYS_USUAL)

    def _fetch_agreement(self, agreement_id: str | None) -> GcAgreement | None:
        if agreement_id is None:
            return None
        path = f"agreements/enduser/{to_segment(agreement_id)}/"
        key = f"gocardless-agreement-{agreement_id}"

        def ask() -> dict[str, object]:
            answer = self._client.call(Call(_AGREEMENT, path))
            return _parse(GcAgreement, answer).model_dump()

        try:
            agreement = GcAgreement.model_validate(
                self._cache.get_or_create(key, ask, ttl_s=AGREEMENT_TTL_S)
            )
        except ConfigurationError as error:
            if error.code != "NOT_FOUND":
                raise
            return None
        if agreement.accepted is None:
            self._cache.drop(key)  # it will be, within minutes
        return agreement

    def _read_account(
        self,
        account_id: str,
        requisition: GcRequisition,
        known: Account | None,
        reading: _Reading,
        *,
        is_best_effort: bool,
    ) -> None:
        reading.calls_count += 1
        try:
            metadata = _parse(GcMetadata, self._fetch_metadata(account_id, reading.archive))
        except AccountGoneError as error:
            reading.troubles[account_id] = error
            return
        except (RateLimitedError, UserActionError, ConfigurationError):
            raise
        except ProviderError as error:
            reading.troubles[account_id] = error
            reading.is_complete = False
            if known is not None:
                reading.accounts.append(known)  # so that its trouble is told
            return
        self._remember(account_id, requisition)
        fault = error_of_account(_METADATA, metadata.status)
        if fault is not None:
            reading.troubles[account_id] = _of_one_account(fault)
            if isinstance(fault, UserActionError):
                reading.faults.append(fault.code)
        details = None
        is_wanted = fault is None and (known is None or not has_details(known))
        if is_wanted and not self._refusals.is_refused(requisition.agreement, account_id):
            details = self._fetch_details(account_id, reading, is_best_effort=is_best_effort)
        fresh = to_account(account_id, metadata, details, quirks_of(requisition.institution_id))
        reading.accounts.append(fresh if known is None else _merged(known, fresh))

    def _fetch_metadata(self, account_id: str, archive: Archive) -> Answer:
        path = f"accounts/{to_segment(account_id)}/"
        call = Call(_METADATA, path, subject=Subject(account_id))
        return self._client.call(call, archive=archive)

    def _fetch_details(
        self, account_id: str, reading: _Reading, *, is_best_effort: bool
    ) -> GcDetails | None:
        """Read an account's details; without them it is known by its metadata until later."""
        reading.calls_count += 1
        path = f"accounts/{to_segment(account_id)}/details/"
        call = Call(_DETAILS, path, subject=Subject(account_id, Scope.DETAILS))
        try:
            answer = self._client.call(call, archive=reading.archive)
            return _parse(GcDetailsAnswer, answer).account
        except UserActionError:
            if not is_best_effort:
                raise
        except AccountGoneError as error:
            reading.troubles[account_id] = error
        except ProductUnsupportedError:
            return GcDetails()  # there are none: to ask every day would only count as failures
        except ProviderError:
            pass
        return None

    def _remember(self, account_id: str, requisition: GcRequisition) -> None:
        key, facts = _facts_key(account_id), _to_facts(requisition)
        if self._cache.get_or_create(key, lambda: facts, ttl_s=FACTS_TTL_S) != facts:
            self._cache.drop(key)  # the account keeps its id under another consent
            self._cache.get_or_create(key, lambda: facts, ttl_s=FACTS_TTL_S)

    def _status_of(self, requisition: GcRequisition, reading: _Reading) -> ProviderStatus | None:
        """Return the connection's status; it is not worth the failure of a whole answer."""
        try:
            consent_ends_at = self.consent_end(requisition)
        except (TransientError, PayloadError):
            if requisition.status == LINKED:
                return None
            consent_ends_at = None
        return to_status(
            requisition, consent_ends_at=consent_ends_at, account_fault=_common_fault(reading)
        )


def _of_one_account(fault: ProviderError) -> ProviderError:
    """Return what an account's state means for it alone: its siblings may be well."""
    if not isinstance(fault, UserActionError):
        return fault
    return AccountBlockedError(Provider.GOCARDLESS, _METADATA, code=fault.code)


def _common_fault(reading: _Reading) -> str | None:
    """Return what is wrong with all accounts, or with the consent that they share."""
    if "ACCOUNT_EXPIRED" in reading.faults:
        return "ACCOUNT_EXPIRED"
    is_all = bool(reading.faults) and len(reading.faults) == len(reading.accounts)
    return reading.faults[0] if is_all else None


def _merged(known: Account, fresh: Account) -> Account:
    """Return what is fresh, and what only the details told when they were read."""
    if has_details(fresh):
        return fresh
    unknown = (None, "", ())
    kept = {name: value for name, value in known if value not in unknown}
    numbers = {name: value for name, value in known.identifiers if value is not None}
    return fresh.model_copy(
        update={
            **kept,
            "provider_subtype": known.provider_subtype,
            "identifiers": fresh.identifiers.model_copy(update=numbers),
            "stable_external_ids": tuple(
                dict.fromkeys((*known.stable_external_ids, *fresh.stable_external_ids))
            ),
        }
    )


def _facts_key(account_id: str) -> str:
    return f"gocardless-account-{account_id}"


def _to_facts(requisition: GcRequisition) -> dict[str, Any]:
    return {"institution": requisition.institution_id, "agreement": requisition.agreement}


def _parse(model: type[_Model], answer: Answer) -> _Model:
    return calls.parse_model(Provider.GOCARDLESS, answer.raw.operation, model, answer.body)


def joined(answers: Sequence[RawAnswer]) -> RawAnswer:
    """Put the answers of a link together into one, each as it came, under its operation."""
    parts = (
        b'{"operation":"%s","answer":%s}' % (one.operation.encode(), one.body) for one in answers
    )
    return calls.to_raw("link", b"[" + b",".join(parts) + b"]")
