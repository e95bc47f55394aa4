"""Requisitions: made, read, walked through at the bank, deleted with their agreements."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bank_pipeline.sandbox.gocardless.agreements import new_agreement
from bank_pipeline.sandbox.gocardless.bank_table import INSTITUTIONS, Institution
from bank_pipeline.sandbox.gocardless.call import Call, Endpoint, is_uuid, page_of
from bank_pipeline.sandbox.gocardless.errors import field_errors, field_value, gc_error
from bank_pipeline.sandbox.gocardless.state import Agreement, Reply, Requisition
from bank_pipeline.sandbox.wire import moment_text

_REQUIRED: Final = "This field is required."
_BLANK: Final = "This field may not be blank."
_LANGUAGES: Final = frozenset({
    "BG", "CS", "DA", "DE", "EL", "EN", "ES", "ET", "FI", "FR", "HR", "HU", "IS", "IT", "LT",
    "LV", "NB", "NL", "NO", "PL", "PT", "RO", "RU", "SK", "SL", "SV", "UK",
})  # fmt: skip
_REFERENCE_MAX: Final = 256
_REDIRECT_MAX: Final = 1024


def requisition_json(call: Call, requisition: Requisition) -> dict[str, Any]:
    """Return a requisition as GoCardless writes it; accounts appear once access is granted."""
    status = call.state.status_of(requisition, call.now)
    accounts = [] if status == "GA" else requisition.accounts
    return {
        "id": requisition.id,
        "created": moment_text(requisition.created),
        "redirect": requisition.redirect,
        "status": status,
        "institution_id": requisition.institution_id,
        "agreement": requisition.agreement_id,
        "reference": requisition.reference,
        "accounts": [one.id for one in accounts],
        "user_language": requisition.user_language,
        "link": link_of(call.root, requisition),
        "ssn": requisition.ssn,
        "account_selection": requisition.account_selection,
        "redirect_immediate": requisition.redirect_immediate,
    }


def link_of(root: str, requisition: Requisition) -> str:
    """Return the page on which the user gives consent."""
    return f"{root}/ob-psd2/start/{requisition.link_id}/{requisition.institution_id}"


def _create(call: Call) -> Reply:
    state, body = call.state, call.body
    if state.settings.payment_required:
        raise gc_error("payment_required")
    institution = INSTITUTIONS.get(str(body.get("institution_id")))
    refused = {**_refusals(body), **_institution_refusals(institution, body)}
    reference = str(body.get("reference") or "")
    if reference and state.by_reference(reference) is not None:
        refused["reference"] = field_value("reference_not_unique", reference=reference)
    agreement = None
    if body.get("agreement") is not None:
        agreement = _agreement(call, str(body["agreement"]), refused)
    if refused:
        raise field_errors(400, refused, as_lists=state.settings.errors_as_lists)
    assert institution is not None, "an unknown one was refused"
    if agreement is None:
        agreement = new_agreement(call, institution.id)
    requisition_id = state.mint.uuid()
    requisition = Requisition(
        id=requisition_id,
        link_id=state.mint.uuid(),
        created=call.now,
        redirect=body["redirect"],
        institution_id=institution.id,
        agreement_id=agreement.id,
        reference=reference or requisition_id,
        user_language=str(body.get("user_language") or "EN").upper(),
        ssn=body.get("ssn"),
        account_selection=bool(body.get("account_selection", False)),
        redirect_immediate=bool(body.get("redirect_immediate", False)),
    )
    agreement.requisition_id = requisition.id
    state.requisitions[requisition.id] = requisition
    return Reply(requisition_json(call, requisition), 201)


def _refusals(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is wrong with the request by itself, by field."""
    refused: dict[str, Any] = {}
    for name in ("redirect", "institution_id"):
        if body.get(name) is None:
            refused[name] = [_REQUIRED]
    for name in ("redirect", "institution_id", "reference"):
        if body.get(name) == "":
            refused[name] = [_BLANK]
    redirect = body.get("redirect")
    if redirect and not _is_uri(str(redirect)):
        refused["redirect"] = {
            "summary": "Invalid redirect URI",
            "detail": "Redirect URI must have a valid URI structure",
        }
    if len(str(body.get("reference") or "")) > _REFERENCE_MAX:
        refused["reference"] = ["Ensure this field has no more than 256 characters."]
    language = body.get("user_language")
    if language is not None and str(language).upper() not in _LANGUAGES:
        refused["user_language"] = {
            "summary": "Provided user_language is invalid or not supported",
            "detail": f"'{language}' is an invalid or unsupported language",
        }
    return refused


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    has_place = bool(parts.netloc or parts.path)
    return bool(parts.scheme) and has_place and len(text) <= _REDIRECT_MAX


