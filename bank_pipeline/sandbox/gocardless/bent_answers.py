"""Right answers with something wrong in them, as faults ask. Pure."""

import copy
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from bank_pipeline.sandbox.faults import Fault, FaultKind

_FOREIGN_ID: Final = "00000000-0000-4000-8000-000000000bad"
_FAR_FUTURE: Final = "2099-12-31"
_DATES: Final = ("bookingDate", "valueDate", "referenceDate")
_MOMENTS: Final = ("bookingDateTime", "valueDateTime", "lastChangeDateTime")
_ENUMS: Final = ("balanceType", "cashAccountType", "status", "bankTransactionCode")
_HUGE: Final = 5_000


def bend(body: Any, fault: Fault) -> Any:  # noqa: ANN401 - an object or a list
    """Return `body` with the fault in it; a fault that finds nothing to bend leaves it alone."""
    if fault.kind not in _BENDERS:
        return body
    bent = copy.deepcopy(body)
    _BENDERS[fault.kind](bent, fault)
    return bent


def _objects(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON value
    """Yield every object of an answer, the innermost first."""
    if isinstance(value, list):
        for one in value:
            yield from _objects(one)
    elif isinstance(value, dict):
        for one in list(value.values()):
            yield from _objects(one)
        yield value


def _rows(body: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - an object or a list
    lists = body.get("transactions") if isinstance(body, dict) else None
    return [] if not isinstance(lists, dict) else [*lists["booked"], *lists.get("pending", [])]


def _place(body: Any, key: str) -> dict[str, Any] | None:  # noqa: ANN401 - an object or a list
    return next((one for one in _objects(body) if key in one), None)


def _miss_key(body: Any, fault: Fault) -> None:  # noqa: ANN401 - an object or a list
    key = fault.key or "transactionAmount"
    place = _place(body, key)
    if place is not None:
        del place[key]


def _add_key(body: Any, fault: Fault) -> None:  # noqa: ANN401 - an object or a list
    for place in list(_objects(body)):
        place[fault.key or "keyFromTheFuture"] = "surprise"


def _null_value(body: Any, fault: Fault) -> None:  # noqa: ANN401 - an object or a list
    keys = [fault.key] if fault.key else ["creditorName", "name", "referenceDate"]
    for key in keys:
        place = _place(body, key)
        if place is not None:
            place[key] = None
            return


def _unknown_enum(body: Any, fault: Fault) -> None:  # noqa: ANN401 - an object or a list
    for place in _objects(body):
        for key in [fault.key] if fault.key else _ENUMS:
            if key in place:
                place[key] = "valueFromTheFuture"


def _each_amount(change: Callable[[str], Any]) -> Callable[[Any, Fault], None]:
    def bend_amounts(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
        for place in _objects(body):
            if isinstance(place.get("amount"), str):
                place["amount"] = change(place["amount"])

    return bend_amounts


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _double_rows(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
    if _rows(body):
        lists = body["transactions"]
        for name in lists:
            lists[name] = [*lists[name], *lists[name]]


def _many_rows(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
    """Repeat the booked rows under ids of their own until there are 5 000."""
    rows = _rows(body) and body["transactions"]["booked"]
    if not rows:
        return
    copies = [copy.deepcopy(rows[number % len(rows)]) for number in range(_HUGE - len(rows))]
    for number, row in enumerate(copies):
        for key in ("transactionId", "internalTransactionId"):
            if key in row:
                row[key] = f"{row[key]}-{number}"
    rows.extend(copies)


def _unknown_account(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
    for place in _objects(body):
        if isinstance(place.get("accounts"), list):
            place["accounts"] = [*place["accounts"], _FOREIGN_ID]
        elif "owner_name" in place:
            place["id"] = _FOREIGN_ID


def _miss_account(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
    for place in _objects(body):
        if isinstance(place.get("accounts"), list):
            place["accounts"] = place["accounts"][1:]


def _date_ahead(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
    for place in _objects(body):
        place.update({name: _FAR_FUTURE for name in _DATES if name in place})
        place.update({name: f"{_FAR_FUTURE}T00:00:00Z" for name in _MOMENTS if name in place})


def _change_currency(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
    for place in _objects(body):
        if "currency" in place:
            place["currency"] = "JPY"


def _empty(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
    """Show nothing: no rows, no balances, or a page without results that has a next one."""
    if _rows(body):
        body["transactions"]["booked"] = []
    if isinstance(body, dict):
        for name in ("balances", "results"):
            if name in body:
                body[name] = []


def _endless(body: Any, _: Fault) -> None:  # noqa: ANN401 - an object or a list
    if isinstance(body, dict) and "results" in body:
        body["next"] = body["next"] or "http://127.0.0.1:1/api/v2/requisitions/?limit=100&offset=0"


_BENDERS: Final[Mapping[FaultKind, Callable[[Any, Fault], None]]] = {
    FaultKind.MISSING_KEY: _miss_key,
    FaultKind.EXTRA_KEY: _add_key,
    FaultKind.NULL_VALUE: _null_value,
    FaultKind.UNKNOWN_ENUM: _unknown_enum,
    FaultKind.STRING_AMOUNTS: _each_amount(_number),  # strings are right here: send numbers
    FaultKind.NAN_AMOUNTS: _each_amount(lambda _: "NaN"),
    FaultKind.DUPLICATE_ROWS: _double_rows,
    FaultKind.HUGE_PAGE: _many_rows,
    FaultKind.UNKNOWN_ACCOUNT_ID: _unknown_account,
    FaultKind.MISSING_ACCOUNT: _miss_account,
    FaultKind.FUTURE_DATES: _date_ahead,
    FaultKind.CHANGED_CURRENCY: _change_currency,
    FaultKind.EMPTY_PAGE: _empty,
    FaultKind.ENDLESS_PAGES: _endless,
}
