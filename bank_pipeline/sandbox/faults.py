"""
What goes wrong between a provider and its client, as data. Thread-safe.

Provider-neutral: a provider's app asks `take` once per request and carries out what it gets.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final, Self

from bank_pipeline.sandbox.chance import dice


class FaultKind(StrEnum):
    """What the app does instead of, or to, the right answer."""

    # Answers that are errors.
    ERROR = "error"  # the provider's own error: `code`, `error_type`, `status`, `message`
    HTTP_STATUS = "http_status"  # `status` with an HTML body, as from a proxy in between
    RATE_LIMITED = "rate_limited"  # 429, with `retry_after` as its header when given
    EMPTY_BODY = "empty_body"  # `status`, and nothing
    HTML_BODY = "html_body"  # 200 with HTML
    # What the network does.
    RESET = "reset"  # dropped before the headers
    RESET_BODY = "reset_body"  # dropped after `after_bytes` of the body
    TRUNCATED_BODY = "truncated_body"  # an orderly end after `after_bytes`
    HANG = "hang"  # nothing for `seconds`, then dropped
    SLOW_DRIP = "slow_drip"  # one byte at a time over `seconds`
    REDIRECT = "redirect"  # `status` (302, 307) to `location`, at another origin
    LOST_ANSWER = "lost_answer"  # the operation is done, then the connection is dropped
    # A right answer with something wrong in it; `key` names the key where one is concerned.
    MISSING_KEY = "missing_key"
    EXTRA_KEY = "extra_key"
    NULL_VALUE = "null_value"
    UNKNOWN_ENUM = "unknown_enum"
    STRING_AMOUNTS = "string_amounts"
    NAN_AMOUNTS = "nan_amounts"
    DUPLICATE_ROWS = "duplicate_rows"
    DUPLICATE_ACROSS_PAGES = "duplicate_across_pages"
    ADDED_AND_REMOVED = "added_and_removed"  # one id in both lists of one update
    UNKNOWN_REMOVED_ID = "unknown_removed_id"
    UNKNOWN_ACCOUNT_ID = "unknown_account_id"
    MISSING_ACCOUNT = "missing_account"
    FUTURE_DATES = "future_dates"
    CHANGED_CURRENCY = "changed_currency"
    HUGE_PAGE = "huge_page"
    # Meaning.
    ENDLESS_PAGES = "endless_pages"  # has_more with the same cursor
    EMPTY_PAGE = "empty_page"  # no rows and has_more
    MUTATION = "mutation"  # data changed during pagination
    CURSOR_REJECTED = "cursor_rejected"
    NOT_READY = "not_ready"
    LOGIN_REQUIRED = "login_required"  # and stays so until repaired
    STALE_DATA = "stale_data"  # silent: the answer of an earlier moment


TRANSIENT_KINDS: Final = (
    FaultKind.HTTP_STATUS,
    FaultKind.RATE_LIMITED,
    FaultKind.EMPTY_BODY,
    FaultKind.HTML_BODY,
    FaultKind.RESET,
    FaultKind.RESET_BODY,
    FaultKind.TRUNCATED_BODY,
    FaultKind.LOST_ANSWER,
)  # what a client must outlive without losing or doubling anything


@dataclass(frozen=True)
class Fault:
    """
    One thing to go wrong. Fields that its kind does not mention are ignored; None means that
    the app chooses.
    """

    kind: FaultKind
    status: int | None = None
    code: str | None = None
    error_type: str | None = None
    message: str | None = None
    retry_after: str | None = None  # the header's text: seconds, or an HTTP date
    location: str | None = None
    key: str | None = None
    after_bytes: int | None = None
    seconds: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set, for the control API."""
        values = asdict(self)
        return {name: value for name, value in values.items() if value not in (None, {})}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Read a control request. An unknown field or kind is a ValueError."""
        _refuse_unknown(body, {one.name for one in fields(cls)})
        return cls(**{**body, "kind": FaultKind(body.get("kind", ""))})


@dataclass(frozen=True)
class FaultRule:
    """
    When a fault happens.

    `operation` and `subject` are globs (`/transactions/*`, `*`); the subject is an item,
    account or whatever the app names. Of the calls that match, the first `after` pass, then
    `times` fail (None: all further ones). `after=2, times=1` is the third call.
    """

    id: int
    operation: str
    fault: Fault
    subject: str = "*"
    times: int | None = 1
    after: int = 0

    def matches(self, operation: str, subject: str) -> bool:
        """Whether the rule is about such a call, its counts aside."""
        return fnmatchcase(operation, self.operation) and fnmatchcase(subject, self.subject)

    def to_json(self) -> dict[str, Any]:
        """Return the rule for the control API."""
        return {
            "id": self.id,
            "operation": self.operation,
            "subject": self.subject,
            "times": self.times,
            "after": self.after,
            "fault": self.fault.to_json(),
        }


@dataclass(frozen=True)
class InjectedFault:
    """
    A fault that was handed out, for tests that must explain every failure.

    `rule_id` names the rule that struck; None where it was the dice.
    """

    operation: str
    subject: str
    fault: Fault
    rule_id: int | None = None


class FaultPlan:
    """
    Hold the rules and hand out their faults.

    Every matching rule counts the call towards its `after`; of those that can strike, the
    oldest does.
    """

    def __init__(self, rules: Iterable[FaultRule] = ()) -> None:
        """Begin with these rules; none by default."""
        self._lock = threading.RLock()
        self._rules: list[FaultRule] = list(rules)
        self._next_id = 1 + max((rule.id for rule in self._rules), default=0)
        self._injected: list[InjectedFault] = []
        self._chances: _Chances | None = None

    @classmethod
    def seeded(
        cls,
        seed: int,
        rate: float,
        *,
        kinds: Sequence[FaultKind] = TRANSIENT_KINDS,
        operation: str = "*",
        streak_max: int = 3,
    ) -> Self:
        """
        Let a share `rate` of the calls fail, by dice.

        The nth call of an operation on a subject meets the same fate whatever happens between
        other calls. After `streak_max` failures in a row the next one passes, so that a
        patient client always gets through.
        """
        plan = cls()
        plan._chances = _Chances(seed, rate, tuple(kinds), operation, streak_max)
        return plan

    def add(
        self,
        operation: str,
        fault: Fault,
        *,
        subject: str = "*",
        times: int | None = 1,
        after: int = 0,
    ) -> FaultRule:
        """Plan a fault and return its rule; see `FaultRule` for what the arguments mean."""
        if after < 0 or (times is not None and times < 1):
            raise ValueError("`after` is at least 0 and `times` at least 1 or None")
        with self._lock:
            rule = FaultRule(self._next_id, operation, fault, subject, times, after)
            self._next_id += 1
            self._rules.append(rule)
            return rule

    def add_json(self, body: Mapping[str, Any]) -> FaultRule:
        """Plan what `POST /_sim/faults` asks: a rule's fields without `id`."""
        _refuse_unknown(body, {"operation", "subject", "times", "after", "fault"})
        if not isinstance(body.get("fault"), Mapping):
            raise ValueError("a rule needs a fault")  # noqa: TRY004 - one exception for bad input
        return self.add(
            str(body.get("operation", "*")),
            Fault.from_json(body["fault"]),
            subject=str(body.get("subject", "*")),
            times=body.get("times", 1),
            after=int(body.get("after", 0)),
        )

    def take(self, operation: str, subject: str = "") -> Fault | None:
        """Count this call and return what goes wrong with it, or None when all is well."""
        with self._lock:
            rule = self._take_rule(operation, subject)
            fault = None if rule is None else rule.fault
            if rule is None and self._chances is not None:
                fault = self._chances.take(operation, subject)
            if fault is not None:
                rule_id = None if rule is None else rule.id
                self._injected.append(InjectedFault(operation, subject, fault, rule_id))
            return fault

    def remove(self, rule_id: int) -> bool:
        """Forget one rule; say whether it was still there."""
        with self._lock:
            kept = [rule for rule in self._rules if rule.id != rule_id]
            was_there = len(kept) < len(self._rules)
            self._rules = kept
            return was_there

    def clear(self) -> None:
        """Forget all rules and the seeded chances. What was injected stays on record."""
        with self._lock:
            self._rules.clear()
            self._chances = None

    def pending(self) -> Sequence[FaultRule]:
        """Return the rules that can still strike, with what is left of `times` and `after`."""
        with self._lock:
            return tuple(self._rules)

    def injected(self) -> Sequence[InjectedFault]:
        """Return what was handed out so far, oldest first."""
        with self._lock:
            return tuple(self._injected)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the pending rules for the control API."""
        return [rule.to_json() for rule in self.pending()]

    @classmethod
    def from_json(cls, rules: Iterable[Mapping[str, Any]]) -> Self:
        """Read what `to_json` wrote; ids are given anew."""
        plan = cls()
        for rule in rules:
            plan.add_json({name: value for name, value in rule.items() if name != "id"})
        return plan

    def _take_rule(self, operation: str, subject: str) -> FaultRule | None:
        matching = [rule for rule in self._rules if rule.matches(operation, subject)]
        striking = next((rule for rule in matching if not rule.after), None)
        counted = {rule.id: _counted(rule, strikes=rule is striking) for rule in matching}
        rules = [counted.get(rule.id, rule) for rule in self._rules]
        self._rules = [rule for rule in rules if rule.times != 0]
        return striking


@dataclass
class _Chances:
    """The dice of a seeded plan, and how often each operation on each subject was called."""

    seed: int
    rate: float
    kinds: tuple[FaultKind, ...]
    operation: str
    streak_max: int
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    streaks: Counter[tuple[str, str]] = field(default_factory=Counter)

    def take(self, operation: str, subject: str) -> Fault | None:
        if not self.kinds or not fnmatchcase(operation, self.operation):
            return None
        call = (operation, subject)
        self.calls[call] += 1
        rolled = dice(self.seed, operation, subject, self.calls[call])
        if self.streaks[call] >= self.streak_max or rolled.random() >= self.rate:
            self.streaks[call] = 0
            return None
        self.streaks[call] += 1
        return _usual(rolled.choice(self.kinds), rolled.randrange(2, 200), rolled.choice(_STATUSES))


_STATUSES: Final = (500, 502, 503, 504)  # what proxies and gateways answer


def _counted(rule: FaultRule, *, strikes: bool) -> FaultRule:
    if rule.after:
        return replace(rule, after=rule.after - 1)
    if strikes and rule.times is not None:
        return replace(rule, times=rule.times - 1)
    return rule


def _usual(kind: FaultKind, size: int, status: int) -> Fault:
    match kind:
        case FaultKind.HTTP_STATUS:
            return Fault(kind, status=status)
        case FaultKind.RATE_LIMITED:
            return Fault(kind, status=429, retry_after=str(size % 60) if size % 2 else None)
        case FaultKind.RESET_BODY | FaultKind.TRUNCATED_BODY:
            return Fault(kind, after_bytes=size)
        case FaultKind.HANG | FaultKind.SLOW_DRIP:
            return Fault(kind, seconds=float(size))
        case _:
            return Fault(kind)


def _refuse_unknown(body: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(body) - known):
        raise ValueError(f"unknown field: {', '.join(unknown)}")
