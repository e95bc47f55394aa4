"""
Every answer of the prepared banks, by the request that asks for it. Pure.

A connection's number stands in the paths and tokens of its requests, and in its answers.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

from benchmarks.banks.rows import (
    ACCOUNTS,
    BEFORE,
    NEW,
    NUMBER,
    PAGE,
    account_id,
    booked_until,
    enable_banking_row,
    gocardless_row,
    plaid_history_row,
    plaid_row,
    teller_row,
)

Answers = Mapping[tuple[str, int], bytes]
"""Bodies by route (`METHOD path`, with the number left out) and day: 0 is the first sync's."""

TOKEN: Final = "a.company.token"  # noqa: S105 - of a bank that does not exist
HISTORY_PAGE_ROWS: Final = 500  # Plaid's most
_HASHES: Final = "V1NbXQ==.h"


def build_answers(today: date) -> Answers:
    """Build all answers, as of a day."""
    made: dict[tuple[str, int], bytes] = {}
    for day in (0, 1):
        for answers in (_plaid, _teller, _gocardless, _enable_banking):
            for route, body in answers(day, today):
                made[route, day] = json.dumps(body).encode()
    return made


def build_history_page(today: date) -> bytes:
    """Build a page of a long history at Plaid; the server numbers it, and says what follows."""
    rows = [plaid_history_row(one % ACCOUNTS, one, today) for one in range(HISTORY_PAGE_ROWS)]
    [(_, page)] = [one for one in _plaid(0, today) if one[0] == "POST /transactions/sync"]
    told = page | {"added": rows, "next_cursor": f"page-{PAGE}", "has_more": True}
    return json.dumps(told).encode()


def _accounts() -> range:
    return range(ACCOUNTS)


def _rows(make: Callable[[int, int, date], Any], account: int, day: int, today: date) -> list[Any]:
    """Return an account's rows, newest first, as most banks do."""
    count = BEFORE + day * NEW
    return [make(account, number, today) for number in reversed(range(count))]


def _plaid_accounts(day: int) -> list[dict[str, Any]]:
    return [
        {
            "account_id": account_id(account),
            "balances": {
                "available": float(booked_until(BEFORE + day * NEW)),
                "current": float(booked_until(BEFORE + day * NEW)),
                "iso_currency_code": "USD",
                "limit": None,
                "unofficial_currency_code": None,
            },
            "holder_category": "personal",
            "mask": f"{account:04}",
            "name": f"Checking {account}",
            "official_name": f"Everyday Checking {account}",
            "subtype": "checking",
            "type": "depository",
        }
        for account in _accounts()
    ]


def _plaid(day: int, today: date) -> Iterator[tuple[str, Any]]:
    """Plaid tells what changed: of the rows it told before, that they are as they are."""
    accounts = _plaid_accounts(day)
    known = [plaid_row(one, number, today) for one in _accounts() for number in range(BEFORE)]
    new = [
        plaid_row(one, number, today)
        for one in _accounts()
        for number in range(BEFORE, BEFORE + NEW)
    ]
    yield (
        "POST /transactions/sync",
        {
            "accounts": accounts,
            "added": new if day else known,
            "modified": known if day else [],
            "removed": [],
            "next_cursor": f"cursor-{day + 1}",
            "has_more": False,
            "transactions_update_status": "HISTORICAL_UPDATE_COMPLETE",
            "request_id": "bxWkIEDCsafvBiN",
        },
    )
    yield (
        "POST /accounts/get",
        {"accounts": accounts, "item": _plaid_item(), "request_id": "bxWkIEDCsafvBiN"},
    )
    yield "POST /item/get", {"item": _plaid_item(), "status": None, "request_id": "bxWkIEDCsafv"}
    yield (
        "POST /item/public_token/exchange",
        {"access_token": f"access-{NUMBER}", "item_id": f"item-{NUMBER}", "request_id": "e1VBCTc"},
    )
    yield (
        "POST /institutions/get_by_id",
        {
            "institution": {
                "institution_id": "ins_1",
                "name": "First Harbor Bank",
                "country_codes": ["US"],
                "products": ["transactions"],
                "oauth": False,
                "routing_numbers": [],
            },
            "request_id": "e1VBCTc",
        },
    )


