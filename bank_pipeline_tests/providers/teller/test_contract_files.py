"""What is documented of Teller's answers, read into the expected values; skipped without it."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.transaction import CounterpartyType, PaymentMethod, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import AccountGoneError, ConfigurationError, ReauthRequiredError
from bank_pipeline.providers.answers import RawAnswer, WindowAnswer, WindowRequest
from bank_pipeline.providers.base import EventKind
from bank_pipeline.providers.teller.provider import TellerProvider
from bank_pipeline.providers.teller.webhooks import to_event
from bank_pipeline_tests.providers.stub import Reply, Stub
from bank_pipeline_tests.providers.teller.builders import CARD, CHECKING, TOKEN, Archived

FIRST = "acc_p3k2m1n0q9r8s7t6u5001"
SECOND = "acc_p3k2m1n0q9r8s7t6u5002"
ENROLLMENT = "enr_p3k2m1n0q9r8s7t6u5000"
DEPOSIT = CHECKING.model_copy(update={"external_id": FIRST})
CREDIT = CARD.model_copy(update={"external_id": SECOND})
REQUEST = WindowRequest(DateWindow(first=date(2026, 11, 10), last=date(2026, 11, 20)), False)


@pytest.fixture(scope="session")
def golden(contracts: Path) -> Path:
    return contracts / "teller" / "golden"


def read(golden: Path, name: str) -> bytes:
    return (golden / f"{name}.json").read_bytes()


def translated(teller: TellerProvider, body: bytes, *, of_card: bool = False) -> WindowAnswer:
    raw = RawAnswer("transactions", body, b"", None)
    answer = teller.to_window([raw], CREDIT if of_card else DEPOSIT, REQUEST)
    assert answer.quarantined == ()
    assert answer.covered == REQUEST.window
    return answer


def test_accounts(golden: Path, stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply(read(golden, "accounts.list")))
    answer = teller.fetch_accounts(TOKEN, archive=Archived())
    assert answer.is_complete
    checking, card = answer.accounts
    assert (checking.external_id, checking.name) == (FIRST, "Total Checking")
    assert (checking.type, checking.provider_subtype) == (AccountType.CHECKING, "checking")
    assert (checking.currency, checking.identifiers.masked_number) == ("USD", "3836")
    assert (card.external_id, card.type) == (SECOND, AccountType.CREDIT_CARD)
    assert answer.status is not None
    assert answer.status.institution_external_id == "chase"
    one = json.loads(read(golden, "account.get"))
    stub.plays(Reply([one]))
    assert teller.fetch_accounts(TOKEN, archive=Archived()).accounts == (checking,)


def test_balances(golden: Path, stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply(read(golden, "accounts.list")), Reply(read(golden, "account.balances")))
    answer = teller.fetch_balances(TOKEN, DEPOSIT, archive=Archived())
    assert [(one.kind, one.amount) for one in answer.balances] == [
        (BalanceKind.BOOKED, Decimal("2931.41")),
        (BalanceKind.AVAILABLE, Decimal("2924.91")),
    ]
    stub.plays(Reply(read(golden, "account.balances.ledger_only")))
    answer = teller.fetch_balances(TOKEN, CREDIT, archive=Archived())
    assert [(one.kind, one.amount) for one in answer.balances] == [
        (BalanceKind.BOOKED, Decimal("-1180.02"))
    ]


def test_a_deposits_transactions(golden: Path, teller: TellerProvider) -> None:
    answer = translated(teller, read(golden, "transactions.depository"))
    told = [
        (row.external_id[-4:], row.status, str(row.amount), row.category)
        for row in answer.transactions
    ]
    booked, pending = TransactionStatus.BOOKED, TransactionStatus.PENDING
    assert told == [
        ("6009", pending, "-6.5", "meals"),
        ("6008", booked, "-84.12", "groceries"),
        ("6007", booked, "2500", "other_income"),
        ("6006", booked, "-300", None),
        ("6005", booked, "-12", "bank_fees"),
    ]
    coffee, groceries, salary, zelle, fee = answer.transactions
    assert (coffee.booking_date, coffee.transaction_date) == (None, date(2026, 11, 19))
    assert groceries.booking_date == date(2026, 11, 17)
    assert groceries.running_balance == Decimal("2931.41")
    assert salary.counterparty is not None
    assert salary.counterparty.name == "ACME CORP"
    assert zelle.counterparty is not None
    assert zelle.counterparty.type is CounterpartyType.PERSON
    assert zelle.payment_method is PaymentMethod.PAYMENT_APP
    assert fee.counterparty is None
    assert fee.details["details"]["processing_status"] == "pending"


def test_one_transaction_is_the_same_as_in_the_list(golden: Path, teller: TellerProvider) -> None:
    one = json.loads(read(golden, "transaction.get"))
    alone = translated(teller, json.dumps([one]).encode()).transactions[0]
    assert alone in translated(teller, read(golden, "transactions.depository")).transactions


def test_a_cards_transactions(golden: Path, teller: TellerProvider) -> None:
    answer = translated(teller, read(golden, "transactions.credit_card"), of_card=True)
    told = [
        (str(row.amount), row.category, row.counterparty is None) for row in answer.transactions
    ]
    assert told == [
        ("-42.47", "shopping", False),
        ("-119", "software", False),
        ("500", "credit_card_payment", True),
    ]
    assert all(row.running_balance is None for row in answer.transactions)


def test_institutions(golden: Path, stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply(read(golden, "institutions")))
    answer = teller.fetch_institutions()
    assert [one.external_id for one in answer.institutions] == ["chase", "security_cu"]
    assert answer.unreadable == ()


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("error.account_closed.410", 410, AccountGoneError),
        ("error.mfa_required.404", 404, ReauthRequiredError),
        ("error.missing_certificate.400", 400, ConfigurationError),
    ],
)
def test_errors(
    golden: Path,
    stub: Stub,
    teller: TellerProvider,
    name: str,
    status: int,
    expected: type[Exception],
) -> None:
    stub.plays(Reply(read(golden, "accounts.list")), Reply(read(golden, name), status))
    with pytest.raises(expected):
        teller.fetch_balances(TOKEN, DEPOSIT, archive=Archived())


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        (
            "enrollment.disconnected",
            EventKind.NEEDS_REAUTH,
            "enrollment.disconnected.credentials_invalid",
        ),
        ("transactions.processed", EventKind.SYNC, "transactions.processed"),
        (
            "account.number_verification.processed",
            EventKind.IGNORE,
            "account.number_verification.processed",
        ),
        ("test", EventKind.IGNORE, "webhook.test"),
    ],
)
def test_webhooks(golden: Path, name: str, kind: EventKind, code: str) -> None:
    body = read(golden, f"webhook.{name}")
    event = to_event(body, or_key="none")
    assert (event.kind, event.code) == (kind, code)
    assert event.external_id == (None if name == "test" else ENROLLMENT)
    assert event.event_key == json.loads(body)["id"]


def test_what_connect_hands_over(golden: Path, stub: Stub, teller: TellerProvider) -> None:
    told = json.loads(read(golden, "connect.onSuccess"))
    returned = {
        "access_token": told["accessToken"],
        "enrollment_id": told["enrollment"]["id"],
        "user_id": told["user"]["id"],
        "institution_name": told["enrollment"]["institution"]["name"],
        "signatures": ",".join(told["signatures"]),
    }
    progress = teller.fetch_link_progress(SecretStr("n"), returned=returned)
    stub.plays(Reply(read(golden, "accounts.list")))
    linked = teller.complete_link(progress.exchange_tokens[0])
    assert (linked.external_id, linked.institution_name) == (ENROLLMENT, "Chase")
