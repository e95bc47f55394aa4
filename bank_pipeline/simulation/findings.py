"""What the checkers looked at and what they found, with the findings that are known."""

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Checker(StrEnum):
    """What must not be there, one checker each."""

    MISSING = "row missing in covered dates"
    UNREAD = "row that could not be read"
    DOUBLED = "row doubled"
    INVENTED = "row invented"
    WRONG_AMOUNT = "wrong amount"
    WRONG_DATE = "wrong date"
    WRONG_STATE = "wrong state"
    WRONG_CURRENCY = "wrong currency"
    WRONG_DESCRIPTION = "wrong description"
    WRONG_BALANCE = "wrong balance"
    MISSING_ACCOUNT = "account missing"
    WRONG_ACCOUNT_STATE = "account open here and closed there"
    HIDDEN_GAP = "gap that coverage does not show"
    GAP_LEFT = "gap left open"
    ENDLESS_PENDING = "pending row that never ends"
    UNSTABLE_ID = "transaction id changed"
    LOST_ANNOTATION = "annotation off its entry"
    CALL_TOO_MANY = "call above a limit"
    SILENT_STOP = "connection stopped in silence"
    SECRET_IN_LOG = "secret in a log"  # noqa: S105 - a checker's name
    TWO_AT_ONCE = "two syncs of one connection at once"
    OPEN_SYNC_RUN = "sync run without an end"
    NOT_ARCHIVED = "answer that was applied and not archived"
    STRANGE_FAILURE = "failure nobody foresaw"
    UNVERIFIED = "connection that could not be compared"


@dataclass(frozen=True)
class Finding:
    """One thing that must not be: at what, and in which words."""

    checker: Checker
    where: str
    words: str

    def __str__(self) -> str:
        return f"{self.checker}: {self.where}: {self.words}"


@dataclass(frozen=True)
class Known:
    """A finding that is known: told at every run, and no failure until it is mended."""

    checker: Checker
    pattern: str
    why: str

    def is_about(self, finding: Finding) -> bool:
        """Say whether a finding is this one."""
        is_same = finding.checker is self.checker
        return is_same and re.search(self.pattern, f"{finding.where}: {finding.words}") is not None


KNOWN: Final[tuple[Known, ...]] = ()
"""Defects of the pipeline that the year found and that are not mended yet."""


@dataclass
class Findings:
    """Gathers what every checker looked at and found."""

    looked: Counter[Checker] = field(default_factory=Counter)
    found: list[Finding] = field(default_factory=list)

    def look(self, checker: Checker, count: int = 1) -> None:
        """Count what a checker looked at."""
        self.looked[checker] += count

    def add(self, checker: Checker, where: str, words: str) -> None:
        """Note what was found."""
        self.found.append(Finding(checker, where, words))

    def violations(self) -> list[Finding]:
        """Return the findings that are not known."""
        return [one for one in self.found if not any(known.is_about(one) for known in KNOWN)]

    def known(self) -> Counter[str]:
        """Return how often each known finding was met, by what is known of it."""
        met: Counter[str] = Counter()
        for finding in self.found:
            for known in KNOWN:
                if known.is_about(finding):
                    met[known.why] += 1
                    break
        return met
