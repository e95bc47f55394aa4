"""The transactions that the prepared banks tell, in each provider's own shape. Pure."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

NUMBER: Final = "########"
"""Stands in ids for the connection's number: the server puts it in."""

PAGE: Final = "@@@@@@"
"""Stands in a long history for the number of a page."""

ACCOUNTS: Final = 3
BEFORE: Final = 20  # rows of an account that the first sync brings, and the next one repeats
NEW: Final = 5  # rows that only the next one brings
_DAYS: Final = 9  # over which the rows of before are spread: within everybody's overlap
_SHOPS: Final = ("Madison Bicycles", "City Pharmacy", "Corner Coffee", "Pantry Plus", "Café Zoë")


def amount_of(number: int) -> Decimal:
    """Return what a row moves; money goes out."""
    return -Decimal(101 + 37 * (number % 53)) / 100


def booked_until(count: int) -> Decimal:
    """Return an account's balance after its first `count` rows."""
    return Decimal("5000.00") + sum((amount_of(number) for number in range(count)), Decimal(0))


def day_of(number: int, today: date) -> date:
    """Return when a row is booked: the new ones today."""
    if number >= BEFORE:
        return today
    return today - timedelta(days=_DAYS - number * _DAYS // BEFORE)


def account_id(account: int) -> str:
    """Return an account's id at its provider, whichever it is."""
    return f"acc-{NUMBER}-{account}"


_PLAID: Final[dict[str, Any]] = {
    **dict.fromkeys((
        "account_owner", "authorized_datetime", "category", "category_id", "check_number",
        "datetime", "merchant_category_code", "pending_transaction_id", "running_balance",
        "transaction_code", "unofficial_currency_code",
    )),
    "iso_currency_code": "USD",
    "location": {
        "address": "300 Post St",
        "lat": 40.740352,
        "lon": -74.001761,
        "postal_code": "94108",
        "region": "CA",
        "store_number": "1235",
        "city": "San Francisco",
        "country": "US",
    },
    "logo_url": "https://plaid-merchant-logos.plaid.com/shop.png",
    "payment_channel": "in store",
    "payment_meta": dict.fromkeys((
        "by_order_of", "payee", "payer", "payment_method", "payment_processor", "ppd_id", "reason",
        "reference_number",
    )),
    "pending": False,
    "personal_finance_category": {
        "confidence_level": "HIGH",
        "detailed": "FOOD_AND_DRINK_GROCERIES",
        "primary": "FOOD_AND_DRINK",
        "version": "v2",
    },
    "personal_finance_category_icon_url": "https://plaid-category-icons.plaid.com/food.png",
    "transaction_type": "place",
    "website": "shop.example",
}  # fmt: skip
"""What every row of Plaid's says alike."""


def plaid_row(account: int, number: int, today: date) -> dict[str, Any]:
    """Return a row as Plaid tells it."""
    shop, day = _SHOPS[number % len(_SHOPS)], day_of(number, today).isoformat()
    shop_id = f"ent{number % len(_SHOPS):034}"
    return {
        **_PLAID,
        "account_id": account_id(account),
        "amount": float(-amount_of(number)),
        "authorized_date": day,
        "counterparties": [
            {
                "confidence_level": "VERY_HIGH",
                "entity_id": shop_id,
                "logo_url": "https://plaid-merchant-logos.plaid.com/shop.png",
                "name": shop,
                "type": "merchant",
                "website": "shop.example",
            }
        ],
        "date": day,
        "merchant_entity_id": shop_id,
        "merchant_name": shop,
        "name": shop,
        "original_description": f"{shop.upper()} #{number:04}",
        "transaction_id": f"txn{NUMBER}n{account}n{number:06}000000000000000",
    }


def plaid_history_row(account: int, number: int, today: date) -> dict[str, Any]:
    """Return a row of a page of a long history: older than what the daily syncs show."""
    row = plaid_row(account, number % BEFORE, today)
    day = (today - timedelta(days=30 + number)).isoformat()
    name = f"old{NUMBER}p{PAGE}n{number:04}0000000000"
    return row | {"transaction_id": name, "date": day, "authorized_date": day}


def teller_row(account: int, number: int, today: date) -> dict[str, Any]:
    """Return a row as Teller tells it."""
    shop, name = _SHOPS[number % len(_SHOPS)], account_id(account)
    id_ = f"txn_{NUMBER}_{account}_{number:06}"
    return {
        "id": id_,
        "account_id": name,
        "date": day_of(number, today).isoformat(),
        "description": f"{shop.upper()} #{number:04}",
        "amount": str(amount_of(number)),
        "status": "posted",
        "type": "card_payment",
        "running_balance": str(booked_until(number + 1)),
        "details": {
            "processing_status": "complete",
            "category": "groceries",
            "counterparty": {"name": shop.upper(), "type": "organization"},
        },
        "links": {
            "self": f"https://api.teller.io/accounts/{name}/transactions/{id_}",
            "account": f"https://api.teller.io/accounts/{name}",
        },
    }


def gocardless_row(account: int, number: int, today: date) -> dict[str, Any]:
    """Return a row as GoCardless tells it."""
    shop, day = _SHOPS[number % len(_SHOPS)], day_of(number, today).isoformat()
    return {
        "transactionId": f"f08c1546b742f64a{NUMBER}{account}{number:07}",
        "bookingDate": day,
        "valueDate": day,
        "transactionAmount": {"amount": str(amount_of(number)), "currency": "EUR"},
        "creditorName": shop,
        "remittanceInformationUnstructured": shop,
        "additionalInformation": f"{shop.upper()} #{number:04}",
        "bankTransactionCode": "PMNT-CCRD-POSD",
        "endToEndId": "NOTPROVIDED",
        "internalTransactionId": f"5cb04478{NUMBER}{account}{number:07}",
        "balanceAfterTransaction": {
            "balanceAmount": {"amount": str(booked_until(number + 1)), "currency": "EUR"},
            "balanceType": "interimBooked",
        },
    }


def enable_banking_row(account: int, number: int, today: date) -> dict[str, Any]:
    """Return a row as Enable Banking tells it."""
    shop, day = _SHOPS[number % len(_SHOPS)], day_of(number, today).isoformat()
    nobody = ("debtor", "debtor_account", "debtor_agent", "creditor_account", "creditor_agent")
    unsaid = ("reference_number", "reference_number_schema", "exchange_rate", "note",
              "debtor_account_additional_identification",
              "creditor_account_additional_identification")  # fmt: skip
    return {
        "merchant_category_code": "5411",
        "creditor": {"name": shop, "postal_address": None, "organisation_id": None,
                     "private_id": None, "contact_details": None},
        **dict.fromkeys(nobody),
        **dict.fromkeys(unsaid),
        "bank_transaction_code": {
            "description": "Card purchase",
            "code": "CCRD",
            "sub_code": "POSD",
        },
        "balance_after_transaction": {
            "currency": "GBP",
            "amount": str(booked_until(number + 1)),
        },
        "entry_reference": f"{NUMBER}{account}{number:06}",
        "booking_date": day,
        "value_date": day,
        "transaction_date": day,
        "remittance_information": [shop, f"{shop.upper()} #{number:04}"],
        "transaction_id": f"6.{NUMBER}.{account}.{number:06}",
        "transaction_amount": {"currency": "GBP", "amount": str(-amount_of(number))},
        "credit_debit_indicator": "DBIT",
        "status": "BOOK",
    }  # fmt: skip
