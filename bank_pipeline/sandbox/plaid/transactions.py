"""
The endpoints of the product Transactions.

Source: https://plaid.com/docs/api/products/transactions/
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.plaid import dynamic_user
from bank_pipeline.sandbox.plaid.accounts import accounts_to_json
from bank_pipeline.sandbox.plaid.cursors import Cursor, decode_cursor, rejected_cursor
from bank_pipeline.sandbox.plaid.errors import plaid_error
from bank_pipeline.sandbox.plaid.item_json import item_to_json
from bank_pipeline.sandbox.plaid.items import Item
from bank_pipeline.sandbox.plaid.readiness import Stage, plaid_date
from bank_pipeline.sandbox.plaid.shapes import Day, Flag, Kind, Many, Shape, Text, Whole
from bank_pipeline.sandbox.plaid.simulator import Call, Endpoint
from bank_pipeline.sandbox.plaid.sync_feed import Page, Row
from bank_pipeline.sandbox.plaid.transaction_json import Style, transaction_to_json

_COUNT: Final = Whole(1, 500)
_COUNT_USUAL: Final = 100
_HUGE_COUNT: Final = 5_000
_CURSOR_LONGEST: Final = 256
_FROM_NOW: Final = "now"  # for Items that move from /transactions/get
_STYLE_OPTIONS: Final[Mapping[str, Kind]] = {
    "include_original_description": Flag(nullable=True),
    "include_personal_finance_category": Flag(),
    "include_personal_finance_category_beta": Flag(),
    "include_logo_and_counterparty_beta": Flag(),
    "personal_finance_category_version": Text(choices=frozenset({"v1", "v2"})),
    "days_requested": Whole(1, 730),
}


def sync(call: Call) -> dict[str, Any]:
    """Return the updates after a cursor, one page of them."""
    item = call.item
    _begin(call)
    call.plaid.items.catch_up(item, call.now)
    _arm(item)
    account_id = call.options.get("account_id") or ""
    if account_id:
        item.grant_of(account_id)
    if item.feed.stage is Stage.NOT_READY or _has_fault(call, FaultKind.NOT_READY):
        return _nothing_yet()
    here = _place_of(call, account_id)
    page = item.feed.delta(here.start, here.end, account_id or None).page(
        here.offset, _count_of(call)
    )
    following = Cursor(here.end, here.end, 0, account_id)
    if page.has_more:
        following = replace(here, offset=page.next_offset)
    body = _sync_body(call, page, following.encode(item.item_id))
    return _with_paging_fault(call, body)


def get(call: Call) -> dict[str, Any]:
    """Return the transactions between two dates, newest first, one page of them."""
    item = call.item
    start, end = (date.fromisoformat(call.body[one]) for one in ("start_date", "end_date"))
    if start > end:
        raise plaid_error("INVALID_FIELD", "start_date must not be after end_date")
    _begin(call)
    call.plaid.items.catch_up(item, call.now)
    if item.feed.stage is Stage.NOT_READY or _has_fault(call, FaultKind.NOT_READY):
        raise plaid_error("PRODUCT_NOT_READY")
    asked = call.options.get("account_ids")
    grants = (
        item.active_grants()
        if asked is None
        else [item.grant_of(account_id) for account_id in asked]
    )
    ids = {grant.account_id for grant in grants}
    rows = [
        row
        for row in item.feed.rows()
        if row.account_id in ids and start <= plaid_date(row.entry) <= end
    ]
    offset = call.options.get("offset", 0)
    page = rows[offset : offset + call.options.get("count", _COUNT_USUAL)]
    return {
        "accounts": accounts_to_json(call, grants),
        "item": item_to_json(call.plaid, item),
        "total_transactions": len(rows),
        "transactions": _rows_to_json(call, page),
    }


def refresh(call: Call) -> dict[str, Any]:
    """Have the bank asked now; a dynamic user's transactions move on by that."""
    _begin(call)
    if call.item.dynamic:
        dynamic_user.move_on(call.plaid.world, call.item)
    call.plaid.announcer.look_at(call.item, call.now)
    return {}


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/transactions/sync": Endpoint(
        sync,
        Shape(
            {
                "access_token": Text(required=True),
                "cursor": Text(empty=True, longest=_CURSOR_LONGEST),
                "count": _COUNT,
                "options": Shape({**_STYLE_OPTIONS, "account_id": Text()}),
            }
        ),
    ),
    "/transactions/get": Endpoint(
        get,
        Shape(
            {
                "access_token": Text(required=True),
                "start_date": Day(required=True),
                "end_date": Day(required=True),
                "options": Shape(
                    {
                        **_STYLE_OPTIONS,
                        "account_ids": Many(Text()),
                        "count": _COUNT,
                        "offset": Whole(0, 1_000_000),
                    }
                ),
            }
        ),
    ),
    "/transactions/refresh": Endpoint(refresh, Shape({"access_token": Text(required=True)})),
}


