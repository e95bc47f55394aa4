"""Right answers with something wrong in them, as faults ask. Pure."""

import copy
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.faults import Fault, FaultKind

Body = dict[str, Any]
_LISTS: Final = ("transactions", "balances", "accounts", "accounts_data", "aspsps")
_ENUMS: Final = ("status", "balance_type", "cash_account_type", "psu_type")
_EVERYTHING: Final = "*"  # as a key of NULL_VALUE: all that the specification calls optional
_REQUIRED: Final = frozenset(
    {
        *("transaction_amount", "credit_debit_indicator", "status"),
        *("name", "balance_amount", "balance_type"),
        *("uid", "cash_account_type", "currency", "identification_hash", "identification_hashes"),
        *("country", "logo", "psu_types", "auth_methods", "maximum_consent_validity", "beta"),
    }
)
_FOREIGN_UID: Final = "00000000-0000-4000-8000-00000000dead"
_FAR_FUTURE: Final = "2099-12-31"
_NAN: Final = "NaN"


def bend(body: Body, fault: Fault) -> Body:
    """Return `body` with the fault in it; a fault that finds nothing to bend leaves it alone."""
    if fault.kind not in _BENDERS:
        return body
    bent = copy.deepcopy(body)
    _BENDERS[fault.kind](bent, fault)
    return bent


def _rows(body: Body) -> Iterator[Body]:
    for name in _LISTS:
        yield from (row for row in body.get(name) or [] if isinstance(row, dict))


def _objects(body: Body) -> Iterator[Body]:
    """Yield rows and what lies in them, then the body and what lies in it."""
    for row in _rows(body):
        yield from _nested(row)
    yield from _nested(body)


def _nested(place: Body) -> Iterator[Body]:
    yield place
    for value in place.values():
        if isinstance(value, dict):
            yield from _nested(value)


def _place(body: Body, key: str) -> Body | None:
    return next((one for one in _objects(body) if key in one), None)


def _miss_key(body: Body, fault: Fault) -> None:
    key = fault.key or "entry_reference"
    place = _place(body, key)
    if place is not None:
        del place[key]


def _add_key(body: Body, fault: Fault) -> None:
    for place in list(_objects(body)):
        place[fault.key or "key_from_the_future"] = "surprise"


def _null_value(body: Body, fault: Fault) -> None:
    if fault.key == _EVERYTHING:
        for row in _rows(body):
            row.update(dict.fromkeys(set(row) - _REQUIRED))
        return
    key = fault.key or "transaction_amount"
    place = _place(body, key)
    if place is not None:
        place[key] = None


def _unknown_enum(body: Body, fault: Fault) -> None:
    keys = [fault.key] if fault.key else _ENUMS
    for key in keys:
        place = _place(body, key)
        if place is not None:
            place[key] = "WHAT"
            return


def _each_amount(change: Callable[[str], object]) -> Callable[[Body, Fault], None]:
    def bend_amounts(body: Body, _: Fault) -> None:
        for place in _objects(body):
            if isinstance(place.get("amount"), str):
                place["amount"] = change(place["amount"])

    return bend_amounts


def _double_rows(body: Body, _: Fault) -> None:
    for name in ("transactions", "balances", "accounts"):
        if name in body:
            body[name] = [*body[name], *body[name]]


def _unknown_account(body: Body, _: Fault) -> None:
    """Put an account that does not exist among a session's."""
    for row in _rows(body):
        if "uid" in row:
            row["uid"] = _FOREIGN_UID
            return


def _miss_account(body: Body, _: Fault) -> None:
    for name in ("accounts", "accounts_data"):
        if body.get(name):
            body[name] = body[name][1:]


def _date_ahead(body: Body, _: Fault) -> None:
    for place in _objects(body):
        for name in ("booking_date", "value_date", "transaction_date", "reference_date"):
            if place.get(name) is not None:
                place[name] = _FAR_FUTURE


def _change_currency(body: Body, _: Fault) -> None:
    for place in _objects(body):
        if "currency" in place:
            place["currency"] = "JPY"


_BENDERS: Final[Mapping[FaultKind, Callable[[Body, Fault], None]]] = {
    FaultKind.MISSING_KEY: _miss_key,
    FaultKind.EXTRA_KEY: _add_key,
    FaultKind.NULL_VALUE: _null_value,
    FaultKind.UNKNOWN_ENUM: _unknown_enum,
    FaultKind.STRING_AMOUNTS: _each_amount(Decimal),  # they are texts; here they are numbers
    FaultKind.NAN_AMOUNTS: _each_amount(lambda _: _NAN),
    FaultKind.DUPLICATE_ROWS: _double_rows,
    FaultKind.UNKNOWN_ACCOUNT_ID: _unknown_account,
    FaultKind.MISSING_ACCOUNT: _miss_account,
    FaultKind.FUTURE_DATES: _date_ahead,
    FaultKind.CHANGED_CURRENCY: _change_currency,
}