def _institution_refusals(
    institution: Institution | None, body: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the institution does not do, by field."""
    asked = body.get("institution_id")
    if institution is None:
        if not asked:
            return {}
        unknown = field_value("eua_unknown_institution", institution_id=asked)
        return {"institution_id": unknown}
    refused: dict[str, Any] = {}
    for name, feature, words in (
        ("ssn", "ssn_verification", "SSN verification"),
        ("account_selection", "account_selection", "Account selection"),
    ):
        if body.get(name) and not institution.supports(feature):
            refused[name] = {
                "summary": f"{words} not supported",
                "detail": f"{words} not supported for {institution.id}",
            }
    return refused


def _agreement(call: Call, agreement_id: str, refused: dict[str, Any]) -> Agreement | None:
    """Return the agreement asked for, or None with the reason noted. Unknown is a 404."""
    if not is_uuid(agreement_id):
        refused["agreement"] = {
            "summary": "Invalid EndUserAgreement ID",
            "detail": f"{agreement_id} is not a valid EndUserAgreement UUID.  Please specify valid"
            " agreement from /api/agreements/enduser/ or create a new one",
        }
        return None
    agreement = call.state.agreement(agreement_id)
    if agreement is None:
        raise gc_error("agreement_not_found", agreement_id=agreement_id)
    asked = call.body.get("institution_id") or ""
    if agreement.institution_id != asked:
        right = agreement.institution_id
        refused["agreement"] = {
            "summary": f"Incorrect Institution ID {asked}",
            "detail": f"Provided Institution ID: '{asked}' for requisition does not match EUA"
            f" institution ID '{right}'. Please provide correct institution ID: '{right}'",
        }
    elif agreement.requisition_id is not None:
        refused["agreement"] = {
            "summary": f"Agreement {agreement.id} is already associated",
            "detail": f"The agreement is already associated with requisition"
            f" {agreement.requisition_id}. Please provide a valid agreement or use a different"
            " requisition.",
        }
    return agreement


def _found(call: Call) -> Requisition:
    requisition = call.state.requisition(call.ids["id"])
    if requisition is None:
        raise gc_error("not_found")
    return requisition


def _list(call: Call) -> Reply:
    newest_first = reversed(call.state.living())
    return page_of(call, "requisitions", [requisition_json(call, one) for one in newest_first])


def _one(call: Call) -> Reply:
    return Reply(requisition_json(call, _found(call)))


def _delete(call: Call) -> Reply:
    requisition = _found(call)
    call.state.delete_requisition(requisition, call.now)
    return Reply(
        {
            "summary": "Requisition deleted",
            "detail": f"Requisition {requisition.id} deleted with all its End User Agreements",
        }
    )


_PAGED: Final = frozenset({"limit", "offset"})
_FIELDS: Final = frozenset(
    {
        "redirect",
        "institution_id",
        "agreement",
        "reference",
        "user_language",
        "ssn",
        "account_selection",
        "redirect_immediate",
    }
)
_READ, _WRITE = "requisitions_read", "requisitions_write"

ENDPOINTS: Final = {
    ("GET", "requisitions"): Endpoint("requisitions", _READ, _list, query=_PAGED),
    ("POST", "requisitions"): Endpoint("requisition_create", _WRITE, _create, fields=_FIELDS),
    ("GET", "requisitions/{id}"): Endpoint("requisition", _READ, _one, subject="requisition"),
    ("DELETE", "requisitions/{id}"): Endpoint(
        "requisition_delete", "delete", _delete, fields=None, subject="requisition"
    ),
}
