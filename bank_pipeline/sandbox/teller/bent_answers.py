"""Right answers with something wrong in them, as faults ask. Pure."""

import copy
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.faults import Fault, FaultKind

Body = Any  # an object, or a list of objects
_MONEY: Final = ("amount", "running_balance", "ledger", "available")
_FOREIGN_ID: Final = "acc_unknowntoeverybody0"
_FAR_FUTURE: Final = "2099-12-31"
_FROM_THE_FUTURE: Final = "value_from_the_future"


def bend(body: Body, fault: Fault) -> Body:
    """Return `body` with the fault in it; a fault that finds nothing to bend leaves it alone."""
    if fault.kind not in _BENDERS:
        return body
    bent = copy.deepcopy(body)
    return _BENDERS[fault.kind](bent, fault)


def _objects(body: Body) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        yield body
        for value in body.values():
            yield from _objects(value)
    elif isinstance(body, list):
        for one in body:
            yield from _objects(one)


def _rows(body: Body) -> list[dict[str, Any]]:
    return body if isinstance(body, list) else [body]


def _holder(body: Body, key: str) -> dict[str, Any] | None:
    return next((one for one in _objects(body) if key in one), None)


def _miss_key(body: Body, fault: Fault) -> Body:
    key = fault.key or "id"
    holder = _holder(body, key)
    if holder is not None:
        del holder[key]
    return body


def _add_key(body: Body, fault: Fault) -> Body:
    for one in list(_objects(body)):
        one[fault.key or "key_from_the_future"] = "surprise"
    return body


def _null_value(body: Body, fault: Fault) -> Body:
    return _set_one(body, fault.key or "amount", None)


def _unknown_enum(body: Body, fault: Fault) -> Body:
    usual = next((one for one in ("status", "type") if _holder(body, one) is not None), "type")
    return _set_one(body, fault.key or usual, _FROM_THE_FUTURE)


def _set_one(body: Body, key: str, value: str | None) -> Body:
    holder = _holder(body, key)
    if holder is not None:
        holder[key] = value
    return body


def _each_amount(change: Callable[[str], Any]) -> Callable[[Body, Fault], Body]:
    def bend_amounts(body: Body, _: Fault) -> Body:
        for one in _objects(body):
            for name in _MONEY:
                if isinstance(one.get(name), str):
                    one[name] = change(one[name])
        return body

    return bend_amounts


def _double_rows(body: Body, _: Fault) -> Body:
    return [*body, *body] if isinstance(body, list) else body


def _miss_account(body: Body, _: Fault) -> Body:
    return body[1:] if isinstance(body, list) else body


def _each_row(name: str, value: str, *, first_only: bool = False) -> Callable[[Body, Fault], Body]:
    def bend_rows(body: Body, _: Fault) -> Body:
        rows = [one for one in _rows(body) if name in one]
        for row in rows[:1] if first_only else rows:
            row[name] = value
        return body

    return bend_rows


_BENDERS: Final[Mapping[FaultKind, Callable[[Body, Fault], Body]]] = {
    FaultKind.MISSING_KEY: _miss_key,
    FaultKind.EXTRA_KEY: _add_key,
    FaultKind.NULL_VALUE: _null_value,
    FaultKind.UNKNOWN_ENUM: _unknown_enum,
    FaultKind.STRING_AMOUNTS: _each_amount(Decimal),  # strings are usual here: now numbers
    FaultKind.NAN_AMOUNTS: _each_amount(lambda _: "NaN"),
    FaultKind.DUPLICATE_ROWS: _double_rows,
    FaultKind.UNKNOWN_ACCOUNT_ID: _each_row("account_id", _FOREIGN_ID, first_only=True),
    FaultKind.MISSING_ACCOUNT: _miss_account,
    FaultKind.FUTURE_DATES: _each_row("date", _FAR_FUTURE),
    FaultKind.CHANGED_CURRENCY: _each_row("currency", "JPY"),
}
