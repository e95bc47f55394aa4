"""The application's own description, and the banks it may ask for."""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from bank_pipeline.sandbox.enable_banking.aspsp_table import COUNTRIES
from bank_pipeline.sandbox.enable_banking.errors import wrong_parameters
from bank_pipeline.sandbox.enable_banking.profiles import Aspsp
from bank_pipeline.sandbox.enable_banking.simulator import Call, Endpoint

PSU_TYPES: Final = ("personal", "business")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_COMPANY: Final = {
    "name": "companyId",
    "title": "Company ID",
    "required": True,
    "description": "Business identity code",
    "template": r"^\d{7}-\d$",
}
_USERS: Final = ({"username": "user1", "password": "1234", "otp": "012345"},)


def application(call: Call) -> dict[str, Any]:
    """Describe the application that asks; inactive ones may ask, too."""
    one = call.application
    return {
        "name": one.setting.name,
        "description": None,
        "kid": one.setting.application_id,
        "environment": one.setting.environment,
        "redirect_urls": list(one.redirect_urls),
        "active": one.active,
        "countries": list(COUNTRIES),
        "services": ["AIS"],
    }


def list_aspsps(call: Call) -> dict[str, Any]:
    """List the banks of a country, or all; simulated ones only for sandbox applications."""
    country, psu_type = call.query.get("country"), call.query.get("psu_type")
    if country is not None and not _COUNTRY.fullmatch(country):
        raise wrong_parameters("country: string should match pattern '^[A-Z]{2}$'")
    if psu_type is not None and psu_type not in PSU_TYPES:
        raise wrong_parameters("psu_type: input should be 'business' or 'personal'")
    if call.query.get("service", "AIS") not in ("AIS", "PIS"):
        raise wrong_parameters("service: input should be 'AIS' or 'PIS'")
    if call.query.get("service") == "PIS":
        return {"aspsps": []}
    shown = [
        one
        for one in offered(call)
        if country in (None, one.country) and psu_type in (None, *psu_types_of(one))
    ]
    is_sandbox = call.application.setting.environment == "SANDBOX"
    return {"aspsps": [_aspsp(one, is_sandbox=is_sandbox) for one in shown]}


def offered(call: Call) -> Sequence[Aspsp]:
    """Return the banks that the application can use."""
    is_sandbox = call.application.setting.environment == "SANDBOX"
    return [one for one in call.wing.aspsps if is_sandbox or not one.is_mock]


def psu_types_of(aspsp: Aspsp) -> Sequence[str]:
    """Return whom the bank serves."""
    return ("business", "personal") if aspsp.profile.business else ("personal",)


def auth_methods_of(aspsp: Aspsp) -> list[dict[str, Any]]:
    """Return the ways to authenticate; businesses name themselves first at some banks."""
    approach = aspsp.profile.approach
    methods: list[dict[str, Any]] = [
        {
            "name": f"{approach.lower()}_{psu_type}",
            "title": None,
            "psu_type": psu_type,
            "approach": approach,
            "hidden_method": False,
            "credentials": None,
        }
        for psu_type in psu_types_of(aspsp)
    ]
    if aspsp.key == ("Nordea", "FI"):
        methods[0] |= {"name": "MTA", "credentials": [dict(_COMPANY)]}
    return methods


def _aspsp(aspsp: Aspsp, *, is_sandbox: bool) -> dict[str, Any]:
    has_users = is_sandbox and aspsp.profile.sandbox_users
    return {
        "name": aspsp.name,
        "country": aspsp.country,
        "logo": f"https://enablebanking.com/brands/{aspsp.country}/{quote(aspsp.name)}/",
        "psu_types": list(psu_types_of(aspsp)),
        "auth_methods": auth_methods_of(aspsp),
        "maximum_consent_validity": aspsp.profile.consent_s,
        "beta": False,
        "bic": aspsp.bic,
        "required_psu_headers": list(aspsp.profile.required_psu_headers) or None,
        "sandbox": {"users": [dict(one) for one in _USERS]} if has_users else None,
        "payments": None,
        "group": None,
    }


ENDPOINTS: Final = (
    Endpoint("application", "GET", "/application", application),
    Endpoint("aspsps", "GET", "/aspsps", list_aspsps),
)
