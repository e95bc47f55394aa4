"""Every answer passes GoCardless's own OpenAPI schema, but for deviations known by name."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from bank_pipeline.sandbox.gocardless.bank_table import INSTITUTIONS
from bank_pipeline_tests.sandbox.gocardless.caller import (
    GERMAN,
    REDIRECT,
    SECRETS,
    Caller,
    Linked,
)
from bank_pipeline_tests.sandbox.gocardless.official import complaints

# What live answers do although the specification does not allow it, by institution.
_SHAPES: Final = {
    "REVOLUT_REVOLT21": {
        "transactions.booked.*.currencyExchange: type",  # an object
        "transactions.pending.*.currencyExchange: type",
        "transactions.booked.*.balanceAfterTransaction: required",  # flat
    },
    "BELFIUS_GKCCBEBB": {
        "transactions.booked.*.creditorAccount: type",  # a text
        "transactions.booked.*.debtorAccount: type",
        "transactions.booked.*.balanceAfterTransaction: type",  # a text
    },
}
_NULLS: Final = {
    "last_accessed: type",  # null before the first call
    "accepted: type",  # null before acceptance
    "ssn: type",  # null without one
    "results.*.accepted: type",
    "results.*.ssn: type",
}


@pytest.fixture
def check(caller: Caller) -> Callable[..., Any]:
    """Call, and hold the answer against the specification."""

    def call(method: str, path: str, *, ids: dict[str, str] | None = None, **body: Any) -> Any:
        answer = caller.http.request(method, path.format(**ids or {}), json=body or None)
        found = set(complaints(method, path, answer.status_code, answer.json()))
        assert found <= _NULLS, (path, found)
        return answer.json()

    return call


def test_everything_but_accounts(check: Callable[..., Any], caller: Caller) -> None:
    tokens = check("POST", "token/new/", **SECRETS)
    check("POST", "token/refresh/", refresh=tokens["refresh"])
    check("GET", "institutions/")
    check("GET", "institutions/{id}/", ids={"id": "MONZO_MONZGB2L"})
    agreement = check("POST", "agreements/enduser/", institution_id=GERMAN)
    one = {"id": agreement["id"]}
    made = check(
        "POST",
        "requisitions/",
        institution_id=GERMAN,
        redirect=REDIRECT,
        agreement=agreement["id"],
    )
    check("GET", "agreements/enduser/")
    check("GET", "requisitions/")
    caller.decide(made, login="login-2")
    check("GET", "agreements/enduser/{id}/", ids=one)
    check("GET", "requisitions/{id}/", ids={"id": made["id"]})
    british = caller.link(
        "MONZO_MONZGB2L", login="login-3", access_valid_for_days=180, reconfirmation=True
    )
    ids = {"id": british.agreement}
    check("POST", "agreements/enduser/{id}/reconfirm/", ids=ids, redirect=REDIRECT)
    check("GET", "agreements/enduser/{id}/reconfirm/", ids=ids)
    check("DELETE", "requisitions/{id}/", ids={"id": made["id"]})
    spare = check("POST", "agreements/enduser/", institution_id=GERMAN)
    check("DELETE", "agreements/enduser/{id}/", ids={"id": spare["id"]})


@pytest.mark.parametrize("institution_id", sorted(INSTITUTIONS))
def test_accounts_of_every_institution(caller: Caller, institution_id: str) -> None:
    found: set[str] = set()
    for login in ("login-2", "login-3"):
        linked: Linked = caller.link(institution_id, login=login, max_historical_days=60)
        for account in (linked.accounts[0], linked.accounts[-1]):
            for suffix in ("", "details/", "balances/", "transactions/"):
                body = caller.get(f"accounts/{account}/{suffix}")
                found |= set(complaints("GET", f"accounts/{{id}}/{suffix}", 200, body))

    assert found - _NULLS <= _SHAPES.get(institution_id, set())
    assert _SHAPES.get(institution_id, set()) <= found  # no deviation is allowed for nothing
