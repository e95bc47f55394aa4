"""What a row says in our words, to compare what is true with what was read. Exact: no floats."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import QuarantinedRow, RawAnswer, WindowRequest
from bank_pipeline.providers.exact_json import dump_json
from bank_pipeline.sandbox import wire
from bank_pipeline_tests.properties.wire_entries import HOLDER, NO_REFERENCE, OWN_IBAN, TODAY

REQUEST: Final = WindowRequest(DateWindow(first=date(1999, 1, 1), last=TODAY), is_first=False)
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_UNWRITABLE: Final = re.compile(r"\\u(000[23]|d[89a-f])")
"""What the sandbox needs for itself, and halves of a character: no real bank writes either."""

Foreign = tuple[str | None, str | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Said:
    """One row; amounts are texts in full, without trailing zeros. None is unknown."""

    status: TransactionStatus
    amount: str
    currency: str | None
    unofficial: str | None
    booking_date: date | None
    value_date: date | None
    transaction_date: date | None
    description: str
    counterparty: str | None
    running: str | None = None
    foreign: Foreign | None = None
    reference: str | None = None
    check_number: str | None = None


def said_by(row: Transaction) -> Said:
    """Return what a row says that was read."""
    assert row.amount is not None
    exchange = row.foreign_exchange
    return Said(
        status=row.status,
        amount=format(row.amount, "f"),  # in its one form: with no zeros behind
        currency=row.currency,
        unofficial=row.unofficial_currency,
        booking_date=row.booking_date,
        value_date=row.value_date,
        transaction_date=row.transaction_date,
        description=row.description,
        counterparty=row.counterparty.name if row.counterparty else None,
        running=plain(row.running_balance),
        foreign=(
            (plain(exchange.source_amount), exchange.source_currency, plain(exchange.rate))
            if exchange
            else None
        ),
        reference=row.reference,
        check_number=row.check_number,
    )


def plain(amount: Decimal | None) -> str | None:
    """Return an amount in full, without trailing zeros and a sign before nothing."""
    if amount is None:
        return None
    if not amount:
        return "0"
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def mended(text: str) -> str:
    """Return a text with the sign for an unknown character where no database can hold it."""
    return _UNSTORABLE.sub("\ufffd", text)


def joined(lines: Iterable[str]) -> str:
    """Return remittance lines as one text: those that say something, joined by one space."""
    return " ".join(line.strip() for line in map(mended, lines) if line.strip())


def stated(reference: str | None) -> str | None:
    """Return a reference, None for the word for none."""
    return None if reference == NO_REFERENCE else reference


def without_party(row: Transaction) -> Transaction:
    """Return a row without the other side, where a bank leaves it to its texts."""
    return row.model_copy(update={"counterparty": None})


def to_bytes(body: Any) -> bytes:
    """Write an answer as the sandbox does; what it cannot write, as escapes in plain ASCII."""
    escaped = dump_json(body)
    return (escaped if _UNWRITABLE.search(escaped) else wire.dumps(body)).encode()


def answered(operation: str, body: Any) -> RawAnswer:
    """Return an answer as it came."""
    return RawAnswer(operation, to_bytes(body), b"", None)


def holder_account(
    type_: AccountType = AccountType.CHECKING, currency: str | None = "EUR"
) -> Account:
    """Return our account of the holder."""
    return Account(
        external_id="account-1",
        name="Current",
        type=type_,
        provider_type="",
        currency=currency,
        holder_name=HOLDER,
        identifiers=AccountIdentifiers(iban=OWN_IBAN),
    )


def assert_same(expected: Iterable[Said], read: Iterable[Transaction]) -> None:
    """Hold that rows say what is true, each as often as it happened, under ids of their own."""
    rows = list(read)
    assert len({row.external_id for row in rows}) == len(rows), "ids are unique"
    true, told = Counter(expected), Counter(map(said_by, rows))
    lost, invented = list(true - told), list(told - true)
    assert not lost + invented, f"true and not read: {lost}; read and not true: {invented}"


def assert_only_odd(quarantined: Iterable[QuarantinedRow], raws: Iterable[Any]) -> None:
    """Hold that exactly these rows were set aside, and that nothing of them was lost."""
    kept = [json.loads(row.raw, parse_float=Decimal) for row in quarantined]
    assert Counter(map(_canonical, kept)) == Counter(map(_canonical, raws))


def _canonical(value: Any) -> str:
    """Return JSON in which equal numbers are spelt alike."""

    def spelt(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: spelt(one) for key, one in part.items()}
        if isinstance(part, list):
            return [spelt(one) for one in part]
        is_number = isinstance(part, int | Decimal) and not isinstance(part, bool)
        return wire.number_text(Decimal(part)) if is_number else part

    return json.dumps(spelt(value), sort_keys=True)
