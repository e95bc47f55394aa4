"""Counts calls in the simulated providers' own logs: none may lie above a limit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.installation import Installation

if TYPE_CHECKING:
    from bank_pipeline.simulation.troubles import Troubles

PERIOD: Final = timedelta(hours=24)
SCOPES: Final = ("details", "balances", "transactions")
LOOKS_A_DAY: Final = 4
_OK: Final = 200
_TOO_MANY: Final = 429
_Calls = dict[tuple[str, str], list[datetime]]
_Asked = tuple[str, str]
"""An operation with its provider, and whom it was about."""


class LimitChecker:
    """
    Gather the logs of the providers that count calls by account, and judge them.

    A refusal is excused when the plan injected it, or when others had spent the quota.
    """

    def __init__(self, place: Installation, findings: Findings) -> None:
        self._place = place
        self._findings = findings
        self._gocardless: _Calls = defaultdict(list)
        self._enable_banking: _Calls = defaultdict(list)
        self._refused: Counter[_Asked] = Counter()

    def drain(self) -> None:
        """Take what the logs hold, before the oldest of it is forgotten."""
        state = self._place.gocardless.state
        with state.lock:
            self._take(state.log.to_json(), self._gocardless, "gocardless")
            state.log.clear()
        wing = self._place.enable_banking
        with wing.lock:
            self._take(list(wing.requests), self._enable_banking, "enable_banking")
            wing.requests.clear()

    def conclude(self, troubles: "Troubles") -> None:
        """Judge everything that was gathered."""
        self.drain()
        limit = self._place.gocardless.state.settings.daily_limit
        if limit is not None:
            for (account, scope), moments in self._gocardless.items():
                self._findings.look(Checker.CALL_TOO_MANY, len(moments))
                for most, at in over_limit(moments, limit=limit):
                    words = f"{most} {scope} calls in 24 hours before {at:%Y-%m-%d %H:%M}"
                    self._findings.add(Checker.CALL_TOO_MANY, f"gocardless {account}", words)
        self._judge_days()
        self._judge_refusals(troubles)

    def _judge_days(self) -> None:
        limit = self._place.enable_banking.quota.per_day
        for (account, scope), moments in self._enable_banking.items():
            self._findings.look(Checker.CALL_TOO_MANY, len(moments))
            days = Counter(at.date() for at in moments)
            for day, count in days.items():
                if limit is not None and count > limit:
                    words = f"{count} {scope} calls on {day}"
                    self._findings.add(Checker.CALL_TOO_MANY, f"enable_banking {account}", words)

    def _judge_refusals(self, troubles: "Troubles") -> None:
        injected = Counter(
            (one.operation, one.subject)
            for one in self._place.sandbox.faults.injected()
            if one.fault.kind is FaultKind.RATE_LIMITED
        )
        wing = self._place.enable_banking
        with wing.lock:
            bank_accounts = {
                grant.uid: grant.world_account_id
                for session in wing.sessions
                for grant in session.grants
                if grant.uid is not None
            }
        unexcused = unexcused_refusals(
            self._refused, injected, troubles.quota_taken, bank_accounts=bank_accounts
        )
        for (operation, subject), (count, fair) in unexcused.items():
            words = f"{count} refusals of {operation}, of which {fair} were injected"
            self._findings.add(Checker.CALL_TOO_MANY, subject, words)
        for operation, count in self._place.sandbox.plaid.limits.refused.items():
            words = f"{count} calls of {operation} refused"
            self._findings.add(Checker.CALL_TOO_MANY, "plaid", words)

    def _take(self, requests: Iterable[Mapping[str, Any]], calls: _Calls, provider: str) -> None:
        for one in requests:
            operation, subject, status = one["operation"], one["subject"], one.get("status")
            if operation not in SCOPES or any(name.startswith("psu-") for name in one["headers"]):
                continue
            if status == _TOO_MANY:
                self._refused[f"{provider}:{operation}", subject] += 1
            is_first_page = "continuation_key" not in str(one.get("query", ""))
            if status == _OK and is_first_page:
                calls[subject, operation].append(datetime.fromisoformat(one["at"]))


def unexcused_refusals(
    refused: Mapping[_Asked, int],
    injected: Mapping[_Asked, int],
    taken: Mapping[str, int],
    *,
    bank_accounts: Mapping[str, str],
) -> dict[_Asked, tuple[int, int]]:
    """
    Return where more calls were refused than was injected or is due to others, and how many. Pure.

    `bank_accounts` says which account of its bank is behind an id: a bank counts by its own
    accounts, so that what others took under one consent is refused under the next one, too.
    """
    counts, excused, total_taken = Counter[_Asked](), Counter[_Asked](), Counter[str]()
    for gathered, given in ((counts, refused), (excused, injected)):
        for (operation, subject), count in given.items():
            gathered[operation, bank_accounts.get(subject, subject)] += count
    for subject, count in taken.items():
        total_taken[bank_accounts.get(subject, subject)] += count
    found = {}
    for (operation, subject), count in counts.items():
        fair = excused[operation, subject] + total_taken[subject]
        if operation.startswith("enable_banking:"):
            fair *= LOOKS_A_DAY  # it does not tell when the quota is back
        if count > fair:
            found[operation, subject] = count, fair
    return found


def over_limit(moments: Iterable[datetime], *, limit: int) -> list[tuple[int, datetime]]:
    """Return each moment at which more than `limit` calls lay within the last 24 hours. Pure."""
    recent: list[datetime] = []
    over = []
    for at in sorted(moments):
        recent = [one for one in recent if at - one < PERIOD]
        recent.append(at)
        if len(recent) > limit:
            over.append((len(recent), at))
    return over
