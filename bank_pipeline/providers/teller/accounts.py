"""
The list of accounts, and what each said of itself when it was last listed.

An absent link means that the bank does not offer it: it is not called, and that is no
failure. Teller says so only in the list of accounts, and our own tables do not hold it; so
what the list said is remembered, and a process that has not read the list yet reads it first.

Source: https://teller.io/docs/api/accounts
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    AccountGoneError,
    ProductUnsupportedError,
    ProviderError,
    TransientError,
)
from bank_pipeline.providers.answers import AccountsAnswer, Archive, QuarantinedRow, RawAnswer
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.teller.client import TellerClient, rows_of
from bank_pipeline.providers.teller.errors import CLOSED, is_closed
from bank_pipeline.providers.teller.schemas import TellerAccount
from bank_pipeline.providers.teller.transform import is_open, to_account, to_status

ACCOUNTS: Final = "accounts"
REMEMBERED_MAX: Final = 20_000  # some 5 MB; who is forgotten is listed again


@dataclass(frozen=True)
class AccountList:
    """The accounts of one enrollment, closed ones included."""

    raw: RawAnswer
    rows: tuple[TellerAccount, ...]
    quarantined: tuple[QuarantinedRow, ...]

    @property
    def enrollment_id(self) -> str | None:
        """Return the enrollment that the accounts name; None when none does."""
        return next((row.enrollment_id for row in self.rows if row.enrollment_id), None)

    def to_answer(self) -> AccountsAnswer:
        """
        Translate the open accounts; a closed one is missing, as from a complete answer.

        Where none is left, each is told as closed: that none is listed would close none.
        """
        accounts = tuple(to_account(row) for row in self.rows if is_open(row))
        is_complete = not self.quarantined
        closed = self.rows if is_complete and not accounts else ()
        return AccountsAnswer(
            accounts=accounts,
            balances=(),
            is_complete=is_complete,
            status=to_status(self.rows),
            quarantined=self.quarantined,
            troubles={
                row.id: AccountGoneError(Provider.TELLER, ACCOUNTS, code=CLOSED) for row in closed
            },
        )


@dataclass(frozen=True)
class Listed:
    """One account. `links` is None when they could not be read: then everything is tried."""

    links: frozenset[str] | None
    is_open: bool

    def offers(self, product: str) -> bool:
        """Say whether it is worth a call."""
        return self.links is None or product in self.links


class AccountBook:
    """Lists accounts and remembers them, within bounds. Safe to share between threads."""

    def __init__(self, client: TellerClient, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self._client = client
        self._remembered_max = remembered_max
        self._listed: OrderedDict[str, Listed] = OrderedDict()
        self._lock = threading.Lock()

    def fetch(self, credential: SecretStr, archive: Archive) -> AccountList:
        """Fetch the list."""
        answer = self._client.call(ACCOUNTS, "/accounts", credential=credential, archive=archive)
        rows = Rows.of(ACCOUNTS, [answer.raw.body])
        read = [
            rows.read(raw, TellerAccount, lambda row, _: row, id_key="id")
            for raw in rows_of(answer)
        ]
        accounts = tuple({row.id: row for row in read if row is not None}.values())
        self._remember(accounts)
        return AccountList(answer.raw, accounts, tuple(rows.quarantined))

    def lacks(self, account: Account, product: str) -> bool:
        """Say whether it is known that the bank does not offer this for the account."""
        listed = self._find(account)
        return listed is not None and not listed.offers(product)

    def check(
        self, credential: SecretStr, account: Account, product: str, *, archive: Archive
    ) -> int:
        """
        Make sure that this product may be called; return how many calls that took: 0 or 1.

        Raises:
            AccountGoneError: the account is closed, or no longer in the list.
            ProductUnsupportedError: the bank does not offer this for the account.
        """
        listed, calls_count = self._find(account), 0
        if listed is None:
            found, calls_count = self.fetch(credential, archive), 1
            listed = self._find(account)
            if listed is None and not found.quarantined:
                raise AccountGoneError(Provider.TELLER, product, code="NOT_LISTED")
        if listed is not None and not listed.is_open:
            raise AccountGoneError(Provider.TELLER, product, code=CLOSED)
        if listed is not None and not listed.offers(product):
            raise ProductUnsupportedError(Provider.TELLER, product, code="NOT_OFFERED")
        return calls_count

    def confirm(
        self,
        error: AccountGoneError,
        credential: SecretStr,
        account: Account,
        product: str,
        *,
        archive: Archive,
    ) -> ProviderError:
        """
        Return what is wrong in truth when Teller does not find something of an account.

        The list of accounts decides: an account that it shows as open is not gone, and one
        that it cannot show may be there.

        Raises:
            ProviderError: the list did not come, and is the better reason.
        """
        if is_closed(error):
            return error
        found = self.fetch(credential, archive)
        row = next((one for one in found.rows if one.id == account.external_id), None)
        if row is None:
            return _as(TransientError, error) if found.quarantined else error
        if not is_open(row):
            return error
        kind = ProductUnsupportedError if self.lacks(account, product) else TransientError
        return _as(kind, error)

    def _find(self, account: Account) -> Listed | None:
        with self._lock:
            return self._listed.get(account.external_id)

    def _remember(self, accounts: tuple[TellerAccount, ...]) -> None:
        with self._lock:
            for account in accounts:
                links = account.links
                offered = None if links is None else frozenset(k for k, url in links.items() if url)
                self._listed[account.id] = Listed(offered, is_open(account))
                self._listed.move_to_end(account.id)
            while len(self._listed) > self._remembered_max:
                self._listed.popitem(last=False)


def _as(kind: type[ProviderError], error: ProviderError) -> ProviderError:
    return kind(error.provider, error.operation, code=error.code, request_id=error.request_id)
