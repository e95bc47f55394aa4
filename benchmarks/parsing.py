"""What an answer costs before anything is written: parse, check and translate, fingerprint."""

import json
import random
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import Any, Final

from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.plaid.changes import to_delta
from bank_pipeline.providers.plaid.schemas import PlaidSyncPage
from bank_pipeline.providers.rows import Rows

PAGES: Final = 20
PAGE_SIZE: Final = 500  # Plaid's largest
REPEATS: Final = 3


def measure(size_name: str) -> dict[str, Any]:  # noqa: ARG001 - it takes seconds
    """Measure; nothing of it is limited."""
    return {"us_per_transaction": measure_parsing(), "broken": []}


def measure_parsing() -> dict[str, float]:
    """Return the cost of each part in microseconds of CPU per transaction."""
    bodies = [_body(page) for page in range(PAGES)]
    times: dict[str, list[float]] = {"parse JSON": [], "check and translate": [], "fingerprint": []}
    for _ in range(REPEATS):
        raw, seconds = _time(lambda: [parse_json(body) for body in bodies])
        times["parse JSON"].append(seconds)
        delta, seconds = _time(partial(_to_delta, raw, bodies))
        times["check and translate"].append(seconds)
        assert len(delta.upserts) == PAGES * PAGE_SIZE, "no row is quarantined"
        _, seconds = _time(partial(_to_hashes, delta))
        times["fingerprint"].append(seconds)
    count = PAGES * PAGE_SIZE
    return {name: round(median(taken) / count * 1e6, 1) for name, taken in times.items()}


def _to_delta(raw: list[Any], bodies: list[bytes]) -> TransactionDelta:
    pages = [PlaidSyncPage.model_validate(page) for page in raw]
    return to_delta(pages, Rows.of("transactions/sync", bodies))


def _to_hashes(delta: TransactionDelta) -> list[bytes]:
    return [transaction.content_hash for transaction in delta.upserts]


def _time(work: Callable[[], Any]) -> tuple[Any, float]:
    start = process_time()
    result = work()
    return result, process_time() - start


def _body(page: int) -> bytes:
    chance = random.Random(page)
    answer = {
        "accounts": [],
        "added": [_transaction(chance, f"{page}-{number}") for number in range(PAGE_SIZE)],
        "modified": [],
        "removed": [],
        "next_cursor": f"cursor-{page}",
        "has_more": page < PAGES - 1,
        "request_id": "request",
        "transactions_update_status": "HISTORICAL_UPDATE_COMPLETE",
    }
    return json.dumps(answer).encode()


def _transaction(chance: random.Random, name: str) -> dict[str, Any]:
    return {
        "account_id": f"account-{chance.randrange(20):037}",
        "account_owner": None,
        "amount": chance.randrange(1, 500_00) / 100,
        "authorized_date": "2026-03-04",
        "authorized_datetime": None,
        "category": None,
        "category_id": None,
        "check_number": None,
        "counterparties": [
            {
                "name": "Whole Foods Market",
                "type": "merchant",
                "logo_url": "https://plaid-merchant-logos.plaid.com/whole_foods.png",
                "website": "wholefoodsmarket.com",
                "entity_id": "O5W5j4dN9OR3E6ypQmjdkWZZRoXEzVMz2ByWM",
                "confidence_level": "VERY_HIGH",
            }
        ],
        "date": "2026-03-05",
        "datetime": "2026-03-05T11:01:01Z",
        "iso_currency_code": "USD",
        "location": {
            "address": "300 Post St",
            "city": "San Francisco",
            "country": "US",
            "lat": 40.740352,
            "lon": -74.001761,
            "postal_code": "94108",
            "region": "CA",
            "store_number": "1235",
        },
        "logo_url": "https://plaid-merchant-logos.plaid.com/whole_foods.png",
        "merchant_entity_id": "O5W5j4dN9OR3E6ypQmjdkWZZRoXEzVMz2ByWM",
        "merchant_name": "Whole Foods Market",
        "name": f"WHOLEFDS {name}",
        "payment_channel": "in store",
        "payment_meta": dict.fromkeys(("by_order_of", "payee", "payer", "reason", "ppd_id")),
        "pending": False,
        "pending_transaction_id": None,
        "personal_finance_category": {
            "primary": "FOOD_AND_DRINK",
            "detailed": "FOOD_AND_DRINK_GROCERIES",
            "confidence_level": "VERY_HIGH",
        },
        "personal_finance_category_icon_url": "https://plaid-category-icons.plaid.com/food.png",
        "transaction_code": None,
        "transaction_id": f"transaction-{name}",
        "transaction_type": "place",
        "unofficial_currency_code": None,
        "website": "wholefoodsmarket.com",
    }