def _plaid_item() -> dict[str, Any]:
    return {
        "auth_method": None,
        "available_products": [],
        "billed_products": ["transactions"],
        "consent_expiration_time": None,
        "error": None,
        "institution_id": "ins_1",
        "institution_name": "First Harbor Bank",
        "item_id": f"item-{NUMBER}",
        "products": ["transactions"],
        "update_type": "background",
        "webhook": None,
    }


def _teller(day: int, today: date) -> Iterator[tuple[str, Any]]:
    yield (
        "GET /accounts",
        [
            {
                "id": account_id(account),
                "enrollment_id": f"enr_{NUMBER}",
                "institution": {"id": "us_prairie", "name": "Prairie Credit Union"},
                "name": f"Checking {account}",
                "type": "depository",
                "subtype": "checking",
                "currency": "USD",
                "last_four": f"{account:04}",
                "status": "open",
                "links": {
                    kind: f"https://api.teller.io/accounts/{account_id(account)}/{kind}"
                    for kind in ("details", "balances", "transactions")
                },
            }
            for account in _accounts()
        ],
    )
    for account in _accounts():
        path = f"GET /accounts/{account_id(account)}"
        booked = str(booked_until(BEFORE + day * NEW))
        yield f"{path}/transactions", _rows(teller_row, account, day, today)
        yield (
            f"{path}/balances",
            {"account_id": account_id(account), "ledger": booked, "available": booked, "links": {}},
        )
    yield "GET /institutions", [{"id": "us_prairie", "name": "Prairie Credit Union"}]


def _gocardless(day: int, today: date) -> Iterator[tuple[str, Any]]:
    api, created = "/gocardless/api/v2", f"{today - timedelta(days=1)}T08:00:00Z"
    yield from _gocardless_consent(api, created)
    for account in _accounts():
        yield from _gocardless_account(
            f"GET {api}/accounts/{account_id(account)}", account, created
        )
        path = f"GET {api}/accounts/{account_id(account)}"
        booked = {"amount": str(booked_until(BEFORE + day * NEW)), "currency": "EUR"}
        rows = _rows(gocardless_row, account, day, today)
        yield f"{path}/transactions/", {"transactions": {"booked": rows, "pending": []}}
        yield (
            f"{path}/balances/",
            {
                "balances": [
                    {"balanceAmount": booked, "balanceType": kind, "referenceDate": str(today)}
                    for kind in ("interimBooked", "interimAvailable")
                ]
            },
        )


def _gocardless_consent(api: str, created: str) -> Iterator[tuple[str, Any]]:
    yield (
        f"POST {api}/token/new/",
        {"access": TOKEN, "access_expires": 86_400, "refresh": "r", "refresh_expires": 2_592_000},
    )
    yield (
        f"GET {api}/institutions/MUERITZ_MRTZDE21XXX/",
        {
            "id": "MUERITZ_MRTZDE21XXX",
            "name": "Sparkasse Müritz-Öchtringen",
            "bic": "MRTZDE21XXX",
            "transaction_total_days": "730",
            "max_access_valid_for_days": "180",
            "countries": ["DE"],
            "logo": "https://cdn-logos.gocardless.com/ais/MUERITZ_MRTZDE21XXX.png",
            "supported_features": ["account_selection", "pending_transactions"],
            "identification_codes": [],
        },
    )
    yield (
        f"GET {api}/agreements/enduser/agr-{NUMBER}/",
        {
            "id": f"agr-{NUMBER}",
            "created": created,
            "institution_id": "MUERITZ_MRTZDE21XXX",
            "max_historical_days": 730,
            "access_valid_for_days": 180,
            "access_scope": ["balances", "details", "transactions"],
            "accepted": created,
            "reconfirmation": False,
        },
    )
    yield (
        f"GET {api}/requisitions/req-{NUMBER}/",
        {
            "id": f"req-{NUMBER}",
            "created": created,
            "redirect": "https://us.example/link/return/gocardless",
            "status": "LN",
            "institution_id": "MUERITZ_MRTZDE21XXX",
            "agreement": f"agr-{NUMBER}",
            "reference": f"ref-{NUMBER}",
            "accounts": [account_id(account) for account in _accounts()],
            "user_language": "EN",
            "link": "https://ob.gocardless.com/ob-psd2/start/x/MUERITZ_MRTZDE21XXX",
            "ssn": None,
            "account_selection": False,
            "redirect_immediate": False,
        },
    )


