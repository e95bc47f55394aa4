"""
From an archived answer to one account's transactions of some dates. Pure.

An answer says neither whose it is nor at which bank, and both decide how it is read. So the
operation it is archived under says it: the account, its institution, and since when the
answer is whole, where the consent begins later than what was asked for.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.identity import fingerprint, identified
from bank_pipeline.domain.transaction import Transaction, paid_until
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import QuarantinedRow, RawAnswer, WindowAnswer, WindowRequest
from bank_pipeline.providers.fields import ID_LENGTH_MAX
from bank_pipeline.providers.gocardless.quirks import Quirks, quirks_of
from bank_pipeline.providers.gocardless.schemas import (
    GcBooked,
    GcTransaction,
    GcTransactionsAnswer,
)
from bank_pipeline.providers.gocardless.transform import AHEAD, Context, to_transaction
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.texts import is_placeholder

TRANSACTIONS: Final = "accounts/transactions"
OWN_DATES_MARGIN: Final = timedelta(days=10)
"""
GoCardless filters by the booking date. Where we book by another, dates around the first day
asked for would be missing: they are asked for too, which costs nothing.
"""

_ID_KEY: Final = "internalTransactionId"


@dataclass(frozen=True)
class _Named:
    """A row with the id that its bank gives it, None without a trustworthy one."""

    external_id: str | None
    bank_id: str | None
    row: Transaction


def to_operation(
    account: Account, *, institution_id: str | None, whole_since: date | None = None
) -> str:
    """Return the operation under which an answer is archived: all that reading it takes."""
    facts = {
        "account": account.external_id,
        "institution": institution_id,
        "since": whole_since.isoformat() if whole_since else None,
    }
    return f"{TRANSACTIONS}?{urlencode({key: value for key, value in facts.items() if value})}"


def to_date_from(request: WindowRequest, institution_id: str | None) -> date | None:
    """Return the first date to ask for; None asks for all that the consent permits."""
    if request.is_first:
        return None
    margin = OWN_DATES_MARGIN if quirks_of(institution_id).has_own_dates else timedelta(0)
    return request.window.first - margin


def to_window(
    answers: Sequence[RawAnswer], account: Account, request: WindowRequest
) -> WindowAnswer:
    """
    Translate the archived answer of one `fetch_window`.

    Raises:
        PayloadError: the envelope does not fit; single rows that do not are quarantined.
    """
    answer = answers[-1]
    facts = parse_qs(answer.operation.partition("?")[2])
    institution_id = next(iter(facts.get("institution", ())), None)
    since = next(iter(facts.get("since", ())), None)
    body = calls.to_json(Provider.GOCARDLESS, TRANSACTIONS, answer.body)
    parsed = calls.parse_model(Provider.GOCARDLESS, TRANSACTIONS, GcTransactionsAnswer, body)
    rows = Rows.of(TRANSACTIONS, [answer.body])
    context = Context(account, quirks_of(institution_id), request.window.last)
    booked = _read(parsed.transactions.booked, rows, context, is_pending=False)
    listed = _listed(parsed.transactions.pending, rows, context.quirks)
    pending = _read(listed or (), rows, context, is_pending=True)
    pairs = [(named.external_id, named.row) for named in [*booked, *_unbooked(pending, booked)]]
    return WindowAnswer(
        account_external_id=account.external_id,
        transactions=tuple(_capped(row, context) for row in identified(pairs)),
        covered=None if listed is None else _covered(request.window, since),
        quarantined=tuple(map(_unnamed, rows.quarantined)),
        identity_rules=context.quirks.identity_rules,
    )


def _listed(stated: Any, rows: Rows, quirks: Quirks) -> Sequence[Any] | None:  # noqa: ANN401
    """
    Return what is pending; None of a shape that nobody can read, which is kept aside.

    That is not "nothing": the rows that we hold would count as gone.
    """
    if quirks.drops_pending or not stated:
        return ()
    if isinstance(stated, list):
        return stated
    rows.set_aside(stated, "pending: no list", id_key=_ID_KEY)
    return None


def _read(raws: Sequence[Any], rows: Rows, context: Context, *, is_pending: bool) -> list[_Named]:
    translate = partial(_translate, context=context, is_pending=is_pending)
    model = GcTransaction if is_pending else GcBooked
    read = (rows.read(raw, model, translate, id_key=_ID_KEY) for raw in raws)
    return [named for named in read if named is not None]


def _unnamed(bad: QuarantinedRow) -> QuarantinedRow:
    """Leave out an id that names no row: then the bad row could be any that we hold."""
    return bad if _is_name(bad.external_id) else replace(bad, external_id=None)


def _is_name(stated: str | None) -> bool:
    """Say whether a row may go by an id: it says something, and can be kept."""
    return stated is not None and not is_placeholder(stated) and len(stated) <= ID_LENGTH_MAX


def _translate(
    raw: GcTransaction, unreadable: Mapping[str, Any], *, context: Context, is_pending: bool
) -> _Named | None:
    row = to_transaction(raw, unreadable, context=context, is_pending=is_pending)
    if row is None:
        return None
    quirks = context.quirks
    bank_id = _trusted(raw.transaction_id, quirks)
    if is_pending:  # GoCardless's own id comes with the booking
        return _Named(bank_id, bank_id, row)
    own_id = raw.internal_transaction_id if _is_name(raw.internal_transaction_id) else None
    return _Named(own_id or bank_id or _trusted(raw.entry_reference, quirks), bank_id, row)


def _trusted(bank_id: str | None, quirks: Quirks) -> str | None:
    """Return a bank's id, None when it names no row, or is none at this bank."""
    if quirks.has_only_internal_ids or bank_id is None or not _is_name(bank_id):
        return None
    is_odd = quirks.id_lengths is not None and len(bank_id) not in quirks.id_lengths
    return None if is_odd else bank_id


def _unbooked(pending: Sequence[_Named], booked: Sequence[_Named]) -> list[_Named]:
    """
    Leave out what is in both lists, under one id of the bank: it is booked.

    An id that different booked rows share is none.
    """
    known = {(one.bank_id, fingerprint(one.row)) for one in booked if one.bank_id is not None}
    times = Counter[str | None](bank_id for bank_id, _ in known)
    seen = {(one.bank_id, one.row.amount) for one in booked if times[one.bank_id] == 1}
    return [named for named in pending if (named.bank_id, named.row.amount) not in seen]


def _capped(row: Transaction, context: Context) -> Transaction:
    """A bank east of us may be a day ahead, unless it is known to date ahead."""
    ahead = timedelta(0) if context.quirks.dates_pending_ahead else AHEAD
    return paid_until(row, context.today, ahead=ahead)


def _covered(window: DateWindow, whole_since: str | None) -> DateWindow | None:
    first = window.first
    if whole_since is not None:
        first = max(first, date.fromisoformat(whole_since))
    return DateWindow(first=first, last=window.last) if first <= window.last else None
