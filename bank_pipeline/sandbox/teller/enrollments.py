"""Enrollments: one customer's access to one login at one bank, and the tokens that open them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from bank_pipeline.sandbox.ledger import AccountKind, BankAccount
from bank_pipeline.sandbox.teller.errors import CLOSED, TellerError, teller_error
from bank_pipeline.sandbox.teller.ids import Mint, derive, derive_account_id
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.world import World

Verification = Literal["completed", "pending", "expired"]
SHOWN_KINDS: Final = (AccountKind.CHECKING, AccountKind.SAVINGS, AccountKind.CREDIT_CARD)
_COUNTRY: Final = "US"
_CURRENCY: Final = "USD"


@dataclass
class Grant:
    """
    One account of an enrollment.

    `verification` is how far its account number is known. Webhooks told of its rows up to the
    moment `told_until` and the change `told`; at `due_at` the next row gets its category.
    `was_read` is whether its transactions were ever asked for.
    """

    account_id: str
    world_account_id: str
    has_balances: bool
    told_until: datetime
    told: int = 0
    due_at: datetime | None = None
    verification: Verification = "completed"
    revoked_at: datetime | None = None
    was_read: bool = False


@dataclass
class Enrollment:
    """
    One enrollment. `chosen` None shares all accounts of the login, later ones too.

    While there is an `error`, nothing but its deletion works.
    """

    enrollment_id: str
    user_id: str
    token: str
    login_id: str
    connected_at: datetime
    chosen: frozenset[str] | None
    error: TellerError | None = None
    removed_at: datetime | None = None
    grants: dict[str, Grant] = field(default_factory=dict)  # by the world's account id

    def to_json(self) -> dict[str, Any]:
        """Describe the enrollment for the control API, without its token."""
        return {
            "enrollment_id": self.enrollment_id,
            "user_id": self.user_id,
            "login": self.login_id,
            "error_code": None if self.error is None else self.error.code,
            "removed": self.removed_at is not None,
            "accounts": [
                {
                    "account_id": grant.account_id,
                    "world_account_id": grant.world_account_id,
                    "shared": grant.revoked_at is None,
                    "verification": grant.verification,
                }
                for grant in self.grants.values()
            ],
        }


class EnrollmentBook:
    """Hold the enrollments. Callers hold the simulator's lock."""

    def __init__(self, world: World, mint: Mint, options: TellerOptions) -> None:
        self._world = world
        self._mint = mint
        self._options = options
        self._enrollments: dict[str, Enrollment] = {}

    def __iter__(self) -> Iterator[Enrollment]:
        return iter(self._enrollments.values())

    def logins(self) -> Sequence[str]:
        """Return the logins that can be connected: customers of American banks."""
        banks = self._world.banks
        return [
            login.id
            for login in self._world.logins.values()
            if banks[login.bank_id].country == _COUNTRY
        ]

    def offered(self, login_id: str) -> Sequence[BankAccount]:
        """Return the open accounts of a login that can be shared."""
        return [one for one in self._world.login_accounts(login_id) if _is_shown(one)]

    def enroll(self, login_id: str, chosen: Iterable[str] | None, now: datetime) -> Enrollment:
        """Connect a login anew. One that cannot be is a KeyError."""
        if login_id not in self.logins():
            raise KeyError(login_id)
        enrollment = Enrollment(
            enrollment_id=self._mint.new("enr"),
            user_id=derive("usr", self._options.application_id, login_id),
            token=self._mint.token(self._options.environment),
            login_id=login_id,
            connected_at=now,
            chosen=self._choice(login_id, chosen),
        )
        self._enrollments[enrollment.enrollment_id] = enrollment
        return enrollment

    def restore(self, enrollment: Enrollment, chosen: Iterable[str] | None, now: datetime) -> None:
        """Heal an enrollment, which keeps its token and ids; a choice replaces the earlier one."""
        enrollment.error = None
        if chosen is None:
            return
        picked = self._choice(enrollment.login_id, chosen)
        enrollment.chosen = picked
        for grant in self.grants(enrollment, now):
            is_shared = picked is None or grant.world_account_id in picked
            grant.revoked_at = None if is_shared else grant.revoked_at or now

    def get(self, enrollment_id: str) -> Enrollment:
        """Return an enrollment by its id, a removed one too. Unknown: KeyError."""
        return self._enrollments[enrollment_id]

    def open(self, token: str) -> Enrollment:
        """Return what a token opens. One that opens nothing is a 403."""
        for enrollment in self._enrollments.values():
            if enrollment.token == token and enrollment.removed_at is None:
                return enrollment
        raise teller_error("forbidden")

    def grants(self, enrollment: Enrollment, now: datetime) -> Sequence[Grant]:
        """Return every account that the enrollment ever shared, in the bank's order."""
        for account_id in self._world.logins[enrollment.login_id].account_ids:
            account = self._world.accounts[account_id]
            if account_id not in enrollment.grants and _begins(enrollment, account):
                enrollment.grants[account_id] = self._grant(enrollment, account, now)
        return tuple(enrollment.grants.values())

    def grant_of(self, enrollment: Enrollment, account_id: str, now: datetime) -> Grant:
        """Return the grant of an open account. Unknown is a 404, a closed one a 410."""
        for grant in self.grants(enrollment, now):
            if grant.account_id == account_id and grant.revoked_at is None:
                if self.account(grant).closed_at is not None:
                    raise teller_error(CLOSED)
                return grant
        raise teller_error("not_found")

    def find_account(self, account_id: str, now: datetime) -> tuple[Enrollment, Grant]:
        """Return whose account this is. Unknown: KeyError."""
        for enrollment in self._enrollments.values():
            for grant in self.grants(enrollment, now):
                if grant.account_id == account_id:
                    return enrollment, grant
        raise KeyError(account_id)

    def account(self, grant: Grant) -> BankAccount:
        """Return the account as the bank knows it now."""
        return self._world.accounts[grant.world_account_id]

    def remove(self, enrollment: Enrollment, now: datetime) -> None:
        """End an enrollment for good: its token opens nothing any more."""
        enrollment.removed_at = now

    def _choice(self, login_id: str, chosen: Iterable[str] | None) -> frozenset[str] | None:
        if chosen is None:
            return None
        picked = frozenset(chosen)
        if unknown := picked - {one.id for one in self.offered(login_id)}:
            raise KeyError(", ".join(sorted(unknown)))
        return picked

    def _grant(self, enrollment: Enrollment, account: BankAccount, now: datetime) -> Grant:
        return Grant(
            account_id=derive_account_id(enrollment.enrollment_id, account.id),
            world_account_id=account.id,
            has_balances=account.name not in self._options.without_balances,
            told_until=now,
        )


def _is_shown(account: BankAccount) -> bool:
    return account.kind in SHOWN_KINDS and account.currency == _CURRENCY


def _begins(enrollment: Enrollment, account: BankAccount) -> bool:
    """Whether the account becomes part of the enrollment."""
    if not _is_shown(account) or account.closed_at is not None:
        return False
    return enrollment.chosen is None or account.id in enrollment.chosen
