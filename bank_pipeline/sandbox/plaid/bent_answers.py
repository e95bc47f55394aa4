"""Right answers with something wrong in them, as faults ask. Pure."""

import copy
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.faults import Fault, FaultKind

Body = dict[str, Any]
_LISTS: Final = ("added", "modified", "transactions", "accounts", "institutions", "removed")
_MONEY: Final = ("amount", "available", "current", "limit")
_FOREIGN_ID: Final = "UnknownToEverybodyXXXXXXXXXXXXXXXXXXX"
_FAR_FUTURE: Final = "2099-12-31"
_NAN: Final = "\x02NaN\x03"  # what `wire.dumps` prints without quotes


def bend(body: Body, fault: Fault) -> Body:
    """Return `body` with the fault in it; a fault that finds nothing to bend leaves it alone."""
    bent = copy.deepcopy(body)
    if fault.kind in _BENDERS:
        _BENDERS[fault.kind](bent, fault)
    return bent


def _row_and_key(body: Body, fault: Fault, usual: str) -> tuple[Body, str]:
    """Return the first place that holds the fault's key: a row, else something nested, else top."""
    key = fault.key or usual
    return next((one for one in _objects(body) if key in one), body), key


def _objects(body: Body) -> Iterator[Body]:
    for name in _LISTS:
        yield from _nested(body.get(name) or [])
    yield body
    yield from _nested([value for value in body.values() if isinstance(value, dict)])


def _nested(rows: list[Any]) -> Iterator[Body]:
    for row in rows:
        if isinstance(row, dict):
            yield row
            yield from _nested([value for value in row.values() if isinstance(value, dict)])


def _miss_key(body: Body, fault: Fault) -> None:
    place, key = _row_and_key(body, fault, "transaction_id")
    place.pop(key, None)


def _add_key(body: Body, fault: Fault) -> None:
    for place in list(_objects(body)):
        place[fault.key or "key_from_the_future"] = "surprise"


def _null_value(body: Body, fault: Fault) -> None:
    place, key = _row_and_key(body, fault, "name")
    place[key] = None


def _unknown_enum(body: Body, fault: Fault) -> None:
    place, key = _row_and_key(body, fault, "payment_channel")
    if key in place:
        place[key] = "value from the future"


def _each_amount(change: Callable[[Any], Any]) -> Callable[[Body, Fault], None]:
    def bend_amounts(body: Body, _: Fault) -> None:
        for place in _objects(body):
            for name in _MONEY:
                if isinstance(place.get(name), int | Decimal):
                    place[name] = change(place[name])

    return bend_amounts


def _double_rows(body: Body, _: Fault) -> None:
    for name in ("added", "modified", "transactions"):
        if name in body:
            body[name] = [*body[name], *body[name]]


def _add_and_remove(body: Body, _: Fault) -> None:
    for row in body.get("added", [])[:1]:
        body["removed"].append(
            {"account_id": row["account_id"], "transaction_id": row["transaction_id"]}
        )


def _remove_unknown(body: Body, _: Fault) -> None:
    if "removed" in body:
        account_id = next((one["account_id"] for one in body["accounts"]), _FOREIGN_ID)
        body["removed"].append({"account_id": account_id, "transaction_id": _FOREIGN_ID})


def _unknown_account(body: Body, _: Fault) -> None:
    for row in [*body.get("added", []), *body.get("transactions", [])][:1]:
        row["account_id"] = _FOREIGN_ID


def _miss_account(body: Body, _: Fault) -> None:
    body["accounts"] = body.get("accounts", [])[1:]


def _date_ahead(body: Body, _: Fault) -> None:
    for row in [*body.get("added", []), *body.get("transactions", [])]:
        row["date"] = _FAR_FUTURE


def _change_currency(body: Body, _: Fault) -> None:
    for place in _objects(body):
        if "iso_currency_code" in place:
            place["iso_currency_code"] = "JPY"
            place["unofficial_currency_code"] = None


_BENDERS: Final[Mapping[FaultKind, Callable[[Body, Fault], None]]] = {
    FaultKind.MISSING_KEY: _miss_key,
    FaultKind.EXTRA_KEY: _add_key,
    FaultKind.NULL_VALUE: _null_value,
    FaultKind.UNKNOWN_ENUM: _unknown_enum,
    FaultKind.STRING_AMOUNTS: _each_amount(str),
    FaultKind.NAN_AMOUNTS: _each_amount(lambda _: _NAN),
    FaultKind.DUPLICATE_ROWS: _double_rows,
    FaultKind.ADDED_AND_REMOVED: _add_and_remove,
    FaultKind.UNKNOWN_REMOVED_ID: _remove_unknown,
    FaultKind.UNKNOWN_ACCOUNT_ID: _unknown_account,
    FaultKind.MISSING_ACCOUNT: _miss_account,
    FaultKind.FUTURE_DATES: _date_ahead,
    FaultKind.CHANGED_CURRENCY: _change_currency,
}
