"""End user agreements: made within the institution's bounds, accepted once, never renewed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from bank_pipeline.sandbox.gocardless.bank_table import INSTITUTIONS, Institution
from bank_pipeline.sandbox.gocardless.call import Call, Endpoint, check_uuid, page_of
from bank_pipeline.sandbox.gocardless.errors import field_errors, field_value, gc_error
from bank_pipeline.sandbox.gocardless.state import (
    SCOPES,
    Agreement,
    GoCardlessState,
    Reply,
)
from bank_pipeline.sandbox.wire import moment_text, optional_moment_text

_USUAL_DAYS: Final = 90
_REQUIRED: Final = "This field is required."
_NO_INTEGER: Final = "A valid integer is required."
_URL_VALID: Final = timedelta(days=14)


def agreement_json(agreement: Agreement) -> dict[str, Any]:
    """Return an agreement as GoCardless writes it."""
    return {
        "id": agreement.id,
        "created": moment_text(agreement.created),
        "institution_id": agreement.institution_id,
        "max_historical_days": agreement.max_historical_days,
        "access_valid_for_days": agreement.access_valid_for_days,
        "access_scope": list(agreement.access_scope),
        "accepted": optional_moment_text(agreement.accepted),
        "reconfirmation": agreement.reconfirmation,
    }


def new_agreement(call: Call, institution_id: str, **terms: Any) -> Agreement:  # noqa: ANN401 - fields of several types
    """Record a new agreement; the terms are fields of `Agreement`."""
    agreement = Agreement(call.state.mint.uuid(), call.now, institution_id, **terms)
    call.state.agreements[agreement.id] = agreement
    return agreement


def _create(call: Call) -> Reply:
    state, body = call.state, call.body
    if state.settings.payment_required:
        raise gc_error("payment_required")
    refused = _refusals(body)
    institution = INSTITUTIONS.get(str(body.get("institution_id")))
    if "institution_id" not in refused and institution is None:
        refused["institution_id"] = field_value(
            "eua_unknown_institution", institution_id=body["institution_id"]
        )
    if institution is not None:
        refused = {**_bounds(institution, body), **refused}
    if refused:
        raise field_errors(400, refused, as_lists=state.settings.errors_as_lists)
    assert institution is not None, "an unknown one was refused"
    scopes = tuple(body.get("access_scope") or SCOPES)
    _check_together(institution, scopes)
    if body.get("reconfirmation") and not state.settings.may_reconfirm:
        raise gc_error("reconfirmation_not_permitted")
    agreement = new_agreement(
        call,
        institution.id,
        max_historical_days=body.get("max_historical_days", _USUAL_DAYS),
        access_valid_for_days=body.get("access_valid_for_days", _USUAL_DAYS),
        access_scope=scopes,
        reconfirmation=bool(body.get("reconfirmation", False)),
    )
    return Reply(agreement_json(agreement), 201)


def _refusals(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is wrong with the request by itself, by field."""
    refused: dict[str, Any] = {}
    if body.get("institution_id") is None:
        refused["institution_id"] = [_REQUIRED]
    elif body["institution_id"] == "":
        refused["institution_id"] = ["This field may not be blank."]
    for name in ("max_historical_days", "access_valid_for_days"):
        if name in body and (isinstance(body[name], bool) or not isinstance(body[name], int)):
            refused[name] = [_NO_INTEGER]
    scopes = body.get("access_scope", [])
    unknown = [one for one in scopes if one not in SCOPES] if isinstance(scopes, list) else [scopes]
    if unknown:
        refused["access_scope"] = [
            {
                "summary": f"Unknown value '{one}' in access_scope",
                "detail": f"Choose one or several from {list(SCOPES)}",
            }
            for one in unknown
        ]
    return refused


