"""Institutions: which there are, by country and by feature."""

from collections.abc import Mapping
from typing import Any, Final

from bank_pipeline.sandbox.gocardless.bank_table import EUROPE, INSTITUTIONS, Institution
from bank_pipeline.sandbox.gocardless.call import Call, Endpoint
from bank_pipeline.sandbox.gocardless.errors import gc_error
from bank_pipeline.sandbox.gocardless.state import Reply

_FILTERS: Final[Mapping[str, str]] = {
    f"{feature}_supported": feature
    for feature in (
        "access_scopes",
        "account_selection",
        "business_accounts",
        "card_accounts",
        "corporate_accounts",
        "pending_transactions",
        "private_accounts",
        "read_debtor_account",
        "read_refund_account",
        "ssn_verification",
    )
} | {"separate_continuous_history_consent_supported": "separate_continuous_history_consent"}


def _list(call: Call) -> Reply:
    country = call.query.get("country")
    if country is not None and country.upper() not in EUROPE:
        raise gc_error("country_invalid_keyed", country=country)
    chosen = [one for one in INSTITUTIONS.values() if _fits(one, country, call.query)]
    return Reply([institution_json(one) for one in chosen])


def _one(call: Call) -> Reply:
    institution = INSTITUTIONS.get(call.ids["id"])
    if institution is None:
        raise gc_error("not_found")
    return Reply(institution_json(institution))


def _fits(institution: Institution, country: str | None, query: Mapping[str, str]) -> bool:
    if country is not None and country.upper() not in institution.countries:
        return False
    return all(
        institution.supports(feature) == (query[name].lower() == "true")
        for name, feature in _FILTERS.items()
        if name in query
    )


def institution_json(institution: Institution) -> dict[str, Any]:
    """Return an institution as GoCardless writes it: numbers are texts."""
    told = {
        "max_access_valid_for_days": institution.max_access,
        "max_access_valid_for_days_reconfirmation": institution.max_reconfirmation,
    }
    return {
        "id": institution.id,
        "name": institution.name,
        "bic": institution.bic,
        "transaction_total_days": str(institution.total_days),
        **{name: str(value) for name, value in told.items() if value is not None},
        "countries": list(institution.countries),
        "logo": f"https://cdn-logos.gocardless.com/ais/{institution.id}.png",
        "supported_features": list(institution.all_features),
        "identification_codes": [],
    }


ENDPOINTS: Final = {
    ("GET", "institutions"): Endpoint(
        "institutions", "institutions", _list, query=frozenset({"country", *_FILTERS})
    ),
    ("GET", "institutions/{id}"): Endpoint("institution", "institutions", _one),
}
