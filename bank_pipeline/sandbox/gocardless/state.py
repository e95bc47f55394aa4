"""
What the simulated GoCardless knows: agreements, requisitions, their accounts, and settings.

An agreement (EUA) is what the user permits and for how long; a requisition is one visit to a
bank under it. Neither can be renewed: connecting again makes new ones, with new account ids.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.gocardless.bank_table import INSTITUTIONS, Institution
from bank_pipeline.sandbox.gocardless.ids import Mint, derive_account_id
from bank_pipeline.sandbox.gocardless.options import GoCardlessOptions
from bank_pipeline.sandbox.gocardless.quotas import CompanyWindows, DailyCalls, HeaderStyle
from bank_pipeline.sandbox.gocardless.request_log import RequestLog
from bank_pipeline.sandbox.gocardless.tokens import TokenBook
from bank_pipeline.sandbox.world import World

SCOPES: Final = ("balances", "details", "transactions")
STATUSES: Final = ("CR", "ID", "LN", "RJ", "ER", "SU", "EX", "GC", "UA", "GA", "SA")
FAILURES_MAX: Final = 10  # consecutive counted failures until an account is suspended
_CONFIRMED_FOR: Final = timedelta(days=90)  # British consents must be confirmed as often
_CONTINUOUS_DAYS: Final = 90


@dataclass
class Agreement:
    """An end user agreement. `ended_at` is set when it was made to end early."""

    id: str
    created: datetime
    institution_id: str
    max_historical_days: int = 90
    access_valid_for_days: int = 90
    access_scope: tuple[str, ...] = SCOPES
    reconfirmation: bool = False
    accepted: datetime | None = None
    confirmed: datetime | None = None
    ended_at: datetime | None = None
    requisition_id: str | None = None
    deleted_at: datetime | None = None
    reconfirm_asked: datetime | None = None
    reconfirm_redirect: str | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When access ends, or None before it was accepted."""
        if self.ended_at is not None or self.accepted is None:
            return self.ended_at
        whole = self.accepted + timedelta(days=self.access_valid_for_days)
        if self.reconfirmation:
            return min(whole, (self.confirmed or self.accepted) + _CONFIRMED_FOR)
        return whole

    def is_over(self, now: datetime) -> bool:
        """Whether access ended."""
        end = self.expires_at
        return end is not None and end <= now


@dataclass
class LinkedAccount:
    """
    One bank account in one requisition.

    `failures` counts consecutive failed calls. `frozen_at` is the moment of which a bank that
    gives its long history only once goes on telling. `forced` replaces the status.
    """

    id: str
    requisition_id: str
    world_account_id: str
    created: datetime
    last_accessed: datetime | None = None
    failures: int = 0
    suspended_at: datetime | None = None
    frozen_at: datetime | None = None
    forced: str | None = None


@dataclass
class Requisition:
    """One visit to a bank. `walked` are the statuses it had, `status` the last of them."""

    id: str
    link_id: str
    created: datetime
    redirect: str
    institution_id: str
    agreement_id: str
    reference: str
    user_language: str = "EN"
    ssn: str | None = None
    account_selection: bool = False
    redirect_immediate: bool = False
    walked: list[str] = field(default_factory=lambda: ["CR"])
    login_id: str | None = None
    linked_at: datetime | None = None
    accounts: list[LinkedAccount] = field(default_factory=list)
    revoked_at: datetime | None = None
    suspended_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def status(self) -> str:
        """The status it walked to; see also `GoCardlessState.status_of`."""
        return self.walked[-1]

    def walk(self, *statuses: str) -> None:
        """Pass these statuses."""
        self.walked.extend(one for one in statuses if one != self.status)


@dataclass
class Settings:
    """What switches change while the simulator runs; see `GoCardlessOptions` for the meanings."""

    secret_id: str
    secret_key: str
    daily_limit: int | None
    limit_scale: float | None
    granting_s: float
    processing_s: float
    may_accept: bool
    may_reconfirm: bool
    header_style: HeaderStyle = HeaderStyle.DOCUMENTED
    payment_required: bool = False
    ip_denied: bool = False
    errors_as_lists: bool = False


