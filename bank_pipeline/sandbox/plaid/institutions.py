"""
The world's banks under Plaid's institution ids, and the three `/institutions` endpoints.

Source: https://plaid.com/docs/api/institutions/, https://plaid.com/docs/sandbox/institutions/
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.ledger import Bank
from bank_pipeline.sandbox.plaid.errors import plaid_error
from bank_pipeline.sandbox.plaid.shapes import Anything, Flag, Many, Shape, Text, Whole
from bank_pipeline.sandbox.plaid.simulator import Call, Endpoint
from bank_pipeline.sandbox.plaid.vocabulary import COUNTRY_CODES, PRODUCTS, SUPPORTED_PRODUCTS
from bank_pipeline.sandbox.wire import moment_text

_COUNTRIES: Final = Many(Text(choices=COUNTRY_CODES), required=True, some=True)
_METADATA: Final = {
    "include_optional_metadata": Flag(),
    "include_auth_metadata": Flag(),
    "include_payment_initiation_metadata": Flag(),
}
_COUNT_MAX: Final = 500
_SEARCH_MAX: Final = 10  # the documented size of a search's answer


def get(call: Call) -> dict[str, Any]:
    """Page through the institutions of some countries."""
    options = call.options
    products = set(options.get("products") or ())
    found = [
        (institution_id, bank)
        for institution_id, bank in _of_countries(call)
        if products <= SUPPORTED_PRODUCTS and _fits_oauth(bank, options.get("oauth"))
    ]
    offset = call.body["offset"]
    page = found[offset : offset + call.body["count"]]
    return {
        "institutions": [_to_json(one, bank, options) for one, bank in page],
        "total": len(found),
    }


def get_by_id(call: Call) -> dict[str, Any]:
    """Describe one institution, with the state of its connections when asked."""
    institution_id = call.body["institution_id"]
    bank = dict(_of_countries(call)).get(institution_id)
    if bank is None:
        raise plaid_error("INVALID_INSTITUTION")
    body = _to_json(institution_id, bank, call.options)
    if call.options.get("include_status"):
        body["status"] = _status(call)
    return {"institution": body}


def search(call: Call) -> dict[str, Any]:
    """Find institutions by a part of their name, upper or lower case."""
    query, options = call.body["query"].casefold(), call.options
    supported = set(call.body.get("products") or ()) <= SUPPORTED_PRODUCTS
    found = [
        _to_json(institution_id, bank, options)
        for institution_id, bank in _of_countries(call)
        if supported and query in bank.name.casefold() and _fits_oauth(bank, options.get("oauth"))
    ]
    return {"institutions": found[:_SEARCH_MAX]}


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/institutions/get": Endpoint(
        get,
        Shape(
            {
                "count": Whole(1, _COUNT_MAX, required=True),
                "offset": Whole(0, 1_000_000, required=True),
                "country_codes": _COUNTRIES,
                "options": Shape(
                    {
                        "products": Many(Text(choices=PRODUCTS), nullable=True),
                        "routing_numbers": Many(Text(), nullable=True),
                        "oauth": Flag(nullable=True),
                        **_METADATA,
                    }
                ),
            }
        ),
    ),
    "/institutions/get_by_id": Endpoint(
        get_by_id,
        Shape(
            {
                "institution_id": Text(required=True),
                "country_codes": _COUNTRIES,
                "options": Shape({"include_status": Flag(), **_METADATA}),
            }
        ),
    ),
    "/institutions/search": Endpoint(
        search,
        Shape(
            {
                "query": Text(required=True),
                "products": Many(Text(choices=PRODUCTS), nullable=True),
                "country_codes": _COUNTRIES,
                "options": Shape(
                    {"oauth": Flag(nullable=True), "payment_initiation": Anything(), **_METADATA}
                ),
            }
        ),
    ),
}


def _of_countries(call: Call) -> list[tuple[str, Bank]]:
    wanted = set(call.body["country_codes"])
    named = call.plaid.institutions.items()
    return [(one, bank) for one, bank in named if bank.country in wanted]


def _fits_oauth(bank: Bank, wanted: bool | None) -> bool:  # noqa: FBT001 - a filter's value
    return wanted is None or bank.oauth is wanted


def _to_json(institution_id: str, bank: Bank, options: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "connection_availability": "SUPPORTED",
        "country_codes": [bank.country],
        "dtc_numbers": [],
        "institution_id": institution_id,
        "name": bank.name,
        "oauth": bank.oauth,
        "products": sorted(SUPPORTED_PRODUCTS),
        "routing_numbers": _routing_numbers(bank),
    }
    if options.get("include_optional_metadata"):
        body |= {"url": bank.url, "primary_color": "#" + _digest(bank)[:6], "logo": None}
    return body


def _routing_numbers(bank: Bank) -> list[str]:
    if bank.country != "US":
        return []
    return [f"{int(_digest(bank), 16) % 10**9:09d}"]


def _digest(bank: Bank) -> str:
    return hashlib.sha256(bank.id.encode()).hexdigest()


def _status(call: Call) -> dict[str, Any]:
    changed = moment_text((call.now - timedelta(days=3)).replace(microsecond=0))
    breakdown = {
        "success": Decimal("0.98"),
        "error_plaid": Decimal("0.01"),
        "error_institution": Decimal("0.01"),
    }
    healthy = {"status": "HEALTHY", "last_status_change": changed}
    return {
        "item_logins": {**healthy, "breakdown": breakdown},
        "transactions_updates": {
            **healthy,
            "breakdown": {**breakdown, "refresh_interval": "NORMAL"},
        },
        "health_incidents": [],
    }