def _gocardless_account(path: str, account: int, created: str) -> Iterator[tuple[str, Any]]:
    iban = f"DE{NUMBER}{account:012}"
    yield (
        f"{path}/",
        {
            "id": account_id(account),
            "created": created,
            "last_accessed": None,
            "iban": iban,
            "bban": "",
            "status": "READY",
            "institution_id": "MUERITZ_MRTZDE21XXX",
            "owner_name": "Erika Mustermann",
            "name": "Girokonto",
        },
    )
    yield (
        f"{path}/details/",
        {
            "account": {
                "resourceId": f"res-{NUMBER}-{account}",
                "iban": iban,
                "currency": "EUR",
                "ownerName": "Erika Mustermann",
                "name": "Girokonto",
                "product": "Girokonto Komfort",
                "cashAccountType": "CACC",
                "status": "enabled",
                "bic": "MRTZDE21XXX",
                "usage": "PRIV",
            }
        },
    )


def _enable_banking(day: int, today: date) -> Iterator[tuple[str, Any]]:
    base = "/enable_banking"
    yield from _enable_banking_consent(base, today)
    for account in _accounts():
        path = f"GET {base}/accounts/{account_id(account)}"
        booked = {"currency": "GBP", "amount": str(booked_until(BEFORE + day * NEW))}
        rows = _rows(enable_banking_row, account, day, today)
        yield f"{path}/transactions", {"transactions": rows, "continuation_key": None}
        yield (
            f"{path}/balances",
            {
                "balances": [
                    {
                        "name": name,
                        "balance_amount": booked,
                        "balance_type": kind,
                        "last_change_date_time": f"{today}T00:05:00Z",
                        "reference_date": str(today),
                        "last_committed_transaction": None,
                    }
                    for name, kind in (("Booked balance", "ITBD"), ("Available balance", "ITAV"))
                ]
            },
        )


def _enable_banking_consent(base: str, today: date) -> Iterator[tuple[str, Any]]:
    names = {"name": "Meridian Money", "country": "GB"}
    hashes = [f"{_HASHES}{NUMBER}{account}" for account in _accounts()]
    yield (
        f"GET {base}/aspsps",
        {
            "aspsps": [
                {
                    **names,
                    "logo": "https://enablebanking.com/brands/GB/Meridian/",
                    "psu_types": ["personal"],
                    "auth_methods": [],
                    "maximum_consent_validity": 15_552_000,
                    "sandbox": None,
                    "beta": False,
                    "bic": "MRDNGB2L",
                    "required_psu_headers": [],
                    "group": None,
                }
            ]
        },
    )
    yield (
        f"POST {base}/sessions",
        {
            "session_id": f"ses-{NUMBER}",
            "accounts": [_eb_account(account, hashes[account]) for account in _accounts()],
            "aspsp": names,
            "psu_type": "personal",
            "access": {"valid_until": f"{today + timedelta(days=170)}T08:00:00+00:00"},
        },
    )
    yield (
        f"GET {base}/sessions/ses-{NUMBER}",
        {
            "status": "AUTHORIZED",
            "accounts": [account_id(account) for account in _accounts()],
            "accounts_data": [
                {
                    "uid": account_id(account),
                    "identification_hash": hashes[account],
                    "identification_hashes": [hashes[account]],
                }
                for account in _accounts()
            ],
            "aspsp": names,
            "psu_type": "personal",
            "psu_id_hash": "h",
            "access": {"valid_until": f"{today + timedelta(days=170)}T08:00:00+00:00"},
            "created": f"{today}T08:00:00+00:00",
            "authorized": f"{today}T08:00:00+00:00",
            "closed": None,
        },
    )


def _eb_account(account: int, hashed: str) -> dict[str, Any]:
    iban = f"GB{NUMBER}{account:012}"
    return {
        "uid": account_id(account),
        "account_id": {"iban": iban, "other": None},
        "all_account_ids": [{"identification": iban, "scheme_name": "IBAN", "issuer": None}],
        "account_servicer": {
            "bic_fi": None,
            "clearing_system_member_id": None,
            "name": "Meridian Money",
        },
        "name": "Erika Mustermann",
        "details": "Main",
        "usage": "PRIV",
        "product": "Meridian Current Account",
        "psu_status": "Account Holder",
        "credit_limit": None,
        "legal_age": True,
        "postal_address": None,
        "cash_account_type": "CACC",
        "currency": "GBP",
        "identification_hash": hashed,
        "identification_hashes": [hashed],
    }