class GoCardlessState:
    """All that one simulated GoCardless knows. `lock` guards it."""

    def __init__(
        self,
        world: World,
        clock: VirtualClock,
        *,
        faults: FaultPlan,
        options: GoCardlessOptions,
        seed: int,
    ) -> None:
        self.world = world
        self.clock = clock
        self.faults = faults
        self.options = options
        self.seed = seed
        self.lock = threading.RLock()
        self.mint = Mint(seed)
        self.tokens = TokenBook()
        self.settings = _settings(options)
        self.windows = CompanyWindows()
        self.daily = DailyCalls()
        self.log = RequestLog()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.released = threading.Event()  # ends calls that a fault lets hang
        self.agreements: dict[str, Agreement] = {}
        self.requisitions: dict[str, Requisition] = {}
        self._accounts: dict[str, LinkedAccount] = {}

    def institution(self, institution_id: str) -> Institution:
        """Return an institution. Unknown: KeyError."""
        return INSTITUTIONS[institution_id]

    def agreement(self, agreement_id: str) -> Agreement | None:
        """Return an agreement that was not deleted, or None."""
        found = self.agreements.get(agreement_id)
        return None if found is None or found.deleted_at is not None else found

    def requisition(self, requisition_id: str) -> Requisition | None:
        """Return a requisition that was not deleted, or None."""
        found = self.requisitions.get(requisition_id)
        return None if found is None or found.deleted_at is not None else found

    def living(self) -> Sequence[Requisition]:
        """Return the requisitions that were not deleted, oldest first."""
        return [one for one in self.requisitions.values() if one.deleted_at is None]

    def account(self, account_id: str) -> LinkedAccount | None:
        """Return an account of a requisition that was not deleted, or None."""
        found = self._accounts.get(account_id)
        return None if found is None or self.requisition(found.requisition_id) is None else found

    def by_link(self, link_id: str) -> Requisition | None:
        """Return the requisition whose page this is, or None."""
        return next((one for one in self.living() if one.link_id == link_id), None)

    def by_reference(self, reference: str) -> Requisition | None:
        """Return the requisition of this reference, or None."""
        return next((one for one in self.living() if one.reference == reference), None)

    def link_accounts(
        self, requisition: Requisition, login_id: str, world_ids: Sequence[str], now: datetime
    ) -> None:
        """Give a requisition its accounts, under new ids."""
        requisition.login_id = login_id
        requisition.linked_at = now
        for world_id in world_ids:
            account_id = derive_account_id(self.seed, requisition.id, world_id)
            account = LinkedAccount(account_id, requisition.id, world_id, now)
            requisition.accounts.append(account)
            self._accounts[account_id] = account

    def delete_requisition(self, requisition: Requisition, now: datetime) -> None:
        """End a requisition with its agreement."""
        requisition.deleted_at = now
        agreement = self.agreement(requisition.agreement_id)
        if agreement is not None:
            agreement.deleted_at = now

    def status_of(self, requisition: Requisition, now: datetime) -> str:
        """Return the status as of now: consents end by themselves."""
        if requisition.status != "LN":
            return requisition.status
        if requisition.suspended_at is not None:
            return "SU"
        granting = timedelta(seconds=self.settings.granting_s)
        if requisition.linked_at is not None and now < requisition.linked_at + granting:
            return "GA"
        agreement = self.agreement(requisition.agreement_id)
        return "EX" if agreement is not None and agreement.is_over(now) else "LN"

    def account_status(self, account: LinkedAccount, now: datetime) -> str:
        """Return an account's processing status as of now."""
        requisition = self.requisitions[account.requisition_id]
        agreement = self.agreement(requisition.agreement_id)
        if account.forced is not None:
            return account.forced
        if account.suspended_at is not None or requisition.suspended_at is not None:
            return "SUSPENDED"
        if agreement is None or agreement.is_over(now):
            return "EXPIRED"
        age_s = (now - account.created).total_seconds()
        if age_s < self.settings.processing_s:
            return "DISCOVERED" if age_s < self.settings.processing_s / 2 else "PROCESSING"
        return "READY"

    def fail(self, account: LinkedAccount, now: datetime) -> None:
        """Count a failed call; the tenth in a row suspends the account and its requisition."""
        account.failures += 1
        if account.failures >= FAILURES_MAX and account.suspended_at is None:
            account.suspended_at = now
            self.requisitions[account.requisition_id].suspended_at = now

    def is_frozen_kind(self, requisition: Requisition) -> bool:
        """Whether the consent asked for a long history that the bank gives only once."""
        agreement = self.agreements[requisition.agreement_id]
        institution = self.institution(requisition.institution_id)
        return agreement.max_historical_days > _CONTINUOUS_DAYS and institution.supports(
            "separate_continuous_history_consent"
        )

    def accounts(self) -> Iterator[LinkedAccount]:
        """Iterate over all accounts, those of deleted requisitions too."""
        yield from self._accounts.values()


@dataclass(frozen=True)
class Reply:
    """What an endpoint answers."""

    body: Any
    status: int = 200


def _settings(options: GoCardlessOptions) -> Settings:
    return Settings(
        secret_id=options.secret_id,
        secret_key=options.secret_key,
        daily_limit=options.daily_limit,
        limit_scale=options.limit_scale,
        granting_s=options.granting.total_seconds(),
        processing_s=options.processing.total_seconds(),
        may_accept=options.may_accept,
        may_reconfirm=options.may_reconfirm,
    )
