"""Refusals, limits and links of all providers through their own code."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, Final

from bank_pipeline.domain.window import DateWindow, first_window, shorter_window
from bank_pipeline.errors import (
    AccountGoneError,
    ConfigurationError,
    CursorRejectedError,
    FeedMovedError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
    UserActionError,
    WindowTooWideError,
)
from bank_pipeline.providers.enable_banking import errors as enable_banking
from bank_pipeline.providers.gocardless import errors as gocardless
from bank_pipeline.providers.gocardless.accounts import (
    HISTORY_ONCE,
    to_consent_end,
    to_institution,
)
from bank_pipeline.providers.gocardless.link import Terms, to_progress
from bank_pipeline.providers.gocardless.quotas import to_quota
from bank_pipeline.providers.gocardless.schemas import GcAgreement, GcInstitution, GcRequisition
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.plaid import errors as plaid
from bank_pipeline.providers.teller import errors as teller
from bank_pipeline_tests.corpus.cases import TODAY
from bank_pipeline_tests.corpus.sheet import Sheet

_NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
_CLASSES: Final[Mapping[str, type[ProviderError]]] = {
    "rate_limited": RateLimitedError,
    "reauth_required": ReauthRequiredError,
    "account_closed": AccountGoneError,
    "transient": TransientError,
    "partial": TransientError,
    "config": ConfigurationError,
    "window_too_wide": WindowTooWideError,
}
_ACTIONS: Final[tuple[tuple[str, type[ProviderError] | str], ...]] = (
    ("config", ConfigurationError),
    ("operator", ConfigurationError),
    ("ask for", ConfigurationError),
    ("account", AccountGoneError),
    ("same as", AccountGoneError),
)
_NUMBER: Final = re.compile(r"(?<![\w-])\d+(?!\w)")
_STEP: Final = re.compile(r"-(\d+)d")
_MOMENT: Final = re.compile(r"20\d\d-\d\d-\d\dT[0-9:.]+Z")
_HOUR_S: Final = 3_600


def _answer(raw: Mapping[str, Any]) -> HttpAnswer:
    """Return an answer from a case: with a status and a body, or the body alone."""
    body = raw.get("body", b"") if "http_status" in raw else raw
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {key.lower(): value for key, value in raw.get("headers", {}).items()}
    status = raw.get("http_status") or raw.get("status_code") or 400
    return HttpAnswer(int(status), headers, encoded)


def _to_error(provider: str, raw: Mapping[str, Any]) -> ProviderError:
    answer = _answer(raw)
    match provider:
        case "gocardless":
            return gocardless.to_error("accounts/transactions", answer)
        case "enablebanking":
            return enable_banking.to_error("accounts/transactions", answer, today=TODAY)
        case "plaid":
            return plaid.to_error("transactions/sync", answer, now=_NOW, sent_cursor=True)
        case _:
            return teller.to_error(
                "transactions", answer, about_account=True, is_certificate_proven=True
            )


def read_error(sheet: Sheet) -> None:
    """One refusal: its class, and what is done next."""
    given = sheet.case.input
    if "sequence" in given or "values" in given:
        sheet.ignore("no_payload")
        return
    sheet.fed_count += 1
    if given.get("http_status") == 200:
        _compare_quota(sheet, given)
        return
    error = _to_error(sheet.case.provider, given)
    for name, value in sheet.case.stated.items():
        _compare(sheet, error, name, value)


def _compare_quota(sheet: Sheet, given: Mapping[str, Any]) -> None:
    quota = to_quota(_answer(given).headers)
    expected = sheet.case.stated["remaining_calls_for_this_account_and_scope"]
    sheet.add("calls_left", expected, quota.calls_left if quota else None)


def _compare(sheet: Sheet, error: ProviderError, name: str, value: Any) -> None:
    match name:
        case "class":
            sheet.add(name, True, isinstance(error, _CLASSES[value]))
        case "action":
            _compare_action(sheet, error, value)
        case "connection_stays":
            sheet.add(name, True, not isinstance(error, UserActionError))
        case "next_attempt_in_seconds":
            sheet.add(name, float(value), error.retry_after_s)
        case "summary" | "detail":
            complaint = gocardless.read_complaint(_answer(sheet.case.input).body)
            sheet.add(name, value, getattr(complaint, name))
        case "retry_with":
            _compare_retry(sheet, error, value)
        case "restart_from":
            sheet.add(name, True, isinstance(error, FeedMovedError))
        case "clear_cursor":
            sheet.add(name, value, isinstance(error, CursorRejectedError))
        case "skip_product":
            sheet.add(name, True, isinstance(error, ProductUnsupportedError))
        case _:
            sheet.ignore("assertion")


def _compare_action(sheet: Sheet, error: ProviderError, text: str) -> None:
    if text.startswith("lower"):
        fields = gocardless.read_complaint(_answer(sheet.case.input).body).fields
        days = [int(number) for number in _NUMBER.findall(text)][:2]
        lowered = Terms(history_days=730, consent_days=200).lowered(fields)
        sheet.add("action", Terms(*days), lowered)
        return
    first_word = text.split(maxsplit=1)[0]
    kind = next((kind for start, kind in _ACTIONS if text.startswith(start)), first_word)
    # Nobody says whether it is our keys that are wrong, or one request.
    found = ConfigurationError if isinstance(error, ConfigurationError) else type(error)
    sheet.add("action", kind, found)


def _compare_retry(sheet: Sheet, error: ProviderError, value: Any) -> None:
    """Compare the first day that is asked for next, or the whole ladder of them."""
    if isinstance(value, dict):
        earliest = error.earliest if isinstance(error, WindowTooWideError) else None
        sheet.add("retry_with", date.fromisoformat(value["date_from"]), earliest)
        return
    stated = error.earliest if isinstance(error, WindowTooWideError) else None
    steps = [int(days) for days in _STEP.findall(value)]
    asked: DateWindow | None = first_window(TODAY, days=90)
    found: list[int] = []
    while asked is not None and len(found) < len(steps):
        asked = shorter_window(asked, earliest=stated)
        found += [(TODAY - asked.first).days] if asked else []
        stated = None
    sheet.add("retry_with", steps, found)
    assert all(one > other for one, other in pairwise(found)), "steps only move forward"


def read_rate_limit(sheet: Sheet) -> None:
    """Limits of banks that state no time: who asks again within the hour asks in vain."""
    given = sheet.case.input
    if isinstance(given, dict):
        read_error(sheet)
        return
    for number, raw in enumerate(given):
        sheet.fed_count += 1
        error = _to_error(sheet.case.provider, raw)
        waits = isinstance(error, RateLimitedError) and (error.retry_after_s or 0) >= _HOUR_S
        sheet.add(f"backoff {number}", True, waits)


def read_gocardless_link(sheet: Sheet) -> None:
    """Agreements and requisitions: until when, and how far."""
    given, stated = sheet.case.input, sheet.case.stated
    sheet.fed_count += 1
    if "expires_at" in stated:
        found = _MOMENT.search(stated["expires_at"] or "")
        expected = datetime.fromisoformat(found[0]) if found else None
        sheet.add("expires_at", expected, to_consent_end(GcAgreement.model_validate(given)))
    elif "linked" in stated:
        progress = to_progress(GcRequisition.model_validate(given))
        sheet.add("linked", stated["linked"], bool(progress.exchange_tokens))
    else:
        sheet.ignore("note")  # the body of a success that nobody needs


def read_gocardless_institution(sheet: Sheet) -> None:
    """Banks of the list; one that is listed twice is one bank."""
    given, stated = sheet.case.input, sheet.case.stated
    raws = given if isinstance(given, list) else [given]
    sheet.fed_count += len(raws)
    banks = {
        bank.external_id: bank
        for bank in (to_institution(GcInstitution.model_validate(raw)) for raw in raws)
    }
    if "distinct" in stated:
        sheet.add("distinct", stated["distinct"], len(banks))
    if "transaction_total_days" in stated:
        days = [bank.history_days_max for bank in banks.values()]
        sheet.add("history_days", [stated["transaction_total_days"]], days)


def read_gocardless_history(sheet: Sheet) -> None:
    """How much history an agreement is made for."""
    given = sheet.case.input
    gives_once = bool(given.get("separateContinuousHistoryConsent"))
    raw = {
        "id": given["institutionId"],
        "name": "Bank",
        "transaction_total_days": given["transactionTotalDays"],
        "supported_features": [HISTORY_ONCE] if gives_once else [],
    }
    sheet.fed_count += 1
    institution = to_institution(GcInstitution.model_validate(raw))
    terms = Terms.of(institution, gives_history_once=gives_once)
    sheet.add("history_days", sheet.case.expected, terms.history_days)


def read_nothing(sheet: Sheet) -> None:
    """Answers of products that we do not read, and what is no answer at all."""
    sheet.ignore("no_payload")