def _begin(call: Call) -> None:
    """Start the product if the Item has consent for it and it has not begun."""
    item = call.item
    if item.transactions is not None:
        return
    if "transactions" not in item.consented_products:
        raise plaid_error("ADDITIONAL_CONSENT_REQUIRED")
    item.products.append("transactions")
    item.days_requested = call.options.get("days_requested", item.days_requested)
    call.plaid.items.begin_transactions(item, call.now)


def _arm(item: Item) -> None:
    """Let the Item announce updates, from the first call of sync on and not what it returns."""
    if not item.announced.armed:
        item.announced.armed = True
        item.announced.sync = item.feed.head


def _place_of(call: Call, account_id: str) -> Cursor:
    """
    Return where the asked page begins. A loop whose ground has moved must begin again.

    Source: https://plaid.com/docs/errors/transactions/
    """
    text, item_id, head = call.body.get("cursor", ""), call.item.item_id, call.item.feed.head
    if _has_fault(call, FaultKind.CURSOR_REJECTED):
        raise rejected_cursor()
    if _has_fault(call, FaultKind.MUTATION):
        raise plaid_error("TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION")
    if text == _FROM_NOW:
        return Cursor(head, head, 0, account_id)
    known = decode_cursor(text, item_id, account_id) if text else Cursor(0, 0, 0, account_id)
    if known.offset and known.end != head:
        raise plaid_error("TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION")
    return known if known.offset else Cursor(known.end, head, 0, account_id)


def _count_of(call: Call) -> int:
    if _has_fault(call, FaultKind.HUGE_PAGE):
        return _HUGE_COUNT
    return int(call.body.get("count", _COUNT_USUAL))


def _sync_body(call: Call, page: Page, cursor: str) -> dict[str, Any]:
    added, modified = _rows_to_json(call, page.added), _rows_to_json(call, page.modified)
    shown = {row.account_id for row in call.item.feed.rows()}
    grants = [one for one in call.item.active_grants() if one.account_id in shown]
    return {
        "accounts": accounts_to_json(call, grants),
        "added": added,
        "modified": modified,
        "removed": [
            {"account_id": one.account_id, "transaction_id": one.transaction_id}
            for one in page.removed
        ],
        "next_cursor": cursor,
        "has_more": page.has_more,
        "transactions_update_status": call.item.feed.stage.update_status,
    }


def _with_paging_fault(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Bend the paging as a fault asks, and remember a row for the fault that repeats it."""
    kind = None if call.fault is None else call.fault.kind
    sent = call.body.get("cursor", "")
    nothing: dict[str, Any] = {"added": [], "modified": [], "removed": []}
    match kind:
        case FaultKind.ENDLESS_PAGES:
            return {**body, **nothing, "next_cursor": sent, "has_more": True}
        case FaultKind.EMPTY_PAGE:
            place = _place_of(call, call.options.get("account_id") or "")
            if not place.offset:  # the loop has hardly begun: what follows begins where it did
                place = replace(place, start=0, end=place.start)
            following = place.encode(call.item.item_id)
            return {**body, **nothing, "next_cursor": following, "has_more": True}
        case FaultKind.STALE_DATA:
            return {**body, **nothing, "next_cursor": sent, "has_more": False}
        case FaultKind.DUPLICATE_ACROSS_PAGES if call.item.last_row is not None:
            again = _rows_to_json(call, [call.item.last_row])
            return {**body, "added": [*again, *body["added"]]}
    return body


def _rows_to_json(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    if rows and not _has_fault(call, FaultKind.DUPLICATE_ACROSS_PAGES):
        call.item.last_row = rows[-1]
    style = Style(
        original_description=bool(call.options.get("include_original_description")),
        category_version=call.options.get("personal_finance_category_version", "v2"),
        counterparty_ibans=call.plaid.options.counterparty_ibans,
    )
    return [transaction_to_json(row, style) for row in rows]


def _has_fault(call: Call, kind: FaultKind) -> bool:
    return call.fault is not None and call.fault.kind is kind


def _nothing_yet() -> dict[str, Any]:
    return {
        "accounts": [],
        "added": [],
        "modified": [],
        "removed": [],
        "next_cursor": "",
        "has_more": False,
        "transactions_update_status": Stage.NOT_READY.update_status,
    }
