"""
A reader who knows the banks' habits, for tests: from answers to what is true.

Written from what is publicly known of the institutions, not from the simulator's table.
"""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

Row = tuple[str | None, Decimal, str | None, bool, str | None, str]

_FLIPPED: Final = ("CETELEM_CETMPTP1XXX", "SEB_KORT_AB_SE_SKHSFI21")
_VALUE_DATE: Final = ("SEB_KORT_AB_SE_SKHSFI21", "ENTERCARD_SWEDNOKK")
_UNUSABLE_PENDING: Final = ("SSK_DUSSELDORF_DUSSDEDDXXX",)
_BOOK_TYPES: Final = ("interimBooked", "closingBooked", "expected", "interimAvailable")
_AVAILABLE_TYPES: Final = ("interimAvailable", "closingAvailable", "forwardAvailable")
_PREFERRED: Final = {
    "NORWEGIAN_NO_NORWNOK1": "expected",
    "AMERICAN_EXPRESS_AESUDEF1": "information",
    "SANDBOXFINANCE_SFIN0000": "interimAvailable",
    "NBG_ETHNGRAAXXX": "interimAvailable",
}


def read_rows(
    institution_id: str, body: Mapping[str, Any], currency: str, today: str
) -> Counter[Row]:
    """Return the rows of an answer as they are true; equal ones are counted."""
    lists = body["transactions"]
    rows = [_booked(institution_id, row, currency) for row in lists["booked"]]
    if institution_id not in _UNUSABLE_PENDING:
        rows += [_pending(institution_id, row, currency, today) for row in lists.get("pending", [])]
    return Counter(row for row in rows if row[4] is not None)


def true_rows(account: Mapping[str, Any]) -> Counter[Row]:
    """Return the rows of a truth in the same form."""
    return Counter(
        (
            row["external_id"],
            Decimal(row["amount"]),
            row["currency"],
            row["pending"],
            row["day"],
            row["description"],
        )
        for row in account["transactions"]
    )


def read_balances(
    institution_id: str, body: Mapping[str, Any], currency: str
) -> tuple[Decimal | None, Decimal | None]:
    """Return what is booked and what is available, None where the bank does not tell."""
    newest: dict[str, tuple[str, Decimal]] = {}
    for one in body["balances"]:
        if one["balanceAmount"]["currency"] == currency:
            told = (one.get("referenceDate", ""), Decimal(one["balanceAmount"]["amount"]))
            kind = one["balanceType"]
            newest[kind] = max(newest.get(kind, told), told)
    amounts = {kind: amount for kind, (_, amount) in newest.items()}
    if institution_id.startswith("SEB_KORT"):
        return amounts["nonInvoiced"] - amounts["expected"], None
    preferred = (_PREFERRED.get(institution_id), *_BOOK_TYPES)
    booked = next((amounts[one] for one in preferred if one in amounts), None)
    available = next((amounts[one] for one in _AVAILABLE_TYPES if one in amounts), None)
    return booked, available


def _booked(institution_id: str, row: Mapping[str, Any], currency: str) -> Row:
    if institution_id.startswith("ABNAMRO"):
        day = row["valueDateTime"][:10]
    elif institution_id in _VALUE_DATE:
        day = row["valueDate"]
    else:
        day = row.get("bookingDate") or row.get("valueDate")
    return _row(institution_id, row, currency, day, pending=False)


def _pending(institution_id: str, row: Mapping[str, Any], currency: str, today: str) -> Row:
    day = row.get("valueDate") or row.get("valueDateTime", "")[:10] or None
    if institution_id.startswith("NATIONWIDE") and day is not None:
        day = min(day, today)
    assert "internalTransactionId" not in row
    return _row(institution_id, row, currency, day, pending=True)


def _row(
    institution_id: str, row: Mapping[str, Any], currency: str, day: str | None, *, pending: bool
) -> Row:
    text = _text(row)
    amount = Decimal(row["transactionAmount"]["amount"])
    code = row["transactionAmount"]["currency"]
    if text.startswith("billingAmount: "):
        amount, code = Decimal(text.removeprefix("billingAmount: ")), currency
    if institution_id in _FLIPPED:
        amount = -amount
    if institution_id.startswith("NBG") and pending and text.startswith("ΑΓΟΡΑ "):
        amount = -amount
    known = None if code == "XXX" else code
    return row.get("internalTransactionId"), amount, known, pending, day, text


def _text(row: Mapping[str, Any]) -> str:
    joined = " ".join(row.get("remittanceInformationUnstructuredArray", []))
    return str(
        row.get("remittanceInformationUnstructured")
        or joined
        or row.get("remittanceInformationStructured")
        or row.get("additionalInformation", "")
    )