def _bounds(institution: Institution, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the institution does not allow, by field."""
    refused: dict[str, Any] = {}
    wants_more = body.get("reconfirmation") is True
    bound = institution.access_bound
    if wants_more and institution.max_reconfirmation is None:
        refused["reconfirmation"] = {
            "summary": "Reconfirmation not supported",
            "detail": f"Reconfirmation not supported for {institution.id}",
        }
    elif wants_more:
        bound = institution.max_reconfirmation or bound
    days = body.get("max_historical_days", _USUAL_DAYS)
    if not 0 < _number(days) <= institution.total_days:
        refused["max_historical_days"] = field_value(
            "eua_history_refused", institution_id=institution.id, days=institution.total_days
        )
    access = _number(body.get("access_valid_for_days", _USUAL_DAYS))
    if not 0 < access <= bound:
        refused["access_valid_for_days"] = field_value("eua_validity_refused", days=bound)
    if wants_more and "reconfirmation" not in refused and access <= _USUAL_DAYS:
        refused["reconfirmation"] = {
            "summary": "Reconfirmation is not allowed",
            "detail": "Reconfirmation is not allowed when access_valid_for_days <= 90 days.",
        }
    return refused


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 1


def _check_together(institution: Institution, scopes: tuple[str, ...]) -> None:
    asked = set(scopes) & set(institution.together)
    if asked and asked != set(institution.together):
        raise gc_error("scope_dependency_lists", scopes=list(institution.together))


def _found(call: Call) -> Agreement:
    check_uuid(call.ids["id"], "invalid_agreement_id")
    agreement = call.state.agreement(call.ids["id"])
    if agreement is None:
        raise gc_error("not_found")
    return agreement


def _list(call: Call) -> Reply:
    kept = [one for one in call.state.agreements.values() if one.deleted_at is None]
    return page_of(call, "agreements/enduser", [agreement_json(one) for one in reversed(kept)])


def _one(call: Call) -> Reply:
    return Reply(agreement_json(_found(call)))


def _delete(call: Call) -> Reply:
    agreement = _found(call)
    agreement.deleted_at = call.now
    return Reply(
        {
            "summary": "End User Agreement deleted",
            "detail": f"End User Agreement {agreement.id} deleted",
        }
    )


def _accept(call: Call) -> Reply:
    agreement = _found(call)
    missing = [name for name in ("user_agent", "ip_address") if not call.body.get(name)]
    if missing:
        raise field_errors(400, {name: [_REQUIRED] for name in missing})
    if not call.state.settings.may_accept:
        raise gc_error("accept_not_permitted")
    if agreement.accepted is not None:
        raise gc_error("accept_twice")
    agreement.accepted = call.now
    return Reply(agreement_json(agreement))


def _reconfirmable(call: Call) -> Agreement:
    agreement = _found(call)
    if not call.state.settings.may_reconfirm:
        raise gc_error("reconfirmation_not_permitted")
    if not agreement.reconfirmation:
        raise gc_error("reconfirmation_not_enabled", agreement_id=agreement.id)
    if agreement.accepted is None:
        raise gc_error("eua_not_accepted", agreement_id=agreement.id)
    requisition = call.state.requisition(agreement.requisition_id or "")
    if requisition is None or not requisition.accounts:
        raise gc_error("no_accounts_linked", requisition_id=agreement.requisition_id)
    return agreement


def _ask_reconfirmation(call: Call) -> Reply:
    agreement = _reconfirmable(call)
    redirect = call.body.get("redirect")
    if redirect is not None and "://" not in str(redirect):
        raise field_errors(
            400,
            {
                "redirect": [
                    {
                        "summary": "Invalid redirect URI",
                        "detail": "Redirect URI must have a valid URI structure",
                    }
                ]
            },
        )
    agreement.reconfirm_asked = call.now
    agreement.reconfirm_redirect = redirect
    return Reply(_reconfirmation_json(call, agreement), 201)


def _read_reconfirmation(call: Call) -> Reply:
    agreement = _reconfirmable(call)
    if agreement.reconfirm_asked is None:
        raise gc_error("not_found")
    return Reply(_reconfirmation_json(call, agreement))


def _reconfirmation_json(call: Call, agreement: Agreement) -> dict[str, Any]:
    asked = agreement.reconfirm_asked
    assert asked is not None, "only what was asked for is told"
    done = agreement.confirmed if agreement.confirmed and agreement.confirmed >= asked else None
    requisition = call.state.requisitions[agreement.requisition_id or ""]
    confirmed = optional_moment_text(done)
    return {
        "reconfirmation_url": f"{call.root}/ob-psd2/reconfirm/{agreement.id}",
        "created": moment_text(asked),
        "url_valid_from": moment_text(asked),
        "url_valid_to": moment_text(asked + _URL_VALID),
        "redirect": agreement.reconfirm_redirect,
        "last_accessed": confirmed,
        "last_submitted": confirmed,
        "accounts": {
            one.id: {"reconfirmed": confirmed, "rejected": None} for one in requisition.accounts
        },
    }


def reconfirm(state: GoCardlessState, agreement_id: str) -> str | None:
    """
    Confirm a British consent for another 90 days; return where its user goes then.

    Unknown, or never asked for: KeyError.
    """
    agreement = state.agreement(agreement_id)
    if agreement is None or agreement.reconfirm_asked is None:
        raise KeyError(agreement_id)
    agreement.confirmed = state.clock.now()
    requisition = state.requisitions[agreement.requisition_id or ""]
    return agreement.reconfirm_redirect or requisition.redirect


_PATH: Final = "agreements/enduser"
_PAGED: Final = frozenset({"limit", "offset"})
_TERMS: Final = frozenset(
    {
        "institution_id",
        "max_historical_days",
        "access_valid_for_days",
        "access_scope",
        "reconfirmation",
    }
)
_READ, _WRITE = "agreements_read", "agreements_write"

ENDPOINTS: Final = {
    ("GET", _PATH): Endpoint("agreements", _READ, _list, query=_PAGED),
    ("POST", _PATH): Endpoint("agreement_create", _WRITE, _create, fields=_TERMS),
    ("GET", f"{_PATH}/{{id}}"): Endpoint("agreement", _READ, _one, subject="agreement"),
    ("DELETE", f"{_PATH}/{{id}}"): Endpoint(
        "agreement_delete", "delete", _delete, fields=None, subject="agreement"
    ),
    ("PUT", f"{_PATH}/{{id}}/accept"): Endpoint(
        "agreement_accept",
        "accept",
        _accept,
        fields=frozenset({"user_agent", "ip_address"}),
        subject="agreement",
    ),
    ("GET", f"{_PATH}/{{id}}/reconfirm"): Endpoint(
        "agreement_reconfirm", _READ, _read_reconfirmation, subject="agreement"
    ),
    ("POST", f"{_PATH}/{{id}}/reconfirm"): Endpoint(
        "agreement_reconfirm",
        _WRITE,
        _ask_reconfirmation,
        fields=frozenset({"redirect"}),
        subject="agreement",
    ),
}
