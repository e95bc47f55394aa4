"""What differs between the providers, as data: where a claim looks, never what it claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.base import Capabilities, ProviderClient, Scope
from bank_pipeline.providers.enable_banking.provider import EnableBankingProvider
from bank_pipeline.providers.gocardless.provider import GoCardlessProvider
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.providers.teller.provider import TellerProvider

_CLIENTS: Final[Mapping[Provider, type[ProviderClient]]] = {
    Provider.PLAID: PlaidProvider,
    Provider.GOCARDLESS: GoCardlessProvider,
    Provider.ENABLE_BANKING: EnableBankingProvider,
    Provider.TELLER: TellerProvider,
}


@dataclass(frozen=True)
class Case:
    """
    One provider of the suite.

    `bank_id` is the world's bank that it serves in the quiet world, `living_login` its customer
    in the living one. `operations` name what faults can strike: what is read of one account by
    its scope; `listing` is what lists the accounts. `revocation` is the operation that ends a
    consent. `row_key` is a field that no row of transactions can be read without, and `enum_key`
    one whose words grow. `truth_path` is where the sandbox tells the truth of a connection, and
    `consent_word` what its consent page calls a yes. `calls` matches all its operations.
    Who does not `tells_closed` says of a closed account that it cannot be read.
    """

    provider: Provider
    bank_id: str
    living_login: str
    operations: Mapping[Scope, str]
    listing: str
    revocation: str
    row_key: str
    enum_key: str
    unknown_word: str
    truth_path: str
    calls: str
    consent_word: str = "approve"
    tells_closed: bool = True

    @property
    def capabilities(self) -> Capabilities:
        """What the provider says of itself."""
        return _CLIENTS[self.provider].capabilities

    @property
    def transactions(self) -> str:
        """The operation that reads transactions."""
        return self.operations[Scope.TRANSACTIONS]

    def __str__(self) -> str:
        return str(self.provider)


CASES: Final = (
    Case(
        Provider.PLAID,
        bank_id="us-harbor",
        living_login="login-1",
        operations={Scope.TRANSACTIONS: "/transactions/sync"},
        listing="/accounts/get",
        revocation="/item/remove",
        row_key="date",
        enum_key="payment_channel",
        unknown_word="value from the future",
        truth_path="truth?item_id=",
        calls="/*",
        consent_word="success",
    ),
    Case(
        Provider.GOCARDLESS,
        bank_id="de-mueritz",
        living_login="login-2",
        operations={
            Scope.TRANSACTIONS: "gocardless:transactions",
            Scope.BALANCES: "gocardless:balances",
            Scope.DETAILS: "gocardless:details",
        },
        listing="gocardless:requisition",
        revocation="gocardless:requisition_delete",
        row_key="transactionAmount",
        enum_key="bankTransactionCode",
        unknown_word="valueFromTheFuture",
        truth_path="gocardless/truth?external_id=",
        calls="gocardless:*",
    ),
    Case(
        Provider.ENABLE_BANKING,
        bank_id="de-mueritz",
        living_login="login-5",
        operations={
            Scope.TRANSACTIONS: "enable_banking:transactions",
            Scope.BALANCES: "enable_banking:balances",
        },
        listing="enable_banking:session",
        revocation="enable_banking:session_delete",
        row_key="transaction_amount",
        enum_key="code",
        unknown_word="WHAT",
        truth_path="enable_banking/truth?external_id=",
        calls="enable_banking:*",
        tells_closed=False,
    ),
    Case(
        Provider.TELLER,
        bank_id="us-harbor",
        living_login="login-4",
        operations={
            Scope.TRANSACTIONS: "teller:transactions",
            Scope.BALANCES: "teller:balances",
        },
        listing="teller:accounts",
        revocation="teller:delete_enrollment",
        row_key="amount",
        enum_key="type",
        unknown_word="value_from_the_future",
        truth_path="teller/truth?external_id=",
        calls="teller:*",
    ),
)
