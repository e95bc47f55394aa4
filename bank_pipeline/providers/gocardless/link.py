"""
Begin, complete and end a connection: an agreement on what is read, and a requisition for it.

Nothing can be renewed: a reconnect is another agreement and another requisition.

Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import AccessRevokedError, PayloadError, SetupError, TransientError
from bank_pipeline.providers import calls
from bank_pipeline.providers.base import LinkProgress, LinkRequest, LinkStart
from bank_pipeline.providers.exact_json import escape_odd
from bank_pipeline.providers.gocardless.accounts import (
    CONSENT_DAYS_USUAL,
    HISTORY_DAYS_USUAL,
)
from bank_pipeline.providers.gocardless.client import (
    Answer,
    Call,
    GoCardlessClient,
    Refusal,
    to_segment,
)
from bank_pipeline.providers.gocardless.errors import LINKED, error_of_code
from bank_pipeline.providers.gocardless.schemas import (
    GcAgreement,
    GcRequisition,
    GcRequisitionsPage,
)

LINK_LIFE: Final = timedelta(hours=24)
"""How long we wait for a customer; GoCardless states no end."""
PAGE_ROWS: Final = 100
PAGES_MAX: Final = 50  # 5,000 requisitions: a retried one is among the newest
TRIES_MAX: Final = 10

_AGREEMENT: Final = "agreements/create"
_REQUISITION: Final = "requisitions/create"
_REFERENCE: Final = "reference"
_HISTORY: Final = "max_historical_days"
_VALIDITY: Final = "access_valid_for_days"
_STEPS: Final[Mapping[str, tuple[int, ...]]] = {
    _HISTORY: (730, 365, 180, 89, 60, 30),
    _VALIDITY: (180, 90),
}
_BOUND: Final = re.compile(r"\((?P<a>[0-9]{1,4})\)|<=\s*(?P<b>[0-9]{1,4})")
_SCOPES: Final = ("balances", "details", "transactions")


@dataclass(frozen=True)
class Terms:
    """What an agreement is asked for: days back from its acceptance, and days that it lasts."""

    history_days: int
    consent_days: int

    @classmethod
    def of(cls, institution: Institution, *, gives_history_once: bool) -> "Terms":
        """Return the most that a bank gives, and what goes on being updated."""
        history = institution.history_days_max or HISTORY_DAYS_USUAL
        if gives_history_once:
            history = min(history, HISTORY_DAYS_USUAL)
        return cls(history, institution.consent_days_max or CONSENT_DAYS_USUAL)

    def lowered(self, fields: Mapping[str, str]) -> "Terms | None":
        """Return terms that fit a refusal better; None when it is about something else."""
        if not fields or not fields.keys() <= _STEPS.keys():
            return None
        history = _lower(_HISTORY, self.history_days, fields)
        consent = _lower(_VALIDITY, self.consent_days, fields)
        if history is None or consent is None:
            return None
        return Terms(history, consent)


def start_link(
    client: GoCardlessClient,
    request: LinkRequest,
    institution: Institution,
    *,
    gives_history_once: bool,
    return_url: str,
) -> LinkStart:
    """
    Make an agreement and a requisition for one bank; the customer goes to its link.

    `reference` is the request's own state: it comes back with the customer, and is unique.

    Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
    """
    terms = Terms.of(institution, gives_history_once=gives_history_once)
    agreement = _create_agreement(client, institution.external_id, terms)
    requisition = _create_requisition(
        client,
        {
            "redirect": return_url,
            "institution_id": institution.external_id,
            "agreement": agreement.id,
            _REFERENCE: request.state.get_secret_value(),
        },
    )
    if not requisition.link:
        raise PayloadError(Provider.GOCARDLESS, _REQUISITION, code="NO_LINK")
    return LinkStart(
        url=requisition.link,
        external_state=SecretStr(requisition.id),
        expires_at=request.now + LINK_LIFE,
    )


def to_progress(requisition: GcRequisition) -> LinkProgress:
    """
    Say how far the customer has come: a requisition's own word, not that of the address.

    It may list accounts before it is linked; they cannot be read.
    """
    if requisition.status == LINKED:
        return LinkProgress(
            is_finished=True,
            exchange_tokens=(SecretStr(requisition.id),),
            institution_external_id=requisition.institution_id,
        )
    if isinstance(error_of_code(_REQUISITION, requisition.status), TransientError):
        return LinkProgress(is_finished=False)
    return LinkProgress(is_finished=True, exit_reason=requisition.status)


def disconnect(client: GoCardlessClient, credential: SecretStr) -> None:
    """
    Delete the requisition and with it its agreements; succeed if it is gone already.

    Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
    """
    path = f"requisitions/{to_segment(credential.get_secret_value())}/"
    try:
        client.call(Call("requisitions/delete", path, method="DELETE"))
    except AccessRevokedError:
        return


def check_address(return_url: str | None) -> str:
    """
    Return where the customer comes back to.

    Raises:
        SetupError: nowhere.
    """
    if return_url is None:
        raise SetupError(
            "GoCardless sends customers back to an address: set GOCARDLESS_REDIRECT_URL, "
            "or BANK_PIPELINE_GATEWAY_URL for the gateway's own page"
        )
    return return_url


def check_institution(institution_id: str | None) -> str:
    """
    Return the bank that was chosen.

    Raises:
        SetupError: none was.
    """
    if not institution_id:
        raise SetupError(
            "GoCardless needs to know the bank first: give its id, which "
            "`bank-pipeline institutions search` tells"
        )
    return institution_id


def not_offered(institution_id: str) -> SetupError:
    """Return the error of a bank that GoCardless does not know."""
    return SetupError(
        f"GoCardless offers no bank {escape_odd(institution_id)!r}: find its id with "
        "`bank-pipeline institutions search`"
    )


def _create_agreement(client: GoCardlessClient, institution_id: str, terms: Terms) -> GcAgreement:
    """
    Ask for the best terms, and for less where GoCardless refuses them by name.

    Any other refusal says nothing of the terms: less of them would only hide it.
    """
    for _ in range(TRIES_MAX):
        asked = {
            "institution_id": institution_id,
            _HISTORY: terms.history_days,
            _VALIDITY: terms.consent_days,
            "access_scope": list(_SCOPES),
        }
        call = Call(_AGREEMENT, "agreements/enduser/", method="POST", json=asked)
        answer = client.attempt(call)
        if isinstance(answer, Answer):
            return _parse_agreement(answer)
        lowered = terms.lowered(answer.fields)
        if lowered is None:
            raise answer.error
        terms = lowered
    raise PayloadError(Provider.GOCARDLESS, _AGREEMENT, code="TRIES_MAX")


def _create_requisition(client: GoCardlessClient, asked: Mapping[str, str]) -> GcRequisition:
    call = Call(_REQUISITION, "requisitions/", method="POST", json=asked)
    answer = client.attempt(call)
    if isinstance(answer, Answer):
        return _parse_requisition(answer.body)
    if _REFERENCE not in answer.fields:
        raise answer.error
    # Our first try had worked, and only its answer was lost.
    return _find_requisition(client, asked[_REFERENCE], answer)


def _find_requisition(client: GoCardlessClient, reference: str, refusal: Refusal) -> GcRequisition:
    for page in range(PAGES_MAX):
        params = {"limit": str(PAGE_ROWS), "offset": str(page * PAGE_ROWS)}
        answer = client.call(Call("requisitions/list", "requisitions/", params=params))
        parsed = calls.parse_model(
            Provider.GOCARDLESS, "requisitions/list", GcRequisitionsPage, answer.body
        )
        for raw in parsed.results:
            if isinstance(raw, dict) and raw.get(_REFERENCE) == reference:
                return _parse_requisition(raw)
        if not parsed.next or not parsed.results:
            break
    raise refusal.error


def _lower(field: str, days: int, fields: Mapping[str, str]) -> int | None:
    """Return the bound that a refusal names, else the next step down; None below the last."""
    text = fields.get(field)
    if text is None:
        return days
    found = _BOUND.search(text)
    bound = int(found["a"] or found["b"]) if found else days
    if 0 < bound < days:
        return bound
    return next((step for step in _STEPS[field] if step < days), None)


def _parse_agreement(answer: Answer) -> GcAgreement:
    return calls.parse_model(Provider.GOCARDLESS, _AGREEMENT, GcAgreement, answer.body)


def _parse_requisition(body: object) -> GcRequisition:
    return calls.parse_model(Provider.GOCARDLESS, _REQUISITION, GcRequisition, body)
