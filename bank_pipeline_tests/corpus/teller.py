"""Teller's cases through Teller's code: rows, pages, accounts, balances, webhooks."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from pydantic import SecretStr

from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import WebhookRejectedError
from bank_pipeline.providers.answers import RawAnswer, WindowRequest
from bank_pipeline.providers.base import EventKind
from bank_pipeline.providers.calls import JsonAnswer
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.teller.balances import to_balances_answer
from bank_pipeline.providers.teller.schemas import TellerAccount
from bank_pipeline.providers.teller.transform import to_account
from bank_pipeline.providers.teller.webhooks import HEADER, WebhookVerifier, to_event
from bank_pipeline.providers.teller.window import TRANSACTIONS, read_pages, to_window_answer
from bank_pipeline_tests.corpus.accounts import compare_account
from bank_pipeline_tests.corpus.balances import compare_balances, to_owner
from bank_pipeline_tests.corpus.expectations import compare_row
from bank_pipeline_tests.corpus.replay import Table
from bank_pipeline_tests.corpus.sheet import Fed, Sheet

_LAST: Final = date(2026, 11, 20)
_WINDOW: Final = DateWindow(first=date(2020, 1, 1), last=_LAST)
_ACCOUNT: Final = "account-1"


def to_rows(raws: Sequence[Any], word: object) -> Fed:
    """Read one page as it is read from the archive, of the account that its rows name."""
    named = next((raw["account_id"] for raw in raws if raw.get("account_id")), _ACCOUNT)
    owner = to_owner(word, currency="USD", external_id=named)
    full = [{"account_id": named, **raw} for raw in raws]
    answer = RawAnswer(TRANSACTIONS, json.dumps(full).encode(), b"", None)
    read = to_window_answer(read_pages([answer]), owner, WindowRequest(_WINDOW, is_first=False))
    return Fed(read.transactions, len(read.quarantined))


def read_transaction(sheet: Sheet) -> None:
    """One row; a pending one ends when it is not shown any more."""
    raw, stated = sheet.case.input, dict(sheet.case.stated)
    fed = sheet.account_for(to_rows([raw], sheet.case.context.get("account_type")), [raw])
    if stated.pop("after_8_days_or_when_absent", None):
        table, account = Table(), fed.rows[0].account_external_id
        table.apply_window(fed.rows, account=account, covered=_WINDOW)
        table.apply_window([], account=account, covered=_WINDOW)
        sheet.add("rows_when_absent", 0, len(table.live))
    compare_row(sheet, fed.rows[0], stated)


def read_page(sheet: Sheet) -> None:
    """One page whole."""
    sheet.account_for(to_rows(sheet.case.input, None), sheet.case.input)


def read_sequence(sheet: Sheet) -> None:
    """Answers one after the other, applied to one table."""
    table = Table()
    for raws in sheet.case.input["responses"]:
        fed = sheet.account_for(to_rows(raws, None), raws)
        table.apply_window(fed.rows, account=_ACCOUNT, covered=_WINDOW)
    sheet.add("rows", sheet.case.stated["rows_end"], len(table.live))


def _to_balances(given: Mapping[str, Any], word: object) -> Sequence[Balance]:
    body = json.dumps(given).encode()
    raw = RawAnswer("balances", body, b"", None)
    owner = to_owner(word, currency="USD")
    return to_balances_answer(JsonAnswer(raw, parse_json(body)), owner).balances


def _alone(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer in which a bank states the one balance that a client had chosen."""
    return {"account_id": _ACCOUNT, "ledger": str(given["amount"]), "available": None}


def read_balances(sheet: Sheet) -> None:
    """
    One account's balances.

    What is owed on a card is positive at Teller: so it is put where a client had chosen one.
    """
    given, word = sheet.case.input, sheet.case.input.get("accountType")
    answer = given if "ledger" in given else _alone(given["balance"])
    sheet.fed_count += 1
    balances = _to_balances(answer, word)
    compare_balances(sheet, balances, to_owner(word, currency="USD"), sheet.case.stated, word=word)


def read_account(sheet: Sheet) -> None:
    """One account with its balance."""
    given = sheet.case.input
    account = to_account(TellerAccount.model_validate(given))
    sheet.fed_count += 1
    compare_account(sheet, account, _to_balances(_alone(given["balance"]), given["type"]))


def read_webhook(sheet: Sheet) -> None:
    """A webhook of a broken login, or how one is signed."""
    given, stated = sheet.case.input, sheet.case.stated
    sheet.fed_count += 1
    if "payload" in given:
        event = to_event(json.dumps(given).encode(), or_key="key-1")
        sheet.add("class", stated["class"], str(event.kind).replace("needs_reauth", _REAUTH))
        sheet.add("reason", stated["reason"], event.code.rpartition(".")[2])
        return
    signed_at, *_ = (part.partition("=")[2] for part in given["Teller-Signature"].split(","))
    moment = datetime.fromtimestamp(int(signed_at), UTC)
    tolerance = timedelta(seconds=stated["tolerance_seconds"])
    sheet.add("accept_any", stated["accept_any"], _is_accepted(signed_at, moment))
    sheet.add("within tolerance", True, _is_accepted(signed_at, moment + tolerance))
    late = moment + tolerance + timedelta(seconds=1)
    sheet.add("beyond tolerance", False, _is_accepted(signed_at, late))


_REAUTH: Final = "reauth_required"


def _is_accepted(signed_at: str, now: datetime) -> bool:
    """Say whether a body is believed that was signed with two secrets, of which we have one."""
    body, secret = b'{"type": "webhook.test"}', "new-secret"
    message = signed_at.encode() + b"." + body
    ours = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    theirs = hmac.new(b"old-secret", message, hashlib.sha256).hexdigest()
    headers = {HEADER: f"t={signed_at},v1={theirs},v1={ours}"}
    try:
        event = WebhookVerifier([SecretStr(secret)]).verify(headers, body, now=now)
    except WebhookRejectedError:
        return False
    return event.kind is EventKind.IGNORE
